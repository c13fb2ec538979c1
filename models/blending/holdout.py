"""A history in, what was known before some of its events and what these bought out.

By time where the shop knows it: the newest tenth of what was bought, and nothing after the cut is
known to anyone. Else each customer's newest basket; where not even baskets are known, a random
fifth of her products.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from features.schemas import EVENT_TYPES
from models.baskets import BOUGHT, numbered, only
from models.history import Events, History, Places, Scores

Mask: TypeAlias = npt.NDArray[np.bool_]

SHARE = 0.1  # of what was bought, by time
FIFTH = 0.2
ENOUGH = 100_000  # events to read from what one is worth


def hold_out(history: History, *, seed: int) -> tuple[History, sp.csr_matrix]:
    """The past, its days counted from the cut, and CSR (rows, products) of what was bought after.

    Only customers who have a past have anything after it.
    """
    if history.events is None:
        past, after = _pairs(history, seed)
    else:
        past, after = _events(history, history.events)
    known = np.diff(past.weights.indptr) > 0
    after = sp.diags_array(known.astype(np.float32)).tocsr() @ after
    after.eliminate_zeros()
    return past, sp.csr_matrix(after)


def _pairs(history: History, seed: int) -> tuple[History, sp.csr_matrix]:
    weights = history.weights
    if history.last_days is not None and np.ptp(history.last_days) > 0:
        cut = np.quantile(history.last_days, SHARE)
        gone = history.last_days <= cut
        days: Scores | None = history.last_days - np.float32(cut)
    else:
        row = np.repeat(np.arange(history.rows), np.diff(weights.indptr))
        gone = np.random.default_rng(seed).random(weights.nnz) < FIFTH
        gone &= np.bincount(row, ~gone, history.rows)[row] > 0
        days = history.last_days
    past = _without(history, gone, weights.data, days)
    return past, _matrix(history, gone, np.ones(weights.nnz, np.float32))


def _events(history: History, events: Events) -> tuple[History, sp.csr_matrix]:
    weights, width = history.weights, np.int64(history.products)
    row = np.repeat(np.arange(history.rows), np.diff(events.starts))
    bought = events.types == BOUGHT
    if not bought.any():
        bought = np.ones(len(row), bool)
    dated = np.isfinite(events.days)
    cut = np.float32(0)
    if dated.any() and np.ptp(events.days[dated]) > 0:
        cut = np.float32(np.quantile(events.days[dated & bought], SHARE))
        gone = events.days <= cut  # never where unknown
    else:
        gone = _newest(events, row, bought)
    pairs = np.repeat(np.arange(history.rows), np.diff(weights.indptr)) * width + weights.indices
    at, found = _places(pairs, row * width + events.products)
    all_of = np.bincount(at[found], minlength=weights.nnz)
    stays = found & ~gone
    left = np.bincount(at[stays], minlength=weights.nnz)
    # What a pair's weight was is told by what is left of it, never by what came after.
    each = (weights.data / np.maximum(all_of, 1))[at]
    worth = _worth(events, each, found & (all_of[at] == 1))
    before = np.bincount(at[stays], worth[stays], weights.nnz)
    data = np.where(left < all_of, before, weights.data).astype(np.float32)
    lost = (all_of > 0) & (left == 0)
    days = history.last_days
    if days is not None:
        newest = np.full(weights.nnz, np.inf, np.float32)
        np.minimum.at(newest, at[stays], events.days[stays])
        lost |= (all_of == 0) & (days <= cut)
        days = np.where(np.isfinite(newest), newest, days) - cut
    past = only(events, ~gone)
    past = replace(past, days=past.days - cut)
    truth = gone & bought
    after = sp.csr_matrix(
        (np.ones(int(truth.sum()), np.float32), (row[truth], events.products[truth])),
        weights.shape,
    )
    after.data[:] = 1
    return replace(_without(history, lost, data, days), events=past), after


def _worth(
    events: Events, weights: npt.NDArray[np.float64], alone: Mask
) -> npt.NDArray[np.float64]:
    """(n,) what each event adds to its pair's weight, by type and falling with age.

    weights: (n,) the mean of the pair's. Read off events that are alone of theirs.
    """
    some = np.flatnonzero(alone)[:ENOUGH]
    if not len(some):
        return np.full(len(weights), weights.mean() if len(weights) else 1.0)
    days = np.nan_to_num(events.days)
    x = np.zeros((len(some), len(EVENT_TYPES) + 2))
    x[np.arange(len(some)), events.types[some]] = 1  # unknown, -1, is the last of all
    x[:, -2] = days[some]
    log = np.log(weights[some])
    found = np.linalg.lstsq(x, log - log.mean())[0]
    worth: npt.NDArray[np.float64] = np.exp(found[events.types] + found[-2] * days + log.mean())
    return worth


def _newest(events: Events, row: Places, bought: Mask) -> Mask:
    """Each customer's newest basket of those bought, and all after it; not of who has no other."""
    basket, baskets = numbered(only(events, bought), row[bought])
    newest = (basket == baskets[row[bought]] - 1) & (basket > 0)
    begin = np.full(len(events.starts), len(row))
    np.minimum.at(begin, row[bought][newest], np.flatnonzero(bought)[newest])
    return np.arange(len(row)) >= begin[row]


def _without(history: History, gone: Mask, data: Scores, days: Scores | None) -> History:
    left = None if days is None else days[~gone]
    return replace(history, weights=_matrix(history, ~gone, data), last_days=left)


def _matrix(history: History, keep: Mask, data: Scores) -> sp.csr_matrix:
    weights = history.weights
    ends = np.concatenate(([0], np.cumsum(keep)))[weights.indptr]
    return sp.csr_matrix((data[keep], weights.indices[keep], ends), weights.shape)


def _places(
    keys: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Mask]:
    """Where each asked key stands among sorted keys, and whether it does."""
    if not len(keys):
        return np.zeros(len(asked), np.int64), np.zeros(len(asked), bool)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return at, keys[at] == asked
