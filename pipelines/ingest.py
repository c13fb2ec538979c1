"""Ingest: a shop's files in, its input tables and an account of every row out."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from typing import Any

from features.sources import Ingested, Mapping, ingest, read_mapping
from pipelines import collected
from pipelines.progress import step
from pipelines.settings import SettingsError, Shop
from pipelines.workspace import Workspace

TABLES = (
    "events", "products", "stock", "suppliers", "identities", "customers", "consents", "contacts",
)  # fmt: skip


def mapping_of(shop: Shop) -> Mapping:
    """The shop's mapping: a packaged name, a path, or the table that stands in its TOML."""
    said = shop.ingest.mapping
    return read_mapping(said) if isinstance(said, str) else Mapping.model_validate(said)


def locations(shop: Shop, given: str | None = None) -> dict[str, str]:
    """Where each table's rows are; `given` stands in for `ingest.input`.

    Without `ingest.tables`, or when the input is a file, the input is the events.
    """
    place = given or shop.ingest.input
    if place is None:
        raise SettingsError("ingest.input is missing: say where the events are, or give --input")
    if not shop.ingest.tables or Path(place).is_file() or glob.has_magic(place):
        return {"events": place}
    return {
        table: f"{place.rstrip('/')}/{shop.ingest.tables[table]}"
        for table in TABLES
        if table in shop.ingest.tables
    }


def run(workspace: Workspace, shop: Shop, *, given: str | None = None) -> dict[str, Any]:
    """Take in all of a shop's files, and what its server collected; a file twice changes nothing.

    Gives `rows {input, events, quarantined, duplicates}` of the shop's events, `reasons`,
    `snapshot`, `changed`, and the same for each other table and for `collected` below `tables`.
    """
    mapping = mapping_of(shop)
    taken: dict[str, Ingested] = {}
    with workspace.lock("work", shared=True):
        for table, place in locations(shop, given).items():
            with step(f"ingest {table}"):
                taken[table] = ingest(workspace.tables, place, mapping, table=table)
        found = collected.take(workspace)
    if found is not None:  # the events of both are one table
        taken["collected"] = found
        events = taken["events"]
        changed = events.changed or found.changed
        taken["events"] = replace(events, snapshot=found.snapshot, changed=changed)
    tables = {table: _record(done) for table, done in taken.items()}
    return {**tables["events"], "tables": tables}


def _record(done: Ingested) -> dict[str, Any]:
    rows = dict(done.rows)
    if rows["input"] != rows["events"] + rows["quarantined"] + rows["duplicates"]:
        raise AssertionError(f"rows went astray: {rows}")
    return {
        "rows": rows,
        "reasons": dict(done.reasons),
        "snapshot": done.snapshot,
        "changed": done.changed,
    }
