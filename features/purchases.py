"""Purchases: a span of time in, what known customers bought in it out: the truth of a fold."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from features.engine import Engine
from features.facts import shown
from features.lines import lines
from features.schemas import TIME
from features.tables import Tables

PURCHASES = pa.schema(
    [
        ("customer_id", pa.string()),
        ("product_id", pa.string()),
        ("order_id", pa.string()),
        ("event_time", TIME),
        ("channel", pa.string()),
        ("quantity", pa.float64()),
        ("revenue", pa.float64()),
    ]
)


def purchases(tables: Tables, *, after: datetime, until: datetime) -> pa.Table:
    """Purchase lines in (after, until] by time; customers are those known at `until`.

    Revenue in the shop's currency; `order_id` is the event's own id where it has none.
    """
    with Engine(tables.root / ".spill") as engine:
        bought = lines(tables, engine, after=after, until=until, types=["purchase"])
        rows = bought.select(
            "customer_id",
            "product_id",
            "order_id",
            "event_time",
            "channel",
            quantity=shown(bought.units),
            revenue=shown(bought.amount),
        )
        order = ["event_time", *(name for name in PURCHASES.names if name != "event_time")]
        return rows.order_by(order).to_pyarrow().cast(PURCHASES)
