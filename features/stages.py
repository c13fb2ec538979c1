"""Stages: order times and a moment in, each customer's lifecycle stage then out.

The rule of `features.customers` on arrays, at any moment, for a history of stages; a test holds
the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from features.facts import DAY
from features.orders import Seen, micros
from features.parameters import Stages

Codes = npt.NDArray[np.int8]
NEVER = -1  # who had not ordered yet has no stage
NEW, ACTIVE, COOLING, AT_RISK, LAPSED = range(5)  # places in schemas.STAGES
PROBABLY, SURELY = 0.5, 0.2  # still there, by the probability of being alive


def stages(seen: Seen, *, at: datetime, rule: Stages) -> Codes:
    """(n,): place in STAGES by the customer's own rhythm, NEVER for who had not ordered yet."""
    n = seen.count
    per_day = DAY * 1e6
    span = (seen.last - seen.first).astype(np.float64) / per_day
    own_gap = span / np.maximum(n - 1, 1)
    several = n >= 2
    shop = float(np.median(own_gap[several])) if several.any() else 0.0
    usual = shop if shop > 0 else rule.fallback_days
    own = (own_gap * (n - 1) + usual * rule.shop_gaps) / np.maximum(n - 1 + rule.shop_gaps, 1e-9)
    gap = np.where(n >= rule.own_orders, own, usual)
    days = (micros(at) - seen.last).astype(np.float64) / per_day
    found = np.select(
        [
            n == 0,
            (n == 1) & (days <= gap * rule.new),
            days <= gap * rule.active,
            days <= gap * rule.cooling,
            days <= gap * rule.at_risk,
        ],
        [NEVER, NEW, ACTIVE, COOLING, AT_RISK],
        LAPSED,
    )
    return found.astype(np.int8)


def believed(stages: Codes, probability_alive: npt.NDArray[np.float64]) -> Codes:
    """Stages by rhythm, worsened where the customer has probably left.

    Below PROBABLY she is at risk at best, below SURELY she has lapsed. It never betters a stage:
    one order long ago leaves a model unsure, and such customers hardly ever return.
    """
    worse = np.where(probability_alive < PROBABLY, np.maximum(stages, AT_RISK), stages)
    worse = np.where(probability_alive < SURELY, LAPSED, worse)
    return np.where(stages == NEVER, NEVER, worse).astype(np.int8)


def month_ends(first: datetime, last: datetime, *, most: int) -> list[datetime]:
    """The last `most` moments at which a month (UTC) ended after `first`, then `last` itself."""
    moments = [last.astimezone(UTC)]
    end = moments[0].replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while end > first and len(moments) <= most:
        if end < moments[-1]:
            moments.append(end)
        end = (end - timedelta(days=1)).replace(day=1)
    return moments[::-1]
