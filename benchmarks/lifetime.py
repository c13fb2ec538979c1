"""Order histories in, how well lifetimes are foretold, how fast, and beside what, out.

    .venv/bin/python benchmarks/lifetime.py --data online-retail-ii [--cuts N] [--draw]
    .venv/bin/python benchmarks/lifetime.py --data synthetic [--shop CUSTOMERS]
    .venv/bin/python benchmarks/lifetime.py --customers 1000000 [--peer PYTHON]

--data: the four cut-offs, 30 days apart, of which the last is 90 days before the end, and --cuts
that are older, 90 days apart. --data synthetic: a shop with known truth. --customers: histories
drawn from the model, fit and table. --peer: the Python of an environment with
benchmarks/peers-lifetime.txt; its fit and expected orders beside ours. Data: $REGULARS_DATA.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from benchmarks.lifetime_backtest import auc, backtest, peer  # noqa: E402
from benchmarks.lifetime_pictures import reliability  # noqa: E402
from benchmarks.protocols.rows import DATA, Absent  # noqa: E402
from features.orders import Orders, orders  # noqa: E402
from features.parameters import Stages  # noqa: E402
from models.lifetime.calibration import calibration_error  # noqa: E402
from models.lifetime.histories import Histories  # noqa: E402
from models.lifetime.outlook import known_at, outlook  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "lifetime-calibration.svg"
CUTS = (180, 150, 120, 90)  # days before the end
END = datetime(2024, 12, 31, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("online-retail-ii", "synthetic"))
    parser.add_argument("--cuts", type=int, default=4, metavar="N", help="older cut-offs, too")
    parser.add_argument("--draw", action="store_true", help=f"write {PICTURE.relative_to(ROOT)}")
    parser.add_argument("--shop", type=int, default=10_000, help="customers of --data synthetic")
    parser.add_argument("--customers", type=int, help="draw so many customers, fit, and build")
    parser.add_argument("--peer", type=Path, metavar="PYTHON", help="has peers-lifetime.txt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    try:
        if given.data == "online-retail-ii":
            rows += list(real(given.cuts, given.draw, given.peer, given.seed))
        elif given.data == "synthetic":
            rows.append(true(given.shop, given.seed))
        if given.customers:
            rows.append(large(given.customers, given.peer, given.seed))
    except Absent as error:
        parser.error(str(error))
    if not rows:
        parser.error("want --data or --customers")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def real(cuts: int, draw: bool, python: Path | None, seed: int) -> Iterator[dict[str, Any]]:
    """Online Retail II at each cut-off."""
    every, first, end = online_retail_ii()
    older = [end - timedelta(days=CUTS[0] + 90 * (n + 1)) for n in range(cuts)][::-1]
    wanted = [end - timedelta(days=days) for days in CUTS]
    done = []
    for cut in [*(one for one in older if one >= first + timedelta(days=90)), *wanted]:
        row = {"data": "online-retail-ii", **backtest(every, cut, first=first, seed=seed)}
        tell(row)
        done.append(row)
        yield row
    four = done[-len(CUTS) :]
    print("orders in 90 days by tenth of customers, the four cut-offs: expected / actual")
    means = np.mean([row["deciles"] for row in four], axis=0)
    print("  " + "  ".join(f"{e:.2f}/{a:.2f}" for e, a in means))
    if draw:
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.write_text(reliability([(row["cut"], row["bins"]) for row in four]), "utf-8")
        print(f"drawn: {PICTURE.relative_to(ROOT)}")
    if python:
        beside(known_at(every, end).histories, python)


def online_retail_ii() -> tuple[Orders, datetime, datetime]:
    """Its orders as ingested, its first and its last moment; the workspace is kept."""
    from benchmarks.protocols.online_retail_ii import NAME, WORKSPACE
    from features.build import build
    from pipelines import settings, steps
    from pipelines.build import first_event, last_event
    from pipelines.workspace import Workspace

    path = DATA / "online_retail_ii.parquet"
    if not path.exists():
        raise Absent(f"REGULARS_DATA must be a folder that holds {path.name}, got {DATA}")
    shop = settings.read(settings.preset(NAME), source=NAME)
    workspace = Workspace(WORKSPACE)
    steps.take_in(steps.Job(workspace, shop, str(path)))
    first, end = first_event(workspace.tables), last_event(workspace.tables)
    made = build(workspace.tables, as_of=end, parameters=shop.features, names=["baskets"])
    return orders(made["baskets"].read(["customer_id", "order_time"])), first, end


def tell(row: dict[str, Any]) -> None:
    """One cut-off in words."""
    calibrated = "calibrated" if row["calibrated"] else "no year before"
    print(
        f"{row['cut']}  {row['customers']:,} customers, {row['returned']:.1%} came back in 90 days;"
        f" {row['rhythm']} ({calibrated}; likeliest {row['likeliest']}), {row['seconds']:.1f} s"
    )
    for what in ("ece", "auc"):
        figures = "  ".join(f"{name} {value:.4f}" for name, value in row[what].items())
        print(f"  {what:6} {figures}")
    figures = "  ".join(f"{name} {rms:.3f}/{mae:.3f}" for name, (rms, mae) in row["error"].items())
    print(f"  rms/absolute error of orders: {figures}")
    expected = "  ".join(f"{name} {value:,.0f}" for name, value in row["expected"].items())
    print(f"  orders actual {row['orders']:,.0f}  expected {expected}", flush=True)


def true(customers: int, seed: int) -> dict[str, Any]:
    """A synthetic shop: who is said to be alive beside who is."""
    from features.build import build
    from pipelines import settings, steps
    from pipelines.build import last_event
    from pipelines.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        shop = settings.read(settings.preset("synthetic"), source="synthetic")
        place = Workspace(Path(folder) / "workspace")
        files = Path(folder) / "shop"
        steps.synthesize(files, customers=customers, seed=seed, days=730)
        steps.take_in(steps.Job(place, shop, str(files)))
        as_of = last_event(place.tables)
        made = build(place.tables, as_of=as_of, parameters=shop.features, names=["baskets"])
        every = orders(made["baskets"].read(["customer_id", "order_time"]))
        truth = pq.read_table(
            files / "truth" / "customers.parquet", columns=["customer_id", "alive"]
        )
    found = outlook(every, as_of)
    place_of = {one: i for i, one in enumerate(truth["customer_id"].to_pylist())}
    ids = every.customers.take(pa.array(found.who)).to_pylist()
    known = np.array([one in place_of for one in ids])
    alive = truth["alive"].to_numpy()[[place_of[one] for one in ids if one in place_of]]
    chance = found.probability_alive[known]
    silent = (found.known.days_known - found.known.days_to_last_order)[found.known.row][known]
    row = {
        "data": "synthetic",
        "customers": len(alive),
        "alive": float(alive.mean()),
        "said": float(chance.mean()),
        "rhythm": found.rhythm.name,
        "likeliest": max(found.tried, key=lambda name: found.tried[name]),
        "ece": calibration_error(chance, alive),
        "auc": auc(chance, alive),
        "auc_days_silent": auc(-silent, alive),
    }
    print("  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    return row


def large(customers: int, python: Path | None, seed: int) -> dict[str, Any]:
    """Orders of many customers drawn from the model: orders to fit, table and stage history."""
    from benchmarks.lifetime_draw import TRUTH, draw
    from pipelines import lifetime

    table = draw(customers, end=END, seed=seed)
    lines = table.num_rows
    began = time.perf_counter()
    every = orders(table)
    del table
    found = outlook(every, END)
    fitted = time.perf_counter()
    worth = np.random.default_rng(seed).gamma(2.0, 20.0, len(found.who))
    days = found.known.repeat_orders[found.known.row] + 1
    value, _ = lifetime.worth(days, worth * days)
    stage = lifetime.stage(every, END, found.rhythm, Stages())
    ids = every.customers.take(pa.array(found.who))
    rows = lifetime.customers(ids, found, value, stage[found.who], as_of=END)
    built = time.perf_counter()
    lifetime.moves(every, END, found.rhythm, Stages())
    done = time.perf_counter()
    model = found.rhythm
    row = {
        "customers": rows.num_rows,
        "orders": lines,
        "histories": len(found.known),
        "rhythm": model.name,
        "parameters": {name: getattr(model, name) for name in ("r", "alpha", "a", "b")},
        "truth": TRUTH,
        "fit_seconds": fitted - began,
        "table_seconds": built - fitted,
        "moves_seconds": done - built,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(row))
    if python:
        beside(found.known, python)
    return row


def beside(known: Histories, python: Path) -> None:
    """BG/NBD by us and by the library: parameters, seconds, furthest apart."""
    from models.lifetime import returning, rhythm

    began = time.perf_counter()
    ours = rhythm.fit(known, prior=0)
    fitted = time.perf_counter()
    expected = returning.expected_orders(ours, known, days=90)[known.row]
    alive = returning.probability_alive(ours, known)[known.row]
    took = time.perf_counter() - began
    row = known.row
    columns = (known.repeat_orders[row], known.days_to_last_order[row], known.days_known[row])
    theirs = peer(python, columns, 90.0)
    figures = {name: round(getattr(ours, name), 4) for name in ("r", "alpha", "a", "b")}
    print(f"ours       {figures}  fit {fitted - began:.2f} s, with the rest {took:.2f} s")
    said = {name: round(value, 4) for name, value in theirs["parameters"].items()}
    print(f"lifetimes  {said}  fit {theirs['fit_seconds']:.2f} s, {theirs['seconds']:.2f} s")
    print(
        f"furthest apart: alive {np.nanmax(np.abs(alive - theirs['alive'])):.2g}, expected orders "
        f"{np.nanmax(np.abs(expected - theirs['expected'])):.2g}; not a number there: "
        f"{int(np.isnan(theirs['expected']).sum())}"
    )


if __name__ == "__main__":
    main()
