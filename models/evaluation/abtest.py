"""Live tests: one row a unit with its arm and what came of it in, effects with intervals out.

Welch's interval, the relative one on the scale of logarithms, ratios of sums by the delta method
(Deng, Knoblich and Lu 2018) and CUPED (Deng, Xu, Kohavi and Walker 2013) are tea-tasting's. Several
covariates become one, their best linear guess of the outcome, as in CUPAC: whatever guess is made
from what was known before, the effect stays unbiased; a good one makes the interval narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import Floats, column
from models.evaluation.compare import POWER
from models.evaluation.intervals import numbers

WORDS = 20  # the most frequent words of a covariate that are told apart
ENOUGH = 20  # units for each column of covariates


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured: the mean of a column over units, or the sum of one over that of another."""

    name: str
    of: str
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """An arm minus the control in one measure, in its own unit.

    control, treated: the arms' means as they were; the difference is what is left of theirs after
    the covariates. relative and its interval: over the control's mean, NaN where that is not above
    zero. error: the difference's
    standard error. adjusted: the p value after Holm over all effects of one call. detectable: the
    smallest true difference that four of five tests like this one would have called; relative_
    detectable the same over the control's mean. variance_left: the share of the variance that the
    covariates left; 1 without any. Where nothing varies in either arm, such as no order at all, all
    that weighs is NaN.
    """

    measure: str
    arm: str
    n: int
    n_control: int
    control: float
    treated: float
    difference: float
    low: float
    high: float
    relative: float
    relative_low: float
    relative_high: float
    error: float
    p_value: float
    adjusted: float
    detectable: float
    relative_detectable: float
    variance_left: float


def effects(
    units: pa.Table,
    measures: Sequence[Measure],
    *,
    control: str,
    covariates: Sequence[str] = (),
    level: float = 0.95,
) -> list[Effect]:
    """Every arm against the control in every measure, measure by measure.

    units: `arm` and the columns that measures and covariates name; covariates are numbers or words
    known before the unit entered. A null outcome is an error, a null covariate its column's mean.
    An arm of fewer than two units has no effect. Raises ValueError.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    arms = column(units, "arm", of="units").cast(pa.string())
    names = sorted(set(arms.unique().to_pylist()))
    if control not in names:
        raise ValueError(f"control must be one of {', '.join(names)}, got {control!r}")
    member = {name: numbers(pc.equal(arms, name)) > 0 for name in names}
    known = _design(units, covariates)
    found = []
    for measure in measures:
        top = _values(units, measure.of)
        bottom = None if measure.per is None else _values(units, measure.per)
        guess = None if known is None else _guess(top, bottom, known)
        for name in names:
            if name != control and min(member[name].sum(), member[control].sum()) > 1:
                old, new = (
                    _Side(top[m], None if bottom is None else bottom[m], _some(guess, m))
                    for m in (member[control], member[name])
                )
                found.append(_effect(measure.name, name, old, new, level))
    adjusted = holm([one.p_value for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """P values that hold for all of them together (Holm 1979), in the order given; NaN stays."""
    order = sorted((p, place) for place, p in enumerate(p_values) if p == p)
    adjusted, least = list(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        adjusted[place] = least
    return adjusted


@dataclass(frozen=True, slots=True)
class _Side:
    """One arm's units: the measure's column, what it is divided by, the covariates' guess."""

    top: Floats
    bottom: Floats | None
    guess: Floats | None


def _effect(measure: str, arm: str, control: _Side, treated: _Side, level: float) -> Effect:
    from tea_tasting.metrics import RatioOfMeans

    names = ("top", None if control.bottom is None else "bottom")
    guess = None if control.guess is None else "guess"
    n, n_control, old, new = len(treated.top), len(control.top), _mean(control), _mean(treated)
    if _fixed(control) and _fixed(treated):  # nothing varies, so nothing can be weighed
        gap = new - old
        share = gap / old if old > 0 else np.nan
        nan = np.nan
        said = (gap, nan, nan, share, nan, nan, nan, nan, nan, nan, nan, 1.0)
        return Effect(measure, arm, n, n_control, old, new, *said)
    sides = _aggregates(control), _aggregates(treated)
    welch = RatioOfMeans(*names, guess, confidence_level=level, equal_var=False, use_t=True)
    one = welch.analyze_aggregates(*sides)
    error = _error(one, sides, RatioOfMeans(*names, guess, equal_var=False, use_t=False))
    raw = float(np.hypot(_spread(control), _spread(treated)))
    normal = NormalDist()
    reach = (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(POWER)) * error
    base = one.control if one.control > 0 else np.nan
    spread = 1.0 if one.treatment > 0 else np.nan  # a logarithm has no place for zero
    return Effect(
        measure=measure,
        arm=arm,
        n=n,
        n_control=n_control,
        control=old,
        treated=new,
        difference=float(one.effect_size),
        low=float(one.effect_size_ci_lower),
        high=float(one.effect_size_ci_upper),
        relative=float(one.effect_size / base),
        relative_low=float(one.rel_effect_size_ci_lower * spread + 0 * base),
        relative_high=float(one.rel_effect_size_ci_upper * spread + 0 * base),
        error=error,
        p_value=float(one.pvalue),
        adjusted=float(one.pvalue),
        detectable=reach,
        relative_detectable=float(reach / base),
        variance_left=(error / raw) ** 2,
    )


