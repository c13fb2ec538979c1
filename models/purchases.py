"""Interactions in, what each customer bought, when last and how often out, by row and code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.columns import numbers
from features.ids import IdMap
from features.schemas import TIME
from models.history import Codes, Places

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


def nothing(customers: int) -> Purchases:
    """Of a bundle that does not say what was bought."""
    return Purchases(
        np.zeros(customers + 1, np.int64),
        np.empty(0, np.int32),
        np.empty(0, np.int32),
        np.empty(0, np.int16),
    )
