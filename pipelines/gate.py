"""The gate: judged models in, one decision with its reasons out.

A candidate may serve when the data suffice, its lists have no fault, it beats popularity, and the
champion's recipe where that is another, by the stated relative gain with an interval above zero,
and breaks no guardrail. All comparisons are paired over the same customers of the same folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa

from models.evaluation.compare import paired
from pipelines import guardrails
from pipelines.guardrails import Rail
from pipelines.settings import BASELINE, Gate, Judge


@dataclass(frozen=True, slots=True)
class Entry:
    """One judged model. per_customer: a row a customer, the metric's column among others.

    figures: means of figures of all lists together; costs and kinds as of
    `pipelines.judgement.Judgement`. What is missing leaves its guardrails open.
    """

    name: str
    run_id: str
    recipe: str
    mean: float
    per_customer: pa.Table
    findings: Sequence[str] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    kinds: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Enough:
    """What the data hold, for the sufficiency gate."""

    interactions: int
    repeat_customers: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says.

    action: `publish` a candidate that passed; `refresh` the champion's recipe on newer data;
        `fallback` to popularity where nothing serves yet and nothing passed; `hold` what serves.
    reasons: for each model why it was held, empty for one that passed. against: for each model its
        difference from each rival. rails: for each model its guardrails, kept, broken or open.
    """

    action: Literal["publish", "refresh", "fallback", "hold"]
    model: str | None
    run_id: str | None
    verdict: str
    reasons: dict[str, list[str]]
    against: dict[str, dict[str, dict[str, float]]]
    rails: dict[str, list[Rail]] = field(default_factory=dict)

    def says(self, name: str) -> str:
        """One word for one model: the action where it is chosen, else `pass` or `hold`."""
        if name == self.model:
            return self.action
        return "hold" if self.reasons[name] else "pass"

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def decide(
    entries: Sequence[Entry],
    *,
    champion: str | None,
    enough: Enough,
    gate: Gate,
    judge: Judge,
) -> Decision:
    """Weigh every entry; champion: the recipe that serves now, None where nothing serves yet."""
    entries = sorted(entries, key=lambda entry: (-entry.mean, entry.name))
    by_name = {entry.name: entry for entry in entries}
    baseline = by_name[BASELINE]
    serving = next((entry for entry in entries if entry.recipe == champion), None)
    scarce = _scarce(enough, gate)
    reasons: dict[str, list[str]] = {}
    against: dict[str, dict[str, dict[str, float]]] = {}
    rails: dict[str, list[Rail]] = {}
    incumbent = serving or baseline
    for entry in entries:
        against[entry.name] = {}
        why = [*scarce, *(f"its lists: {finding}" for finding in entry.findings)]
        rivals = {BASELINE: baseline} if entry is not baseline else {}
        if serving is not None and serving is not entry and serving is not baseline:
            rivals["champion"] = serving
        for rival_name, rival in rivals.items():
            difference, fault = _beats(entry, rival, rival_name, gate=gate, judge=judge)
            against[entry.name][rival_name] = difference
            why += [fault] if fault else []
        over = None if entry is incumbent or entry is baseline else incumbent
        rails[entry.name] = guardrails.check(entry, over, gate=gate, judge=judge)
        why += [f"guardrail {rail.said}" for rail in rails[entry.name] if rail.holds is False]
        if entry is baseline:
            why.append("it is what the others are judged against")
        reasons[entry.name] = why
    passed = [entry for entry in entries if not reasons[entry.name]]
    action, chosen, verdict = _choose(passed, serving, baseline, champion, scarce, judge.metric)
    return Decision(
        action,
        chosen.name if chosen else None,
        chosen.run_id if chosen else None,
        verdict,
        reasons,
        against,
        rails,
    )


def _choose(
    passed: Sequence[Entry],
    serving: Entry | None,
    baseline: Entry,
    champion: str | None,
    scarce: Sequence[str],
    metric: str,
) -> tuple[Literal["publish", "refresh", "fallback", "hold"], Entry | None, str]:
    """The best that passed; else the champion on newer data; else popularity, if nothing serves."""
    shown = metric.replace("_at_", "@")
    if passed and passed[0] is not serving:
        best = passed[0]
        gain = f"{best.mean:.4f} against {baseline.mean:.4f}"
        if serving is not None and serving is not baseline:
            gain += f", and {serving.name}, which serves, with {serving.mean:.4f}"
        return "publish", best, f"{best.name} beats {BASELINE} on {shown}: {gain}"
    if champion is None:
        why = f" ({scarce[0]})" if scarce else ""
        return (
            "fallback",
            baseline,
            f"no model passed the gate{why}: {BASELINE} serves until one does",
        )
    if serving is not None and not serving.findings and not scarce:
        return (
            "refresh",
            serving,
            f"{serving.name} stays champion and is published on the newest data",
        )
    why = scarce[0] if scarce else "no model passed and the champion's newest lists are at fault"
    return "hold", None, f"held: {why}; what serves stays"


def _scarce(enough: Enough, gate: Gate) -> list[str]:
    """Why the data do not suffice to judge by."""
    found = []
    if enough.interactions < gate.minimum_interactions:
        found.append(f"{enough.interactions} interactions, want {gate.minimum_interactions}")
    if enough.repeat_customers < gate.minimum_repeat_customers:
        want = gate.minimum_repeat_customers
        found.append(f"{enough.repeat_customers} customers who came again, want {want}")
    return found


def _beats(
    entry: Entry, rival: Entry, rival_name: str, *, gate: Gate, judge: Judge
) -> tuple[dict[str, float], str | None]:
    """The paired difference, and why it is no win."""
    found = paired(
        entry.per_customer,
        rival.per_customer,
        judge.metric,
        seed=judge.seed,
        resamples=judge.resamples,
    )
    difference = {name: float(getattr(found, name)) for name in ("mean", "low", "high", "relative")}
    shown = judge.metric.replace("_at_", "@")
    said = f"{shown} {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}] against {rival_name}"
    if not found.low > 0:
        return difference, f"{said}: the interval does not lie above zero"
    if rival.mean > 0 and entry.mean / rival.mean - 1 < gate.minimum_gain:
        gain = entry.mean / rival.mean - 1
        return difference, f"{said}: a gain of {gain:.1%}, want {gate.minimum_gain:.1%}"
    return difference, None
