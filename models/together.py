"""Baskets in, for each product those that are bought in the same orders out: what goes with it.

A pair counts by its log-likelihood ratio: how surely it stands together in more orders than two
products that have nothing to do with each other would (Dunning, Accurate Methods for the
Statistics of Surprise and Coincidence, Computational Linguistics 1993). So a rare pair does not
win by chance, as it does by lift, nor a product that stands in every order by mere counts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from features.ids import IdMap
from models.history import Codes, Scores

LEAST = 3  # orders in which a pair must stand
LARGEST = 500  # products of an order: what is larger says of no pair that it goes together
PAIRS = 1 << 23  # looked at in a block


def together(baskets: pa.Table, products: IdMap, k: int = 50) -> tuple[Codes, Scores]:
    """The k products that go best with each, by code: (products, k), -1 and -inf where fewer.

    baskets: `products` of each order, each once in it. Equal scores by lower code.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    codes = np.full((len(products), k), -1, np.int32)
    scores = np.full((len(products), k), -np.inf, np.float32)
    by_order = _orders(baskets, products)
    by_product = by_order.T.tocsr()  # (products, orders)
    orders, count = by_order.shape[0], np.diff(by_product.indptr)
    size = np.diff(by_order.indptr)
    work = np.concatenate(([0], np.cumsum(by_product @ size.astype(np.int64))))  # pairs before each
    start = 0
    while start < len(products):
        end = max(start + 1, int(np.searchsorted(work, work[start] + PAIRS, "right")) - 1)
        both = by_product[start:end] @ by_order  # (end - start, products), orders with both
        row = np.repeat(np.arange(start, end), np.diff(both.indptr))
        keep = (both.data >= LEAST) & (both.indices != row)
        row, other, times = row[keep], both.indices[keep], both.data[keep]
        worth = surprise(times, count[row], count[other], orders)
        keep = worth > 0
        row, other, worth = row[keep], other[keep], worth[keep].astype(np.float32)
        order = np.lexsort((other, -worth, row))
        row, other, worth = row[order], other[order], worth[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        keep = place < k
        codes[row[keep], place[keep]] = other[keep]
        scores[row[keep], place[keep]] = worth[keep]
        start = end
    return codes, scores


def surprise(
    both: npt.NDArray[np.int64], one: npt.NDArray[np.int64], other: npt.NDArray[np.int64], all: int
) -> npt.NDArray[np.float64]:
    """Log-likelihood ratios of counts of orders; 0 for a pair no more often than by chance."""
    k11 = both.astype(np.float64)
    k12, k21 = one - k11, other - k11
    k22 = all - one - k21
    ratio = 2 * (
        (_xlogx(k11) + _xlogx(k12) + _xlogx(k21) + _xlogx(k22) + _xlogx(np.float64(all)))
        - (_xlogx(k11 + k12) + _xlogx(k21 + k22) + _xlogx(k11 + k21) + _xlogx(k12 + k22))
    )
    oftener = k11 * all > one.astype(np.float64) * other
    return np.where(oftener, np.maximum(ratio, 0), 0.0)


def _xlogx(x: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    return np.asarray(x * np.log(np.maximum(x, 1)))


def _orders(baskets: pa.Table, products: IdMap) -> sp.csr_matrix:
    """(orders, products) int32, 1 where an order holds a product that the model knows."""
    lists = baskets["products"].combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # none at all, or too large for one
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], lists.type)
    ends = np.frombuffer(lists.offsets.buffers()[1], np.int32)
    ends = ends[lists.offsets.offset : lists.offsets.offset + len(lists.offsets)].astype(np.int64)
    held = products.codes(lists.flatten())
    lengths = np.diff(ends)
    fit = lengths <= LARGEST
    row = np.repeat(np.cumsum(fit) - 1, lengths)
    keep = (held >= 0) & np.repeat(fit, lengths)
    row, held = row[keep], held[keep]
    indptr = np.searchsorted(row, np.arange(fit.sum() + 1))
    ones = np.ones(len(held), np.int32)
    return sp.csr_matrix((ones, held, indptr), (int(fit.sum()), len(products)))
