"""Catalogue: all lists together in, how widely and evenly they show the catalogue out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import column, encode, ids, place, unique
from models.evaluation.intervals import numbers


def of_lists(lists: pa.Table, *, catalogue: pa.Table, k: int = 10) -> dict[str, float]:
    """coverage_at_k, novelty_at_k, diversity_at_k and gini_at_k of the first k of every list.

    lists: customer_id, rank, product_id. catalogue: product_id, all that could have been shown,
    and, where known, buyers (distinct customers) and category.

    coverage  share of the catalogue that stands in at least one list
    novelty   mean over lists of their products' -log2(buyers / sum of all products' buyers), in
              bits; without a buyer, or not in the catalogue: as if with one. NaN without buyers
    diversity mean over lists of the share of pairs of products from different categories; products
              without one are left out, as are lists with fewer than two left; NaN where none is
    gini      of how often each product of the catalogue is shown: 0 all alike, towards 1 few only

    Products that the catalogue does not have count in novelty only; `quality.check` names them.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    products = unique(ids(catalogue, "product_id", of="catalogue"), of="catalogue", what="product")
    first = pc.less_equal(column(lists, "rank", of="lists"), k)
    lists = lists.select(["customer_id", "product_id"]).filter(first)
    (owner,), customers = encode(ids(lists, "customer_id", of="lists"))
    shown = place(ids(lists, "product_id", of="lists"), products)  # -1 unknown
    exposure = np.bincount(shown[shown >= 0], minlength=len(products))
    return {
        f"coverage_at_{k}": float(np.mean(exposure > 0)) if len(products) else np.nan,
        f"novelty_at_{k}": _novelty(catalogue, shown, owner, len(customers)),
        f"diversity_at_{k}": _diversity(catalogue, shown, owner),
        f"gini_at_{k}": gini(exposure),
    }


def gini(exposure: npt.ArrayLike) -> float:
    """0 where all have the same, (n - 1)/n where one has all; NaN where nobody has anything.

    Gini 1912, by ranks: sum of (2 i - n - 1) x_i over n times the sum of x, x ascending.
    """
    x = np.sort(np.asarray(exposure, np.float64))
    n, total = len(x), x.sum()
    if not total > 0:
        return np.nan
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * total))


def _novelty(
    catalogue: pa.Table,
    shown: npt.NDArray[np.int64],
    owner: npt.NDArray[np.int64],
    customers: int,
) -> float:
    """Mean self-information (Zhou et al., PNAS 2010), each list counting the same."""
    if "buyers" not in catalogue.column_names or not customers:
        return np.nan
    buyers = np.maximum(np.nan_to_num(numbers(catalogue["buyers"])), 1.0)
    bits = np.log2(max(buyers.sum(), 1.0)) - np.log2(np.append(buyers, 1.0))  # [-1]: unknown
    sums = np.bincount(owner, weights=bits[shown], minlength=customers)
    return float((sums / np.bincount(owner, minlength=customers)).mean())


def _diversity(
    catalogue: pa.Table, shown: npt.NDArray[np.int64], owner: npt.NDArray[np.int64]
) -> float:
    """Mean over lists of 1 - pairs of one category / pairs."""
    if "category" not in catalogue.column_names:
        return np.nan
    names = catalogue["category"].cast(pa.string())
    words = pc.drop_null(names.unique())
    category = np.append(place(names, words), -1)[shown]
    owner, category = owner[category >= 0], category[category >= 0]
    if not owner.size:
        return np.nan
    cells, sizes = np.unique(owner * len(words) + category, return_counts=True)
    alike = np.bincount(cells // len(words), weights=sizes * (sizes - 1) / 2)  # (lists,)
    length = np.bincount(owner)
    pairs = length * (length - 1) / 2
    some = pairs > 0
    return float((1 - alike[some] / pairs[some]).mean()) if some.any() else np.nan
