"""Corrections: sources that are replaced in, what stays of the store without them out.

A row that was dropped as the duplicate of an event that now goes comes back as an event.
"""

from __future__ import annotations

import duckdb

from features.schemas import EVENTS
from features.sources import store
from features.sources.store import Source, Writer
from features.tables import Part, Tables

TYPES = {"event_time": "TIMESTAMPTZ", "quantity": "DOUBLE", "unit_price": "DOUBLE"}


def returned(
    engine: duckdb.DuckDBPyConnection,
    writer: Writer,
    tables: Tables,
    replaced: set[str],
    parts: list[Part],
    sides: dict[str, list[Part]],
    now: dict[str, Source],
) -> list[Part]:
    """The parts of events without the replaced sources, with the rows that come back.

    `sides` and `now` (the sources that stay) are brought in step.
    """
    if not replaced:
        return parts
    gone = [part for part in parts if part.about["source"] in replaced]
    parts = [part for part in parts if part.about["source"] not in replaced]
    for side in store.SIDES:
        sides[side] = [part for part in sides[side] if part.about["source"] not in replaced]
    twins = sides["duplicates"]
    if not gone or not twins:
        return parts
    names = [name for name in EVENTS.names if name not in ("source", "source_row")]
    values = ", ".join(
        f"CAST(json_extract_string(raw, '$.{name}') AS {TYPES.get(name, 'VARCHAR')}) AS {name}"
        for name in names
    )
    # one row for each id that goes: the first by source and row
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE back AS SELECT * FROM ("
        f" SELECT source, source_row, raw, {values}, file_name, file_row,"
        " row_number() OVER (PARTITION BY event_id ORDER BY source, source_row, file_name,"
        " file_row) AS nth"
        " FROM (SELECT *, filename AS file_name, file_row_number AS file_row"
        f" FROM read_parquet({_paths(tables, 'duplicates', twins)!r},"
        " filename = true, file_row_number = true)"
        " WHERE json_extract_string(raw, '$.event_id') IN"
        f" (SELECT event_id FROM read_parquet({_paths(tables, 'events', gone)!r})))"
        ") WHERE nth = 1"
    )
    touched = engine.execute("SELECT DISTINCT source FROM back ORDER BY source").fetchall()
    for (name,) in touched:
        mine = [part for part in twins if part.about["source"] == name]
        rows = engine.execute(
            f"SELECT {', '.join(EVENTS.names)} FROM back WHERE source = ?"
            " ORDER BY event_time, event_id",
            [name],
        ).to_arrow_table()
        said = {"source": name, "source_sha256": now[name]["sha256"], "ids": "shop"}
        parts.append(writer.write("events", rows, time="event_time", **said))
        left = engine.execute(
            "SELECT source, source_row, reason, raw FROM"
            f" read_parquet({_paths(tables, 'duplicates', mine)!r},"
            " filename = true, file_row_number = true) d"
            " ANTI JOIN back ON d.filename = back.file_name AND d.file_row_number = back.file_row"
            " ORDER BY d.filename, d.file_row_number"
        ).to_arrow_table()
        sides["duplicates"] = [p for p in sides["duplicates"] if p.about["source"] != name]
        if len(left):
            about = {key: said[key] for key in ("source", "source_sha256")}
            sides["duplicates"].append(writer.write("duplicates", left, of="events", **about))
        counts = dict(now[name]["rows"])
        counts["events"] += len(rows)
        counts["duplicates"] -= len(rows)
        now[name] = {**now[name], "rows": counts}
    return parts


def _paths(tables: Tables, table: str, parts: list[Part]) -> list[str]:
    return [str(tables.root / table / "parts" / f"{part.name}.parquet") for part in parts]
