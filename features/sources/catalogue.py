"""Catalogue: product, stock, supplier, identity and customer files in, their tables out.

Products, suppliers and customers have one row a key: of several files the last that has it.
Stock, identities, consents and contacts are added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.types as pt

from features.schemas import SCHEMAS
from features.sources import products, reading, store
from features.sources.columns import Columns
from features.sources.files import File, Found, check
from features.sources.mapping import Mapping, TableMapping
from features.sources.store import Ingested, Source, Tally, Writer
from features.sources.values import need, quoted
from features.tables import Part, Tables

KEYED = {"products": "product_id", "suppliers": "supplier_id", "customers": "customer_id"}
TIMES = {"stock": "observed_at", "consents": "observed_at", "contacts": "contacted_at"}


def ingest_table(tables: Tables, found: Sequence[Found], mapping: Mapping, table: str) -> Ingested:
    """Take the files in that are not there yet, or not with this content or mapping."""
    section = mapping.tables.get(table, TableMapping())  # type: ignore[call-overload]
    mapping = mapping.model_copy(
        update={
            "format": section.format or mapping.format,
            "time": section.time or mapping.time,
        }
    )
    with store.at_work(tables) as (scratch, engine, writer):
        files = [check(file, mapping.format, folder=scratch) for file in found]
        base = tables.current(table)
        before = store.sources(base)
        hash = mapping.hash(table)
        fresh = [f for f in files if not store.same(before.get(f.name), f.sha256, hash)]
        given = [_given(file, mapping, section, table) for file in fresh]
        replaced = tuple(file.name for file in fresh if file.name in before)
        now: dict[str, Source] = {n: s for n, s in before.items() if n not in replaced}
        parts = [] if base is None or table in KEYED else base.parts
        parts = [part for part in parts if part.about["source"] not in replaced]
        sides = {
            side: [part for part in side_parts if part.about["source"] not in replaced]
            for side, side_parts in store.sides(tables, base).items()
        }
        for file, columns in zip(fresh, given, strict=True):
            tally = Tally()
            said = _take(engine, writer, file, mapping, section, table, columns, tally)
            record = store.record(file.name, file.sha256, mapping, table, tally)
            now[file.name] = {**record, "given": said}
            parts += tally.parts.get(table, []) if table not in KEYED else []
            for side in store.SIDES:
                sides[side] += tally.parts.get(side, [])
        parents = store.in_step(tables, table, sides)
        listed = list(now.values())
        id: str | None
        if table == "products":
            id = products.show_products(tables, engine, writer, given=listed, parents=parents)
        else:
            if table in KEYED:
                parts = [_latest(tables, engine, writer, table, listed)]
            else:
                listed.sort(key=lambda source: str(source["name"]))
            inputs = {"sources": store.identity(listed)}
            about = {"sources": listed}
            id = store.show(tables, table, inputs, parts, parents=parents, about=about)
        return store.summary(
            (now[file.name] for file in files),
            snapshot=str(id),
            changed=base is None or base.id != id,
            replaced=replaced,
        )


def _given(file: File, mapping: Mapping, section: TableMapping, table: str) -> dict[str, str]:
    """The file's column for each of the table's: the mapped one, else the one of the same name."""
    schema = SCHEMAS[table]
    wanted = [*(section.columns.get(name, name) for name in schema.names), *section.where]
    names = reading.names(file, mapping.format, wanted)
    keys = [f.name for f in schema if not f.nullable and f.name not in section.constants]
    said = [*section.columns.values(), *section.where] if file.kind != "jsonl" else []
    if names or file.kind != "jsonl":  # an empty file of JSON lines has no keys
        need(file.name, names, [*said, *(section.columns.get(key, key) for key in keys)])
    same = {name: name for name in schema.names if name in names}
    return {**same, **section.columns}


def _take(
    engine: duckdb.DuckDBPyConnection,
    writer: Writer,
    file: File,
    mapping: Mapping,
    section: TableMapping,
    table: str,
    given: dict[str, str],
    tally: Tally,
) -> str | None:
    """Write one file's rows where they belong; for keyed tables the name of what was kept."""
    schema = SCHEMAS[table]
    engine.execute("DROP TABLE IF EXISTS said")
    engine.register("empty", schema.empty_table())
    engine.execute(
        "CREATE TEMP TABLE said AS SELECT 0::BIGINT AS source_row, ''::VARCHAR AS reason,"
        " ''::VARCHAR AS raw, * FROM empty"
    )
    wanted = [*given.values(), *section.where]
    for chunk in reading.chunks([file], mapping.format, wanted):
        columns = Columns(file.name, chunk, mapping.format, mapping.ids)
        engine.register("chunk", chunk.table)
        engine.execute(f"INSERT INTO said {_rows(columns, mapping, section, table, given)}")
        engine.unregister("chunk")
        tally.input += len(chunk.table)
    by, nth = ", ".join(schema.names), "source_row"
    if table in KEYED:  # of a key the last row counts
        by, nth = KEYED[table], "source_row DESC"
    twin = "same_key" if table in KEYED else "same_content"
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE judged AS SELECT *, reason IS NULL AND row_number() OVER"
        f" (PARTITION BY reason IS NULL, {by} ORDER BY {nth}) > 1 AS twin FROM said"
    )
    about: dict[str, Any] = {"source": file.name, "source_sha256": file.sha256}
    sides = {
        "quarantine": ("reason", "reason IS NOT NULL"),
        "duplicates": (quoted(twin), "twin"),
    }
    for side, (reason, test) in sides.items():
        rows = engine.execute(
            f"SELECT {quoted(file.name)} AS source, source_row, {reason} AS reason, raw"
            f" FROM judged WHERE {test} ORDER BY source_row"
        ).to_arrow_table()
        if len(rows):
            tally.add(side, writer.write(side, rows, of=table, **about))
    counts = "SELECT reason, count(*) FROM judged WHERE reason IS NOT NULL GROUP BY ALL"
    tally.reasons = dict(engine.execute(counts).fetchall())
    taken = engine.execute(
        f"SELECT {', '.join(schema.names)} FROM judged WHERE reason IS NULL AND NOT twin"
        " ORDER BY source_row"
    ).to_arrow_table()
    if table in KEYED:
        tally.taken = len(taken)
        return store.keep(writer.tables, table, taken)
    if len(taken):
        tally.add(table, writer.write(table, taken, time=TIMES.get(table), **about))
    return None


