"""The replenishment clock: cuts in time in, how well it foretells what is bought again out.

    .venv/bin/python benchmarks/replenishment.py --folds 4 --json replenishment.json

Online Retail II, folds of 28 days as in its protocol; `--validation` takes the fold before them,
on which alone anything may be chosen. Printed: the chance of "bought within 14 days" in bins beside
what came true, with the expected calibration error (ECE: the mean distance in ten bins of equally
many pairs) of all pairs; and recall@10 of the products bought again in the 28 days, over the
customers who bought any again, when what each had bought is ranked by the clock, by how often
(personal frequency), by the surface's old rule, by `rebuy`, by `rebuy` that knows the rhythm, and
by `rebuy` with what is too early behind the rest. Then `--customers` of the synthetic shop, whose
rhythms are known: when the due day comes against the true interval.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):
    sys.path[0] = str(ROOT)

from benchmarks.protocols.rows import DATA  # noqa: E402
from features.build import build  # noqa: E402
from features.purchases import purchases  # noqa: E402
from features.replenishment import WITHIN, replenishment  # noqa: E402
from features.sequences import sequences  # noqa: E402
from features.tables import Tables  # noqa: E402
from models.evaluation.split import Fold, folds, validation_fold  # noqa: E402
from models.recommender import Recommender  # noqa: E402
from models.scorer import make  # noqa: E402
from pipelines import settings, steps  # noqa: E402
from pipelines.build import last_event  # noqa: E402
from pipelines.workspace import Workspace  # noqa: E402

Floats = npt.NDArray[np.float64]
DAY = 86_400_000_000  # microseconds
HORIZON, TOP = 28, 10
BINS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
NAME = "online-retail-ii"
PAIR = ("customer_id", "product_id")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--validation", action="store_true", help="the fold before the others")
    parser.add_argument("--customers", type=int, default=5000, help="synthetic ones; 0: none")
    parser.add_argument("--workspace", type=Path, default=ROOT / "out" / "published" / NAME)
    parser.add_argument("--without-rebuy", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    told: dict[str, Any] = {}
    if given.folds:
        told[NAME] = real(given)
    if given.customers:
        told["synthetic"] = synthetic(given.customers)
    if given.json:
        given.json.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def real(given: argparse.Namespace) -> dict[str, Any]:
    """All folds together."""
    tables = _taken_in(given.workspace)
    last = last_event(tables)
    cuts = folds(last, horizon_days=HORIZON, n=given.folds)
    if given.validation:
        cuts = [validation_fold(last, horizon_days=HORIZON, n=given.folds)]
    foretold, came, recalls, seconds = [], [], [], []
    for fold in cuts:
        start = time.perf_counter()
        made = replenishment(tables, as_of=fold.cut, current=False)
        seconds.append(time.perf_counter() - start)
        clock = made.read()
        truth = purchases(tables, after=fold.cut, until=fold.until)
        soon = truth.filter(
            pc.less_equal(truth["event_time"], pa.scalar(fold.cut + timedelta(days=WITHIN)))
        )
        foretold.append(clock["chance_14d"].to_numpy())
        came.append(_among(clock, soon))
        recalls.append(_recalls(tables, fold, clock, truth, rebuy=not given.without_rebuy))
    chance, came_true = np.concatenate(foretold), np.concatenate(came)
    print(f"{NAME}: {len(cuts)} folds, {len(chance):,} pairs, {max(seconds):.1f} s at most a table")
    told: dict[str, Any] = {"calibration": calibration(chance, came_true), "recall_at_10": {}}
    print(f"of the {sum(len(one['clock']) for one in recalls):,} who bought something again:")
    for name in recalls[0]:
        values = np.concatenate([one[name] for one in recalls])
        beside = values - np.concatenate([one["frequency"] for one in recalls])
        told["recall_at_10"][name] = mean, low, high = _interval(values)
        line = f"recall@{TOP} {name:14} {mean:.4f} ({low:.4f} to {high:.4f})"
        if name != "frequency":
            line += "; less frequency {:+.4f} ({:+.4f} to {:+.4f})".format(*_interval(beside))
        print(line)
    return told


def calibration(chance: Floats, came_true: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Printed in bins; gives them with the expected calibration error."""
    order = np.argsort(chance, kind="stable")
    parts = np.array_split(order, 10)
    ece = sum(
        len(part) / len(order) * abs(chance[part].mean() - came_true[part].mean()) for part in parts
    )
    print(f"bought within {WITHIN} days: foretold {chance.mean():.4f}, came {came_true.mean():.4f}")
    rows = []
    for low, high in itertools.pairwise(BINS):
        part = (chance >= low) & (chance < high)
        if part.any():
            row = (low, high, int(part.sum()), chance[part].mean(), came_true[part].mean())
            rows.append([float(value) for value in row])
            print("  {:.2f} to {:.2f}: {:9,} pairs, foretold {:.4f}, came {:.4f}".format(*row))
    wide = sum(n / len(order) * abs(said - was) for _, _, n, said, was in rows)
    auc = _auc(chance, came_true)
    print(f"ECE {ece:.4f} in tenths, {wide:.4f} in the bins above; AUC {auc:.4f}")
    return {"ece": float(ece), "ece_of_bins": float(wide), "auc": auc, "bins": rows}


