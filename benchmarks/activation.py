"""Activation: a shop whose contacts have a known effect, drawn anew, in; is it measured right out.

    .venv/bin/python benchmarks/activation.py --worlds 200 [--customers 3000] [--json FILE]

The synthetic shop is taken through ingest, features, lifetime and publication once, and three
campaigns are made by `regulars activate` as of days a month apart, with its real reasons, values
and ranks. What its customers do afterwards is what they do left alone. In each world the two arms
are drawn anew, and a contact makes a customer come once more within the horizon with a chance that
is greatest where she is about one rhythm late, and spend about what she usually does. Then the
report's own lines measure: joins, covariates, intervals. The truth is the mean, over everybody
chosen, of what a contact changes. A promise of 95 % holds where about 95 % of the worlds have it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
import pyarrow as pa  # noqa: E402

from models.evaluation.abtest import effects  # noqa: E402
from models.evaluation.intervals import numbers  # noqa: E402
from pipelines import activate, activation_past, steps  # noqa: E402
from pipelines.activation_past import KNOWN  # noqa: E402
from pipelines.activation_report import COVARIATES, MEASURES  # noqa: E402
from pipelines.build import last_event  # noqa: E402
from pipelines.steps import Job  # noqa: E402

CAMPAIGNS = (91, 61, 31)  # days before the end
MOST = 0.3  # chance that a contact brings the most movable back
HELD = 0.1
Floats = npt.NDArray[np.float64]


def shop(folder: Path, *, customers: int, seed: int) -> Job:
    """A workspace with a published bundle and three campaigns."""
    files = steps.synthetic_folder(folder, customers=customers, seed=seed)
    steps.synthesize(files, customers=customers, seed=seed)
    job = steps.job(folder, mapping="synthetic", given=str(files))
    steps.take_in(job)
    steps.build_features(job)
    trained = steps.train_models(job, only=["popularity"])
    run_id = trained["models"]["popularity"]["run_id"]
    end = last_event(job.workspace.tables)
    steps.publish_run(job, run_id, at=end, why="to measure campaigns", override=True)
    for days in CAMPAIGNS:
        activate.run(job.workspace, job.shop, as_of=end - timedelta(days=days))
    return job


class Worlds:
    """What all worlds of a shop share: who was chosen, and what they do left alone."""

    def __init__(self, job: Job) -> None:
        tables = job.workspace.tables
        every = activation_past.campaigns(tables)
        self.chosen = activation_past.chosen(every)
        self.bought = activation_past.bought(tables, every[0].at, last_event(tables))
        self.alone = activation_past.joined(self.chosen, self.bought)
        late = numbers(self.chosen["days_since_last_order"]) / numbers(
            self.chosen["usual_gap_days"]
        )
        self.chance = MOST * np.exp(-0.5 * ((late - 2) / 1.0) ** 2)

    def draw(self, seed: int, held: float = HELD) -> tuple[pa.Table, dict[str, float], Floats]:
        """A world's units as they are measured, the true effects, and each one's true change."""
        rng, n = np.random.default_rng(seed), self.chosen.num_rows
        arm = np.where(rng.random(n) < held, "holdout", "contact")
        comes = rng.random(n) < self.chance
        spends = numbers(self.chosen["average_order_value"]) * rng.lognormal(-0.125, 0.5, n)
        start = numbers(self.chosen["start"])
        when = start + rng.uniform(0.02, 0.98, n) * (numbers(self.chosen["until"]) - start)
        moved = comes & (arm == "contact")
        extra = pa.table(
            {
                "customer_id": self.chosen["customer_id"].filter(pa.array(moved)),
                "moment": when[moved].astype(np.int64),
                "purchase": np.ones(int(moved.sum()), np.int8),
                "amount": spends[moved],
                "order_id": [f"because-{i}" for i in np.flatnonzero(moved)],
            }
        ).cast(self.bought.schema)
        place = self.chosen.column_names.index("arm")
        chosen = self.chosen.set_column(place, "arm", pa.array(arm, pa.string()))
        units = activation_past.joined(chosen, pa.concat_tables([self.bought, extra]))
        change = comes & (numbers(self.alone["returned"]) == 0)
        truth = {
            "returned": float(change.mean()),
            "revenue": float((comes * spends).mean()),
            "orders": float(comes.mean()),
        }
        return units, truth, change.astype(np.float64)


def run(worlds: Worlds, n: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """A row a measure: how often its interval held the truth, and how wide it was."""
    rows: dict[str, list[tuple[bool, float, float]]] = {one.name: [] for one in MEASURES}
    for world in range(n):
        units, truth, _ = worlds.draw(seed + world)
        for one in effects(units, MEASURES, control="holdout", covariates=COVARIATES):
            held = one.low <= truth[one.measure] <= one.high
            rows[one.measure].append((held, truth[one.measure], one.high - one.low))
    return [
        {
            "measure": name,
            "worlds": n,
            "held": sum(held for held, _, _ in some),
            "truth": float(np.mean([true for _, true, _ in some])),
            "width": float(np.mean([width for _, _, width in some])),
        }
        for name, some in rows.items()
    ]


def rankings(worlds: Worlds, n: int, *, seed: int = 0) -> dict[str, float]:
    """The true change among the first 30 % by three orders, and among all; means over worlds.

    Learned: by `models.uplift` from the first two campaigns, half of each held out, asked of the
    third; assumed: by the expected gain, as without past hold-outs; best: by the truth.
    """
    from models.uplift import Uplift

    last = worlds.chosen["campaign"].to_numpy() == max(worlds.chosen["campaign"].to_pylist())
    found: dict[str, list[float]] = {"all": [], "assumed": [], "learned": [], "best": []}
    for world in range(n):
        units, _, change = worlds.draw(seed + world, held=0.5)
        known = np.stack([numbers(units[name]) for name in KNOWN], axis=1)
        contacted = (units["arm"].to_numpy() == "contact").astype(np.float64)
        model = Uplift(seed=seed).fit(
            known[~last], contacted[~last], numbers(units["returned"])[~last]
        )
        gain = numbers(units["expected_value_with"]) - numbers(units["expected_value_without"])
        orders = {
            "assumed": gain[last],
            "learned": model.change(known[last]),
            "best": worlds.chance[last] * (numbers(worlds.alone["returned"])[last] == 0),
        }
        found["all"].append(float(change[last].mean()))
        top = round(0.3 * last.sum())
        for name, score in orders.items():
            first = np.argsort(-score, kind="stable")[:top]
            found[name].append(float(change[last][first].mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--ranked", type=int, default=10, help="worlds in which a learner is asked")
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        worlds = Worlds(shop(Path(folder) / "shop", customers=given.customers, seed=given.seed))
        n = worlds.chosen.num_rows
        print(f"{n:,} chosen in {len(CAMPAIGNS)} campaigns, {HELD:.0%} held out", flush=True)
        rows = run(worlds, given.worlds, seed=given.seed)
        for row in rows:
            print(
                f"{row['measure']:10} truth {row['truth']:8.4f}, in the 95 % interval in "
                f"{row['held']} of {row['worlds']} worlds ({row['held'] / row['worlds']:.1%}); "
                f"mean width {row['width']:.4f}"
            )
        ranked = rankings(worlds, given.ranked, seed=given.seed) if given.ranked else {}
        for name, value in ranked.items():
            print(f"came back because of it, of the first 30 % by {name:8} {value:.2%}")
    print(f"{time.perf_counter() - began:.0f} s")
    if given.json:
        told = {"measures": rows, "ranked": ranked}
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


__all__ = ["Worlds", "main", "rankings", "run", "shop"]

if __name__ == "__main__":
    main()
