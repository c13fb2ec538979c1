"""Trials: a test's logs or somebody else's table in, what there is to read, by which rule, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from models.evaluation.abtest import Measure
from models.evaluation.intervals import numbers
from models.evaluation.sequential import Look
from pipelines import experiment_checks as checking
from pipelines.experiment_looks import by_day
from pipelines.experiment_verdict import Question
from pipelines.experiments import Experiment, External
from pipelines.exposures import SEVERE
from pipelines.outcomes import Gathered

LEVEL = 0.95
LARGEST = 1 - 1e-9  # a level that nothing passes
MEASURES = (
    Measure("conversion", "conversion"),
    Measure("revenue", "revenue"),
    Measure("orders", "orders"),
    Measure("return", "return"),
    Measure("order_value", "revenue", "orders"),
    Measure("click_rate", "clicked", "requests"),
)


@dataclass(frozen=True, slots=True)
class Cap:
    """What one unit's revenue counts for at most: the quantile, its value, how many exceed it."""

    quantile: float
    value: float
    units: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A test ready to be read, whoever logged it.

    rule: what the intervals hold for: `planned` (every look up to the declared end together),
    `always` (every look ever) or `single` (one look, at the end). level: of the intervals, so that
    the rule holds for all arms together. cap: of revenue, where one is declared. held: the ripe
    units that no test touches, with the same columns; None where there are none.
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
    cap: Cap | None = None
    held: pa.Table | None = None


def of_log(name: str, experiment: Experiment, gathered: Gathered) -> Trial:
    """A test that we logged; only units whose horizon has passed are measured."""
    if experiment.interleave:
        raise ValueError(
            f"it is interleaved, no unit has an arm: regulars experiment interleaved {name}"
        )
    ripe, held = (table.filter(table["mature"]) for table in (gathered.units, gathered.held))
    cap = _cap(ripe, experiment.cap_revenue)
    ripe, held = _capped(ripe, cap), _capped(held, cap)
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
    if counted.num_rows and not ended:
        held = held.filter(pc.less_equal(held["entered"], pc.max(counted["entered"])))
    if reach:
        level = min(2 * float(ndtr(max(reach))) - 1, LARGEST)
    return Trial(
        name, "logged", counted, experiment.arms, experiment.control,
        MEASURES, gathered.covariates, ("channel", "surface"),
        [Measure(f"revenue in {place}", f"revenue_in_{place}") for place in gathered.channels],
        question, checks, "always" if experiment.end is None else "planned", level, looks,
        cap, held if held.num_rows else None,
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


def _cap(ripe: pa.Table, quantile: float | None) -> Cap | None:
    """Where revenue is cut: one place for all arms together, so that none is favoured."""
    if quantile is None or not ripe.num_rows:
        return None
    revenue = numbers(ripe["revenue"])
    value = float(np.quantile(revenue, quantile, method="higher"))
    if value <= 0:  # so few buy that nothing would be left
        return None
    return Cap(quantile, value, int((revenue > value).sum()))


def _capped(units: pa.Table, cap: Cap | None) -> pa.Table:
    """Revenue up to the cap, and by place less in the same proportion."""
    if cap is None:
        return units
    revenue = numbers(units["revenue"])
    kept = np.divide(cap.value, revenue, out=np.ones_like(revenue), where=revenue > cap.value)
    for place, name in enumerate(units.column_names):
        if name.startswith("revenue_in_"):
            units = units.set_column(place, name, pa.array(numbers(units[name]) * kept))
    place = units.column_names.index("revenue")
    return units.set_column(place, "revenue", pa.array(np.minimum(revenue, cap.value)))


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
