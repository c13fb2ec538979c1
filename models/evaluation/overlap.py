"""Overlap: weighted rewards of a log in, what they say of another policy out, or why nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import stdtrit

from models.evaluation.codes import Floats, Places
from models.evaluation.intervals import Interval

SURE = 0.999  # level at which the weights' mean must leave 1 possible
ROUNDING = 1e-3  # of propensities, not a fault
TINY = np.finfo(np.float64).tiny

Ratio: TypeAlias = tuple[Floats, Floats]  # (rows,) above and (rows,) below the line


@dataclass(frozen=True, slots=True)
class Overlap:
    """How well the log carries the target.

    units: requests, or what else is drawn. effective: Kish's effective number of them,
    (sum w)^2 / sum w^2. rewarded: the same of the weighted rewards; of clicks, how many the
    estimate rests on. expected: how many rewards of usual size the effective units would show at
    the value found; below one, a single reward more of usual weight would more than double it.
    largest: the largest weight. mean: the weights' mean at 99.9%, 1 where propensities are right
    and everything had a chance. clipped: share of the weights' sum above the cap.
    unsupported: share of what the target shows that the log cannot speak of; the larger of what
    was never shown at its position and of what the weights' mean surely lacks to 1.
    """

    units: int
    effective: float
    rewarded: float
    expected: float
    largest: float
    mean: Interval
    clipped: float
    unsupported: float


@dataclass(frozen=True, slots=True)
class Replay:
    """Values of the target by estimator, or why there is none.

    logged: what the log itself earned. values: estimator -> the target's. gains: estimator -> the
    target's less the log's, on the same draws. refused: in words why the log cannot answer, empty
    where it can; values and gains are then empty.
    """

    logged: Interval
    values: dict[str, Interval]
    gains: dict[str, Interval]
    overlap: Overlap
    refused: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What overlap is enough for an answer; fewer effective units or rewards are refused."""

    effective: float = 300.0
    rewarded: float = 10.0
    expected: float = 1.0
    unsupported: float = 0.05


ENOUGH = Limits()


def answer(
    parts: Mapping[str, Sequence[Ratio]],
    logged: Ratio,
    overlap: Overlap,
    *,
    refused: str,
    unit: Places,
    level: float,
) -> Replay:
    """Values, gains and their intervals, each part a sum of ratios of sums over rows."""
    said = {} if refused else dict(parts)
    return Replay(
        interval([logged], unit=unit, level=level),
        {name: interval(part, unit=unit, level=level) for name, part in said.items()},
        {name: interval(part, less=logged, unit=unit, level=level) for name, part in said.items()},
        overlap,
        refused,
    )


def interval(
    ratios: Sequence[Ratio], *, unit: Places, level: float, less: Ratio | None = None
) -> Interval:
    """The sum of ratios of sums, less another if there is one, with what it may be off.

    Units' contributions are its first-order change with the unit's weight (the delta method). They
    are skewed, since great weights are rare, so Student's t is bent by their skewness: the cubic
    transformation of Hall, On the removal of skewness by transformation, JRSS B 1992. Of the same
    worlds it covers more than the percentile bootstrap, and needs no seed
    (benchmarks/statistics_replay.py).
    """
    mean, change = 0.0, np.zeros(int(unit.max()) + 1)
    signed = [(ratio, 1) for ratio in ratios] + ([] if less is None else [(less, -1)])
    for (upper, lower), sign in signed:
        total = lower.sum() or TINY
        ratio = upper.sum() / total
        mean += sign * ratio
        change += sign * np.bincount(unit, upper - ratio * lower) / total
    n = len(change)
    change *= n
    spread = float(change.std(ddof=1))
    skew = float(np.mean((change - change.mean()) ** 3)) / spread**3 if spread else 0.0
    reach = stdtrit(n - 1, (1 + level) / 2) / np.sqrt(n)
    low, high = (mean - spread * _bent(t, skew, n) for t in (reach, -reach))
    return Interval(float(mean), float(low), float(high), n)


def _bent(t: float, skew: float, n: int) -> float:
    """(mean - truth) / spread where t is what its transformation, near normal, comes to."""
    if abs(skew) < 1e-6:
        return t
    return float(3 / skew * (np.cbrt(1 + skew * (t - skew / (6 * n))) - 1))


def overlapping(
    unit: Places,
    weights: Floats,
    weighted: Floats,
    rewards: Floats,
    *,
    clipped: float = 0.0,
    never: float = 0.0,
) -> Overlap:
    """Overlap by rows' weights, weighted rewards and rewards, and what is known to lack."""
    mean = interval([(weights, np.ones(len(weights)))], unit=unit, level=SURE)
    effective = _kish(weights, unit)
    earned = np.abs(np.bincount(unit, rewards))
    usual = float(earned.sum() / max(np.count_nonzero(earned), 1))
    return Overlap(
        units=mean.n,
        effective=effective,
        rewarded=_kish(np.abs(weighted), unit),
        expected=float(np.abs(weighted).sum() / mean.n * effective / max(usual, TINY)),
        largest=float(weights.max()),
        mean=mean,
        clipped=float(clipped),
        unsupported=max(never, 1 - mean.high, 0.0),
    )


def refusal(overlap: Overlap, limits: Limits, *, of: str) -> str:
    """Why this overlap does not carry an answer, in words; empty where it does."""
    why = []
    if overlap.mean.low > 1 + ROUNDING:
        why.append(
            f"the weights average {overlap.mean.mean:.3g} where 1 is due: the propensities are not "
            "those by which the products were chosen"
        )
    if overlap.unsupported > limits.unsupported:
        why.append(
            f"of what the target shows the log never had a chance to show "
            f"{overlap.unsupported:.1%}, at most {limits.unsupported:.1%} may be missing"
        )
    if overlap.effective < limits.effective:
        units = f"{overlap.units} {of.removesuffix('_id')}s"
        why.append(
            f"the {units} weigh as much as {overlap.effective:.3g} chosen by the target, at least "
            f"{limits.effective:g} are needed"
        )
    if overlap.rewarded < limits.rewarded:
        why.append(
            f"the answer would rest on {overlap.rewarded:.3g} rewards, at least "
            f"{limits.rewarded:g} are needed"
        )
    if overlap.expected < limits.expected:
        why.append(
            f"as many chosen by the target would show {overlap.expected:.3g} rewards, at least "
            f"{limits.expected:g} are needed"
        )
    return "; ".join(why)


def _kish(of_rows: Floats, unit: Places) -> float:
    totals = np.bincount(unit, of_rows)
    return float(totals.sum() ** 2 / max(np.square(totals).sum(), TINY))
