"""Experiment: a live test's units in, checks, then effects and a verdict as one record out.

Checks come first; where one fails, outcomes are not in the record at all unless asked for.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.abtest import Effect, effects, holm
from pipelines.experiment_trials import LEVEL, Trial
from pipelines.experiment_verdict import Question, decide, guardrail
from pipelines.outcomes import Gathered

SMALL = 100  # units an arm below which a slice is an anecdote


def read(trial: Trial, *, gathered: Gathered | None = None, show: bool = False) -> dict[str, Any]:
    """The record that page, JSON and MLflow share; show: outcomes also where a check failed."""
    withheld = any(one["holds"] is False for one in trial.checks)
    counts = _counts(trial.units)
    entered = _counts(gathered.units) if gathered else counts
    open_ = (not withheld or show) and counts.get(trial.control, 0) > 1 and len(counts) > 1
    found, places = (
        effects(
            trial.units, some, control=trial.control, covariates=trial.covariates, level=trial.level
        )
        if open_
        else []
        for some in (trial.measures, trial.places)
    )
    question = trial.question
    told: dict[str, Any] = clean({
        "experiment": trial.name,
        "kind": trial.kind,
        "control": trial.control,
        "arms": {arm: {"share": share, "entered": entered.get(arm, 0),
                       "units": counts.get(arm, 0)}
                 for arm, share in trial.arms.items()},
        "metric": question.metric,
        "minimum_effect": question.minimum,
        "finished": question.finished,
        "rule": trial.rule,
        "level": trial.level,
        "as_of": gathered.as_of if gathered else None,
        "entered": sum(entered.values()),
        "holdout": gathered.holdout if gathered else 0,
        "verdict": decide(question, found, trial.checks),
        "checks": trial.checks,
        "findings": [asdict(one) for one in gathered.findings] if gathered else [],
        "withheld": withheld and not show,
        "covariates": list(trial.covariates),
        "shares": _shares(trial),
        "effects": [_told(one, question) for one in found],
        "cap_revenue": None if trial.cap is None else asdict(trial.cap),
        "held_out": _held_out(trial) if open_ else [],
        "places": [asdict(one) for one in places],
        "slices": _slices(trial) if open_ else [],
        "looks": {arm: [{"day": day, **asdict(look)} for day, look in some]
                  for arm, some in trial.looks.items()} if open_ else {},
    })  # fmt: skip
    return told


def _held_out(trial: Trial) -> list[dict[str, Any]]:
    """All tested units together against those that no test touches: one look, no verdict."""
    if trial.held is None or trial.held.num_rows < 2:
        return []
    tables = [
        units.set_column(
            units.column_names.index("arm"), "arm", pa.array([name] * units.num_rows, pa.string())
        )
        for name, units in (("held out", trial.held), ("tested", trial.units))
    ]
    both = pa.concat_tables(tables, promote_options="default")
    found = effects(
        both, trial.measures, control="held out", covariates=trial.covariates, level=LEVEL
    )
    return [asdict(one) for one in found]


def _slices(trial: Trial) -> list[dict[str, Any]]:
    """Every measure by kind of unit; p values corrected over all of them."""
    rows: list[dict[str, Any]] = []
    for name in trial.slices:
        values = trial.units[name].cast(pa.string())
        words = sorted(values.drop_null().unique().to_pylist())
        for value in words if len(words) > 1 else ():
            part = trial.units.filter(pc.equal(values, value))
            arms = set(part["arm"].to_pylist())
            if trial.control not in arms or len(arms) < 2:
                continue
            for one in effects(part, trial.measures, control=trial.control, level=trial.level):
                small = min(one.n, one.n_control) < SMALL
                rows.append({"slice": name, "value": value, "small": small, **asdict(one)})
    for row, p_value in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["adjusted"] = p_value
    return rows


def _counts(units: pa.Table) -> dict[str, int]:
    """Units by arm."""
    return {one["values"]: one["counts"] for one in pc.value_counts(units["arm"]).to_pylist()}


def _shares(trial: Trial) -> list[str]:
    """Measures that are shares: each unit says yes or no, or a ratio of counts of the same."""
    found = [] if trial.kind == "external" else ["click_rate"]
    for one in trial.measures:
        values = trial.units[one.of]
        if one.per is None and set(values.unique().to_pylist()) <= {0, 1}:
            found.append(one.name)
    return found


def _told(one: Effect, question: Question) -> dict[str, Any]:
    """An effect with what it is for."""
    role, state = "other", None
    if one.measure in question.guardrails:
        role, state = "guardrail", guardrail(one, question.guardrails[one.measure])[0]
    if one.measure == question.metric:
        role = "decides"
    return {**asdict(one), "role": role, "guardrail": state}


def clean(value: Any) -> Any:
    """NaN and infinite as None, as JSON wants it."""
    if isinstance(value, dict):
        return {key: clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
