"""Sequences: a moment in, what each known customer did until then, one by one, out.

For models that learn from the order of events; `interactions` holds the same summed up by pair.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from features.engine import Engine
from features.lines import lines
from features.schemas import TIME
from features.tables import Tables

SEQUENCES = pa.schema(
    [
        ("customer_id", pa.string()),
        ("event_time", TIME),
        ("product_id", pa.string()),
        ("event_type", pa.string()),
        ("channel", pa.string()),
        ("order_id", pa.string()),
    ]
)
TYPES = ("view_item", "add_to_cart", "add_to_wishlist", "purchase")


def sequences(tables: Tables, *, until: datetime) -> pa.Table:
    """Views, carts, wishes and purchases up to a moment, by customer and time.

    Customers are those known at `until`; `order_id` is that of a purchase, its event's own id
    where it has none, and null for other events.
    """
    with Engine(tables.root / ".spill") as engine:
        rows = lines(tables, engine, until=until, types=TYPES).select(*SEQUENCES.names)
        return rows.order_by(SEQUENCES.names).to_pyarrow().cast(SEQUENCES)
