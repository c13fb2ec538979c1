"""Decay: event times in; whole numbers out that add up in any order and halve with age.

An event's worth at `as_of` is w * 2^(-age / half-life). Kept as it is, it would change every day
and its sum with the order of the threads. So we keep it relative to an anchor, a fixed instant
before `as_of`, as a whole number of 2^-BITS: w * 2^((time - anchor) / half-life + BITS), rounded.
Such numbers never change as days pass, their sum is exact, and one factor, the same for all rows,
turns it into the worth at `as_of`. The anchor moves only every PERIOD half-lives; then a table
is built anew.
"""

from __future__ import annotations

import math
from datetime import datetime

import ibis.expr.types as ir

from features.facts import DAY, micros

PERIOD = 16  # half-lives between two anchors: a number stays below 2^(PERIOD + BITS) a unit
BITS = 20


def anchor(as_of: datetime, half_life_days: float) -> float:
    """Seconds since 1970 of the instant that ages are counted from."""
    period = half_life_days * DAY * PERIOD
    return math.floor(as_of.timestamp() / period) * period


def worth(
    time: ir.TimestampValue,
    weight: float | ir.NumericValue,
    *,
    as_of: datetime,
    half_life_days: float,
) -> ir.IntegerValue:
    """A weight at a time as a whole number that may be added to others."""
    seconds = micros(time).cast("float64") / 1e6 - anchor(as_of, half_life_days)
    halvings = seconds / (half_life_days * DAY) + BITS
    grown = (halvings * math.log(2)).exp()
    return (grown * weight).round().cast("int64")


def value(total: ir.IntegerValue, *, as_of: datetime, half_life_days: float) -> ir.FloatingValue:
    """What a sum of `worth` is worth at `as_of`."""
    seconds = as_of.timestamp() - anchor(as_of, half_life_days)
    return total.cast("float64") * 2.0 ** (-seconds / (half_life_days * DAY) - BITS)
