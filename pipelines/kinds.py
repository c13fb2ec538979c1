"""Kinds: folds in, what each judged customer is like, in the shop's words, out.

Kept with a judgement, so that two runs can be compared kind by kind over the same customers.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import place
from models.evaluation.slices import SOURCES
from pipelines.folds import FoldData


def of_customers(
    customers: pa.ChunkedArray, attributes: pa.Table, folds: Sequence[FoldData]
) -> pa.Table:
    """customer_id, lifecycle_stage, channel, history_length, category: one row a customer.

    attributes: as `models.evaluation.slices.by` takes them. category: the one she had most to do
    with before the newest cut that judged her; null where the catalogue does not say.
    """
    rows = place(customers, attributes["customer_id"].combine_chunks())
    columns = {"customer_id": customers}
    for name, (slice_, label) in SOURCES.items():
        if name in attributes.column_names:
            codes, words = label(attributes[name], rows)
            columns[slice_] = pa.array(words, pa.string()).take(pa.array(codes))
    favourite = pa.concat_tables(
        [favourites(one.interactions, one.customers, one.products) for one in reversed(folds)]
    )
    first = favourite.group_by("customer_id", use_threads=False).aggregate([("category", "first")])
    found = pc.index_in(customers, value_set=first["customer_id"].combine_chunks())
    columns["category"] = first["category_first"].take(found)
    return pa.table(columns)


def favourites(interactions: pa.Table, customers: pa.Array, products: pa.Table) -> pa.Table:
    """customer_id, category each had most to do with, by weight; ties go by the category's name."""
    hers = interactions.select(["customer_id", "product_id", "weight"])
    hers = hers.filter(pc.is_in(hers["customer_id"], value_set=customers))
    known = products.select(["product_id", "category"])
    known = known.set_column(1, "category", known["category"].cast(pa.string()))
    known = known.filter(pc.is_valid(known["category"]))
    found = pc.index_in(hers["product_id"], value_set=known["product_id"].combine_chunks())
    hers = pa.table(
        {
            "customer_id": hers["customer_id"].cast(pa.string()),
            "category": known["category"].take(found),
            "weight": hers["weight"].cast(pa.float64()),
        }
    ).filter(pc.is_valid(found))
    sums = hers.group_by(["customer_id", "category"], use_threads=False).aggregate(
        [("weight", "sum")]
    )
    order = [("customer_id", "ascending"), ("weight_sum", "descending"), ("category", "ascending")]
    best = (
        sums.sort_by(order)
        .group_by("customer_id", use_threads=False)
        .aggregate([("category", "first")])
    )
    return best.select(["customer_id", "category_first"]).rename_columns(
        ["customer_id", "category"]
    )
