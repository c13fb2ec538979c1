"""Histories in, what each customer bought and when by her own count of baskets out.

A basket is an order; where orders are unknown a day; where days are unknown too, a single event.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from features.schemas import EVENT_TYPES
from models.history import Codes, Events, History, Places, Scores

BOUGHT = EVENT_TYPES.index("purchase")
PRIOR_GAPS = 3.0  # intervals of the product that hers are pulled to, and of the shop that its are
BLOCK = 100_000  # customers whose baskets are looked at together
UNDONE = tuple(EVENT_TYPES.index(name) for name in ("refund", "remove_from_cart"))


class Bought(NamedTuple):
    """Pairs of a customer and a product she bought, by row and code: a CSR's parts, and facts.

    baskets: (rows,) how many she has. All else (pairs,) float32. share: of her baskets that held
    it, each counting `decay` times the next. times: how many held it. last, first: how many baskets
    ago, 0 being the newest. days, oldest: the same in days, NaN where unknown.
    """

    starts: Places
    products: Codes
    baskets: npt.NDArray[np.int64]
    share: Scores
    times: Scores
    last: Scores
    first: Scores
    days: Scores
    oldest: Scores

    def matrix(self, values: Scores, width: int) -> sp.csr_matrix:
        """A fact as CSR (rows, products)."""
        shape = (len(self.starts) - 1, width)
        return sp.csr_matrix((values, self.products, self.starts), shape)


def bought(history: History, *, decay: float) -> Bought:
    """What each customer bought; who bought nothing is described by what else she did.

    Histories without events are one basket, and a share is a weight over her greatest: weights
    have aged already.
    """
    if history.events is None:
        return _of_weights(history)
    events = kept(history.events)
    row = np.repeat(np.arange(history.rows), np.diff(events.starts))
    basket, baskets = numbered(events, row)
    # One line a pair and basket, by pair and then by age.
    line = np.argsort(row * np.int64(history.products) + events.products, kind="stable")
    pair = (row * np.int64(history.products) + events.products)[line]
    basket, days = basket[line], events.days[line]
    fresh = np.ones(len(line), bool)
    fresh[1:] = (pair[1:] != pair[:-1]) | (basket[1:] != basket[:-1])
    line, pair, basket, days = line[fresh], pair[fresh], basket[fresh], days[fresh]
    begins = np.flatnonzero(np.diff(pair, prepend=-1))
    ends = np.append(begins[1:], len(pair)) - 1
    owner, products = np.divmod(pair[begins], history.products)
    age = baskets[row[line]] - 1 - basket
    total = (1 - decay ** baskets[owner]) / (1 - decay) if decay < 1 else baskets[owner]
    counts = np.diff(begins, append=len(pair))
    return Bought(
        np.searchsorted(owner, np.arange(history.rows + 1)).astype(np.int64),
        products.astype(np.int32),
        baskets,
        (_sums(np.power(decay, age), begins) / total).astype(np.float32),
        counts.astype(np.float32),
        age[ends].astype(np.float32),
        age[begins].astype(np.float32),
        days[ends],
        days[begins],
    )


def rhythm(hers: Bought, gaps: Scores) -> tuple[Scores, Scores]:
    """(pairs,) how long ago each was bought and how long it usually lasts, in days where known."""
    dated = np.isfinite(hers.days)
    since = np.where(dated, hers.days, hers.last + 1)
    spans = np.where(dated, hers.oldest - hers.days, hers.first - hers.last)
    usual = np.where(dated, gaps[hers.products, 1], gaps[hers.products, 0])
    usual = (spans + PRIOR_GAPS * usual) / (hers.times - 1 + PRIOR_GAPS)
    return since.astype(np.float32), np.maximum(usual, 0.5).astype(np.float32)


def intervals(history: History) -> Scores:
    """(products, 2) mean interval between two baskets of one customer that hold it, and in days."""
    sums = np.zeros((2, 2, history.products))  # baskets or days; intervals' sum and number
    for start in range(0, history.rows, BLOCK):
        rows = np.arange(start, min(start + BLOCK, history.rows))
        of = bought(history.take(rows), decay=1.0)
        for unit, spans in enumerate((of.first - of.last, of.oldest - of.days)):
            again = np.isfinite(spans) & (of.times > 1)
            codes = of.products[again]
            sums[unit, 0] += np.bincount(codes, spans[again], history.products)
            sums[unit, 1] += np.bincount(codes, of.times[again] - 1, history.products)
    total = sums.sum(axis=2, keepdims=True)  # (2, 2, 1)
    shop = np.where(total[:, 1] > 0, total[:, 0] / np.maximum(total[:, 1], 1), 1)  # (2, 1)
    gaps = (sums[:, 0] + PRIOR_GAPS * shop) / (sums[:, 1] + PRIOR_GAPS)
    return np.ascontiguousarray(gaps.T, dtype=np.float32)


def only(events: Events, keep: npt.NDArray[np.bool_]) -> Events:
    """Some of the events."""
    kept = np.concatenate(([0], np.cumsum(keep)))
    return Events(
        kept[events.starts].astype(np.int64),
        events.products[keep],
        events.types[keep],
        events.channels[keep],
        events.orders[keep],
        events.days[keep],
    )


def _of_weights(history: History) -> Bought:
    weights = history.weights
    lengths = np.diff(weights.indptr)
    greatest = np.zeros(history.rows, np.float32)
    some = np.flatnonzero(lengths)
    if len(some):
        greatest[some] = np.maximum.reduceat(weights.data, weights.indptr[some])
    share = weights.data / np.repeat(greatest, lengths)
    zero = np.zeros(weights.nnz, np.float32)
    unknown = np.full(weights.nnz, np.nan, np.float32)
    days = unknown if history.last_days is None else history.last_days
    return Bought(
        weights.indptr.astype(np.int64),
        weights.indices,
        np.minimum(lengths, 1).astype(np.int64),
        share,
        zero + 1,
        zero,
        zero,
        days,
        days,
    )


def kept(events: Events) -> Events:
    """Purchases and events of unknown type; of who has none whatever she did not undo."""
    row = np.repeat(np.arange(len(events.starts) - 1), np.diff(events.starts))
    buys = (events.types == BOUGHT) | (events.types < 0)
    buyer = np.zeros(len(events.starts) - 1, bool)
    buyer[row[buys]] = True
    keep = np.where(buyer[row], buys, ~np.isin(events.types, UNDONE))
    return events if keep.all() else only(events, keep)


def numbered(
    events: Events, row: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n,) number of each event's basket among its row's, from 0, oldest first; (rows,) baskets."""
    dated = np.isfinite(events.days)
    day = np.floor(np.where(dated, events.days, 0)).astype(np.int64)
    alone = np.arange(len(row))
    key = np.where(events.orders >= 0, events.orders, np.where(dated, day, alone))
    sort = np.where(events.orders >= 0, 0, np.where(dated, 1, 2))
    opens = np.ones(len(row), bool)
    opens[1:] = (row[1:] != row[:-1]) | (key[1:] != key[:-1]) | (sort[1:] != sort[:-1])
    number = np.cumsum(opens)
    before = np.concatenate(([0], number))[events.starts]  # baskets opened before each row
    return number - 1 - before[row], np.diff(before)


def _sums(
    values: npt.NDArray[np.float64], begins: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    if not len(begins):
        return values
    sums: npt.NDArray[np.float64] = np.add.reduceat(values, begins)
    return sums
