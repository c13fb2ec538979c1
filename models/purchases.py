"""Interactions in, what each customer bought, when, how often, when again out, by row and code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.columns import numbers
from features.ids import IdMap
from features.schemas import TIME
from models.history import Codes, Places, Scores

DAY = 86_400_000_000  # microseconds


class Purchases(NamedTuple):
    """What customer `row` bought: entries starts[row]:starts[row + 1], by ascending code.

    starts: (customers + 1,) int64. products: codes. days: int32, the last purchase's day, counted
    in UTC from 1970-01-01; -1 unknown. orders: int16, in how many orders, at most 32,767.
    """

    starts: Places
    products: Codes
    days: Codes
    orders: npt.NDArray[np.int16]


class Clock(NamedTuple):
    """When each entry of Purchases is due again; all zeros for one of which nothing was kept.

    intervals: days it usually lasts, 0 where nothing is sure. hers: whether that is her own
    interval; else it is all customers' of that product. early, due, overdue: days since 1970 by
    which one in ten, half and three in four come again; 0 for a product that is not bought again
    and again. waits: whether it was too early at publication. chances: that she buys it within 14
    days, at publication.
    """

    intervals: Scores
    hers: npt.NDArray[np.bool_]
    early: Codes
    due: Codes
    overdue: Codes
    waits: npt.NDArray[np.bool_]
    chances: Scores


def purchases(interactions: pa.Table, customers: IdMap, products: IdMap) -> Purchases:
    """Of the customers and products that the model knows.

    interactions: customer_id, product_id, purchases, orders, last_purchase_time; one row a pair.
    """
    bought = interactions.filter(pc.greater(interactions["purchases"], 0))
    row, code = customers.codes(bought["customer_id"]), products.codes(bought["product_id"])
    order = np.lexsort((code, row))
    order = order[(row[order] >= 0) & (code[order] >= 0)]
    time = bought["last_purchase_time"].cast(TIME).cast(pa.int64()).combine_chunks()
    days = numbers(time, null=-DAY) // DAY
    orders = numbers(bought["orders"].cast(pa.int32()).combine_chunks(), null=1)
    return Purchases(
        np.searchsorted(row[order], np.arange(len(customers) + 1)).astype(np.int64),
        code[order],
        days[order].astype(np.int32),
        np.minimum(orders[order], np.iinfo(np.int16).max).astype(np.int16),
    )


def clock(replenishment: pa.Table, of: Purchases, customers: IdMap, products: IdMap) -> Clock:
    """The rows of the table `replenishment` beside the entries they are about."""
    row = customers.codes(replenishment["customer_id"]).astype(np.int64)
    code = products.codes(replenishment["product_id"])
    owner = np.repeat(np.arange(len(of.starts) - 1), np.diff(of.starts))
    entry = owner * len(products) + of.products  # ascending
    key = row * len(products) + code
    key[(row < 0) | (code < 0)] = -1
    place = np.minimum(np.searchsorted(entry, key), max(len(entry) - 1, 0))
    there = np.flatnonzero(entry[place] == key) if len(entry) else np.empty(0, np.int64)
    place = place[there]

    def laid(values: npt.NDArray[Any], kind: Any) -> npt.NDArray[Any]:
        found = np.zeros(len(entry), kind)
        found[place] = values[there]
        return found

    def day(name: str) -> npt.NDArray[Any]:
        """A time of the table as a day; 0 for what is not due ever."""
        micros = numbers(replenishment[name].cast(pa.int64()).combine_chunks(), null=0)
        return laid(np.where(timed, micros // DAY, 0), np.int32)

    def real(name: str) -> npt.NDArray[Any]:
        return numbers(replenishment[name].combine_chunks(), null=0)

    timed = numbers(replenishment["state"].is_valid().cast(pa.uint8()).combine_chunks(), null=0) > 0
    said = pc.equal(replenishment["state"], "too_early").cast(pa.uint8()).combine_chunks()
    early = numbers(said, null=0)
    own = real("own_interval_days")
    return Clock(
        laid(np.where(own > 0, own, real("product_interval_days")), np.float32),
        laid(own > 0, np.bool_),
        day("due_from"),
        day("due_at"),
        day("overdue_at"),
        laid(early > 0, np.bool_),
        laid(real("chance_14d"), np.float32),
    )


def nothing(customers: int) -> Purchases:
    """Of a bundle that does not say what was bought."""
    return Purchases(
        np.zeros(customers + 1, np.int64),
        np.empty(0, np.int32),
        np.empty(0, np.int32),
        np.empty(0, np.int16),
    )