def _recalls(
    tables: Tables, fold: Fold, clock: pa.Table, truth: pa.Table, *, rebuy: bool
) -> dict[str, Floats]:
    """Of each customer who bought again, the part of it in her first ten, by way of ranking."""
    hit = _among(clock, truth)
    days = (
        fold.cut.timestamp() * 1e6 - clock["last_purchase_time"].cast(pa.int64()).to_numpy()
    ) / DAY
    often = clock["purchases"].to_numpy().astype(float)
    ways: dict[str, Callable[[], Floats]] = {
        "clock": lambda: clock["chance_14d"].to_numpy(),
        "frequency": lambda: often - days / 1e6,  # the last bought of those as often
        "old rule": lambda: often * (1 - 0.5 ** (days / 28)),
    }
    if rebuy:
        hers = _rebuy(tables, fold, clock)
        ways["rebuy"] = lambda: hers
        ways["rebuy, timed"] = lambda: _rebuy(tables, fold, clock, rhythm=0.5)
        waits = pc.fill_null(pc.equal(clock["state"], "too_early"), False).to_numpy()
        ways["rebuy, not yet"] = lambda: hers - 1e3 * waits
    who = clock["customer_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    number = np.bincount(who, hit)
    found = {}
    for name, score in ways.items():
        order = np.lexsort((-score(), who))
        begins = np.searchsorted(who[order], np.arange(len(number)))
        first = order[np.arange(len(order)) - begins[who[order]] < TOP]
        found[name] = (np.bincount(who[first], hit[first], len(number)) / np.maximum(number, 1))[
            number > 0
        ]
    return found


def _rebuy(tables: Tables, fold: Fold, clock: pa.Table, **parameters: Any) -> Floats:
    """Each pair's score by the model with its defaults, learned until the cut."""
    names = ("interactions",)
    made = build(tables, as_of=fold.cut, names=names, current=False)["interactions"].read()
    model = Recommender(make("rebuy", parameters)).fit(
        made, events=sequences(tables, until=fold.cut)
    )
    row = model.customer_map.codes(clock["customer_id"])
    code = model.product_map.codes(clock["product_id"])
    scores = np.full(len(row), -1.0)
    rows = model.history.rows
    for start in range(0, rows, 1000):
        here = np.flatnonzero((row >= start) & (row < start + 1000))
        block = model.scorer.score(model.history.take(np.arange(start, min(start + 1000, rows))))
        scores[here] = np.where(code[here] >= 0, block[row[here] - start, code[here]], -1.0)
    return scores


def synthetic(customers: int, seed: int = 0) -> dict[str, Any]:
    """The interval against the true one of what customers replenish, and the state it gives."""
    with tempfile.TemporaryDirectory(prefix="regulars-benchmark-") as scratch:
        folder = Path(scratch) / "shop"
        steps.synthesize(folder, customers=customers, seed=seed)
        shop = settings.Shop.model_validate(tomllib.loads(settings.preset("synthetic")))
        job = steps.Job(Workspace(Path(scratch) / "work"), shop, str(folder))
        steps.take_in(job)
        tables = job.workspace.tables
        as_of = last_event(tables)
        clock = replenishment(tables, as_of=as_of).read()
        truth = folder / "truth"
        staples = pq.read_table(truth / "staples.parquet")
        products = pq.read_table(
            truth / "products.parquet", columns=["product_id", "replenish_days"]
        )
    return rhythms(clock, staples) | _replenishable(clock, products)


def rhythms(clock: pa.Table, staples: pa.Table) -> dict[str, Any]:
    """Printed by how often she bought it.

    The due day is held against the last purchase and the true interval behind it.
    """
    both = clock.join(staples, PAIR, join_type="inner")
    often, true = both["purchases"].to_numpy(), both["every_days"].to_numpy()
    found, alone = (both[f"{name}interval_days"].to_numpy() for name in ("", "own_"))
    known = np.isfinite(found)
    last, begin, due, late = (
        both[name].cast(pa.int64()).to_numpy() / DAY
        for name in ("last_purchase_time", "due_from", "due_at", "overdue_at")
    )
    within = (begin <= last + true) & (last + true < late)
    told: list[list[float]] = []
    print(f"synthetic: {known.sum():,} true habits; of them, by how often she bought it:")
    for low, high in ((1, 1), (2, 2), (3, 4), (5, 8), (9, 99)):
        part = known & (often >= low) & (often <= high)
        if part.any():
            row = [
                *(low, high, part.sum()),
                *(np.median(found[part] / true[part]), _near(found[part] / true[part])),
                *(_near(alone[part] / true[part]), within[part].mean()),
                np.median(np.abs(due[part] - last[part] - true[part])),
            ]
            told.append([float(value) for value in row])
            print(
                "  {:.0f} to {:.0f}: {:5.0f} pairs; interval over the true one {:.2f}, within a "
                "quarter {:.0%} (her own alone {:.0%}); true day from due_from to overdue_at "
                "{:.0%}, off due_at by {:.0f} days".format(*row)
            )
    return {"rhythms": told}


def _near(ratio: Floats) -> float:
    """The share that is known and within a quarter of 1."""
    return float((np.abs(np.log(np.nan_to_num(ratio, nan=9.0))) < np.log(1.25)).mean())


def _replenishable(clock: pa.Table, products: pa.Table) -> dict[str, float]:
    said = clock.group_by("product_id").aggregate([("replenishable", "max")])
    both = said.join(products, "product_id")
    truly = np.nan_to_num(both["replenish_days"].to_numpy()) > 0
    found = both["replenishable_max"].to_numpy()
    counts = [float(part.sum()) for part in (found, truly, found & truly)]
    print("  replenishable: {:.0f} products said, {:.0f} truly, {:.0f} both".format(*counts))
    return dict(zip(("said", "truly", "both"), counts, strict=True))


def _taken_in(workspace: Path) -> Tables:
    """The shop's events, as its protocol takes them in."""
    shop = settings.Shop.model_validate(tomllib.loads(settings.preset(NAME)))
    job = steps.Job(Workspace(workspace), shop, str(DATA / "online_retail_ii.parquet"))
    steps.take_in(job)
    return job.workspace.tables


def _among(clock: pa.Table, bought: pa.Table) -> npt.NDArray[np.bool_]:
    """(pairs,) whether it stands among these purchases."""
    keys = [pc.binary_join_element_wise(t[PAIR[0]], t[PAIR[1]], "\0") for t in (clock, bought)]
    found: npt.NDArray[np.bool_] = pc.is_in(keys[0], value_set=keys[1].combine_chunks()).to_numpy()
    return found


def _interval(values: Floats) -> tuple[float, float, float]:
    """Mean and its 95 % interval over customers."""
    mean, error = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return mean, mean - error, mean + error


def _auc(chance: Floats, came_true: npt.NDArray[np.bool_]) -> float:
    from scipy.stats import rankdata

    ones = int(came_true.sum())
    ranks = rankdata(chance)[came_true].sum()
    return float((ranks - ones * (ones + 1) / 2) / (ones * (len(chance) - ones)))


if __name__ == "__main__":
    main()
