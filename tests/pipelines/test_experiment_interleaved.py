"""Two rankers in one list: the one that customers take more from is preferred, and how surely."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.assignment import HOLDOUT
from features.schemas import EVENTS, OUTCOMES
from features.tables import Tables
from pipelines import experiment_interleaved as both
from pipelines.experiment_preferred import page
from pipelines.experiment_trials import of_log
from pipelines.experiments import INTERLEAVED, Experiment
from pipelines.steps import job
from serving.trials.draft import draft
from serving.trials.exposures import Exposures
from serving.trials.plans import Assigned

START = datetime(2026, 3, 1, tzinfo=UTC)
DONE = START + timedelta(days=30)
WORDS: dict[str, Any] = {
    "arms": {"old": 0.5, "new": 0.5}, "start": START, "end": START + timedelta(days=14),
    "horizon_days": 7, "interleave": True,
}  # fmt: skip
TEST = Experiment(**WORDS)
SHOP = """[shop]
name = "ours"
[ingest]
mapping = "synthetic"
[experiments.both]
arms = { old = 0.5, new = 0.5 }
start = 2026-03-01T00:00:00Z
end = 2026-03-15T00:00:00Z
horizon_days = 7
interleave = true
"""
OLD, NEW = list(range(10)), list(range(9, -1, -1))


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def shown(request: str, customer: str, day: float, *arms: str, **more: Any) -> list[dict[str, Any]]:
    """An answer of p0, p1, …, with the arm that picked each."""
    return [
        {
            "request_id": request, "event_time": at(day), "customer_id": customer,
            "experiment": "both", "arm": arm, "product_id": f"p{place}", "position": place + 1,
            **more,
        }
        for place, arm in enumerate(arms)
    ]  # fmt: skip


def did(customer: str | None, product: str, day: float, **more: Any) -> dict[str, Any]:
    return {
        "event_time": at(day), "event_type": "purchase", "channel": "web", "quantity": 1.0,
        "unit_price": 1.0, "customer_id": customer, "product_id": product, **more,
    }  # fmt: skip


def read(exposures: list[dict[str, Any]], outcomes: list[dict[str, Any]], **more: Any) -> Any:
    return both.read(
        "both", TEST, pa.Table.from_pylist(exposures), pa.Table.from_pylist(outcomes, OUTCOMES),
        **{"now": DONE, **more},
    )  # fmt: skip


def test_what_a_customer_takes_counts_for_the_arm_that_picked_it() -> None:
    record = read(
        [
            *shown("r1", "ann", 1, "old", "new"),
            *shown("r2", "ann", 2, "new", "old"),
            *shown("r3", "ben", 1, "old", "new"),
            *shown("r4", "cleo", 1, "new", "old"),
            *shown("r5", "dan", 1, "old", "new"),
        ],
        [
            did("ann", "p0", 1.1, request_id="r1"),  # old, by the answer it names
            did("ann", "p0", 3, event_type="view_item"),  # new, by the last that showed it
            did("ann", "p1", 1.2, request_id="r1"),  # new
            did("ann", "p1", 1.3, request_id="r1", event_type="view_item"),  # the same once more
            did("ben", "p0", 9),  # too late
            did("ben", "p0", 0.5),  # before
            did("ben", "p7", 2),  # never shown
            did(None, "p0", 2, request_id="r3"),  # old, without a name
            did("cleo", "p0", 2, event_type="remove_from_cart"),
            did("dan", "p0", 2),  # old …
            did("dan", "p1", 2),  # … and new
        ],
    )
    assert record["votes"] == {"old": 1, "new": 1, "ties": 1}
    assert record["units"] == 4


def drafts(requests: int, *, liking: Any, seed: int = 0) -> Any:
    """Logs of drafted lists of which each customer takes product `p` with chance liking[p]."""
    rng = np.random.default_rng(seed)
    exposures, outcomes = [], []
    votes: dict[str, int] = defaultdict(int)
    for n in range(requests):
        codes, teams = draft(OLD, NEW, 4, request_id=f"r{n}", arms=("old", "new"))
        row = shown(f"r{n}", f"c{n}", 1, *teams)
        for one, code, team in zip(row, codes, teams, strict=True):
            one["product_id"] = f"p{code}"
            if rng.random() < liking[code]:
                votes[f"c{n}"] += 1 if team == "new" else -1
                outcomes.append(did(f"c{n}", f"p{code}", 1.1, request_id=f"r{n}"))
        exposures += row
    return exposures, outcomes, votes


@pytest.mark.parametrize(
    ("liking", "decision", "said"),
    [
        (np.linspace(0.05, 0.5, 10), "ship", "Customers prefer new."),
        (np.linspace(0.5, 0.05, 10), "fail", "Customers prefer old."),
        (np.full(10, 0.2), "hold", "No preference between old and new"),
    ],
)
def test_the_ranker_that_customers_like_is_preferred(liking: Any, decision: str, said: str) -> None:
    exposures, outcomes, votes = drafts(300, liking=liking)
    record = read(exposures, outcomes)
    assert record["votes"] == {
        "old": sum(vote < 0 for vote in votes.values()),
        "new": sum(vote > 0 for vote in votes.values()),
        "ties": sum(vote == 0 for vote in votes.values()),
    }
    assert record["verdict"]["decision"] == decision
    assert record["verdict"]["headline"].startswith(said)
    assert record["checks"][0]["holds"]
    assert record["findings"] == []
    assert said in page(record)


def test_while_it_runs_nothing_is_decided() -> None:
    exposures, outcomes, _ = drafts(300, liking=np.linspace(0.05, 0.5, 10))
    record = read(exposures, outcomes, as_of=at(20))
    assert record["verdict"]["decision"] == "hold"
    assert record["verdict"]["headline"].startswith("Too early")
    nothing = read(exposures, [did("nobody", "p", 1)])
    assert nothing["verdict"]["decision"] == "hold"
    assert nothing["votes"] == {"old": 0, "new": 0, "ties": 0}


def test_a_coin_that_was_none_is_told() -> None:
    exposures = [
        row for n in range(50) for row in shown(f"r{n}", f"c{n}", 1, "new", "old", "new", "old")
    ]
    outcomes = [did(f"c{n}", "p0", 1.1) for n in range(50)]
    record = read(exposures, outcomes)
    assert record["votes"]["new"] == 50
    assert not record["checks"][0]["holds"]
    assert record["verdict"]["decision"] == "hold"
    assert "cannot be read" in record["verdict"]["headline"]


def test_broken_logs_are_told_and_empty_lists_are_none() -> None:
    exposures, outcomes, votes = drafts(200, liking=np.linspace(0.05, 0.5, 10))
    more = [
        *exposures[:4],
        *shown("x", "held", 1, HOLDOUT),
        *shown("y", "nobody", 1, INTERLEAVED, product_id=None, position=None),
        *shown("z", "strange", 1, "third"),
    ]
    record = read(exposures + more, outcomes)
    codes = {one["code"] for one in record["findings"]}
    assert codes == {"duplicate_exposures", "undeclared_arm"}
    assert record["votes"]["new"] == sum(vote > 0 for vote in votes.values())
    assert record["units"] == 200


def test_each_kind_of_test_is_read_by_its_own_command() -> None:
    arms = Experiment(**{**WORDS, "interleave": False})
    with pytest.raises(ValueError, match="regulars experiment report both"):
        both.read("both", arms, pa.table({}), pa.table({}), now=DONE)
    with pytest.raises(ValueError, match="regulars experiment interleaved both"):
        of_log("both", TEST, None)  # type: ignore[arg-type]


def test_the_command_reads_what_the_server_wrote_and_what_was_ingested(
    tmp_path: Path, run_command: Any
) -> None:
    log = Exposures(tmp_path / "exposures")
    exposures, outcomes, votes = drafts(200, liking=np.linspace(0.05, 0.5, 10))
    for start in range(0, len(exposures), 4):
        rows = exposures[start : start + 4]
        log.add(
            rows[0]["request_id"], rows[0]["event_time"].timestamp(), rows[0]["customer_id"], None,
            "home", "web", (Assigned("both", INTERLEAVED),),
            [row["product_id"] for row in rows], None, None, "als", [row["arm"] for row in rows],
        )  # fmt: skip
    log.close()
    rows = [
        {**row, "event_id": f"e{n}", "source": "s", "source_row": n}
        for n, row in enumerate(outcomes)
    ]
    tables = Tables(tmp_path / "tables")
    part = tables.write("events", pa.Table.from_pylist(rows, EVENTS))
    tables.commit("events", "first", [part])
    (tmp_path / "shop.toml").write_text(SHOP, "utf-8")
    words = ["--workspace", tmp_path, "--as-of", at(25).isoformat()]
    to = ["--json", tmp_path / "out.json", "--out", tmp_path / "page.html"]
    result = run_command("experiment", "interleaved", "both", *words, *to)
    assert result.exit_code == 0, result.output
    assert "Customers prefer new." in result.stdout
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["votes"]["new"] == sum(vote > 0 for vote in votes.values())
    assert "Customers prefer new." in (tmp_path / "page.html").read_text()
    tracking = job(tmp_path).tracking
    (run,) = tracking.runs("experiments")
    assert run.id == record["run_id"]
    assert run.metrics["preference"] == record["share"]["mean"]
    assert "Customers prefer" in tracking.fetch(run, "experiment/report.html").read_text()
    wrong = run_command("experiment", "report", "both", *words)
    assert wrong.exit_code == 1
    assert "regulars experiment interleaved both" in wrong.stderr
