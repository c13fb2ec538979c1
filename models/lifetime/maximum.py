"""Maximum: a log likelihood with its gradient in, its parameters and their standard errors out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
REACH = 12.0  # of a parameter's logarithm, either way from the prior's median
STEP = 1e-4


class Prior(NamedTuple):
    """What parameters are before data speak: log-normal, `spread` the deviation of each logarithm.

    weight: how many times it counts; 0 is plain maximum likelihood.
    """

    medians: tuple[float, ...]
    spread: float
    weight: float


class Found(NamedTuple):
    """Parameters at the maximum, their standard errors (NaN where flat), the log likelihood."""

    values: Doubles
    errors: Doubles
    log_likelihood: float


def maximise(
    likelihood: Callable[[Doubles], tuple[float, Doubles]], prior: Prior, *, size: int
) -> Found:
    """The parameters, all above 0, under which the data are likeliest, weighed with the prior.

    likelihood: parameters -> log likelihood and its gradient by them. size: customers, for scale.
    Standard errors are those of the Hessian, by differences of the exact gradient.
    """
    from scipy.optimize import minimize

    middle = np.log(prior.medians)
    tightness = prior.weight / prior.spread**2
    scale = 1.0 / max(size, 1)

    def slope(theta: Doubles) -> tuple[float, Doubles]:
        values = np.exp(theta)
        high, gradient = likelihood(values)
        off = theta - middle
        cost = -high + tightness * float(off @ off) / 2
        return cost * scale, (-gradient * values + tightness * off) * scale

    bounds = [(one - REACH, one + REACH) for one in middle]
    options = {"maxiter": 1_000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(slope, middle, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    theta = np.asarray(found.x, np.float64)
    values = np.exp(theta)
    return Found(values, values * _errors(slope, theta) * np.sqrt(scale), likelihood(values)[0])


def _errors(slope: Callable[[Doubles], tuple[float, Doubles]], theta: Doubles) -> Doubles:
    """Square roots of the inverse Hessian's diagonal, by the scaled cost."""
    rows = []
    for place in range(len(theta)):
        step = np.zeros(len(theta))
        step[place] = STEP
        rows.append((slope(theta + step)[1] - slope(theta - step)[1]) / (2 * STEP))
    bend = np.array(rows)
    bend = (bend + bend.T) / 2
    values, vectors = np.linalg.eigh(bend)
    if values[0] <= 0:
        return np.full(len(theta), np.nan)
    return np.asarray(np.sqrt(np.sum(vectors**2 / values, axis=1)))
