"""Spend: what customers paid for an order on average in, what each will pay out (Gamma-Gamma).

Fader & Hardie, The gamma-gamma model of monetary value (2013). What she pays for an order is
gamma(p, ν) with her own ν, which is gamma(q, v) over customers; it must not hang on how often she
orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from models.lifetime.histories import Doubles
from models.lifetime.maximum import Prior, maximise

SPREAD = 1.5


@dataclass(frozen=True, slots=True)
class Spend:
    """Parameters of one shop; v in its currency. errors: the standard errors of p, q, v."""

    p: float
    q: float
    v: float
    errors: tuple[float, ...] = ()
    log_likelihood: float = float("nan")
    customers: int = 0

    @property
    def average(self) -> float:
        """What an order of the average customer is worth."""
        return self.p * self.v / (self.q - 1)

    def expected(self, orders: npt.ArrayLike, average_order_value: npt.ArrayLike) -> Doubles:
        """What her next order is worth: her average, shrunk towards the shop's.

        orders: (n,), how many her average is of; 0 gives the shop's. An average below zero, where
        more was given back than bought, counts as zero.
        """
        x = np.asarray(orders, np.float64)
        m = np.maximum(np.asarray(average_order_value, np.float64), 0.0)
        paid = np.where(x > 0, x * m, 0.0)
        return np.asarray(self.p * (self.v + paid) / (self.p * x + self.q - 1))


def fit(orders: npt.ArrayLike, average_order_value: npt.ArrayLike, *, prior: float = 1.0) -> Spend:
    """The likeliest parameters, from customers who kept something of what they bought.

    q is above 1, so that there is an average. prior: the weight of a weak log-normal prior (medians
    p 2, q - 1 2, v such that the average is the shop's, each a factor of 4.5 either way). Customers
    without orders or with an average not above zero say nothing; raises ValueError where none is
    left.
    """
    every, values = np.asarray(orders, np.float64), np.asarray(average_order_value, np.float64)
    if every.shape != values.shape or every.ndim != 1:
        raise ValueError(
            "orders and average_order_value must be columns of one length, "
            f"got {every.shape}, {values.shape}"
        )
    some = (every > 0) & (values > 0) & np.isfinite(values)
    if not some.any():
        raise ValueError(
            f"spend needs a customer who kept what she bought, got none among {len(every)}"
        )
    every, values = every[some], values[some]
    x, place = np.unique(every, return_inverse=True)
    of_x = np.bincount(place).astype(np.float64)
    middle = float(np.average(values, weights=every))
    log_m, paid = np.log(values), every * values
    log_m_x = np.bincount(place, log_m)

    def likelihood(parameters: Doubles) -> tuple[float, Doubles]:
        p, over, v = parameters
        q = 1 + over
        shape = p * x + q
        reach = np.log(v + paid)
        by_x = gammaln(shape) - gammaln(p * x) - gammaln(q) + q * np.log(v) + p * x * np.log(x)
        value = float(of_x @ by_x + (p * x - 1) @ log_m_x - shape[place] @ reach)
        up = digamma(shape)
        dp = of_x @ (x * (up - digamma(p * x) + np.log(x))) + x @ log_m_x - every @ reach
        dq = of_x @ (up - digamma(q) + np.log(v)) - reach.sum()
        dv = len(every) * q / v - float(np.sum(shape[place] / (v + paid)))
        return value, np.array([dp, dq, dv])

    found = maximise(likelihood, Prior((2.0, 2.0, middle), SPREAD, prior), size=len(every))
    p, over, v = (float(value) for value in found.values)
    errors = tuple(float(error) for error in found.errors)
    return Spend(p, 1 + over, v, errors, found.log_likelihood, len(every))
