"""Tables of interactions, products and events in, ids and the history to learn from out."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from features.ids import IdMap
from features.schemas import CHANNELS, EVENT_TYPES, TIME
from models.history import Events, History, ModelError
from models.traits import catalogue

Numbers: TypeAlias = npt.NDArray[Any]

DAY = 86_400_000_000  # microseconds
BOUGHT = EVENT_TYPES.index("purchase")


def learn_from(
    interactions: pa.Table,
    products: pa.Table | None = None,
    events: pa.Table | None = None,
    *,
    known: tuple[IdMap, IdMap] | None = None,
    whole: bool = False,
) -> tuple[IdMap, IdMap, History]:
    """Customers by row, products by code, and their history; the same for any order of rows.

    The tables: `Recommender.fit`. known: the maps of an earlier fit, whose codes stay as they
    are. whole: every product of the catalogue gets a code, and its price and traits are read.
    """
    interactions = _checked(interactions)
    customers, codes = (
        IdMap.of(interactions[name]) if known is None else known[place].extended(interactions[name])
        for place, name in enumerate(("customer_id", "product_id"))
    )
    if whole and products is not None and len(interactions):
        codes = codes.extended(products["product_id"])
    history = _history(interactions, customers, codes)
    return (
        customers,
        codes,
        History(
            history.weights,
            history.last_days,
            None if products is None else catalogue(products, codes, full=whole),
            None if events is None else _events(events, customers, codes),
        ),
    )


def _checked(interactions: pa.Table) -> pa.Table:
    """Interactions of some weight; raises ModelError, with the ids, for a weight that cannot be."""
    weight = interactions["weight"].cast(pa.float64()).cast(pa.float32())
    right = pc.fill_null(pc.and_(pc.is_finite(weight), pc.greater_equal(weight, 0)), False)
    wrong = interactions.filter(pc.invert(right))
    if wrong.num_rows:
        row = wrong.slice(0, 1).to_pylist()[0]
        raise ModelError(
            f"weight must be finite and at least 0, got {row['weight']} for customer "
            f"{row['customer_id']!r} and product {row['product_id']!r}, {wrong.num_rows} such rows"
        )
    return interactions.filter(pc.greater(weight, 0))


def _history(interactions: pa.Table, customers: IdMap, products: IdMap) -> History:
    """Interactions as CSR, customers by row and products by column, pairs added up."""
    row, column = (
        ids.codes(interactions[name], unknown="raise")
        for ids, name in ((customers, "customer_id"), (products, "product_id"))
    )
    weight = interactions["weight"].cast(pa.float64()).to_numpy()
    order = np.lexsort((weight, column, row))
    row, column = row[order], column[order]
    first = np.ones(len(row), dtype=bool)  # of its pair
    first[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    starts = np.flatnonzero(first)
    shape = (len(customers), len(products))
    sums = np.add.reduceat(weight[order], starts) if len(starts) else weight
    indptr = np.searchsorted(row[starts], np.arange(shape[0] + 1)).astype(np.int64)
    weights = sp.csr_matrix((sums.astype(np.float32), column[starts], indptr), shape)
    if "last_time" not in interactions.column_names:
        return History(weights)
    if interactions["last_time"].null_count == interactions.num_rows:
        return History(weights)
    time = interactions["last_time"].cast(TIME).cast(pa.int64())
    time = pc.fill_null(time, pc.min(time)).to_numpy()  # unknown: as old as the oldest
    age = (time.max(initial=0) - time[order]) / DAY
    ages = np.minimum.reduceat(age, starts) if len(starts) else age
    return History(weights, ages.astype(np.float32))


def _events(events: pa.Table, customers: IdMap, products: IdMap) -> Events:
    """Events of known customers and products, by row and time; equal times by the other columns.

    Without times they stand in the order of the table's rows.
    """
    row, code = customers.codes(events["customer_id"]), products.codes(events["product_id"])
    keep = (row >= 0) & (code >= 0)
    count, names = events.num_rows, events.column_names
    types = _places(events, "event_type", EVENT_TYPES)
    channels = _places(events, "channel", CHANNELS)
    timed = "event_time" in names and events["event_time"].null_count < count
    if timed:
        time = events["event_time"].cast(TIME).cast(pa.int64())
        time = pc.fill_null(time, pc.min(time)).to_numpy()
        days = ((time.max(initial=0) - time) / DAY).astype(np.float32)
    else:
        time, days = np.arange(count), np.full(count, np.nan, np.float32)
    number = np.full(count, -1, np.int64)  # of its order, in any order
    if "order_id" in names:
        order_ids = IdMap.of(events["order_id"])
        number = order_ids.codes(events["order_id"]).astype(np.int64)
        number[(types != BOUGHT) & (types >= 0)] = -1
    place = np.lexsort((channels, types, code, number, time, row))
    place = place[keep[place]]
    row, number = row[place], number[place]
    starts = np.searchsorted(row, np.arange(len(customers) + 1)).astype(np.int64)
    return Events(
        starts,
        code[place],
        types[place],
        channels[place],
        _nth(row, number),
        days[place],
    )


def _places(events: pa.Table, name: str, words: tuple[str, ...]) -> Numbers:
    """(rows,) int8 place of each word, -1 for others and where there is no such column."""
    if name not in events.column_names:
        return np.full(events.num_rows, -1, np.int8)
    found = pc.fill_null(pc.index_in(events[name], value_set=pa.array(words)), -1)
    places: Numbers = found.to_numpy().astype(np.int8)
    return places


def _nth(row: Numbers, number: Numbers) -> Numbers:
    """Which of its row's orders each event is of, from 0, by when the order began; -1 stays."""
    orders = np.full(len(row), -1, np.int32)
    places = np.flatnonzero(number >= 0)
    if not len(places):
        return orders
    key = row[places] * (number.max() + 1) + number[places]
    _, first, back = np.unique(key, return_index=True, return_inverse=True)  # first place of each
    rank = np.argsort(np.argsort(first))  # among all orders, by their first events
    began = np.sort(first)
    owner = row[places][began]  # (orders,), ascending
    nth = np.arange(len(began)) - np.searchsorted(owner, owner)
    orders[places] = nth[rank[back]]
    return orders
