"""The store's books: what snapshots say of their sources in, tables kept in step out.

A snapshot of an ingested table holds in `about["sources"]` one record a source: its name, the
sha256 of its bytes, the hash of its mapping and its rows. Its parents are the snapshots of
`quarantine` and `duplicates` that were made visible just before it.
"""

from __future__ import annotations

import fcntl
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.artifact import sha256
from features.sources.errors import NotAccounted, SourceError
from features.sources.mapping import Mapping
from features.tables import Part, Snapshot, Tables

SIDES = ("quarantine", "duplicates")
MEMORY = "2GB"
Source = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest made of its files.

    rows: input, events (rows taken, whatever the table), quarantined, duplicates; of all files of
        the location, taken now or before.
    reasons: quarantined rows by reason.
    replaced: sources that stood with other content and were corrected by this ingest.
    """

    rows: dict[str, int]
    reasons: dict[str, int]
    snapshot: str
    changed: bool
    replaced: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """Where the rows of one source went, while it is taken in."""

    input: int = 0
    taken: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    parts: dict[str, list[Part]] = field(default_factory=dict)

    def add(self, table: str, part: Part) -> None:
        """A part of a table that was written."""
        self.parts.setdefault(table, []).append(part)
        self.taken += part.rows if table not in SIDES else 0

    def close(self, name: str) -> dict[str, int]:
        """The rows by place; raises NotAccounted when they are not the rows of the input."""
        taken = self.taken
        quarantined, duplicates = (sum(p.rows for p in self.parts.get(t, [])) for t in SIDES)
        if self.input != taken + quarantined + duplicates or quarantined != sum(
            self.reasons.values()
        ):
            raise NotAccounted(
                f"{name}: {self.input} rows in, but {taken} taken + {quarantined} quarantined"
                f" + {duplicates} duplicates; nothing was made visible"
            )
        return {
            "input": self.input,
            "events": taken,
            "quarantined": quarantined,
            "duplicates": duplicates,
        }


class Writer:
    """Writes parts that no snapshot names yet; on an error takes them away again.

    `later` writes beside the engine's work, and `wait` is told the part that came of it.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.written: set[Path] = set()
        self.beside = ThreadPoolExecutor(1)
        self.pending: list[tuple[Future[Part], Callable[[Part], None]]] = []

    def later(self, then: Callable[[Part], None], table: str, rows: pa.Table, **about: Any) -> None:
        """Write one part beside; `then` is called with it by `wait`."""
        self.pending.append((self.beside.submit(self.write, table, rows, **about), then))

    def wait(self) -> None:
        """Until all is written."""
        pending, self.pending = self.pending, []
        for part, then in pending:
            then(part.result())

    def write(self, table: str, rows: pa.Table, **about: Any) -> Part:
        """One part; what it was made of stands in its `about`."""
        part = self.tables.write(table, rows, **about)
        self.written.add(self.tables.root / table / "parts" / f"{part.name}.parquet")
        return part

    def undo(self) -> None:
        """Remove what was written, but for what a snapshot names."""
        self.beside.shutdown(cancel_futures=True)
        for path in self.written.intersection(self.tables.orphans()):
            path.unlink(missing_ok=True)


@contextmanager
def at_work(tables: Tables) -> Iterator[tuple[Path, duckdb.DuckDBPyConnection, Writer]]:
    """One ingest at a time: a scratch folder, an engine with bounded memory, and a writer."""
    tables.root.mkdir(parents=True, exist_ok=True)
    scratch = tables.root / ".ingest"
    with (tables.root / ".ingest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        engine = duckdb.connect(
            config={
                "memory_limit": MEMORY,
                "temp_directory": str(scratch / "spill"),
                "autoinstall_known_extensions": "false",
            }
        )
        engine.execute("SET enable_progress_bar = false")  # on by itself on a terminal
        writer = Writer(tables)
        try:
            engine.execute("SET TimeZone = 'UTC'")
            yield scratch, engine, writer
        except BaseException as error:
            writer.undo()
            if isinstance(error, duckdb.Error):
                raise SourceError(f"the engine could not take the rows in: {error}") from error
            raise
        finally:
            writer.beside.shutdown()
            engine.close()
            shutil.rmtree(scratch, ignore_errors=True)


def sources(snapshot: Snapshot | None) -> dict[str, Source]:
    """The sources of a snapshot by name, in the order in which they were taken in."""
    listed = [] if snapshot is None else snapshot.manifest["about"]["sources"]
    return {source["name"]: source for source in listed}


def same(source: Source | None, sha: str, mapping: str) -> bool:
    """Whether a source stands with this content, taken with this mapping."""
    return source is not None and source["sha256"] == sha and source["mapping"] == mapping


def identity(of: Iterable[Source]) -> list[list[str]]:
    """What names a set of sources."""
    return [[source["name"], source["sha256"], source["mapping"]] for source in of]


def sides(tables: Tables, snapshot: Snapshot | None) -> dict[str, list[Part]]:
    """The parts of quarantine and duplicates that belong to a snapshot of another table."""
    found: dict[str, list[Part]] = {side: [] for side in SIDES}
    if snapshot is not None:
        for side in SIDES:
            parts = tables.get(side, snapshot.manifest["parents"][side]).parts
            found[side] = [part for part in parts if part.about["of"] == snapshot.table]
    return found


def in_step(tables: Tables, table: str, mine: dict[str, list[Part]]) -> dict[str, str]:
    """Make quarantine and duplicates hold a table's parts beside those of others; their ids."""
    parents = {}
    for side in SIDES:
        current = tables.current(side)
        others = [] if current is None else current.parts
        parts = [part for part in others if part.about["of"] != table] + mine[side]
        parts.sort(key=lambda part: (part.about["of"], part.about["source"]))
        parents[side] = show(tables, side, {"parts": [part.name for part in parts]}, parts)
    return parents


def show(tables: Tables, table: str, inputs: dict[str, Any], parts: list[Part], **said: Any) -> str:
    """Make the snapshot that these inputs name the newest of its table; its id."""
    id = tables.id(table, **inputs)
    current = tables.current(table)
    if current is None or current.id != id:
        found = tables.find(table, id)
        if found is None:
            tables.commit(table, id, parts, **said)
        else:
            tables.point(found)
    return id


def summary(of: Iterable[Source], **said: Any) -> Ingested:
    """The rows of several sources, added up."""
    rows = dict.fromkeys(("input", "events", "quarantined", "duplicates"), 0)
    reasons: dict[str, int] = {}
    for source in of:
        for place, n in source["rows"].items():
            rows[place] += n
        for reason, n in source["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + n
    return Ingested(rows, dict(sorted(reasons.items())), **said)


def keep(tables: Tables, table: str, rows: pa.Table) -> str:
    """Write what a source said of keyed rows, beside the table's parts; the name of the file."""
    folder = tables.root / table / "given"
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{uuid.uuid4().hex}"
    pq.write_table(rows, beside, compression="zstd", compression_level=1)
    name = f"{sha256(beside)[:32]}.parquet"
    beside.replace(folder / name)
    return name


def kept(tables: Tables, table: str, name: str) -> str:
    """The path of a file that `keep` wrote."""
    return str(tables.root / table / "given" / name)


def record(name: str, sha: str, mapping: Mapping, table: str, tally: Tally) -> Source:
    """What a snapshot says of a source."""
    return {
        "name": name,
        "sha256": sha,
        "mapping": mapping.hash(table),
        "rows": tally.close(name),
        "reasons": dict(sorted(tally.reasons.items())),
    }
