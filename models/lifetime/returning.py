"""Returning: a rhythm and histories in, who is still there, how often and when she orders out.

All exact for every k. Given that a customer is still there, her gaps stand at stage j of k with the
weights of `there` in `models.lifetime.rhythm`; from there λ is gamma(r + k x + j, α + T), so stages
passed in a horizon are negative binomial, every k-th of them is an order, and she stays through n
orders with the mean of (1 - p)^n. (Reutterer et al. approximate the expected orders.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from models.lifetime.histories import Doubles, Histories
from models.lifetime.rhythm import WEEK, Rhythm

TAIL = 1e-10  # of the stages' distribution is left out
SMALL = -700.0  # exp of less is zero
HALVINGS = 50


def probability_alive(rhythm: Rhythm, known: Histories) -> Doubles:
    """(n,): the chance that she has not left for good, for each history."""
    s, rate, since, b = _state(rhythm, known)
    answer = np.empty(len(known))
    left = np.where(known.repeat_orders > 0, 1.0, float(rhythm.leaves_at_once))
    gone = left * rhythm.a / np.maximum(b - 1, 1e-300)
    _alive(s, rate, since, gone, rhythm.k, answer)
    return answer


def expected_orders(rhythm: Rhythm, known: Histories, *, days: npt.ArrayLike) -> Doubles:
    """(n,): orders in the days to come, for each history; she may have left already.

    days: one horizon, or one for each history.
    """
    s, rate, since, b = _state(rhythm, known)
    horizon = np.broadcast_to(np.asarray(days, np.float64) / WEEK, s.shape)
    answer = np.empty(len(known))
    _orders(s, rate, since, rhythm.a, b, np.ascontiguousarray(horizon), rhythm.k, answer)
    return answer * probability_alive(rhythm, known)


def expected_of_new(rhythm: Rhythm, *, days: npt.ArrayLike) -> Doubles:
    """Repeat orders that a customer makes in so many days after her first order, on average."""
    horizon = np.atleast_1d(np.asarray(days, np.float64))
    none = np.zeros(len(horizon))
    one = np.ones(len(horizon), np.int64)
    row = np.arange(len(horizon))
    return expected_orders(
        rhythm, Histories(none.astype(np.int64), none, none, one, row, 0.0), days=horizon
    )


def return_probability(rhythm: Rhythm, known: Histories, *, days: float) -> Doubles:
    """(n,): the chance of an order at all in the days to come, for each history."""
    s, rate, since, _ = _state(rhythm, known)
    answer = np.empty(len(known))
    _back(s, rate, since, days / WEEK, rhythm.k, answer)
    return answer * probability_alive(rhythm, known)


def days_to_next_order(rhythm: Rhythm, known: Histories) -> Doubles:
    """(n,): days from now in which half of the like customers order again, if still there."""
    s, rate, since, _ = _state(rhythm, known)
    answer = np.empty(len(known))
    _median(s, rate, since, rhythm.k, answer)
    return answer * WEEK


def _state(rhythm: Rhythm, known: Histories) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Gives r + k x, α + T, T - t, and b after the orders she stayed through; in weeks."""
    x = known.repeat_orders
    s = np.asarray(rhythm.r + rhythm.k * x, np.float64)
    since = (known.days_known - known.days_to_last_order) / WEEK
    b = rhythm.b + x + int(rhythm.leaves_at_once)
    return s, rhythm.alpha + known.days_known / WEEK, since, np.asarray(b, np.float64)


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator, misc, unused-ignore]
def _alive(s: Any, rate: Any, since: Any, gone: Any, k: int, answer: Any) -> None:
    for row in prange(len(s)):
        u = since[row] / rate[row]
        there = weight = 1.0
        for j in range(1, k):
            weight *= (s[row] + j - 1) / j * u
            there += weight
        # (α + T) / (α + t) is 1 / (1 - u); beyond e^700 she has surely left
        power = -s[row] * np.log1p(-u)
        if gone[row] == 0:
            answer[row] = 1.0
        elif power > -SMALL:
            answer[row] = 0.0
        else:
            answer[row] = there / (there + gone[row] * np.exp(power))


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator, misc, unused-ignore]
def _orders(
    s: Any, rate: Any, since: Any, a: float, b: Any, horizon: Any, k: int, answer: Any
) -> None:
    for row in prange(len(s)):
        u = since[row] / rate[row]
        z = horizon[row] / (rate[row] + horizon[row])
        weight, weights, orders = 1.0, 0.0, 0.0
        for j in range(k):
            if j > 0:
                weight *= (s[row] + j - 1) / j * u
            if weight > 0 or j == 0:
                orders += weight * _renewals(s[row] + j, z, a, b[row], k, j)
                weights += weight
        answer[row] = orders / weights


@njit(cache=True)  # type: ignore[untyped-decorator, misc, unused-ignore]
def _renewals(s: float, z: float, a: float, b: float, k: int, j: int) -> float:
    """Σ_m P(N = m) Σ_{n k - j <= m} E (1 - p)^(n - 1), N negative binomial (s, z)."""
    if z <= 0:
        return 0.0
    log_chance = s * np.log1p(-z)
    chance = np.exp(log_chance) if log_chance > SMALL else 0.0
    below, stays, orders, wanted, m, next_order = chance, 1.0, 0.0, 0.0, 0, k - j
    while below < 1 - TAIL and m < 10_000_000:
        grown = (s + m) / (m + 1) * z
        m += 1
        if log_chance > SMALL:
            chance *= grown
        else:
            log_chance += np.log(grown)
            chance = np.exp(log_chance) if log_chance > SMALL else 0.0
        if m == next_order:
            n = (m + j) // k
            orders += stays
            stays *= (b + n - 1) / (a + b + n - 1)
            next_order += k
        wanted += chance * orders
        below += chance
        if m > s * z / (1 - z) and chance * (m + 1) < TAIL * TAIL:
            break
    return wanted


@njit(cache=True)  # type: ignore[untyped-decorator, misc, unused-ignore]
def _silent(s: float, u: float, z: float, k: int) -> float:
    """The chance of no order in a horizon, given that she is still there."""
    weight, weights, silent = 1.0, 0.0, 0.0
    for j in range(k):
        if j > 0:
            weight *= (s + j - 1) / j * u
        chance = below = np.exp((s + j) * np.log1p(-z))
        for m in range(k - j - 1):
            chance *= (s + j + m) / (m + 1) * z
            below += chance
        silent += weight * below
        weights += weight
    return silent / weights


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator, misc, unused-ignore]
def _back(s: Any, rate: Any, since: Any, horizon: float, k: int, answer: Any) -> None:
    for row in prange(len(s)):
        z = horizon / (rate[row] + horizon)
        answer[row] = 1 - _silent(s[row], since[row] / rate[row], z, k)


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator, misc, unused-ignore]
def _median(s: Any, rate: Any, since: Any, k: int, answer: Any) -> None:
    for row in prange(len(s)):
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            z = (low + high) / 2
            if _silent(s[row], since[row] / rate[row], z, k) > 0.5:
                low = z
            else:
                high = z
        z = min(high, 1 - 1e-12)
        answer[row] = rate[row] * z / (1 - z)
