"""Customers that no test touches are compared, large orders capped, and all of it kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.assignment import HOLDOUT
from features.schemas import EXPOSURES, OUTCOMES
from pipelines import experiment, experiment_runs, experiment_trials
from pipelines.experiment_page import page
from pipelines.experiments import Experiment
from pipelines.outcomes import Gathered, gather
from pipelines.tracking import connect
from pipelines.workspace import Workspace

START = datetime(2026, 3, 1, tzinfo=UTC)
DONE = START + timedelta(days=21)
WORDS: dict[str, Any] = {
    "arms": {"old": 0.5, "new": 0.5}, "start": START, "end": START + timedelta(days=14),
    "horizon_days": 7, "holdout": 0.2,
}  # fmt: skip
SPENT = {HOLDOUT: 10.0, "old": 10.0, "new": 14.0}


def gathered(test: Experiment, *, wholesaler: float = 0.0) -> Gathered:
    """2,000 customers, half of whom buy once; one in the new arm perhaps far more."""
    rng = np.random.default_rng(0)
    plan = test.plan("home")
    shown: list[dict[str, Any]] = []
    bought: list[dict[str, Any]] = []
    for n in range(2_000):
        arm, at = str(plan.arm(f"c{n}")), START + timedelta(days=float(rng.uniform(0, 14)))
        shown.append(
            {
                "request_id": f"r{n}", "event_time": at, "customer_id": f"c{n}", "surface": "home",
                "channel": "web", "experiment": "home", "arm": arm, "product_id": "p",
                "position": 1,
            }
        )  # fmt: skip
        if rng.random() < 0.5:
            large = wholesaler if wholesaler and arm == "new" else 0.0
            wholesaler = 0.0 if large else wholesaler
            bought.append(
                {
                    "event_time": at + timedelta(hours=1), "event_type": "purchase",
                    "channel": "web", "customer_id": f"c{n}", "product_id": "p", "quantity": 1.0,
                    "unit_price": large or float(rng.normal(SPENT[arm], 2)), "order_id": f"o{n}",
                    "request_id": f"r{n}",
                }
            )  # fmt: skip
    return gather(
        "home", test, pa.Table.from_pylist(shown, EXPOSURES),
        pa.Table.from_pylist(bought, OUTCOMES), now=DONE, as_of=DONE,
    )  # fmt: skip


def read(test: Experiment, **more: Any) -> tuple[dict[str, Any], experiment_trials.Trial]:
    found = gathered(test, **more)
    trial = experiment_trials.of_log("home", test, found)
    return experiment.read(trial, gathered=found), trial


def one(rows: list[dict[str, Any]], measure: str) -> dict[str, Any]:
    (row,) = [row for row in rows if row["measure"] == measure]
    return row


def test_all_arms_together_are_set_against_those_held_out() -> None:
    test = Experiment(**WORDS)
    record, trial = read(test)
    assert record["verdict"]["decision"] in ("ship", "hold")
    assert all(check["holds"] is not False for check in record["checks"])
    assert trial.held is not None
    assert record["holdout"] == trial.held.num_rows == pytest.approx(400, abs=60)
    assert sum(arm["units"] for arm in record["arms"].values()) + trial.held.num_rows == 2_000
    revenue = one(record["held_out"], "revenue")
    tested = np.array(trial.units["revenue"].to_pylist())
    out = np.array(trial.held["revenue"].to_pylist())
    assert revenue["n"], revenue["n_control"] == (len(tested), len(out))
    assert revenue["treated"] == pytest.approx(tested.mean())
    assert revenue["control"] == pytest.approx(out.mean())
    assert revenue["low"] < 1.0 < revenue["high"]  # (5 + 7) / 2 - 5
    assert "Against those held out" in page(record)


def test_who_is_held_out_changes_nothing_of_the_arms_comparison() -> None:
    found = gathered(Experiment(**WORDS))
    assert set(found.units["arm"].to_pylist()) == {"old", "new"}
    assert set(found.held["arm"].to_pylist()) == {HOLDOUT}
    record, _ = read(Experiment(**{**WORDS, "holdout": 0.0}))
    assert record["held_out"] == []
    assert "held out" not in page(record)


def test_a_large_order_counts_up_to_the_declared_quantile_of_all_arms() -> None:
    plain, _ = read(Experiment(**WORDS), wholesaler=1e6)
    record, trial = read(Experiment(**WORDS, cap_revenue=0.99), wholesaler=1e6)
    assert one(plain["effects"], "revenue")["treated"] > 1_000
    assert 5 < one(record["effects"], "revenue")["treated"] < 9
    assert one(record["effects"], "revenue")["low"] > 0
    revenue = sorted(gathered(Experiment(**WORDS), wholesaler=1e6).units["revenue"].to_pylist())
    cap = record["cap_revenue"]
    assert cap["value"] == revenue[int(np.ceil(0.99 * (len(revenue) - 1)))]
    assert cap["units"] == sum(spent > cap["value"] for spent in revenue)
    assert trial.held is not None
    for units in (trial.units, trial.held):
        assert max(units["revenue"].to_pylist()) <= cap["value"]
    whole, place = one(record["effects"], "revenue"), one(record["places"], "revenue in web")
    assert place["treated"] == pytest.approx(whole["treated"])
    assert "the 99th percentile of all arms together" in page(record)
    assert "percentile" not in page(plain)


def test_page_record_and_units_are_kept_with_the_run(tmp_path: Path) -> None:
    record, trial = read(Experiment(**WORDS, cap_revenue=0.99))
    tracking = connect(Workspace(tmp_path), "ours")
    run_id = experiment_runs.track(tracking, record, trial.units)
    assert experiment_runs.track(tracking, record, trial.units) == run_id
    run = tracking.get(run_id)
    assert run.metrics["revenue/new/difference"] == one(record["effects"], "revenue")["difference"]
    assert run.metrics["revenue/held_out/high"] == one(record["held_out"], "revenue")["high"]
    assert run.params["cap_revenue"] == "0.99"
    units = pq.read_table(tracking.fetch(run, "experiment/per_unit.parquet"))
    assert units.equals(trial.units)
    assert {path.name for path in tracking.fetch(run, "experiment").iterdir()} == {
        "per_unit.parquet", "report.html", "report.json",
    }  # fmt: skip


def test_outcomes_that_are_kept_back_are_not_kept_as_a_table(tmp_path: Path) -> None:
    record, trial = read(Experiment(**WORDS))
    record = {**record, "effects": [], "held_out": [], "withheld": True}
    tracking = connect(Workspace(tmp_path), "ours")
    run = tracking.get(experiment_runs.track(tracking, record, trial.units))
    assert not (tracking.fetch(run, "experiment") / "per_unit.parquet").exists()
