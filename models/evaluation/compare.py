"""Comparison: two tables of the same customers in, how much better the candidate is out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa
from scipy.special import stdtr

from models.evaluation.codes import Floats, ids, place, unique
from models.evaluation.intervals import mean_interval, numbers

POWER = 0.8


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus baseline over n customers, in the metric's own unit.

    low, high: bootstrap interval over customers. relative: the mean over the baseline's mean, NaN
    where that is zero. p_value: two-sided paired t test. detectable: the smallest true difference
    that so many so varied customers would have shown in four of five tries; a smaller one, if
    there is one, was likely to be missed. NaN where n is below two; such a comparison never passes
    `low > margin`.
    """

    mean: float
    low: float
    high: float
    relative: float
    n: int
    p_value: float
    detectable: float


def paired(
    candidate: pa.Table,
    baseline: pa.Table,
    metric: str,
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> Difference:
    """Compare one metric of two tables of `metrics.per_customer` on the same customers.

    Refused are tables of different customers and values null in one table only: they were judged
    by different truths. Null in both is left out.
    """
    new, old = aligned(candidate, baseline, metric)
    gain = new - old
    interval = mean_interval(gain, seed=seed, resamples=resamples, level=level)
    n = interval.n
    error = float(gain.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    before = float(old.mean()) if n else np.nan
    normal = NormalDist()
    reach = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(POWER)  # 2.80 standard errors
    return Difference(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        relative=interval.mean / before if before else np.nan,
        n=n,
        p_value=_p_value(interval.mean, error, n),
        detectable=reach * error,
    )


def aligned(candidate: pa.Table, baseline: pa.Table, metric: str) -> tuple[Floats, Floats]:
    """The metric in both tables, a place a customer; refuses what `paired` refuses."""
    for name, table in (("candidate", candidate), ("baseline", baseline)):
        if metric not in table.column_names:
            raise ValueError(
                f"{name} must have a column {metric}, got {', '.join(table.column_names)}"
            )
    ours = unique(ids(candidate, "customer_id", of="candidate"), of="candidate")
    theirs = unique(ids(baseline, "customer_id", of="baseline"), of="baseline")
    here, there = place(ours, theirs), place(theirs, ours)
    alone, missing = np.flatnonzero(here < 0), np.flatnonzero(there < 0)
    if alone.size or missing.size:
        example = ours[int(alone[0])] if alone.size else theirs[int(missing[0])]
        raise ValueError(
            f"both tables must hold the same customers, got {alone.size} only in the candidate "
            f"and {missing.size} only in the baseline, such as {example}"
        )
    new, old = numbers(candidate[metric]), numbers(baseline[metric])[here]
    unequal = np.flatnonzero(np.isnan(new) != np.isnan(old))
    if unequal.size:
        raise ValueError(
            f"{metric} must be null for the same customers, got {unequal.size} null in one table "
            f"only, such as {ours[int(unequal[0])]}"
        )
    said = ~np.isnan(new)
    return new[said], old[said]


def _p_value(mean: float, error: float, n: int) -> float:
    """Two-sided, Student's t with n - 1 degrees of freedom."""
    if np.isnan(error):
        return np.nan
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / error))
