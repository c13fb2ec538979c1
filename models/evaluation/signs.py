"""Signs: how much better each customer is served in, how likely chance alone does so much out.

The paired randomisation test (Fisher 1935, chapter 21): were both models alike, each customer's
difference could as well have had the other sign. It assumes nothing of how differences are spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.codes import Floats

DRAWS = 4_999
BLOCK = 1 << 22  # signs held at once


@dataclass(frozen=True, slots=True)
class Effect:
    """How large differences are beside their own spread, and how many customers have one.

    size: mean over standard deviation of the differences (Cohen's d for pairs), NaN where they
    do not vary. better, worse: shares of the customers; the rest is served alike.
    """

    size: float
    better: float
    worse: float


def effect(gains: npt.ArrayLike) -> Effect:
    """The size of an effect; NaN throughout without customers."""
    values = np.asarray(gains, np.float64).ravel()
    if not values.size:
        return Effect(np.nan, np.nan, np.nan)
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    size = float(values.mean()) / spread if spread else np.nan
    return Effect(size, float(np.mean(values > 0)), float(np.mean(values < 0)))


def chance(gains: npt.ArrayLike, *, seed: int, draws: int = DRAWS) -> float:
    """Two-sided p value of a mean of zero: the share of sign changes with a sum as far from zero.

    The given signs count as one draw (Phipson and Smyth 2010), so it is never zero. Customers
    whose difference is zero change nothing; with none that has one it is 1. The same values in any
    order give the same. Raises ValueError for NaN, infinite values or draws below one.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    values = np.asarray(gains, np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError("gains must be finite, got one that is not")
    sizes, counts = np.unique(np.abs(values[values != 0]), return_counts=True)
    if not sizes.size:
        return 1.0
    rng = np.random.default_rng(seed)
    single, several = sizes[counts == 1], sizes[counts > 1]
    sums = _singles(single, draws, rng) + _several(several, counts[counts > 1], draws, rng)
    seen = abs(float(values.sum()))
    far = int(np.sum(np.abs(sums) >= seen * (1 - 1e-9)))  # equal sums differ in their last digits
    return (far + 1) / (draws + 1)


def _singles(sizes: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """(draws,) sums of sizes under random signs."""
    sums = np.zeros(draws)
    step = max(1, BLOCK // max(1, len(sizes)))
    for start in range(0, draws if sizes.size else 0, step):
        rows = min(step, draws - start)
        heads = rng.integers(0, 2, (rows, len(sizes)), np.int8)
        sums[start : start + rows] = 2 * (heads @ sizes) - sizes.sum()
    return sums


def _several(
    sizes: Floats, counts: npt.NDArray[np.int64], draws: int, rng: np.random.Generator
) -> Floats:
    """The same where customers share a size: how many of them are positive is binomial."""
    sums = np.zeros(draws)
    step = max(1, BLOCK // max(1, len(sizes)))
    for start in range(0, draws if sizes.size else 0, step):
        rows = min(step, draws - start)
        positive = rng.binomial(counts, 0.5, (rows, len(sizes)))
        sums[start : start + rows] = (2 * positive - counts) @ sizes
    return sums
