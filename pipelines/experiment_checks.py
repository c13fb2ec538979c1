"""Checks: a test's units and logs in, whether its outcomes may be looked at at all out.

A failed check means that the arms differ by more than what was tested; then outcomes mislead, and
are kept back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.sanity import alike_before, sample_ratio
from pipelines.experiments import Experiment
from pipelines.exposures import SEVERE
from pipelines.outcomes import Gathered

JOIN = 0.9  # of outcomes that name an answer, those whose answer must be in the log
Check = dict[str, Any]


def of_log(gathered: Gathered, experiment: Experiment, name: str) -> list[Check]:
    """Every check of a test that we logged."""
    units = gathered.units
    checks = [_log(gathered), ratio(units, experiment.arms)]
    checks.append(_drawn(units, experiment, name))
    checks.append(before(units, gathered.covariates, control=experiment.control))
    checks.append(_joined(gathered))
    return checks


def ratio(units: pa.Table, shares: Mapping[str, float]) -> Check:
    """Whether each arm has the share of units that it was to have."""
    found = {one["values"]: one["counts"] for one in pc.value_counts(units["arm"]).to_pylist()}
    why = (
        "Units were drawn into the arms by chance with known shares. If the counts are off by more "
        "than chance allows, some units were lost or doubled in one arm, and those are seldom like "
        "the others. Fails where so uneven a draw has a chance below 1 in 1,000."
    )
    if not units.num_rows:
        return _check("sample_ratio", "The arms have the sizes they should", False, "no unit", why)
    one = sample_ratio(found, shares)
    said = ", ".join(
        f"{arm} {n:,} (expected {one.expected[arm]:,.0f})" for arm, n in one.counts.items()
    )
    said += f"; chance of so uneven a draw: {chance(one.p_value)}"
    return _check("sample_ratio", "The arms have the sizes they should", one.holds, said, why)


def before(units: pa.Table, known: Sequence[str], *, control: str) -> Check:
    """Whether the arms were alike before the test: an A/A test on what was known then."""
    title = "The arms were alike before the test"
    why = (
        "What was known of the units before they met the test cannot be the test's doing. If the "
        "arms differ in it, they were not drawn by chance. Fails where a difference has a chance "
        "below 1 in 100, after correcting for how many were looked at."
    )
    arms = set(units["arm"].unique().to_pylist()) if known else set()
    if control not in arms or len(arms) < 2:
        said = "nothing is known of the time before: give outcomes that reach further back"
        return _check("alike_before", title, None, said, why)
    found = alike_before(units, known, control=control)
    apart = [one for one in found if not one.holds]
    if apart:
        said = "; ".join(
            f"{one.name}: {one.arm} differs by {one.gap:+.2f} standard deviations "
            f"(chance {chance(one.adjusted)})"
            for one in apart[:3]
        )
        return _check("alike_before", title, False, said, why)
    widest = max((abs(one.gap) for one in found), default=0.0)
    said = (
        f"{len(found)} comparisons, none beyond chance; the widest {widest:.3f} standard deviations"
    )
    return _check("alike_before", title, True, said, why)


def _log(gathered: Gathered) -> Check:
    grave = [one for one in gathered.findings if one.grave]
    said = "; ".join(one.what for one in grave) or (
        f"{len(gathered.findings)} kinds of fault, each too rare to matter"
        if gathered.findings
        else "no fault was found"
    )
    why = (
        "Duplicates, units in two arms, arms nobody declared, clocks that run apart and robots are "
        f"counted. A fault that touches more than {SEVERE:.0%} of the log, or a missing arm, fails."
    )
    return _check("log", "The log can be believed", not grave, said, why)


def _drawn(units: pa.Table, experiment: Experiment, name: str) -> Check:
    """Whether the logged arm is the one that the declared shares and salt give."""
    plan = experiment.plan(name)
    drawn = [plan.arm(unit) for unit in units["unit"].to_pylist()]
    other = int(np.sum(np.array(drawn, object) != np.array(units["arm"].to_pylist(), object)))
    share = other / max(units.num_rows, 1)
    said = f"{other:,} of {units.num_rows:,} units were logged in another arm"
    why = (
        "The arm of a unit follows from its id, the salt and the shares in the shop's file. Where "
        "the log says otherwise, something else decided what she saw."
    )
    title = "Everybody saw the arm that was drawn for her"
    return _check("assignment", title, share <= SEVERE, said, why)


def _joined(gathered: Gathered) -> Check:
    named, found = gathered.joined
    title = "Outcomes find who was shown what"
    why = (
        "Outcomes are joined by the answer they name, else by customer and time. Where many "
        "answers are not in the log, or no unit has any outcome, purchases are lost. Wants "
        f"{JOIN:.0%}."
    )
    units = gathered.units.num_rows
    said = f"{gathered.reached:,} of {units:,} units have an outcome or a past"
    if named:
        share = f"{found:,} of {named:,} outcomes that name an answer find it ({found / named:.1%})"
        said = f"{share}; {said}"
    else:
        said = f"no outcome names an answer: all are joined by customer and time; {said}"
    holds = gathered.reached > 0 and (not named or found / named >= JOIN)
    return _check("join_rate", title, holds, said, why)


def chance(p_value: float) -> str:
    """A p value for a person."""
    return "below 0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


def _check(code: str, title: str, holds: bool | None, said: str, why: str) -> Check:
    return {"code": code, "title": title, "holds": holds, "said": said, "why": why}
