"""Tables of a bundle: the shop's in, those of a model's products and customers in its order out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.schemas import PRODUCTS, TIME
from models.history import Codes

CATALOGUE = pa.schema(
    [*PRODUCTS, pa.field("available", pa.bool_(), nullable=False), ("counted_at", TIME)]
)
CUSTOMERS = pa.schema(
    [pa.field("customer_id", pa.string(), nullable=False), ("lifecycle_stage", pa.string())]
)


def catalogue(known: pa.Array, products: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The catalogue in the model's order, and how the two differ."""
    ids = products["product_id"].cast(pa.string()).combine_chunks()
    if len(pc.unique(ids)) != len(ids):
        twice = next(v["values"] for v in pc.value_counts(ids).to_pylist() if v["counts"] > 1)
        raise ValueError(f"each product_id must stand once in products, got {twice!r} twice")
    place = pc.index_in(known.cast(pa.string()), value_set=ids)
    columns = [known.cast(pa.string())]
    for field in list(CATALOGUE)[1:]:
        if field.name in products.column_names:
            column = products[field.name].combine_chunks().take(place).cast(field.type)
        else:
            column = pa.nulls(len(known), field.type)
        columns.append(column.fill_null(True) if field.name == "available" else column)
    matched = len(known) - place.null_count
    return pa.Table.from_arrays(columns, schema=CATALOGUE), {
        "model": len(known),
        "not_in_catalogue": place.null_count,
        "not_in_model": len(ids) - matched,
    }


def customers(known: pa.Array, given: pa.Table) -> pa.Table:
    """The model's customers with what the shop says of them."""
    ids = known.cast(pa.string())
    place = pc.index_in(ids, value_set=given["customer_id"].cast(pa.string()).combine_chunks())
    stage = given["lifecycle_stage"].cast(pa.string()).combine_chunks().take(place)
    return pa.Table.from_arrays([ids, stage], schema=CUSTOMERS)


def codes(ids: pa.Array, known: pa.Array) -> Codes:
    """Codes of ids, -1 for one the model does not know."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    found = pc.index_in(ids.cast(pa.string()), value_set=known.cast(pa.string()))
    return np.asarray(found.fill_null(-1), dtype=np.int32)
