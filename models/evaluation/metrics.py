"""Metrics: ranked lists and what customers then bought in, one row of figures a customer out.

A product is relevant when the customer bought it in the window of truth, else not. Formulas,
sources and what each figure leaves out: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import column, encoded, ids, placed, unordered
from models.evaluation.pages import METRICS, Twice, figures, paged, truth_of

__all__ = ["METRICS", "names", "over_folds", "per_customer"]


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
    (buyer,), customers = encoded(ids(truth, "customer_id", of="truth"))
    (bought, listed), products = encoded(
        ids(truth, "product_id", of="truth"), ids(lists, "product_id", of="lists")
    )
    owner = placed(ids(lists, "customer_id", of="lists"), customers)
    rank = column(lists, "rank", of="lists").cast(pa.int32()).to_numpy()
    paid = None
    if "revenue" in truth.column_names:
        paid = pc.fill_null(truth.column("revenue").cast(pa.float64()), 0.0).to_numpy()
    who = placed(ids(known, "customer_id", of="known"), customers)
    what = placed(ids(known, "product_id", of="known"), products)
    hers = truth_of(
        buyer,
        bought,
        paid,
        known=(who, what),
        customers=len(customers),
        products=len(products),
    )
    try:
        pages = paged(owner, rank, listed, customers=len(customers), k=k)
        found = figures(pages, hers, k=k, products=len(products))
    except Twice as error:
        name = customers[error.customer]
        raise ValueError(
            {
                "low": f"rank must be at least 1, got {error.code} for customer {name}",
                "rank": f"the list of customer {name} has rank {error.code} twice",
                "product": f"the list of customer {name} has {products[error.code]} twice",
            }[error.what]
        ) from None
    table = pa.table(
        {"customer_id": customers}
        | {
            name: pa.array(values, from_pandas=True)
            for name, values in zip(names(k), found, strict=True)
        }
    )
    return table.sort_by("customer_id") if unordered(customers) else table


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