def _rows(
    columns: Columns, mapping: Mapping, section: TableMapping, table: str, given: dict[str, str]
) -> str:
    """SQL over `chunk`: row, reason (null: taken), raw and the table's columns."""
    values: dict[str, str] = {}
    reasons = [
        ("malformed", columns.malformed),
        ("filtered_out", f"NOT ({columns.where(section.where)})"),
    ]
    for field in SCHEMAS[table]:
        bad = "false"
        if field.name not in given:
            value = f"NULL::{_type(field.type)}"
        elif pt.is_timestamp(field.type):
            value, there = columns.time(given[field.name], mapping.time, mapping.limits)
            bad = f"({there}) AND ({value}) IS NULL"
        elif pt.is_floating(field.type):
            value, bad = columns.number(given[field.name])
            if field.name == "price":
                within = f"BETWEEN 0 AND {mapping.limits.unit_price!r}"
                bad = f"({bad}) OR coalesce(({value}) NOT {within}, false)"
        elif pt.is_boolean(field.type):
            value, bad = columns.flag(given[field.name])
        else:
            value = columns.id(given[field.name], field.name)
        if field.name in section.constants:
            value = (
                f"coalesce({value}, {quoted(section.constants[field.name])}::{_type(field.type)})"
            )
        values[field.name] = value
        reasons.append((f"bad_{field.name}", bad))
        if not field.nullable:
            reasons.append((f"no_{field.name}", f"({value}) IS NULL"))
    tests = " ".join(
        f"WHEN {test} THEN {quoted(code)}" for code, test in reasons if test != "false"
    )
    said = ", ".join(f"{value} AS {name}" for name, value in values.items())
    return (
        f"SELECT row AS source_row, CASE {tests} END AS reason, {columns.raw} AS raw, {said}"
        f" FROM {columns.relation()}"
    )


def _type(kind: pa.DataType) -> str:
    if pt.is_timestamp(kind):
        return "TIMESTAMPTZ"
    if pt.is_floating(kind):
        return "DOUBLE"
    return "BOOLEAN" if pt.is_boolean(kind) else "VARCHAR"


def _latest(
    tables: Tables,
    engine: duckdb.DuckDBPyConnection,
    writer: Writer,
    table: str,
    given: Sequence[Source],
) -> Part:
    sql = products.latest(tables, table, given, KEYED[table])
    columns = ", ".join(SCHEMAS[table].names)
    rows = engine.execute(f"SELECT {columns} FROM ({sql}) ORDER BY {KEYED[table]}")
    return writer.write(table, rows.to_arrow_table())
