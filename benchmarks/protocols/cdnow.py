"""CDNOW's 1/10 sample: 39 weeks fitted, 39 weeks foretold; parameters and errors as printed out.

2,357 customers who first bought in the first quarter of 1997; orders of one day are one; time in
weeks from her first order to 1997-09-30. Parameters after Fader, Hardie & Lee (2005) and Fader &
Hardie (2013), by plain maximum likelihood: the prior is left out. Gamma-Gamma takes what repeat
orders were worth.

    python benchmarks/published.py cdnow [--json FILE]
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.lifetime_pictures import weeks
from benchmarks.protocols.rows import ROOT, Printed, Row, read, rows
from features.orders import DAY_MICROS, Orders, micros, orders
from models.lifetime import returning, rhythm, spend
from models.lifetime.outlook import Known, came, known_at
from models.lifetime.rhythm import Rhythm

CUT = datetime(1997, 9, 30, tzinfo=UTC) + timedelta(hours=23)  # both days are of the span
END = datetime(1998, 6, 30, tzinfo=UTC) + timedelta(hours=23)
HORIZON = 273
PICTURE = ROOT / "docs" / "images" / "cdnow-holdout.svg"
BG = "Fader, Hardie & Lee 2005"
GG = "Fader & Hardie 2013"
PUBLISHED = {
    "BG/NBD": dict(zip(("r", "alpha", "a", "b"), (0.243, 4.414, 0.793, 2.426), strict=True)),
    "Gamma-Gamma": dict(zip(("p", "q", "v"), (6.25, 3.74, 15.44), strict=True)),
}
CLASSES = (0, 1, 2, 3, 4, 5, 6, 7)  # repeat orders in the first 39 weeks; the last: or more
Doubles = npt.NDArray[np.float64]


def show(to: Path | None = None) -> None:
    """Print every figure, draw the weeks into docs/images."""
    found = list(run())
    for row in found:
        if row["published"] is not None:
            error = next(
                r["value"]
                for r in found
                if (r["model"], r["metric"]) == (row["model"], f"{row['metric']}_standard_error")
            )
            print(
                f"{row['model']:12} {row['metric']:6} {row['value']:8.3f} (±{error:.3f})  "
                f"published {row['published']:<6g} {row['source']}"
            )
    table: dict[str, dict[str, float]] = {}
    for row in found:
        if row["metric"].startswith("holdout_"):
            table.setdefault(row["model"], {})[row["metric"]] = row["value"]
    heads = "".join(f"{x:>6}" for x in (*CLASSES[:-1], f"{CLASSES[-1]}+"))
    print(f"\norders in weeks 40 to 78       sum    MAE   RMSE   mean of who repeated{heads} times")
    for name, of in table.items():
        total, mae, rmse, *means = of.values()
        print(
            f"{name:26} {total:7,.0f} {mae:6.3f} {rmse:6.3f} {'':21}"
            + "".join(f"{mean:6.2f}" for mean in means)
        )
    print(f"\ncumulative repeat orders after 78 weeks: {found[-1]['value']:+.1%} off")
    if to:
        to.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"drawn: {PICTURE.relative_to(ROOT)}")


def run() -> Iterator[Row]:
    """Parameters with standard errors, then how far each way of foretelling was off."""
    table, every = data()
    known = known_at(every, CUT)
    began = time.perf_counter()
    bg = rhythm.fit(known.histories, prior=0)
    took = time.perf_counter() - began
    yield from _parameters("BG/NBD", bg, bg.errors, BG, took)
    gg = spend.fit(*repeats(table, every), prior=0)
    yield from _parameters("Gamma-Gamma", gg, gg.errors, GG, took)
    actual = came(every, known.who, after=CUT, until=END)
    regular = max(rhythm.choose(known.histories, prior=0)[1][1:], key=lambda m: m.log_likelihood)
    by_class = np.minimum(known.histories.repeat_orders[known.histories.row], CLASSES[-1])
    for name, expected in {"actual": actual, **ways(known, bg, regular)}.items():
        errors = {
            "holdout_orders": float(expected.sum()),
            "holdout_mean_absolute_error": float(np.abs(expected - actual).mean()),
            "holdout_root_mean_square_error": float(((expected - actual) ** 2).mean() ** 0.5),
        }
        for x in CLASSES:
            of = f"holdout_mean_of_{x}{'_or_more' if x == CLASSES[-1] else ''}_repeats"
            errors[of] = float(expected[by_class == x].mean())
        yield from rows("cdnow", name, errors, {}, seconds=took, fit_seconds=took)
    foretold, came_by = tracked(every, bg)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(
        weeks(foretold, came_by, cut=39, title="CDNOW, cumulative repeat orders"), "utf-8"
    )
    off = {"cumulative_error_week_78": foretold[-1] / came_by[-1] - 1}
    yield from rows("cdnow", "BG/NBD", off, {}, seconds=took, fit_seconds=took)


def data() -> tuple[pa.Table, Orders]:
    """The file's lines with a time each, and the orders."""
    lines = read("cdnow_sample.parquet")
    day = pc.strptime(lines["date"].cast(pa.string()), format="%Y%m%d", unit="us")
    table = pa.table(
        {
            "customer_id": lines["id"].cast(pa.string()),
            "order_time": day.cast(pa.timestamp("us", "UTC")),
            "value": lines["dollar_value"],
        }
    )
    return table, orders(table)


