"""Lines: a span of time in, the events in it of known customers and products out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import ibis.expr.types as ir

from features.basis import between
from features.engine import Engine
from features.facts import facts
from features.identity import resolve, resolved
from features.schemas import IDENTITIES
from features.tables import Tables


def lines(
    tables: Tables,
    engine: Engine,
    *,
    until: datetime,
    types: Sequence[str],
    after: datetime | None = None,
) -> ir.Table:
    """Facts of some event types in (after, until]; customers are those known at `until`.

    Raises ValueError for a time without a zone.
    """
    for name, time in (("after", after), ("until", until)):
        if time is not None and time.tzinfo is None:
            raise ValueError(f"{name} must have a time zone, got {time.isoformat()}")
    until = until.astimezone(UTC)
    after = None if after is None else after.astimezone(UTC)
    events, identities = tables.need("events"), tables.current("identities")
    links = IDENTITIES.empty_table() if identities is None else identities.read()
    parts = between(events.parts, after, until)
    names = engine.rows(resolve(links, as_of=until))
    rows = engine.parts(events, parts)
    rows = rows.filter(rows.event_type.isin(types))
    found = facts(resolved(rows, names), as_of=until, after=after, also=("event_type",))
    return found.filter(found.customer_id.notnull() & found.product_id.notnull())
