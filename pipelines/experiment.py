"""Experiment: a live test's units in, checks, then effects and a verdict as one record out.

Checks come first; where one fails, outcomes are not in the record at all unless asked for.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from features.artifact import canonical, digest
from models.evaluation.abtest import Effect, Measure, effects, holm
from models.evaluation.sequential import Look
from pipelines import experiment_checks as checking
from pipelines import experiment_page
from pipelines.experiment_looks import by_day
from pipelines.experiment_verdict import Question, decide, guardrail
from pipelines.experiments import Experiment, External
from pipelines.exposures import SEVERE
from pipelines.outcomes import Gathered
from pipelines.tracking import KEY, Tracking

LEVEL = 0.95
LARGEST = 1 - 1e-9  # a level that nothing passes
SMALL = 100  # units an arm below which a slice is an anecdote
MEASURES = (
    Measure("conversion", "conversion"),
    Measure("revenue", "revenue"),
    Measure("orders", "orders"),
    Measure("return", "return"),
    Measure("order_value", "revenue", "orders"),
    Measure("click_rate", "clicked", "requests"),
)
TASK = "experiments"


@dataclass(frozen=True, slots=True)
class Trial:
    """A test ready to be read, whoever logged it.

    rule: what the intervals hold for: `planned` (every look up to the declared end together),
    `always` (every look ever) or `single` (one look, at the end). level: of the intervals, so that
    the rule holds for all arms together.
    """

    name: str
    kind: str
    units: pa.Table
    arms: Mapping[str, float]
    control: str
    measures: Sequence[Measure]
    covariates: Sequence[str]
    slices: Sequence[str]
    places: Sequence[Measure]
    question: Question
    checks: list[dict[str, Any]]
    rule: str
    level: float
    looks: Mapping[str, list[tuple[str, Look]]]


def of_log(name: str, experiment: Experiment, gathered: Gathered) -> Trial:
    """A test that we logged; only units whose horizon has passed are measured."""
    ripe = gathered.units.filter(gathered.units["mature"])
    ended = experiment.end is not None and (
        gathered.as_of >= experiment.end + timedelta(days=experiment.horizon_days)
    )
    rails = {str(name): loss for name, loss in experiment.guardrails.items()}
    question = Question(experiment.metric, experiment.minimum_effect, rails, ended)
    level = 1 - (1 - LEVEL) / max(len(experiment.arms) - 1, 1)
    checks = checking.of_log(gathered, experiment, name)
    measure = next(one for one in MEASURES if one.name == experiment.metric)
    looks, counted = by_day(ripe, measure, experiment, gathered, ended=ended, level=level)
    reach = [
        (look.high - look.difference) / look.error
        for some in looks.values()
        for _, look in some[-1:]
    ]
    if reach:
        level = min(2 * float(ndtr(max(reach))) - 1, LARGEST)
    return Trial(
        name, "logged", counted, experiment.arms, experiment.control,
        MEASURES, gathered.covariates, ("channel", "surface"),
        [Measure(f"revenue in {place}", f"revenue_in_{place}") for place in gathered.channels],
        question, checks, "always" if experiment.end is None else "planned", level, looks,
    )  # fmt: skip


def of_table(name: str, external: External, table: pa.Table) -> Trial:
    """A finished test of somebody else's, from its table; ValueError where it does not fit."""
    columns = (*external.outcomes, *external.covariates, *external.slices)
    for column in (external.arm, *columns, *((external.unit,) if external.unit else ())):
        if column not in table.column_names:
            raise ValueError(f"the table must have {column}, got {', '.join(table.column_names)}")
    units = pa.table(
        {"arm": table[external.arm].cast(pa.string()), **{c: table[c] for c in columns}}
    )
    arms = [arm for arm in units["arm"].unique().to_pylist() if arm is not None]
    if external.control not in arms:
        raise ValueError(f"control must be one of {', '.join(arms)}, got {external.control!r}")
    shares = external.shares or dict.fromkeys(arms, 1 / len(arms))
    if strange := set(arms) - set(shares):
        raise ValueError(f"shares must name every arm, got none for {', '.join(sorted(strange))}")
    order = sorted(shares, key=lambda arm: (arm != external.control, arm))
    checks = [_whole(table, units, external)]
    units = units.filter(pc.is_valid(units["arm"]))
    checks.append(checking.ratio(units, {arm: shares[arm] for arm in order}))
    known = list(dict.fromkeys((*external.covariates, *external.slices)))
    checks.append(checking.before(units, known, control=external.control))
    return Trial(
        name, "external", units, {arm: shares[arm] for arm in order}, external.control,
        [Measure(outcome, outcome) for outcome in external.outcomes], external.covariates,
        external.slices, (), Question(
            external.metric, external.minimum_effect, external.guardrails, finished=True
        ), checks, "single", 1 - (1 - LEVEL) / max(len(shares) - 1, 1), {},
    )  # fmt: skip


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
    told: dict[str, Any] = _clean({
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
        "places": [asdict(one) for one in places],
        "slices": _slices(trial) if open_ else [],
        "looks": {arm: [{"day": day, **asdict(look)} for day, look in some]
                  for arm, some in trial.looks.items()} if open_ else {},
    })  # fmt: skip
    return told


