"""Intervals: one value a customer in, their mean and how far it may be off out.

The percentile bootstrap (Efron and Tibshirani 1993, chapter 13): draw as many customers anew,
with replacement, `resamples` times, and cut the tails off the means. Few customers are drawn one
by one; many are first gathered into cells of like values, and the cells' counts are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.evaluation.codes import Floats

ONE_BY_ONE = 10_000  # up to so many customers each is drawn; beyond, cells
CELLS = 256  # cells of like values
EXTREMES = 64  # values at each end that are a cell of their own
BLOCK = 1 << 22  # draws held at once: 16 MB of places and 32 MB of values


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over n customers between low and high; NaN where n is too small to say.

    dropped: customers whose value was null or NaN, such as a repeat rate without a repeat.
    """

    mean: float
    low: float
    high: float
    n: int
    dropped: int = 0


def mean_interval(
    values: pa.Array | pa.ChunkedArray | npt.ArrayLike,
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The mean with its bootstrap interval; the same values in any order give the same interval.

    Nulls and NaN are dropped and counted. No value: all is NaN. One value: the interval is NaN,
    since one customer says nothing of the others. Equal values give an interval without width,
    which means that no other was seen, not that there is none.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    every = numbers(values)
    kept = np.sort(every[~np.isnan(every)])
    n, dropped = len(kept), len(every) - len(kept)
    if n and np.isinf(kept[[0, -1]]).any():
        raise ValueError("values must be finite, got an infinite one")
    if n < 2:
        return Interval(float(kept[0]) if n else np.nan, np.nan, np.nan, n, dropped)
    mean = float(kept.mean())
    draw = _one_by_one if n <= ONE_BY_ONE else _by_cells
    means = mean + draw(kept - mean, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), n, dropped)


def of_table(
    per_customer: pa.Table,
    *,
    seed: int,
    metrics: Sequence[str] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """An interval for each metric of a table of customers: every column but customer_id."""
    chosen = [name for name in per_customer.column_names if name != "customer_id"]
    return {
        name: mean_interval(per_customer[name], seed=seed, resamples=resamples, level=level)
        for name in (chosen if metrics is None else metrics)
    }


def numbers(values: pa.Array | pa.ChunkedArray | npt.ArrayLike) -> Floats:
    """Any column as float64, nulls as NaN."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        array: Any = values.cast(pa.float64())
        values = (
            array.to_numpy()
            if isinstance(array, pa.ChunkedArray)
            else array.to_numpy(zero_copy_only=False)
        )
    return np.asarray(values, np.float64).ravel()


def _one_by_one(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """(resamples,) means of n values drawn with replacement, in blocks."""
    n = len(values)
    step = max(1, BLOCK // n)
    means = np.empty(resamples)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, n, (rows, n), np.int32)  # (rows, n)
        means[start : start + rows] = values[drawn].mean(axis=1)
    return means


def _by_cells(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """The same for many values: how often each cell is drawn is multinomial, exactly.

    Where a cell is one value, that is the bootstrap itself. Where it holds several, what its draws
    add beyond its mean is taken as normal with the cell's own variance, so that mean and variance
    of the resampled mean are the bootstrap's; extreme values stand alone, so its skew nearly is.
    """
    distinct, counts = np.unique(values, return_counts=True)
    edges = np.arange(len(distinct))
    if len(distinct) > CELLS + 2 * EXTREMES:
        inner = np.linspace(EXTREMES, len(distinct) - EXTREMES, CELLS, endpoint=False).astype(int)
        edges = np.concatenate([edges[:EXTREMES], inner, edges[-EXTREMES:]])
    inside = np.diff(edges, append=len(distinct))
    size = np.add.reduceat(counts, edges)  # (cells,)
    mean = np.add.reduceat(counts * distinct, edges) / size
    spread = np.add.reduceat(counts * (distinct - np.repeat(mean, inside)) ** 2, edges) / size
    n = len(values)
    step = max(1, BLOCK // len(edges))
    means = np.empty(resamples)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.multinomial(n, size / n, rows).astype(np.float64)  # (rows, cells)
        rest = rng.standard_normal(rows) * np.sqrt(drawn @ spread)
        means[start : start + rows] = (drawn @ mean + rest) / n
    return means
