"""Pages of product codes and what customers then bought in, each customer's figures out: the loop.

A page is a customer's list as an array of places: page[0] stands first, -1 is a place left empty.
One pass over the pages and one table of products, in which each customer marks what she bought and
what was already shown: no sorting, no hashing, whatever the length of the pages.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import config, njit

from models.evaluation.codes import Codes, Floats, Places

METRICS = (
    "ndcg",
    "recall",
    "hit_rate",
    "map",
    "mrr",
    "revenue",
    "repeat_hit_rate",
    "new_hit_rate",
)
PART = 1 << 15  # customers in a piece of work


class Twice(ValueError):
    """A product or a rank that stands twice in one list, or a rank below 1; codes for the caller.

    what: product, rank or low. customer: her code. code: of the product, or the rank.
    """

    def __init__(self, what: str, customer: int, code: int) -> None:
        super().__init__(f"{what} {code} of customer {customer}")
        self.what, self.customer, self.code = what, customer, code


@dataclass(frozen=True, slots=True)
class Truth:
    """What each customer bought, her products one after another's, each once.

    starts: (customers + 1,) hers stand at starts[c]:starts[c + 1]. products: (pairs,) codes.
    revenue: (pairs,), None where unknown. repeat: (pairs,) whether she had bought it before.
    """

    starts: Places
    products: Codes
    revenue: Floats | None
    repeat: npt.NDArray[np.bool_]


def figures(pages: Codes, truth: Truth, *, k: int, products: int) -> Floats:
    """(metrics, customers) by METRICS: what each customer's page says of her truth; NaN is null.

    pages: (customers, up to k) codes below `products`, as are those of the truth. Who bought
    nothing has no figures. Raises Twice for the first customer whose page shows a product twice.
    The same on any number of threads, which are numba's.
    """
    customers = len(truth.starts) - 1
    if pages.shape[0] != customers or pages.shape[1] > k or pages.max(initial=-1) >= products:
        raise ValueError(
            f"pages must be {customers} of up to {k} codes below {products}, got {pages.shape} "
            f"up to {pages.max(initial=-1)}"
        )
    found = np.empty((len(METRICS), customers))
    money = np.empty(0) if truth.revenue is None else truth.revenue
    discount = 1.0 / np.log2(np.arange(k) + 2.0)  # (k,)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])  # (k + 1,) by number of relevant
    parts = range(0, max(1, customers), PART)

    def of(start: int) -> tuple[int, int]:
        end = min(start + PART, customers)
        return _figures(  # type: ignore[no-any-return]
            pages, truth.starts, truth.products, money, truth.repeat, discount, ideal,
            products, start, end, found,
        )  # fmt: skip

    with ThreadPoolExecutor(config.NUMBA_NUM_THREADS) as threads:
        for customer, product in threads.map(of, parts):
            if customer >= 0:
                raise Twice("product", customer, product)
    return found


def truth_of(
    buyer: Codes,
    bought: Codes,
    revenue: Floats | None,
    *,
    known: tuple[Codes, Codes],
    customers: int,
    products: int,
) -> Truth:
    """Rows of customers and products in any order as Truth; rows of one pair add up.

    known: customers and products of what was bought before; rows with a -1 are passed over.
    """
    who, what = known
    paid = np.empty(0) if revenue is None else revenue
    starts, pairs, sums, repeat = _truth(
        *_grouped(buyer, customers), bought, paid, *_grouped(who, customers), what, products
    )
    return Truth(starts, pairs, None if revenue is None else sums, repeat)


def paged(owner: Codes, rank: Codes, product: Codes, *, customers: int, k: int) -> Codes:
    """(customers, up to k) pages of rows in any order; an owner of -1 or a rank beyond k is cut.

    Raises Twice for a rank that stands twice in a list, or one below 1.
    """
    width = min(k, max(0, int(rank.max(initial=0))))
    pages = np.full((customers, width), -1, np.int32)
    what, row = _fill(owner, rank, product, pages, k)
    if row >= 0:
        raise Twice(("low", "rank")[what], int(owner[row]), int(rank[row]))
    return pages


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _grouped(owner, customers):  # type: ignore[no-untyped-def]
    """(customers + 1,) starts and the rows of each customer in their order; -1 is left out."""
    starts = np.zeros(customers + 1, np.int64)
    for who in owner:
        if who >= 0:
            starts[who + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    rows = np.empty(starts[-1], np.int64)
    for row, who in enumerate(owner):
        if who >= 0:
            rows[free[who]] = row
            free[who] += 1
    return starts, rows


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _truth(starts, rows, bought, paid, begins, before, what, products):  # type: ignore[no-untyped-def]
    """Each customer's distinct products, their revenue, and whether `what` she had before."""
    customers = len(starts) - 1
    ends = np.zeros(customers + 1, np.int64)
    pairs = np.empty(len(rows), np.int32)
    sums = np.zeros(len(rows) if len(paid) else 0)
    repeat = np.zeros(len(rows), np.bool_)
    mark = np.full(products, -1, np.int64)  # where a product stands in `pairs`
    end = 0
    for c in range(customers):
        start = end
        for place in range(starts[c], starts[c + 1]):
            row = rows[place]
            p = bought[row]
            if mark[p] < start:
                mark[p] = end
                pairs[end] = p
                end += 1
            if len(paid):
                sums[mark[p]] += paid[row]
        for place in range(begins[c], begins[c + 1]):
            p = what[before[place]]
            if p >= 0 and mark[p] >= start:
                repeat[mark[p]] = True
        ends[c + 1] = end
    return ends, pairs[:end], sums[:end], repeat[:end]


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _fill(owner, rank, product, pages, k):  # type: ignore[no-untyped-def]
    """Write products into their places; (0 low or 1 twice, the first such row), -1 where none."""
    for row in range(len(owner)):
        who, place = owner[row], rank[row] - 1
        if who < 0 or place >= k:
            continue
        if place < 0:
            return 0, row
        if pages[who, place] >= 0:
            return 1, row
        pages[who, place] = product[row]
    return 0, -1


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _figures(  # type: ignore[no-untyped-def]
    pages, starts, bought, money, repeat, discount, ideal, products, first, last, found
):
    """Figures of customers first to last into `found`; who was shown which product twice, or -1.

    mark[p]: the place in this part's truth of a customer who bought p last, or who was shown p
    last, as -2 less her number here.
    """
    mark = np.full(products, -1, np.int32)
    width, base = pages.shape[1], starts[first]
    for c in range(first, last):
        start, end = starts[c] - base, starts[c + 1] - base
        size = end - start
        if not size:
            found[:, c] = np.nan
            continue
        repeats = 0
        for pair in range(start, end):
            mark[bought[base + pair]] = pair
            repeats += repeat[base + pair]
        shown = first - c - 2
        hits, again, new = 0, 0, 0
        gain, precision, best, paid = 0.0, 0.0, 0.0, 0.0
        for place in range(width):
            p = pages[c, place]
            if p < 0:
                continue
            pair = mark[p]
            if pair == shown:
                return c, p
            mark[p] = shown
            if pair < start or pair >= end:
                continue
            hits += 1
            if hits == 1:
                best = 1.0 / (place + 1)
            gain += discount[place]
            precision += hits / (place + 1)
            if len(money):
                paid += money[base + pair]
            if repeat[base + pair]:
                again = 1
            else:
                new = 1
        reach = min(size, len(discount))
        found[0, c] = gain / ideal[reach]
        found[1, c] = hits / size
        found[2, c] = min(hits, 1)
        found[3, c] = precision / reach
        found[4, c] = best
        found[5, c] = paid if len(money) else np.nan
        found[6, c] = again if repeats else np.nan
        found[7, c] = new if repeats < size else np.nan
    return -1, -1
