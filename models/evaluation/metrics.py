"""Metrics: ranked lists and what customers then bought in, one row of figures a customer out.

A product is relevant when the customer bought it in the window of truth, else not. Formulas,
sources and what each figure leaves out: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import Floats, Places, column, encode, ids, place

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


def names(k: int = 10) -> tuple[str, ...]:
    """The metric columns of `per_customer`, such as `ndcg_at_10`."""
    return tuple(f"{metric}_at_{k}" for metric in METRICS)


def per_customer(lists: pa.Table, truth: pa.Table, *, known: pa.Table, k: int = 10) -> pa.Table:
    """One row for each customer of `truth`, sorted by customer_id; columns: `names(k)`.

    lists: customer_id, rank (from 1, the place on the page), product_id; ranks beyond k are cut,
        a place left empty stays empty. Who has no list counts zero; who is not in `truth` is not
        judged. A product or rank that stands twice in a judged list is an error.
    truth: customer_id, product_id, revenue; several rows of one product add up. Without a revenue
        column revenue_at_k is null.
    known: customer_id, product_id bought before the cut; it parts repeat from new. The two hit
        rates are null for a customer whose truth holds no such product.

    With t = |truth|, l the list's relevant ranks and m = min(k, t):
        ndcg      sum over l of 1/log2(rank + 1), over the same sum for ranks 1 to m
        recall    |l| / t           hit_rate  1 if l is not empty
        map       sum over l of (relevant among the first rank) / rank, over m
        mrr       1 / least of l    revenue   truth's revenue of the products in the list
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    (buyer,), customers = encode(ids(truth, "customer_id", of="truth"))
    (bought, listed), products = encode(
        ids(truth, "product_id", of="truth"), ids(lists, "product_id", of="lists")
    )
    n, width = len(customers), len(products)
    pairs, inverse = np.unique(buyer * width + bought, return_inverse=True)  # (pairs,) sorted
    owner = pairs // width
    size = np.bincount(owner, minlength=n)  # (n,) |truth|, at least 1
    repeat = _repeats(pairs, known, customers, products)
    money = None
    if "revenue" in truth.column_names:
        paid = pc.fill_null(truth.column("revenue").cast(pa.float64()), 0.0).to_numpy()
        money = _sums(inverse, paid, len(pairs))

    hits = _hits(lists, listed, pairs, customers, products, k)
    discount = 1.0 / np.log2(np.arange(k) + 2.0)  # (k,)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])  # (k + 1,) by number of relevant
    reach = np.minimum(size, k)
    found = np.bincount(hits.owner, minlength=n)

    def total(values: Floats) -> Floats:
        return _sums(hits.owner, values, n)

    def share_hit(kind: npt.NDArray[np.bool_]) -> pa.Array:
        hit = total(kind[hits.pair].astype(np.float64)) > 0
        some = np.bincount(owner[kind], minlength=n) > 0
        return pa.array(hit.astype(np.float64), mask=~some)

    columns = {
        "ndcg": total(discount[hits.rank - 1]) / ideal[reach],
        "recall": found / size,
        "hit_rate": (found > 0).astype(np.float64),
        "map": total(hits.nth.astype(np.float64) / hits.rank) / reach,
        "mrr": total(np.where(hits.nth == 1, 1.0 / hits.rank, 0.0)),
        "revenue": pa.nulls(n, pa.float64()) if money is None else total(money[hits.pair]),
        "repeat_hit_rate": share_hit(repeat),
        "new_hit_rate": share_hit(~repeat),
    }
    table = pa.table(
        {"customer_id": customers} | dict(zip(names(k), columns.values(), strict=True))
    )
    return table.take(pc.sort_indices(customers))


def over_folds(tables: Sequence[pa.Table]) -> pa.Table:
    """One row a customer: each figure's mean over the folds that judged her, nulls left out.

    Customers, not rows, are what intervals and comparisons draw anew: who was judged in three
    folds is one customer, not three.
    """
    table = pa.concat_tables(tables)
    metrics = [name for name in table.column_names if name != "customer_id"]
    means = table.group_by("customer_id", use_threads=False).aggregate(
        [(name, "mean") for name in metrics]
    )
    means = means.select(["customer_id", *(f"{name}_mean" for name in metrics)])
    return means.rename_columns(["customer_id", *metrics]).sort_by("customer_id")


@dataclass(frozen=True, slots=True)
class _Hits:
    """Relevant places of all lists, by customer and rank; arrays of one length."""

    owner: Places  # code of the customer
    pair: Places  # index into the sorted (customer, product) pairs of truth
    rank: Places  # 1 to k
    nth: Places  # how many relevant products stand at this rank or before


def _hits(
    lists: pa.Table,
    listed: Places,
    pairs: Places,
    customers: pa.Array,
    products: pa.Array,
    k: int,
) -> _Hits:
    """Where lists and truth meet, by sorting (customer, product, rank) packed into one int64."""
    ranks = column(lists, "rank", of="lists").to_numpy().astype(np.int64)
    owner = place(ids(lists, "customer_id", of="lists"), customers)
    keep = (owner >= 0) & (ranks <= k)
    owner, ranks, listed = owner[keep], ranks[keep], listed[keep]
    if ranks.size and ranks.min() < 1:
        row = int(ranks.argmin())
        raise ValueError(
            f"rank must be at least 1, got {ranks[row]} for customer {customers[int(owner[row])]}"
        )
    places = np.sort(owner * k + ranks - 1)
    twice = np.flatnonzero(places[1:] == places[:-1])
    if twice.size:
        who, rank = divmod(int(places[twice[0]]), k)
        raise ValueError(f"the list of customer {customers[who]} has rank {rank + 1} twice")
    packed = np.sort((owner * len(products) + listed) * k + ranks - 1)
    keys = packed // k
    ranks = packed - keys * k + 1
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if twice.size:
        who, what = divmod(int(keys[twice[0]]), len(products))
        raise ValueError(f"the list of customer {customers[who]} has {products[what]} twice")
    pair = np.searchsorted(pairs, keys)
    hit = pairs[np.minimum(pair, len(pairs) - 1)] == keys
    pair, ranks = pair[hit], ranks[hit]
    owner = pairs[pair] // len(products)
    order = np.argsort(owner * k + ranks)
    owner, pair, ranks = owner[order], pair[order], ranks[order]
    starts = np.searchsorted(owner, owner)  # first hit of the same customer
    return _Hits(owner, pair, ranks, np.arange(len(owner)) - starts + 1)


def _repeats(
    pairs: Places, known: pa.Table, customers: pa.Array, products: pa.Array
) -> npt.NDArray[np.bool_]:
    """(pairs,): whether the customer had bought the product before the cut."""
    who = place(ids(known, "customer_id", of="known"), customers)
    what = place(ids(known, "product_id", of="known"), products)
    keep = (who >= 0) & (what >= 0)
    if not keep.any():
        return np.zeros(len(pairs), bool)
    # Sorted and searched: np.unique and np.isin hash, which takes ten times as long.
    before = np.sort(who[keep] * len(products) + what[keep])
    found = np.searchsorted(before, pairs)
    repeat: npt.NDArray[np.bool_] = before[np.minimum(found, len(before) - 1)] == pairs
    return repeat


def _sums(codes: Places, values: Floats, n: int) -> Floats:
    """(n,): the sum of the values of each code."""
    return np.bincount(codes, weights=values, minlength=n).astype(np.float64)
