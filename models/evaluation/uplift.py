"""Uplift: a ranking, who was contacted and what came of it in, how well it finds the movable out.

Only a randomised hold-out can say this: of one customer nobody sees both what she does contacted
and what she does left alone. The curve is Radcliffe's (2007, "Using control groups to target on
predicted lift"): among the first so many by score, what the contacted did beyond what as many of
those left alone did. Ties are cut as if drawn by lot. Intervals: the percentile bootstrap over
customers, contacted and left alone drawn together as they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.codes import Floats
from models.evaluation.intervals import Interval

SHARES = (0.1, 0.3)
POINTS = 41  # of the curve, from nobody to everybody
PERFECT = 1e-12


@dataclass(frozen=True, slots=True)
class Curve:
    """What contacting the first `shares` of all customers brings, per contacted customer of all.

    gains, low, high: (points,), in the outcome's unit; the last is the effect on everybody.
    """

    shares: Floats
    gains: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Ranked:
    """How well a ranking finds those whom the contact changes.

    qini: the area between curve and straight line, over that of the best ranking there could be,
        who did it contacted first and who did it left alone last; 0 is chance, below 0 is worse.
    auuc: the area under the curve of share times uplift among the first so many, in the outcome's
        unit; a ranking by chance has half the effect.
    at: share -> the uplift among the first so many. effect: that of everybody.
    """

    qini: Interval
    auuc: Interval
    at: dict[float, Interval]
    effect: Interval
    curve: Curve


def judge(
    score: npt.ArrayLike,
    contacted: npt.ArrayLike,
    outcome: npt.ArrayLike,
    *,
    seed: int,
    shares: Sequence[float] = SHARES,
    resamples: int = 1000,
    level: float = 0.95,
) -> Ranked:
    """Qini, AUUC and uplift@k of a ranking, greatest score first, each with its interval.

    (n,) arrays; outcome is 0 or 1 or an amount that is not negative. Raises ValueError where an
    array has another length or NaN, or where fewer than two were contacted or left alone.
    """
    sums = _Sums(*_checked(score, contacted, outcome))
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    for share in shares:
        if not 0 < share <= 1:
            raise ValueError(f"shares must lie above 0 and up to 1, got {share}")
    n, rng = len(sums.contacted), np.random.default_rng(seed)
    grid = np.linspace(0, 1, POINTS)
    wanted = np.array([*shares, 1.0])
    drawn = [sums.figures(np.ones(n), grid, wanted)]
    drawn += [
        sums.figures(np.bincount(rng.integers(0, n, n), minlength=n).astype(float), grid, wanted)
        for _ in range(resamples)
    ]
    every = np.stack(drawn)  # (1 + resamples, 2 + points + shares + 1)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    unknown = np.isnan(every[1:]).all(axis=0)
    every[1:, unknown] = 0
    low, high = np.where(unknown, np.nan, np.nanquantile(every[1:], tails, axis=0))
    ends = zip(every[0].tolist(), low.tolist(), high.tolist(), strict=True)
    found = [Interval(mean, least, most, n) for mean, least, most in ends]
    places = slice(2, 2 + POINTS)
    return Ranked(
        found[0],
        found[1],
        dict(zip(shares, found[2 + POINTS :], strict=False)),
        found[-1],
        Curve(grid, every[0][places], low[places], high[places]),
    )


def qini(score: npt.ArrayLike, contacted: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """The coefficient alone, without its interval."""
    sums = _Sums(*_checked(score, contacted, outcome))
    ones = np.ones(len(sums.contacted))
    return sums.coefficient(ones, _along(sums.contacted, sums.outcome, sums.ends, ones))


class _Sums:
    """Customers in the order of the ranking, and in that of the best one, with their ties."""

    def __init__(self, score: Floats, contacted: Floats, outcome: Floats) -> None:
        order = np.argsort(-score, kind="stable")
        self.contacted, self.outcome = contacted[order], outcome[order]
        self.ends = _ends(score[order])
        sign = self.outcome * (2 * self.contacted - 1)
        self.best = np.argsort(-sign, kind="stable")
        self.best_ends = _ends(sign[self.best])

    def figures(self, weight: Floats, grid: Floats, shares: Floats) -> Floats:
        """Coefficient, area, the curve on a grid and uplift at shares, of weighted customers."""
        along = _along(self.contacted, self.outcome, self.ends, weight)
        whole = along[:, -1]
        if whole[0] < 1 or whole[1] < 1:
            return np.full(2 + len(grid) + len(shares), np.nan)
        places = (along[0] + along[1]) / (whole[0] + whole[1])
        gains = np.interp(grid, places, _gains(along)) / whole[0]
        # finer than the grid: the area of share times uplift is no polygon between its corners
        uplift = _uplift(along, places, fine := np.linspace(0, 1, 201)[1:])
        area = float(np.trapezoid(np.append(0.0, fine * uplift), np.append(0.0, fine)))
        at = _uplift(along, places, shares)
        return np.concatenate([[self.coefficient(weight, along), area], gains, at])

    def coefficient(self, weight: Floats, along: Floats) -> float:
        """The area above the straight line over the best there could be."""
        top = _area(
            _along(
                self.contacted[self.best], self.outcome[self.best], self.best_ends,
                weight[self.best],
            )
        )  # fmt: skip
        return _area(along) / top if top > PERFECT else np.nan


def _along(
    contacted: Floats, outcome: Floats, ends: npt.NDArray[np.intp], weight: Floats
) -> Floats:
    """(4, cuts): contacted, left alone and what each of the two did, among the first so many."""
    rows = np.stack([weight * contacted, weight * (1 - contacted)])
    rows = np.concatenate([rows, rows * outcome])
    found: Floats = np.cumsum(rows, axis=1)[:, ends]
    return np.concatenate([np.zeros((4, 1)), found], axis=1)


def _gains(along: Floats) -> Floats:
    """Radcliffe's curve: what the contacted did beyond as many of those left alone."""
    n_t, n_c, y_t, y_c = along
    gains: Floats = y_t - y_c * np.divide(n_t, n_c, out=np.zeros_like(n_t), where=n_c > 0)
    return gains


