"""What the gate held does not serve unless somebody says why, and then both are kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from features.artifact import pointed
from pipelines import log, permit, publish, steps
from pipelines.registry import Version
from pipelines.steps import job
from pipelines.workspace import Workspace

AT = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def held(shop: Workspace) -> tuple[Workspace, steps.Job, str]:
    """The shop with a candidate that the gate holds; its run."""
    work = job(shop.root)
    run = next(one for one in work.tracking.runs() if one.tags["regulars.gate"] == "hold")
    publish.run(shop, work.shop, work.tracking, run_id=run.id)
    return shop, work, run.id


def test_what_the_gate_held_is_refused_with_its_reasons_and_nothing_moves(
    held: tuple[Workspace, steps.Job, str], run_command: Any
) -> None:
    workspace, work, run_id = held
    before = pointed(workspace.bundles / "current")
    reasons = json.loads(work.tracking.get(run_id).tags["regulars.reasons"])
    result = run_command("promote", "--workspace", workspace.root)
    assert result.exit_code == 1
    assert "the gate holds version 2" in result.stderr
    assert reasons[0] in result.stderr
    assert pointed(workspace.bundles / "current") == before
    assert len(log.records(workspace.bundles / "log.jsonl")) == 1


def test_a_flow_never_promotes_what_the_gate_held(
    held: tuple[Workspace, steps.Job, str],
) -> None:
    _, work, run_id = held
    with pytest.raises(publish.PublishError, match="the gate holds version 2"):
        steps.publish_run(work, run_id, at=AT, why="a verdict is no reason")


def test_because_lets_it_serve_and_log_and_run_keep_why(
    held: tuple[Workspace, steps.Job, str], run_command: Any
) -> None:
    workspace, work, run_id = held
    why = "the buyers read its lists"
    assert run_command("promote", "--because", why, "--workspace", workspace.root).exit_code == 0
    last = log.records(workspace.bundles / "log.jsonl")[-1]
    tags = work.tracking.get(run_id).tags
    assert last["why"] == tags["regulars.override"] == why
    assert last["gate"] == {
        "decision": "hold", "overridden": True, "reasons": json.loads(tags["regulars.reasons"]),
    }  # fmt: skip
    assert log.walk(workspace.bundles / "log.jsonl").problems == []


def test_an_override_without_a_reason_is_refused(held: tuple[Workspace, steps.Job, str]) -> None:
    workspace, work, _ = held
    with pytest.raises(publish.PublishError, match="wants its reason"):
        publish.promote(workspace, work.tracking, at=AT, why=" ", override=True)


def test_rollback_asks_nobody(held: tuple[Workspace, steps.Job, str]) -> None:
    workspace, work, _ = held
    publish.promote(workspace, work.tracking, at=AT, why="for a test", override=True)
    first = work.tracking.registry.version("1").run_id
    assert first is not None
    work.tracking.log(first, tags={"regulars.gate": "hold", "regulars.reasons": '["late"]'})
    record = publish.rollback(workspace, work.tracking, at=AT)
    assert (record["version"], "gate" in record) == ("1", False)


def test_what_was_let_through_says_so_in_the_log(ran: Any) -> None:
    (record,) = log.records(ran.workspace.bundles / "log.jsonl")
    assert record["gate"] == {"decision": "publish", "overridden": False, "reasons": []}


def test_the_run_holds_the_decision_and_every_input(ran: Any) -> None:
    tracking = job(ran.workspace.root).tracking
    for one in tracking.runs():
        kept = json.loads(tracking.fetch(one, "gate.json").read_text())
        assert kept == json.loads(json.dumps(ran.record["decision"]))
        name = one.tags["regulars.model"]
        weighed = kept["weighed"][name]
        assert weighed["says"] == one.tags["regulars.gate"]
        assert weighed["judgement"] == one.tags["regulars.judged"]
        assert weighed["figures"]["ndcg_at_10"] == pytest.approx(one.metrics["ndcg_at_10"])
        assert kept["policy"]["slices"]["lifecycle_stage"] == 0.05
        assert kept["policy"]["minimum_interactions"] == 500
        assert kept["enough"]["interactions"] > 500
        assert kept["champion"] is None
        assert (name == "popularity") == (not kept["against"][name])


@pytest.mark.parametrize(
    ("tags", "decision"),
    [
        ({"regulars.gate": "passed", "regulars.action": "none"}, "pass"),
        ({"regulars.gate": "held", "regulars.action": "fallback"}, "pass"),
        ({"regulars.gate": "held", "regulars.action": "none"}, "hold"),
        ({}, "hold"),
    ],
)
def test_the_words_of_older_runs_are_understood(
    shop: Workspace, tags: dict[str, str], decision: str
) -> None:
    tracking = job(shop.root).tracking
    with tracking.run("old", params={}, tags=tags) as run_id:
        pass
    asked = permit.asked(tracking, Version("7", run_id, {}), override=False)
    assert asked["decision"] == decision
    assert asked["reasons"] == [permit.NEVER]