def track(tracking: Tracking, record: dict[str, Any]) -> str:
    """Log the record and its page as a run of the shop's experiments; the same is found again."""
    key = digest(canonical({k: str(v) for k, v in record.items()}))
    found = tracking.find(key, TASK)
    if found is not None:
        return found.id
    name, verdict = record["experiment"], record["verdict"]["decision"]
    tags = {
        "regulars.experiment": name,
        "regulars.kind": record["kind"],
        "regulars.metric": record["metric"],
        "regulars.verdict": verdict,
        "regulars.as_of": str(record["as_of"] or ""),
    }
    params = {
        **{key: record[key] for key in ("control", "metric", "minimum_effect", "rule")},
        "arms": {arm: one["share"] for arm, one in record["arms"].items()},
    }
    with tracking.run(name, task=TASK, params=params, tags=tags) as run_id:
        tracking.log(run_id, metrics=_metrics(record))
        with tempfile.TemporaryDirectory(dir=tracking.workspace.root, prefix=".trial.") as folder:
            place = Path(folder)
            (place / "report.html").write_text(experiment_page.page(record), "utf-8")
            text = json.dumps(record, indent=2, default=str, ensure_ascii=False)
            (place / "report.json").write_text(text + "\n", "utf-8")
            tracking.add(run_id, place, "experiment")
        tracking.log(run_id, tags={KEY: key})
    return run_id


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


def _whole(table: pa.Table, units: pa.Table, external: External) -> dict[str, Any]:
    """Whether every row has an arm and every unit one row."""
    nameless = units["arm"].null_count
    twice = 0
    if external.unit:
        twice = table.num_rows - len(table[external.unit].unique())
    said = "every row has an arm, and no unit has two"
    if nameless or twice:
        said = f"{nameless:,} rows have no arm, {twice:,} stand for a unit that has another row"
    why = "A unit counts once, in the one arm that it was drawn into."
    holds = max(nameless, twice) <= SEVERE * table.num_rows
    return {"code": "log", "title": "The table can be believed", "holds": holds,
            "said": said, "why": why}  # fmt: skip


def _told(one: Effect, question: Question) -> dict[str, Any]:
    """An effect with what it is for."""
    role, state = "other", None
    if one.measure in question.guardrails:
        role, state = "guardrail", guardrail(one, question.guardrails[one.measure])[0]
    if one.measure == question.metric:
        role = "decides"
    return {**asdict(one), "role": role, "guardrail": state}


def _metrics(record: dict[str, Any]) -> dict[str, float]:
    """Figures for MLflow's own comparison: `MEASURE/ARM/relative` and the rest."""
    rows = {
        f"{_word(one['measure'])}/{_word(one['arm'])}/{key}": one[key]
        for one in record["effects"]
        for key in ("control", "treated", "difference", "low", "high", "relative", "p_value")
    }
    rows["units"] = float(record["entered"])
    return {name: float(value) for name, value in rows.items() if value is not None}


def _word(text: str) -> str:
    """A name that MLflow takes."""
    return "".join(c if c.isalnum() or c in "_-." else "-" for c in text)


def _clean(value: Any) -> Any:
    """NaN and infinite as None, as JSON wants it."""
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
