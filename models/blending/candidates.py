"""Histories and sources' scores in, what may be ranked for each customer and facts about it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.baskets import BLOCK, Bought, bought, intervals, rhythm
from models.history import Codes, History, Scores
from models.rank import top_k

DECAY = 0.95
MONTH = 28  # days
HERS = ("share", "times", "last", "first", "days", "since", "usual", "over")
PRODUCTS = ("popular", "recent", "again", "lasts", "lasts_days", "price")
CUSTOMER = ("baskets", "products", "size", "repeats", "order_days")
CROSSED = ("price_fit", "taste", "taste_newest")
COARSE = np.uint32(0xFFFFE000)  # 11 bits of a score: less than rounding may differ


class Candidates(NamedTuple):
    """Rows and codes, by row and code, no pair twice."""

    rows: npt.NDArray[np.int64]
    codes: Codes

    def where(self, keep: npt.NDArray[np.bool_]) -> Candidates:
        """Some of them."""
        return Candidates(self.rows[keep], self.codes[keep])


def candidates(history: History, scores: Mapping[str, Scores], m: int) -> Candidates:
    """All that each customer took, and the m best of each source among what she did not take."""
    row = np.repeat(np.arange(history.rows), np.diff(history.weights.indptr))
    keys = [row * np.int64(history.products) + history.weights.indices]
    for of in scores.values():
        best = top_k(of, min(m, history.products), seen=history.weights).codes
        row, place = np.nonzero(best >= 0)
        keys.append(row * np.int64(history.products) + best[row, place])
    rows, codes = np.divmod(np.unique(np.concatenate(keys)), history.products)
    return Candidates(rows, codes.astype(np.int32))


def names(sources: Iterable[str]) -> list[str]:
    """What the columns of `facts` are."""
    of = [f"{source}_{what}" for source in sorted(sources) for what in ("score", "place")]
    return [*of, *HERS, *PRODUCTS, *CUSTOMER, *CROSSED]


def coarse(scores: Scores) -> Scores:
    """Scores to 11 bits, so that one row and a batch of rows have the very same."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    rounded: Scores = ((bits + ~COARSE // 2) & COARSE).view(np.float32)
    return rounded


def facts(
    history: History, of: Candidates, scores: Mapping[str, Scores], products: Scores
) -> Scores:
    """(candidates, `names`) float32, NaN where unknown. products: as `product_facts` gave."""
    rows, codes = of
    columns: list[npt.NDArray[np.floating]] = []
    for _, score in sorted(scores.items()):
        value = score[rows, codes]
        columns += [value, _places(rows, value)]
    hers = bought(history, decay=DECAY)
    pairs = _found(hers, of, history.products)  # (candidates,) place in hers, -1 for none
    owner = np.repeat(np.arange(history.rows), np.diff(hers.starts))
    since, usual = rhythm(hers, products[:, 3:5])
    for value in (hers.share, hers.times, hers.last, hers.first, hers.days, since, usual):
        columns.append(_at(value, pairs))
    columns.append(_at(since / usual, pairs))
    columns += list(products[codes].T)
    sizes = np.bincount(owner, hers.times, history.rows)
    different = np.diff(hers.starts)
    per = sizes / np.maximum(hers.baskets, 1)
    newest = np.full(history.rows, np.inf)
    np.minimum.at(newest, owner, np.where(np.isnan(hers.days), np.inf, hers.days))
    newest[~np.isfinite(newest)] = np.nan
    for fact in (hers.baskets, different, per, 1 - different / np.maximum(sizes, 1), newest):
        columns.append(fact[rows].astype(np.float64))
    columns += _crossed(history, hers, owner, of, products[:, 5])
    return np.stack(columns, axis=1, dtype=np.float32)


