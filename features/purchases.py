"""Purchases: a span of time in, what known customers bought in it out: the truth of a fold."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from features.basis import between
from features.engine import Engine
from features.facts import facts, shown
from features.identity import resolve, resolved
from features.schemas import IDENTITIES, TIME
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
    for name, time in (("after", after), ("until", until)):
        if time.tzinfo is None:
            raise ValueError(f"{name} must have a time zone, got {time.isoformat()}")
    after, until = after.astimezone(UTC), until.astimezone(UTC)
    events, identities = tables.need("events"), tables.current("identities")
    links = IDENTITIES.empty_table() if identities is None else identities.read()
    parts = between(events.parts, after, until)
    with Engine(tables.root / ".spill") as engine:
        names = engine.rows(resolve(links, as_of=until))
        bought = engine.parts(events, parts)
        bought = bought.filter(bought.event_type == "purchase")
        lines = facts(resolved(bought, names), as_of=until, after=after)
        lines = lines.filter(lines.customer_id.notnull() & lines.product_id.notnull())
        rows = lines.select(
            "customer_id",
            "product_id",
            "order_id",
            "event_time",
            "channel",
            quantity=shown(lines.units),
            revenue=shown(lines.amount),
        )
        order = ["event_time", *(name for name in PURCHASES.names if name != "event_time")]
        return rows.order_by(order).to_pyarrow().cast(PURCHASES)
