"""Ship, hold and fail follow from the interval, the minimum and the guardrails, in words."""

from __future__ import annotations

from typing import Any

import pytest

from models.evaluation.abtest import Effect
from pipelines.experiment_verdict import Question, decide

GOOD = [{"code": "log", "title": "The log can be believed", "holds": True, "said": "fine"}]
BAD = [{"code": "log", "title": "The log can be believed", "holds": False, "said": "no arm old"}]


def effect(low: float, high: float, measure: str = "conversion", arm: str = "new") -> Effect:
    """An effect with this relative interval, on a control's mean of 0.1."""
    mean = (low + high) / 2
    spans: dict[str, Any] = {
        "difference": mean / 10, "low": low / 10, "high": high / 10,
        "relative": mean, "relative_low": low, "relative_high": high,
    }  # fmt: skip
    return Effect(
        measure=measure, arm=arm, n=500, n_control=500, control=0.1, treated=0.1 + mean / 10,
        error=(high - low) / 40, p_value=0.5, adjusted=0.5, detectable=(high - low) / 14,
        relative_detectable=(high - low) / 1.4, variance_left=1.0, **spans,
    )  # fmt: skip


def question(finished: bool = True, minimum: float = 0.05, **rails: float) -> Question:
    return Question("conversion", minimum, rails, finished)


@pytest.mark.parametrize(
    ("low", "high", "finished", "decision", "said"),
    [
        (0.02, 0.20, True, "ship", "better beyond chance."),
        (0.02, 0.20, False, "ship", "better beyond chance."),
        (0.01, 0.06, True, "hold", "better beyond chance, but less than the 5.0% that is worth it"),
        (-0.02, 0.12, True, "hold", "cannot be told from chance"),
        (-0.20, -0.01, True, "fail", "worse beyond chance"),
        (-0.20, -0.01, False, "fail", "worse beyond chance"),
        (-0.02, 0.04, True, "fail", "even at best below the 5.0% that is worth it"),
        (-0.02, 0.04, False, "hold", "cannot be told from chance"),
    ],
)
def test_the_verdict_follows_the_interval(
    low: float, high: float, finished: bool, decision: str, said: str
) -> None:
    verdict = decide(question(finished), [effect(low, high)], GOOD)
    assert verdict["decision"] == decision
    assert said in verdict["reasons"][0]
    assert verdict["headline"].lower().startswith(decision)
    assert verdict["arm"] == ("new" if decision == "ship" else None)


@pytest.mark.parametrize(
    ("low", "high", "decision", "said"),
    [
        (-0.02, 0.10, "ship", "safe"),
        (-0.10, 0.10, "hold", "not proven safe"),
        (-0.30, -0.06, "fail", "breached"),
        (-0.09, -0.03, "fail", "breached"),
        (-0.06, 0.02, "hold", "not proven safe"),
    ],
)
def test_a_guardrail_must_be_proven_safe(low: float, high: float, decision: str, said: str) -> None:
    found = [effect(0.1, 0.2), effect(low, high, "revenue")]
    verdict = decide(question(revenue=0.05), found, GOOD)
    assert verdict["decision"] == decision
    assert said in verdict["reasons"][1]


def test_a_failed_check_holds_whatever_came_out() -> None:
    verdict = decide(question(), [effect(0.1, 0.2)], BAD)
    assert verdict["decision"] == "hold"
    assert verdict["reasons"] == ["The log can be believed: no. No arm old."]


def test_before_anybodys_time_is_up_it_is_too_early() -> None:
    verdict = decide(question(), [], GOOD)
    assert verdict["decision"] == "hold"
    assert "too early" in verdict["headline"]


def test_a_hold_says_what_could_have_been_seen() -> None:
    verdict = decide(question(), [effect(-0.02, 0.12)], GOOD)
    assert "With 1,000 units it could have seen a difference of 10.0%" in verdict["reasons"][0]


def test_the_best_arm_that_may_ship_does() -> None:
    arms = [effect(0.1, 0.2, arm="a"), effect(0.2, 0.3, arm="b"), effect(-0.3, -0.2, arm="c")]
    verdict = decide(question(), arms, GOOD)
    assert (verdict["decision"], verdict["arm"]) == ("ship", "b")
    assert verdict["arms"] == {"a": "ship", "b": "ship", "c": "fail"}
    assert verdict["reasons"][-1].startswith("a would do too: every arm was compared with the")
    assert decide(question(), arms[2:], GOOD)["decision"] == "fail"


def test_an_arm_that_fails_does_not_hold_up_one_that_may_ship() -> None:
    found = [
        effect(0.3, 0.5, arm="a"),
        effect(0.1, 0.2, arm="b"),
        effect(-0.5, -0.3, "revenue", "a"),
    ]
    assert decide(question(revenue=0.05), found, GOOD)["arm"] == "b"
