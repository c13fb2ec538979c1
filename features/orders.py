"""Orders: baskets in, the times at which each customer ordered, one after another, out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.facts import DAY

Ints = npt.NDArray[np.int64]
DAY_MICROS = DAY * 1_000_000
GROUPS = ("customer_id", "order_time")  # what is read of baskets


@dataclass(frozen=True, slots=True)
class Seen:
    """What was known of n customers at a moment; those who had not ordered yet have count 0.

    count: orders. first, last: microseconds since 1970. first_day, last_day: days since 1970.
    days: distinct days (UTC) with an order.
    """

    count: Ints
    first: Ints
    last: Ints
    first_day: Ints
    last_day: Ints
    days: Ints


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders of n known customers.

    customers: (n,) ids, rising. start: (n + 1,), where each one's orders begin. time: microseconds
    since 1970, rising within a customer; day: which of her days with an order it is, from 1.
    """

    customers: pa.Array
    start: Ints
    time: Ints
    day: Ints

    def seen(self, at: datetime) -> Seen:
        """What was known at a moment: orders after it did not influence it."""
        until = micros(at)
        known = np.concatenate([[0], np.cumsum(self.time <= until)])
        count = known[self.start[1:]] - known[self.start[:-1]]
        some = count > 0
        first = np.where(some, self.time[self.start[:-1]], 0)
        newest = self.start[:-1] + np.maximum(count - 1, 0)
        last = np.where(some, self.time[newest], 0)
        days = np.where(some, self.day[newest], 0)
        return Seen(count, first, last, first // DAY_MICROS, last // DAY_MICROS, days)

    def gaps(self, at: datetime) -> tuple[Ints, Ints]:
        """Whole days between a customer's days with an order until a moment: lengths, counts."""
        until = micros(at)
        day = self.time // DAY_MICROS
        owner = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        same = (owner[1:] == owner[:-1]) & (day[1:] > day[:-1]) & (self.time[1:] <= until)
        return np.unique((day[1:] - day[:-1])[same], return_counts=True)


def orders(baskets: pa.Table) -> Orders:
    """The orders of known customers; baskets: at least the columns customer_id, order_time."""
    rows = baskets.select(GROUPS).filter(pc.field("customer_id").is_valid())
    named = rows["customer_id"].combine_chunks().dictionary_encode()
    if isinstance(named, pa.ChunkedArray):
        named = named.combine_chunks()
    ids = named.dictionary
    order = pc.sort_indices(ids)
    rank = np.empty(len(ids), np.int64)
    rank[order.to_numpy(zero_copy_only=False)] = np.arange(len(ids))
    owner = rank[named.indices.to_numpy(zero_copy_only=False)]
    time = rows["order_time"].cast(pa.int64()).to_numpy()
    by = np.lexsort((time, owner))
    owner, time = owner[by], time[by]
    start = np.searchsorted(owner, np.arange(len(ids) + 1))
    new = np.ones(len(time), np.int64)  # opens a day of hers
    day = time // DAY_MICROS
    new[1:] = (owner[1:] != owner[:-1]) | (day[1:] != day[:-1])
    opened = np.cumsum(new)
    before = np.concatenate([[0], opened])[start[:-1]]
    return Orders(ids.take(order), start, time, opened - np.repeat(before, np.diff(start)))


def micros(at: datetime) -> int:
    """Microseconds since 1970; raises ValueError without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"a moment must have a time zone, got {at.isoformat()}")
    return round(at.timestamp() * 1_000_000)