def _area(along: Floats) -> float:
    """Between the curve and the straight line to its end, as a share of customers and contacted."""
    n = along[0] + along[1]
    gains = _gains(along)
    total, contacted = float(n[-1]), float(along[0, -1])
    return float((np.trapezoid(gains, n) / total - gains[-1] / 2) / contacted)


def _uplift(along: Floats, places: Floats, shares: Floats) -> Floats:
    """The difference of the means among the first shares; NaN while one of the two is missing."""
    n_t, n_c, y_t, y_c = (np.interp(shares, places, row) for row in along)
    gone = np.full_like(n_t, np.nan)
    mean_t = np.divide(y_t, n_t, out=gone.copy(), where=n_t > 0)
    mean_c = np.divide(y_c, n_c, out=gone, where=n_c > 0)
    found: Floats = mean_t - mean_c
    return np.where(np.isnan(found) & (shares < 1), 0.0, found)


def _ends(ordered: Floats) -> npt.NDArray[np.intp]:
    """Where each run of equal scores ends."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def _checked(
    score: npt.ArrayLike, contacted: npt.ArrayLike, outcome: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    given = {"score": score, "contacted": contacted, "outcome": outcome}
    arrays = {name: np.asarray(values, np.float64).ravel() for name, values in given.items()}
    n = len(arrays["score"])
    for name, values in arrays.items():
        if len(values) != n:
            raise ValueError(f"{name} must have {n} values as score has, got {len(values)}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got {int((~np.isfinite(values)).sum())} not")
    if not np.isin(arrays["contacted"], (0, 1)).all():
        raise ValueError("contacted must be 0 or 1 for each customer")
    if n and arrays["outcome"].min() < 0:
        raise ValueError(f"outcome must not be negative, got {arrays['outcome'].min()}")
    treated = int(arrays["contacted"].sum())
    if min(treated, n - treated) < 2:
        raise ValueError(
            f"want at least 2 contacted and 2 left alone, got {treated} and {n - treated}"
        )
    return arrays["score"], arrays["contacted"], arrays["outcome"]
