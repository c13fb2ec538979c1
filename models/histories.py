"""Histories: a table of interactions in, ids and the sparse matrix to learn from out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from features.ids import IdMap
from models.scorer import Codes, History, ModelError

DAY = 86_400_000_000  # microseconds


def learn_from(
    interactions: pa.Table, products: pa.Table | None = None
) -> tuple[IdMap, IdMap, History]:
    """Customers by row, products by code, and their history; the same for any order of rows.

    interactions: customer_id, product_id, weight and, where known, last_time. products:
    product_id, category. What it does with them: `Recommender.fit`.
    """
    interactions = _checked(interactions)
    customers = IdMap.of(interactions["customer_id"])
    codes = IdMap.of(interactions["product_id"])
    history = _history(interactions, customers, codes)
    categories = None if products is None else _categories(products, codes)
    return customers, codes, History(history.weights, history.last_days, categories)


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
    time = interactions["last_time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    time = pc.fill_null(time, pc.min(time)).to_numpy()  # unknown: as old as the oldest
    age = (time.max(initial=0) - time[order]) / DAY
    ages = np.minimum.reduceat(age, starts) if len(starts) else age
    return History(weights, ages.astype(np.float32))


def _categories(products: pa.Table, codes: IdMap) -> Codes:
    """(products,) code of each product's category, -1 where there is none."""
    names = IdMap.of(products["category"])
    known = codes.codes(products["product_id"])
    categories = np.full(len(codes), -1, dtype=np.int32)
    categories[known[known >= 0]] = names.codes(products["category"])[known >= 0]
    return categories
