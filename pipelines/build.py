"""Build: the newest events in, feature tables as of a moment out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from features.artifact import Missing
from features.build import build
from features.replenishment import replenishment
from features.tables import Snapshot, Tables
from pipelines.progress import step
from pipelines.settings import Shop
from pipelines.workspace import Workspace

INPUTS = ("events", "products", "stock", "suppliers", "identities", "customers")


def last_event(tables: Tables) -> datetime:
    """The moment of the newest event: what `as_of` is unless said; raises Missing."""
    latest = tables.need("events").manifest["max_time"]
    if latest is None:
        raise Missing(f"no event in {tables.root}: nothing was taken in, see its quarantine")
    return datetime.fromisoformat(latest)


def first_event(tables: Tables) -> datetime:
    """The moment of the oldest event."""
    last_event(tables)
    return datetime.fromisoformat(tables.need("events").manifest["min_time"])


def inputs(tables: Tables) -> dict[str, str]:
    """The newest snapshot of every input table there is: table -> id."""
    found = {table: tables.current(table) for table in INPUTS}
    return {table: snapshot.id for table, snapshot in found.items() if snapshot is not None}


def run(workspace: Workspace, shop: Shop, *, as_of: datetime | None = None) -> dict[str, Any]:
    """Build all feature tables; a table whose snapshot exists is found, not built.

    Gives `as_of` and `tables {NAME: {snapshot, rows}}`.
    """
    tables = workspace.tables
    as_of = as_of or last_event(tables)
    with workspace.lock("work", shared=True), step("features"):
        made: dict[str, Snapshot] = build(tables, as_of=as_of, parameters=shop.features)
        made["replenishment"] = replenishment(tables, as_of=as_of)
    return {
        "as_of": as_of.isoformat(),
        "tables": {name: {"snapshot": s.id, "rows": s.rows} for name, s in sorted(made.items())},
    }
