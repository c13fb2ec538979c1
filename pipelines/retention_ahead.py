"""What is ahead: orders and today's expectations in, orders and value to come, and their range out.

The range is what looks back have earned: how far off the same reckoning was when it was asked as of
90, 180 and 270 days ago about the 90 days after. Customers by themselves vary less than that: a
season, a price or a campaign moves them together.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from features.orders import Orders, micros
from models.evaluation.intervals import numbers
from models.lifetime.outlook import RETURN_DAYS, came, outlook

LOOKS = (1, 2, 3)  # windows of RETURN_DAYS ago
LEAST = 50  # orders expected, below which being off says nothing
Record = dict[str, Any]


def ahead(life: pa.Table, orders: Orders, at: datetime) -> Record:
    """`days {90 | 365: {orders, low, high, value, value_low, value_high}}` and `looks`.

    life: `customer_lifetime` at that moment. low and high are None where no look back is possible,
    and for a year, which would want two years of history; value is None where no prices are known.
    """
    looks = looks_back(orders, at)
    ratios = [look["ratio"] for look in looks]
    worth = numbers(life["expected_order_value"])
    found = {}
    for days in (RETURN_DAYS, 365):
        expected = numbers(life[f"expected_orders_{days}d"])
        total, value = float(expected.sum()), float((expected * worth).sum())
        low = high = None
        if ratios and days == RETURN_DAYS:
            low, high = min(1.0, *ratios), max(1.0, *ratios)
        priced = value if np.isfinite(value) else None
        found[str(days)] = {
            "orders": total,
            "low": None if low is None else low * total,
            "high": None if high is None else high * total,
            "value": priced,
            "value_low": None if low is None or priced is None else low * priced,
            "value_high": None if high is None or priced is None else high * priced,
        }
    return {"days": found, "looks": looks}


def looks_back(orders: Orders, at: datetime) -> list[Record]:
    """`at, until, expected, came, ratio` of each look back, the newest first.

    Customers are those known then; a look that would leave less history before it than lies after
    is not taken.
    """
    if not len(orders.time):
        return []
    found = []
    first = int(orders.time.min())
    for number in LOOKS:
        then = at - timedelta(days=number * RETURN_DAYS)
        if micros(then) - first < micros(at) - micros(then) or micros(then) <= first:
            break
        until = then + timedelta(days=RETURN_DAYS)
        told = outlook(orders, then)
        expected = float(told.expected_orders[RETURN_DAYS].sum())
        if expected < LEAST:
            break
        bought = float(came(orders, told.who, after=then, until=until).sum())
        found.append(
            {
                "at": then.isoformat(),
                "until": until.isoformat(),
                "expected": expected,
                "came": bought,
                "ratio": bought / expected,
            }
        )
    return found
