"""Verdict: checks, what decides and the guardrails in, ship, hold or fail in words out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from models.evaluation.abtest import Effect

Decision = Literal["ship", "hold", "fail"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a test is to decide: by which measure, worth how much, at what price to others.

    minimum: the relative gain that is worth the change. guardrails: measure -> the relative loss
    tolerated. finished: whether all units that were planned are in.
    """

    metric: str
    minimum: float
    guardrails: Mapping[str, float]
    finished: bool


def decide(
    question: Question, effects: Sequence[Effect], checks: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """`decision, headline, reasons, arm, arms {NAME: decision}`.

    Ship wants the whole interval above zero, a gain of the minimum, and no guardrail in doubt.
    """
    broken = [one for one in checks if one["holds"] is False]
    if broken:
        reasons = [f"{one['title']}: no. {_sentence(one['said'])}" for one in broken]
        headline = "Hold: the test cannot be read, whatever its outcomes say."
        return _verdict("hold", headline, reasons, None, {})
    mine = [one for one in effects if one.measure == question.metric]
    if not mine:
        headline = "Hold: it is too early, no customer's time is up yet."
        return _verdict("hold", headline, ["Outcomes are counted when it is."], None, {})
    found = {one.arm: _of_arm(question, one, effects) for one in mine}
    arms = {arm: decision for arm, (decision, _) in found.items()}
    best = max(mine, key=lambda one: (arms[one.arm] == "ship", _number(one.relative, one)))
    reasons = [reason for _, some in found.values() for reason in some]
    if arms[best.arm] == "ship":
        when = "" if question.finished else " The test may be stopped now."
        others = [arm for arm, decision in arms.items() if decision == "ship" and arm != best.arm]
        if others:
            reasons.append(f"{' and '.join(others)} would do too: every arm was compared with the "
                           "control, none with another.")  # fmt: skip
        return _verdict("ship", f"Ship {best.arm}.{when}", reasons, best.arm, arms)
    if all(decision == "fail" for decision in arms.values()):
        return _verdict(
            "fail", f"Fail: keep what there is, not {_names(arms)}.", reasons, None, arms
        )
    left = "nothing is proven" if question.finished else "nothing is proven yet, let the test run"
    return _verdict("hold", f"Hold: {left}.", reasons, None, arms)


def _of_arm(
    question: Question, one: Effect, effects: Sequence[Effect]
) -> tuple[Decision, list[str]]:
    said = f"{one.arm}, {shown(one.measure)}: {gain(one)}"
    if math.isnan(one.low):
        return "hold", [f"{said}: nothing varies, so nothing can be weighed."]
    reasons: list[str] = []
    decision: Decision = "hold"
    if one.high < 0:
        decision = "fail"
        reasons.append(f"{said}: worse beyond chance.")
    elif question.finished and question.minimum > 0 and one.relative_high < question.minimum:
        decision = "fail"
        reasons.append(f"{said}: even at best below the {question.minimum:.1%} that is worth it.")
    elif one.low > 0 and (one.relative >= question.minimum or not question.minimum):
        decision = "ship"
        reasons.append(f"{said}: better beyond chance.")
    elif one.low > 0:
        reasons.append(f"{said}: better beyond chance, but less than the {question.minimum:.1%} "
                       "that is worth it.")  # fmt: skip
    else:
        reasons.append(f"{said}: cannot be told from chance. {power(one)}")
    for name, tolerance in question.guardrails.items():
        for rail in effects:
            if (rail.measure, rail.arm) == (name, one.arm):
                state, words = guardrail(rail, tolerance)
                reasons.append(words)
                if state == "breached":
                    decision = "fail"
                elif state == "open" and decision == "ship":
                    decision = "hold"
    return decision, reasons


def guardrail(rail: Effect, tolerance: float) -> tuple[Literal["holds", "open", "breached"], str]:
    """Whether a measure is safe: holds, if even the worst end of its interval is tolerable."""
    name = f"Guardrail {shown(rail.measure)} of {rail.arm} (may fall by {tolerance:.0%})"
    if rail.relative_low >= -tolerance:
        return "holds", f"{name}: safe, {gain(rail)}."
    if rail.relative_high < -tolerance or (rail.high < 0 and rail.relative < -tolerance):
        return "breached", f"{name}: breached, {gain(rail)}."
    return "open", f"{name}: not proven safe, {gain(rail)}. {power(rail)}"


def gain(one: Effect) -> str:
    """A difference with its interval, relative where that can be said."""
    if not math.isnan(one.relative_low):
        return f"{one.relative:+.1%} (between {one.relative_low:+.1%} and {one.relative_high:+.1%})"
    if not math.isnan(one.low):
        return f"{one.difference:+.4g} (between {one.low:+.4g} and {one.high:+.4g})"
    return f"{one.difference:+.4g}"


def power(one: Effect) -> str:
    """What so large a test could have seen, in words."""
    if math.isnan(one.detectable):
        return ""
    size = (
        f"{one.detectable:.4g}"
        if math.isnan(one.relative_detectable)
        else f"{one.relative_detectable:.1%}"
    )
    return (
        f"With {one.n + one.n_control:,} units it could have seen a difference of {size} "
        "(in four of five tries); a smaller one may be there."
    )


def shown(measure: str) -> str:
    """A measure's name for a person."""
    return measure.replace("_", " ")


def _number(value: float, one: Effect) -> float:
    return one.difference if math.isnan(value) else value


def _names(arms: Mapping[str, Decision]) -> str:
    return " nor ".join(arms)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _verdict(
    decision: Decision,
    headline: str,
    reasons: list[str],
    arm: str | None,
    arms: Mapping[str, Decision],
) -> dict[str, Any]:
    return {
        "decision": decision,
        "headline": headline,
        "reasons": reasons,
        "arm": arm,
        "arms": dict(arms),
    }
