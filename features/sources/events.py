"""Events: files and a mapping in, one snapshot of events that holds them out.

Rows come chunk by chunk; each chunk is mapped by one statement of the engine, compared with the
ids that are known, and written as parts that nobody sees until the last commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.schemas import EVENTS
from features.sources import products, reading, rows, store
from features.sources.columns import Columns
from features.sources.errors import BadMapping, NotAccounted
from features.sources.files import File, Found, check
from features.sources.mapping import Mapping
from features.sources.returning import returned
from features.sources.store import Ingested, Source, Tally, Writer
from features.sources.values import need
from features.tables import Part, Tables

COLUMNS = [name for name in EVENTS.names if name not in ("source", "source_row")]


def ingest_events(tables: Tables, found: Sequence[Found], mapping: Mapping) -> Ingested:
    """Take the files in that are not there yet, or not with this content or mapping."""
    wanted = _wanted(mapping)
    with store.at_work(tables) as (scratch, engine, writer):
        files = [check(file, mapping.format, folder=scratch) for file in found]
        base = tables.current("events")
        before = store.sources(base)
        hash = mapping.hash("events")
        fresh = [f for f in files if not store.same(before.get(f.name), f.sha256, hash)]
        for file in fresh:
            strict = file.kind != "jsonl"  # an object may leave out what it has not
            need(
                file.name,
                reading.names(file, mapping.format, wanted),
                wanted if strict else _always(mapping),
            )
        replaced = tuple(file.name for file in fresh if file.name in before)
        now: dict[str, Source] = {n: s for n, s in before.items() if n not in replaced}
        named = [{"name": f.name, "sha256": f.sha256, "mapping": hash} for f in fresh]
        inputs = {"sources": sorted(store.identity([*now.values(), *named]))}
        snapshot = tables.find("events", tables.id("events", **inputs))
        if snapshot is not None:  # it was so before: nothing to read again
            parts, sides, now = (
                snapshot.parts,
                store.sides(tables, snapshot),
                store.sources(snapshot),
            )
        else:
            parts = [] if base is None else base.parts
            sides = store.sides(tables, base)
            parts = returned(engine, writer, tables, set(replaced), parts, sides, now)
            taker = _Taker(engine, writer, tables, mapping, parts)
            for source, tally in taker.take(fresh, wanted):
                now[source["name"]] = source
                parts = parts + tally.parts.get("events", [])
                for side in store.SIDES:
                    sides[side] += tally.parts.get(side, [])
        parents = store.in_step(tables, "events", sides)
        products.show_products(tables, engine, writer, events=list(now.values()))
        about = {"sources": [now[name] for name in sorted(now)]}
        id = store.show(tables, "events", inputs, parts, parents=parents, about=about)
        return store.summary(
            (now[file.name] for file in files),
            snapshot=id,
            changed=base is None or base.id != id,
            replaced=replaced,
        )


def _wanted(mapping: Mapping) -> list[str]:
    """Every column that the mapping names; raises BadMapping without the ones no event lacks."""
    for column in ("event_time", "event_type", "product_id"):
        if column not in mapping.columns and column not in mapping.constants:
            raise BadMapping(f"mapping {mapping.name!r} names no column for {column}")
    unnest = [] if mapping.unnest is None else [mapping.unnest]
    named = (mapping.columns, mapping.identities, mapping.attributes)
    return [*unnest, *(name for section in named for name in section.values()), *mapping.where]


def _always(mapping: Mapping) -> list[str]:
    """The columns that every event has."""
    columns = mapping.columns
    return [columns[name] for name in ("event_time", "event_type", "product_id") if name in columns]


class _Taker:
    """Takes files in against the ids that are known; its state lives in the engine's tables."""

    def __init__(
        self,
        engine: duckdb.DuckDBPyConnection,
        writer: Writer,
        tables: Tables,
        mapping: Mapping,
        parts: Sequence[Part],
    ) -> None:
        self.engine, self.writer, self.mapping = engine, writer, mapping
        self.folder = tables.root / "events" / "parts"
        self.ids = "shop" if "event_id" in mapping.columns else "content"
        self.unread = list(parts)  # whose ids are not in `known` yet
        self.paths: list[str] = []  # by known.part
        engine.execute("CREATE TEMP TABLE known (h UBIGINT, part INTEGER)")
        engine.execute(
            "CREATE TEMP TABLE sighted (src INTEGER, product_id VARCHAR, attribute VARCHAR,"
            " value VARCHAR, rows BIGINT, last_time TIMESTAMPTZ)"
        )
        for name, words in (
            ("event_type_words", rows.event_type_words(mapping)),
            ("channel_words", rows.channel_words(mapping)),
        ):
            table = pa.table({"word": [w for w, _ in words], "ours": [o for _, o in words]})
            engine.register(name, table)

    def take(self, files: Sequence[File], wanted: Sequence[str]) -> Iterator[tuple[Source, Tally]]:
        """Every file's record and where its rows went, when all were read."""
        tallies = [Tally() for _ in files]
        for chunk in reading.chunks(files, self.mapping.format, wanted):
            self._take(files, chunk, tallies)
        self.writer.wait()
        for place, (file, tally) in enumerate(zip(files, tallies, strict=True)):
            source = store.record(file.name, file.sha256, self.mapping, "events", tally)
            source["sightings"] = products.keep_sightings(self.engine, self.writer.tables, place)
            yield source, tally

    def _take(self, files: Sequence[File], chunk: reading.Chunk, tallies: list[Tally]) -> None:
        engine, mapping = self.engine, self.mapping
        first = files[chunk.sources[0]].name
        columns = Columns(first, chunk, mapping.format, mapping.ids, mapping.unnest)
        engine.register("chunk", chunk.table)
        engine.execute(f"CREATE OR REPLACE TEMP TABLE mapped AS {rows.mapped(columns, mapping)}")
        self._count(chunk, tallies)
        self.writer.wait()  # for the parts of the chunk before, which may hold the same ids
        twins = self._twins()
        names = pa.table(
            {
                "src": pa.array(chunk.sources, pa.int32()),
                "source": [files[place].name for place in chunk.sources],
            }
        )
        engine.register("names", names)
        taken = "reason IS NULL" + (" AND rowid NOT IN (FROM twins)" if twins else "")
        self._write(
            "events",
            f"SELECT src, {', '.join(COLUMNS)}, source, row AS source_row FROM mapped"
            f" JOIN names USING (src) WHERE {taken} ORDER BY src, event_time, event_id",
            files,
            tallies,
        )
        bad = "SELECT DISTINCT i FROM mapped WHERE reason IS NOT NULL ORDER BY i"
        places = engine.execute(bad).to_arrow_table().column("i")
        engine.register("bad_rows", chunk.table.take(places))
        self._write(
            "quarantine",
            "WITH q AS (SELECT i, src, row AS source_row, ord, reason FROM mapped"
            " WHERE reason IS NOT NULL)"
            f" SELECT q.src, source, source_row, reason, {columns.raw} AS raw FROM q"
            " JOIN bad_rows USING (i) JOIN names ON names.src = q.src"
            " ORDER BY q.src, source_row, ord",
            files,
            tallies,
        )
        if twins:
            event = ", ".join(f"{name} := {name}" for name in COLUMNS)
            self._write(
                "duplicates",
                f"SELECT src, source, row AS source_row, 'same_{_twin(self.ids)}' AS reason,"
                f" to_json(struct_pack({event}))::VARCHAR AS raw FROM mapped"
                " JOIN names USING (src) WHERE rowid IN (FROM twins) ORDER BY src, row, ord",
                files,
                tallies,
            )
        for sql in products.sightings(mapping):
            engine.execute(f"INSERT INTO sighted {sql}")
        engine.unregister("chunk")

    def _count(self, chunk: reading.Chunk, tallies: list[Tally]) -> None:
        """Count input and reasons; every row of the chunk must have come through the mapping."""
        counts = "SELECT src, reason, count(*) FROM mapped GROUP BY ALL"
        for src, reason, n in self.engine.execute(counts).fetchall():
            tallies[src].input += n
            if reason is not None:
                tallies[src].reasons[reason] = tallies[src].reasons.get(reason, 0) + n
        distinct = "i" if self.mapping.unnest is None else "DISTINCT i"
        seen = self.engine.execute(f"SELECT count({distinct}) FROM mapped").fetchall()[0][0]
        if seen != len(chunk.table):
            raise NotAccounted(f"{len(chunk.table)} rows were read, {seen} came through")

    def _twins(self) -> bool:
        """Fill `twins` with the rows whose event id is known or stood before; whether any is."""
        engine = self.engine
        self._read_ids()
        engine.execute(
            "CREATE OR REPLACE TEMP TABLE hits AS SELECT h, part FROM known"
            " WHERE h IN (SELECT h FROM mapped WHERE reason IS NULL)"
        )
        engine.execute(
            "CREATE OR REPLACE TEMP TABLE suspects AS"
            " SELECT h FROM mapped WHERE reason IS NULL GROUP BY h HAVING count(*) > 1"
            " UNION SELECT h FROM hits"
        )
        if engine.execute("SELECT count(*) FROM suspects").fetchall() == [(0,)]:
            return False
        there = engine.execute("SELECT DISTINCT part FROM hits ORDER BY part").fetchall()
        paths = [self.paths[part] for (part,) in there]
        old = "SELECT NULL::VARCHAR AS event_id WHERE false"
        if paths:
            old = (
                f"SELECT event_id FROM read_parquet({paths!r})"
                " WHERE hash(event_id) IN (SELECT h FROM hits)"
            )
        engine.execute(f"CREATE OR REPLACE TEMP TABLE standing AS {old}")
        engine.execute(
            "CREATE OR REPLACE TEMP TABLE twins AS SELECT place FROM ("
            " SELECT rowid AS place, event_id,"
            " row_number() OVER (PARTITION BY event_id ORDER BY src, row, ord) AS nth"
            " FROM mapped WHERE reason IS NULL AND h IN (FROM suspects))"
            " WHERE nth > 1 OR event_id IN (FROM standing)"
        )
        return bool(engine.execute("SELECT count(*) FROM twins").fetchall() != [(0,)])

    def _read_ids(self) -> None:
        """Bring the ids of those older parts into `known` that could hold one of these rows.

        A hash of the content covers the time: parts of another time cannot hold the same.
        """
        span = "SELECT min(event_time), max(event_time) FROM mapped WHERE reason IS NULL"
        low, high = self.engine.execute(span).fetchall()[0]
        if low is None:
            return
        later = [part for part in self.unread if not self._could_hold(part, low, high)]
        wanted = [part for part in self.unread if part not in later]
        self.unread = later
        if wanted:
            paths = [str(self.folder / f"{part.name}.parquet") for part in wanted]
            numbers = range(len(self.paths), len(self.paths) + len(paths))
            self.paths += paths
            self.engine.register("parts", pa.table({"filename": paths, "part": list(numbers)}))
            self.engine.execute(
                "INSERT INTO known SELECT hash(event_id), part"
                f" FROM read_parquet({paths!r}, filename = true) JOIN parts USING (filename)"
            )

    def _could_hold(self, part: Part, low: datetime, high: datetime) -> bool:
        if self.ids == "shop" or part.about["ids"] == "shop" or part.min_time is None:
            return True
        least, most = (datetime.fromisoformat(str(t)) for t in (part.min_time, part.max_time))
        return least <= high and most >= low

    def _write(self, table: str, sql: str, files: Sequence[File], tallies: list[Tally]) -> None:
        """The rows of each source, which come in order of `src`, as a part of their own."""
        found = self.engine.execute(sql).to_arrow_table()
        if len(found) == 0:
            return
        runs = pc.run_end_encode(found.column("src").combine_chunks())
        start = 0
        about: dict[str, Any] = {"ids": self.ids, "time": "event_time"}
        about = about if table == "events" else {"of": "events"}
        for src, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            file = files[src]
            self.writer.later(
                partial(self._written, table, tallies[src]),
                table,
                found.slice(start, end - start).drop_columns("src"),
                source=file.name,
                source_sha256=file.sha256,
                **about,
            )
            start = end

    def _written(self, table: str, tally: Tally, part: Part) -> None:
        tally.add(table, part)
        if table == "events":
            self.unread.append(part)


def _twin(ids: str) -> str:
    return "event_id" if ids == "shop" else "content"
