"""Lists: ranked codes in, Arrow tables of ids out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.columns import column
from features.ids import IdMap
from models.rank import Ranked

RANKED = [("rank", pa.int32()), ("product_id", pa.string()), ("score", pa.float32())]
RECOMMENDED = pa.schema([("customer_id", pa.string()), *RANKED])
RECOMMENDED_FOR = pa.schema([("row", pa.int32()), *RANKED])
SIMILAR = pa.schema(
    [
        ("product_id", pa.string()),
        ("rank", pa.int32()),
        ("similar_id", pa.string()),
        ("score", pa.float32()),
    ]
)


def as_table(schema: pa.Schema, asked: pa.Array, best: Ranked, products: IdMap) -> pa.Table:
    """One row for each ranked product of each asked."""
    row, place = np.nonzero(best.codes >= 0)
    found = {
        schema.names[0]: asked.take(column(row)),
        "rank": column(place.astype(np.int32) + np.int32(1)),
        "score": column(best.scores[row, place]),
    }
    product = products.take(best.codes[row, place])
    return pa.Table.from_arrays([found.get(n, product) for n in schema.names], schema=schema)
