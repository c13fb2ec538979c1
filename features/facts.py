"""Facts: events of any shape in; the few columns that the feature tables need, in whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.schemas import EVENT_TYPES

KINDS = {name: number for number, name in enumerate(EVENT_TYPES)}
DAY = 86_400  # seconds
UNIT = 10_000  # quantities and money are summed as whole ten-thousandths


def facts(
    events: ir.Table, *, as_of: datetime, after: datetime | None = None, also: Sequence[str] = ()
) -> ir.Table:
    """Events in (after, as_of] whose customers are resolved, with units and amount as integers.

    `units` of a line without quantity is one, its `amount` without price is zero; both are zero
    for what neither buys nor gives back. `order_id` is the event's own id where it has none.
    `kind` is the event type's place in EVENT_TYPES: comparing words costs as much as all else.
    """
    known = events.event_time <= ibis.literal(as_of, "timestamp('UTC')")
    if after is not None:
        known &= events.event_time > ibis.literal(after, "timestamp('UTC')")
    events = events.filter(known)
    money = events.event_type.isin(("purchase", "refund"))
    quantity = ibis.coalesce(events.quantity, 1.0)
    amount = quantity * ibis.coalesce(events.unit_price, 0.0)
    return events.select(
        *also,
        "event_time",
        "channel",
        "customer_id",
        "product_id",
        kind=ibis.cases(
            *((events.event_type == name, number) for name, number in KINDS.items()), else_=-1
        ).cast("int8"),
        order_id=ibis.ifelse(
            money, ibis.coalesce(events.order_id, events.event_id), ibis.null("string")
        ),
        store_id=ibis.ifelse(money, events.store_id, ibis.null("string")),
        unit_price=ibis.ifelse(money, events.unit_price, ibis.null("float64")),
        units=ibis.ifelse(money, (quantity * UNIT).round().cast("int64"), 0),
        amount=ibis.ifelse(money, (amount * UNIT).round().cast("int64"), 0),
    )


def of(lines: ir.Table, *types: str) -> ir.BooleanValue:
    """The lines of some event types."""
    kinds = [KINDS[name] for name in types]
    return lines.kind == kinds[0] if len(kinds) == 1 else lines.kind.isin(kinds)


def micros(time: ir.TimestampValue) -> ir.IntegerValue:
    """Microseconds since 1970; the portable `epoch_seconds` takes a fifth of a build on DuckDB."""
    engine = ibis.get_backend(time).name
    value: ir.IntegerValue = _MICROS["unix_micros" if engine == "pyspark" else "epoch_us"](time)
    return value


def _engines_own(name: str) -> Any:
    def function(time: dt.timestamp) -> dt.int64:
        """The engine's function of this name."""

    return ibis.udf.scalar.builtin(function, name=name)


_MICROS = {name: _engines_own(name) for name in ("epoch_us", "unix_micros")}


def whole(amount: ir.FloatingValue) -> ir.IntegerValue:
    """Published units or currency back as the integers they were made from."""
    return (amount * UNIT).round().cast("int64")


def shown(total: ir.IntegerValue) -> ir.FloatingValue:
    """Integers as the units or currency that are published."""
    return total.cast("float64") / UNIT


def never() -> ir.TimestampScalar:
    """No time, of the type that the engine reads times as."""
    return ibis.null("timestamp('UTC', 6)")