def _error(one: Any, sides: tuple[Any, Any], normal: Any) -> float:
    """The standard error, which tea-tasting keeps to itself."""
    if one.statistic:
        return float(one.effect_size / one.statistic)
    one = normal.analyze_aggregates(*sides)
    half = (one.effect_size_ci_upper - one.effect_size_ci_lower) / 2
    return float(half / NormalDist().inv_cdf((1 + normal.confidence_level) / 2))


def _line(side: _Side) -> Floats:
    """What each unit adds to the error of a mean or ratio (delta method)."""
    if side.bottom is None:
        return side.top
    line: Floats = (side.top - _mean(side) * side.bottom) / side.bottom.mean()
    return line


def _spread(side: _Side) -> float:
    """The standard error of one arm's mean or ratio, without covariates."""
    return float(_line(side).std(ddof=1) / np.sqrt(len(side.top)))


def _fixed(side: _Side) -> bool:
    """Whether every unit says the same, or a ratio has nothing to be divided by."""
    if side.bottom is not None and not side.bottom.any():
        return True
    return bool(np.ptp(_line(side)) <= 1e-12 * np.abs(side.top).max())


def _aggregates(side: _Side) -> Any:
    """Counts, means and covariances as tea-tasting takes them."""
    from tea_tasting.aggr import Aggregates

    every = {"top": side.top, "bottom": side.bottom, "guess": side.guess}
    some = {name: values for name, values in every.items() if values is not None}
    spread = np.atleast_2d(np.cov(np.stack(list(some.values())), ddof=1))
    names = list(some)
    return Aggregates(
        len(side.top),
        {name: float(values.mean()) for name, values in some.items()},
        {name: float(spread[i, i]) for i, name in enumerate(names)},
        {(a, b): float(spread[i, j]) for i, a in enumerate(names)
         for j, b in enumerate(names) if i < j},
    )  # fmt: skip


def _mean(side: _Side) -> float:
    under = float(len(side.top) if side.bottom is None else side.bottom.sum())
    return float(side.top.sum()) / under if under else np.nan


def _values(units: pa.Table, name: str) -> Floats:
    values = numbers(_number(column(units, name, of="units")))
    if not np.isfinite(values).all():
        raise ValueError(
            f"units.{name} must be finite, got {int((~np.isfinite(values)).sum())} not"
        )
    return values


def _number(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values


def _some(guess: Floats | None, member: npt.NDArray[np.bool_]) -> Floats | None:
    return None if guess is None else guess[member]


def _design(units: pa.Table, covariates: Sequence[str]) -> Floats | None:
    """(units, columns) of covariates, words as one column each; None where units are too few."""
    columns = [part for name in covariates for part in as_columns(units, name).values()]
    columns = [values for values in columns if np.ptp(values) > 0]
    if not columns or units.num_rows < ENOUGH * len(columns):
        return None
    known: Floats = np.stack(columns, axis=1)
    known /= known.std(axis=0)
    return known


def as_columns(units: pa.Table, name: str) -> dict[str, Floats]:
    """A covariate as numbers: itself, or one 0/1 column for each of its frequent words."""
    if name not in units.column_names:
        raise ValueError(f"units must have a column {name}, got {', '.join(units.column_names)}")
    values = units[name]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        counted = sorted(pc.value_counts(values).to_pylist(), key=lambda one: -one["counts"])
        words = [one["values"] for one in counted if one["values"] is not None][:WORDS]
        return {f"{name} {word}": _filled(pc.equal(values, word)) for word in words}
    return {name: _filled(values)}


def _filled(values: pa.ChunkedArray) -> Floats:
    """Numbers with each null at the mean of the others."""
    every = numbers(_number(values))
    gone = np.isnan(every)
    return np.where(gone, 0.0 if gone.all() else np.nanmean(every), every) if gone.any() else every


def _guess(top: Floats, bottom: Floats | None, known: Floats) -> Floats | None:
    """The best linear guess of what a unit adds to the measure, from what was known before.

    None where it leaves nothing: then a covariate is the outcome itself, and was not known before.
    """
    line = top if bottom is None or not bottom.any() else top - bottom * (top.sum() / bottom.sum())
    centred, gap = known - known.mean(axis=0), line - line.mean()
    slope, *_ = np.linalg.lstsq(centred, gap, rcond=None)
    guess: Floats = centred @ slope
    return guess if np.abs(gap - guess).max() > 1e-6 * np.abs(gap).max() else None