def product_facts(history: History) -> Scores:
    """(products, PRODUCTS).

    popular: log share of customers. recent: in the newest month against it,
    or in newest baskets where days are unknown. again: share of its
    customers who took it again. lasts: interval in baskets, and in days. price.
    """
    width = history.products
    takers, newest, again = np.zeros((3, width))
    for start in range(0, history.rows, BLOCK):
        rows = np.arange(start, min(start + BLOCK, history.rows))
        of = bought(history.take(rows), decay=DECAY)
        takers += np.bincount(of.products, minlength=width)
        late = np.where(np.isfinite(of.days), of.days < MONTH, of.last == 0)
        newest += np.bincount(of.products, late, width)
        again += np.bincount(of.products, of.times > 1, width)
    popular = np.log((takers + 1) / (history.rows + 1))
    shop = again.sum() / max(1, takers.sum())
    prices = None if history.catalogue is None else history.catalogue.prices
    columns = [
        popular,
        np.log((newest + 1) / (history.rows + 1)) - popular,
        (again + 10 * shop) / (takers + 10),
        *intervals(history).T,
        np.full(width, np.nan) if prices is None else prices,
    ]
    return np.stack(columns, axis=1, dtype=np.float32)


def _crossed(
    history: History,
    hers: Bought,
    owner: npt.NDArray[np.int64],
    of: Candidates,
    prices: Scores,
) -> list[npt.NDArray[np.floating]]:
    """Log of the price against the middle of hers; the share of its category in what she took."""
    rows, codes = of
    paid = prices[hers.products]
    order = np.lexsort((paid, owner))  # NaN last within a row
    known = np.bincount(owner, np.isfinite(paid), history.rows).astype(np.int64)
    middle = np.full(history.rows, np.nan)
    some = np.flatnonzero(known)
    middle[some] = paid[order][hers.starts[some] + known[some] // 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = np.log(prices[codes] / middle[rows])
    unknown = np.full(len(rows), np.nan)
    if history.catalogue is None:
        return [fit, unknown, unknown]
    categories = history.catalogue.categories
    width = int(categories.max(initial=-1)) + 2
    cell = owner * np.int64(width) + categories[hers.products] + 1
    asked = rows * np.int64(width) + categories[codes] + 1
    shares = [
        _share(cell, hers.times * (hers.last <= past), owner, asked, rows, history.rows)
        for past in (np.inf, 0)
    ]
    nameless = categories[codes] < 0
    return [fit, *(np.where(nameless, np.nan, share) for share in shares)]


def _share(
    cell: npt.NDArray[np.int64],
    weight: Scores,
    owner: npt.NDArray[np.int64],
    asked: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    count: int,
) -> npt.NDArray[np.float64]:
    """(candidates,) weight of the cell asked for as a share of its row's."""
    cells, place = np.unique(cell, return_inverse=True)
    if not len(cells):
        return np.zeros(len(asked))
    sums = np.bincount(place, weight)
    at = np.minimum(np.searchsorted(cells, asked), len(cells) - 1)
    total = np.bincount(owner, weight, count)
    share: npt.NDArray[np.float64] = np.where(cells[at] == asked, sums[at], 0)
    return share / np.maximum(total[rows], 1)


def _places(rows: npt.NDArray[np.int64], value: Scores) -> npt.NDArray[np.float64]:
    """(candidates,) 1 / rank among the row's, equal ones sharing the best."""
    order = np.lexsort((-value, rows))
    r, v = rows[order], value[order]
    begins = np.searchsorted(r, r)
    opens = np.ones(len(r), bool)
    opens[1:] = (r[1:] != r[:-1]) | (v[1:] != v[:-1])
    first = np.maximum.accumulate(np.where(opens, np.arange(len(r)), 0))
    places = np.empty(len(r))
    places[order] = 1 / (first - begins + 1)
    return places


def _found(hers: Bought, of: Candidates, width: int) -> npt.NDArray[np.int64]:
    owner = np.repeat(np.arange(len(hers.starts) - 1), np.diff(hers.starts))
    keys = owner * np.int64(width) + hers.products
    asked = of.rows * np.int64(width) + of.codes
    if not len(keys):
        return np.full(len(asked), -1)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, at, -1)


def _at(value: Scores, pairs: npt.NDArray[np.int64]) -> Scores:
    """(candidates,) a fact of a pair, NaN for what she never bought."""
    if not len(value):
        return np.full(len(pairs), np.nan, np.float32)
    return np.where(pairs >= 0, value[pairs], np.float32(np.nan))
