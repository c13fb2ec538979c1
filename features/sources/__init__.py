"""Sources: files in any shape in, canonical events out, bad rows to quarantine with a reason."""

from __future__ import annotations

from features.sources.catalogue import ingest_table
from features.sources.errors import BadFile, BadMapping, NotAccounted, SourceError
from features.sources.events import ingest_events
from features.sources.files import find
from features.sources.mapping import Mapping, read_mapping
from features.sources.store import Ingested
from features.tables import Tables

__all__ = [
    "BadFile",
    "BadMapping",
    "Ingested",
    "Mapping",
    "NotAccounted",
    "SourceError",
    "ingest",
    "read_mapping",
]

TABLES = (
    "events", "products", "stock", "suppliers", "identities", "customers", "consents", "contacts",
)  # fmt: skip


def ingest(tables: Tables, location: str, mapping: Mapping, *, table: str = "events") -> Ingested:
    """Take the files of a location into a table; what stands there with this content stays.

    `location`: a file, a folder, a glob, or a URL of them (file://, s3://, gs://). Raises
    SourceError, and then nothing was made visible. Every row of the files is in the table, in
    `quarantine` or in `duplicates`.
    """
    if table not in TABLES:
        raise SourceError(f"table must be one of {', '.join(TABLES)}, got {table!r}")
    section = mapping.tables.get(table)  # type: ignore[call-overload]
    format = mapping.format if section is None or section.format is None else section.format
    found = find(location, format, folders=mapping.source_folders)
    if table == "events":
        return ingest_events(tables, found, mapping)
    return ingest_table(tables, found, mapping, table)
