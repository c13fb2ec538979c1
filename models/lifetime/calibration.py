"""Calibration: chances foretold at earlier moments and what came, a correction for now out.

A rhythm knows no season and no trend. Both show in how far chances foretold a year ago were off.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from models.lifetime.histories import Doubles

NEAR = 1e-6  # a chance is never 0 or 1
RIDGE = 1.0  # holds slope at 1 and shift at 0 where little came


class Calibration(NamedTuple):
    """logit(right) = shift + slope · logit(foretold)."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, chance: npt.NDArray[np.float64]) -> Doubles:
        """Chances put right."""
        if self == Calibration():
            return chance
        return np.asarray(expit(self.shift + self.slope * _logit(chance)))


class Foretold(NamedTuple):
    """(n,) chances as they were foretold at one moment, and whether it came."""

    chance: npt.NDArray[np.float64]
    came: npt.NDArray[np.bool_]


def fit(season: Foretold, *others: Foretold) -> Calibration:
    """One slope for all moments, a shift for each; the shift of the first, the like season, holds.

    Maximum likelihood (Platt) with a ridge, by Newton's steps.
    """
    moments = (season, *others)
    x = np.concatenate([_logit(one.chance) for one in moments])
    y = np.concatenate([one.came for one in moments]).astype(np.float64)
    moment = np.repeat(np.arange(len(moments)), [len(one.came) for one in moments])
    design = np.column_stack([x, moment[:, None] == np.arange(len(moments))])  # (n, 1 + moments)
    middle = np.zeros(design.shape[1])
    middle[0] = 1.0
    weights = middle.copy()
    for _ in range(50):
        p = expit(design @ weights)
        slope = design.T @ (y - p) - RIDGE * (weights - middle)
        bend = (design * (p * (1 - p))[:, None]).T @ design + RIDGE * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights = weights + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    return Calibration(float(weights[0]), float(weights[1]))


def calibration_error(
    chance: npt.NDArray[np.float64], came: npt.NDArray[np.bool_], *, bins: int = 10
) -> float:
    """Mean gap between chance and share over bins of equal width, weighted by customers (ECE)."""
    place = np.minimum((chance * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, chance, bins) - np.bincount(place, came, bins)
    return float(np.abs(gap).sum() / len(chance))


def _logit(chance: npt.NDArray[np.float64]) -> Doubles:
    return np.asarray(logit(np.clip(chance, NEAR, 1 - NEAR)))
