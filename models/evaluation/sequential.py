"""Sequences: how a difference stood at each look in, bounds that hold however often one looks out.

`planned` spends the error over a window declared beforehand (Lan and DeMets 1983, O'Brien and
Fleming's shape; intervals after Jennison and Turnbull 1989): over all its looks together exactly
`1 - level` of tests without an effect are ever called, and at the end little is lost. `always` is
an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2021, theorem
2.2), the mixture of Johari et al. 2017 seen as an interval: it needs no plan and no end, and is
wider for it. Both want looks at whole units: a customer enters once, when her horizon has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from models.evaluation.codes import Floats

GRID = 401  # points between a look's bounds, for the integrals between looks
SURE = 8.0  # standard errors that nobody reaches
LEAST = 1e-12  # an error not worth spending


@dataclass(frozen=True, slots=True)
class Look:
    """A difference after n units, with bounds that hold at this and every other look together."""

    n: int
    difference: float
    error: float
    low: float
    high: float


def planned(
    differences: Sequence[tuple[int, float, float]],
    spent: Sequence[float],
    *,
    level: float = 0.95,
) -> list[Look]:
    """Repeated intervals at each look `(n, difference, standard error)`, n units in all so far.

    spent: how much of the planned window had passed at each look, above 0 and up to 1; the window
    may be counted in days or in units, as long as it was fixed beforehand. After its end no error
    is left to spend: `always` reads on.
    """
    _check(differences, level)
    if len(spent) != len(differences):
        raise ValueError(f"want one share a look, got {len(spent)} for {len(differences)} looks")
    if any(not 0 < share <= 1 for share in spent) or list(spent) != sorted(spent):
        raise ValueError(f"spent must be above 0, at most 1 and never fall, got {list(spent)}")
    bounds = boundaries([n for n, _, _ in differences], spent, level=level)
    return [
        Look(n, mean, error, mean - z * error, mean + z * error)
        for (n, mean, error), z in zip(differences, bounds, strict=True)
    ]


def always(
    differences: Sequence[tuple[int, float, float]], *, tightest: int, level: float = 0.95
) -> list[Look]:
    """A confidence sequence over looks `(n, difference, standard error)`.

    tightest: the number of units at which it shall be narrowest, fixed beforehand, such as how many
    the test is hoped to gather.
    """
    _check(differences, level)
    if tightest < 1:
        raise ValueError(f"tightest must be at least 1, got {tightest}")
    log = -2 * np.log(1 - level)
    mixing = (log + np.log(log + 1)) / tightest  # ρ²
    found = []
    for n, mean, error in differences:
        spread = n * mixing + 1
        # √((nρ²+1)/(nρ²) · log((nρ²+1)/α²)) standard errors
        z = float(np.sqrt(spread / (n * mixing) * (np.log(spread) + log)))
        found.append(Look(n, mean, error, mean - z * error, mean + z * error))
    return found


def boundaries(units: Sequence[int], spent: Sequence[float], *, level: float = 0.95) -> list[float]:
    """How many standard errors each look wants, so that all of them err `1 - level` in all.

    Brownian motion at times `units`, its density carried from look to look on a grid within the
    bounds (Armitage, McPherson and Rowe 1969).
    """
    bounds: list[float] = []
    place, weight = np.zeros(1), np.ones(1)  # (grid,) where the sum stands uncrossed, how likely
    before, gone = 0, 0.0
    for n, share in zip(units, spent, strict=True):
        budget = _spending(share, 1 - level) - gone
        if n <= before or budget < LEAST:
            z = SURE
        else:
            z = _crossing(place, weight, float(np.sqrt(n - before)), float(np.sqrt(n)), budget)
            gone += budget
        bounds.append(z)
        if n > before:
            place, weight = _carry(place, weight, n - before, z * float(np.sqrt(n)))
        before = max(n, before)
    return bounds


def _spending(share: float, alpha: float) -> float:
    """The error spent by then: 4 - 4Φ(z / √t), z the quantile of α/4: all of it at the end."""
    return float(4 * ndtr(ndtri(alpha / 4) / np.sqrt(share)))


def _crossing(place: Floats, weight: Floats, step: float, scale: float, budget: float) -> float:
    """The bound z at which the chance to step over it is the budget, by halving."""
    low, high = 0.0, SURE
    for _ in range(40):
        z = (low + high) / 2
        edge = z * scale
        over = float(weight @ (ndtr((place - edge) / step) + ndtr((-place - edge) / step)))
        low, high = (z, high) if over > budget else (low, z)
    return (low + high) / 2


def _carry(place: Floats, weight: Floats, more: int, edge: float) -> tuple[Floats, Floats]:
    """The probabilities within ±edge after so many more units (Simpson's rule)."""
    there = np.linspace(-edge, edge, GRID)
    simpson = np.ones(GRID)
    simpson[1:-1:2], simpson[2:-1:2] = 4, 2
    simpson *= (there[1] - there[0]) / 3
    steps = (there[:, None] - place[None, :]) / np.sqrt(more)  # (grid, before)
    density = np.exp(-(steps**2) / 2) @ weight / np.sqrt(2 * np.pi * more)
    return there, density * simpson


def _check(differences: Sequence[tuple[int, float, float]], level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    counts = [n for n, _, _ in differences]
    if any(n < 1 for n in counts) or counts != sorted(counts):
        raise ValueError(f"units must be at least 1 and never fall, got {counts}")