def repeats(table: pa.Table, every: Orders) -> tuple[Doubles, Doubles]:
    """Days with a repeat order until the cut, and what such a day was worth, of who had any."""
    who = pc.index_in(table["customer_id"], every.customers).to_numpy()
    time = table["order_time"].cast(pa.int64()).to_numpy()
    again = (time > every.time[every.start[:-1]][who]) & (time <= micros(CUT))
    value = table["value"].to_numpy()
    paid = np.bincount(who[again], value[again], len(every.customers))
    days = every.seen(CUT).days - 1
    some = days > 0
    return days[some].astype(np.float64), paid[some] / days[some]


def ways(known: Known, bg: Rhythm, regular: Rhythm) -> dict[str, Doubles]:
    """Orders of each customer in the holdout: ours, and rules that need no model."""
    of, row = known.histories, known.histories.row
    x, age = of.repeat_orders[row].astype(np.float64), of.days_known[row]
    silent = age - of.days_to_last_order[row]
    pace = x / age * HORIZON
    return {
        "BG/NBD": returning.expected_orders(bg, of, days=HORIZON)[row],
        regular.name: returning.expected_orders(regular, of, days=HORIZON)[row],
        "her pace goes on": pace,
        "as often as before": x,
        "her pace, if <13 wk silent": np.where(silent <= 91, pace, 0.0),
        "everybody the mean": np.full(len(x), pace.mean()),
    }


def tracked(every: Orders, model: Rhythm) -> tuple[list[float], list[float]]:
    """Cumulative repeat orders of the cohort by week: expected of new customers, and actual."""
    first = every.seen(END).first_day
    start = int(first.min())
    opens = np.diff(every.day, prepend=0) != 0
    again = (every.time // DAY_MICROS)[opens & (every.day > 1)]
    expected, actual = [], []
    for week in range(1, 79):
        end = start + 7 * week - 1
        age = np.maximum(end - first, 0).astype(np.float64)
        expected.append(float(returning.expected_of_new(model, days=age).sum()))
        actual.append(float((again <= end).sum()))
    return expected, actual


def _parameters(
    name: str, fitted: object, errors: tuple[float, ...], source: str, took: float
) -> Iterator[Row]:
    printed = PUBLISHED[name]
    values = {of: float(getattr(fitted, of)) for of in printed}
    said = {of: Printed(value, source) for of, value in printed.items()}
    yield from rows("cdnow", name, values, said, seconds=took, fit_seconds=took)
    deviations = {f"{of}_standard_error": e for of, e in zip(printed, errors, strict=True)}
    yield from rows("cdnow", name, deviations, {}, seconds=took, fit_seconds=took)
