"""Tables: parquet parts and a manifest in, immutable snapshots out; all of one is seen or none.

A table's folder holds `parts/HASH.parquet` (content-addressed, shared by snapshots),
`snapshots/ID.json` (a snapshot's manifest, whose rename is the commit) and `current`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features.artifact import Damaged, Missing, digest, point, pointed, sha256, sync, write_json
from features.schemas import SCHEMAS

ROW_GROUP = 131_072


@dataclass(frozen=True, slots=True)
class Part:
    """One immutable parquet file: its name is the start of its sha256."""

    name: str
    rows: int
    bytes: int
    sha256: str
    min_time: str | None
    max_time: str | None
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One immutable build of a table."""

    table: str
    id: str
    directory: Path
    manifest: dict[str, Any]

    @property
    def parts(self) -> list[Part]:
        """Its parts, in order."""
        return [Part(**part) for part in self.manifest["parts"]]

    @property
    def paths(self) -> list[str]:
        """Its parts' files, in order."""
        return [str(self.directory / "parts" / f"{part.name}.parquet") for part in self.parts]

    @property
    def rows(self) -> int:
        """Rows over all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def as_of(self) -> datetime | None:
        """Nothing later than this influenced it; None for a table that has no time."""
        text = self.manifest["as_of"]
        return None if text is None else datetime.fromisoformat(text)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows, or some columns of them, in the table's schema."""
        schema = SCHEMAS[self.table]
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns])
        if not self.paths:
            return schema.empty_table()
        return ds.dataset(self.paths, schema=schema, format="parquet").to_table()

    def verify(self) -> None:
        """Raise Missing or Damaged when a part is not what the manifest says."""
        for part, path in zip(self.parts, map(Path, self.paths), strict=True):
            if not path.is_file():
                raise Missing(f"{path} is gone, snapshot {self.id} of {self.table} names it")
            if sha256(path) != part.sha256:
                raise Damaged(f"{path} is not what snapshot {self.id} of {self.table} says")


def code_version(*modules: ModuleType) -> str:
    """A hash of modules' source: a snapshot made by other code has another id."""
    text = hashlib.sha256()
    for module in modules:
        text.update(Path(str(module.__file__)).read_bytes())
    return text.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables below one directory."""

    root: Path

    def id(self, table: str, **inputs: Any) -> str:
        """The name of the snapshot that these inputs make; `inputs` must be JSON-like."""
        schema = SCHEMAS[table].to_string(show_field_metadata=False)
        return digest({"table": table, "schema": schema, **inputs})

    def beside(self, table: str) -> Path:
        """A name for a file to write and then hand to `adopt`."""
        folder = self.root / table / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f".{uuid.uuid4().hex}.parquet"

    def write(self, table: str, rows: pa.Table, **about: Any) -> Part:
        """Write rows as one part; invisible until a snapshot names it."""
        path = self.beside(table)
        pq.write_table(
            rows.select(SCHEMAS[table].names).cast(SCHEMAS[table]),
            path,
            compression="zstd",
            compression_level=1,
            row_group_size=ROW_GROUP,
            write_page_checksum=True,
        )
        return self.adopt(table, path, **about)

    def adopt(self, table: str, path: Path, *, time: str | None = None, **about: Any) -> Part:
        """Take a parquet file written at `beside(table)` as a part, under its content's name.

        `time`: the column whose range the manifest shall say; taken from the file's statistics.
        """
        metadata = pq.read_metadata(path)
        low, high = _range(metadata, time) if time else (None, None)
        digits = sha256(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(path.with_name(f"{digits[:32]}.parquet"))
        size = path.with_name(f"{digits[:32]}.parquet").stat().st_size
        return Part(digits[:32], metadata.num_rows, size, digits, low, high, about)

    def commit(
        self,
        table: str,
        id: str,
        parts: Iterable[Part],
        *,
        as_of: datetime | None = None,
        parents: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
        code: str = "",
        about: dict[str, Any] | None = None,
        current: bool = True,
    ) -> Snapshot:
        """Make a snapshot visible: the rename of its manifest is the commit.

        `current=False` for a look back, such as a backtest's fold, that must not become the newest.
        """
        named = [{f: getattr(part, f) for f in Part.__slots__} for part in parts]
        times = [t for part in named for t in (part["min_time"], part["max_time"]) if t]
        manifest = {
            "table": table,
            "id": id,
            "schema": digest(SCHEMAS[table].to_string(show_field_metadata=False)),
            "rows": sum(part["rows"] for part in named),
            "min_time": min(times, default=None),
            "max_time": max(times, default=None),
            "as_of": None if as_of is None else as_of.isoformat(),
            "parents": parents or {},
            "parameters": parameters or {},
            "code": code,
            "about": about or {},
            "parts": named,
        }
        folder = self.root / table
        if (folder / "parts").is_dir():
            sync(folder / "parts")
        write_json(folder / "snapshots" / f"{id}.json", manifest)
        snapshot = self.get(table, id)
        if current:
            self.point(snapshot)
        return snapshot

    def point(self, snapshot: Snapshot) -> None:
        """Make a snapshot the newest of its table; what a repeated step does with what it found."""
        point(self.root / snapshot.table / "current", snapshot.id)

    def get(self, table: str, id: str) -> Snapshot:
        """A snapshot by its id; raises Missing."""
        path = self.root / table / "snapshots" / f"{id}.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise Missing(f"table {table} has no snapshot {id} in {self.root}") from error
        return Snapshot(table, id, self.root / table, manifest)

    def find(self, table: str, id: str) -> Snapshot | None:
        """A snapshot by its id, whole, or None: what a repeated step asks first."""
        with contextlib.suppress(Missing):
            snapshot = self.get(table, id)
            if all(Path(path).is_file() for path in snapshot.paths):
                return snapshot
        return None

    def current(self, table: str) -> Snapshot | None:
        """The newest snapshot of a table, None before the first."""
        id = pointed(self.root / table / "current")
        return None if id is None else self.get(table, id)

    def need(self, table: str) -> Snapshot:
        """The newest snapshot of a table; raises Missing with what makes one."""
        snapshot = self.current(table)
        if snapshot is None:
            step = "regulars ingest" if table == "events" else "regulars features"
            raise Missing(f"no {table} in {self.root}: run `{step}` first")
        return snapshot

    def orphans(self) -> list[Path]:
        """Parts that no snapshot names: what a killed step left behind."""
        left: list[Path] = []
        for folder in sorted(self.root.glob("*/parts")):
            table = folder.parent
            manifests = [json.loads(p.read_text()) for p in (table / "snapshots").glob("*.json")]
            named = {f"{part['name']}.parquet" for m in manifests for part in m["parts"]}
            left += [path for path in sorted(folder.iterdir()) if path.name not in named]
        return left


def _range(metadata: pq.FileMetaData, column: str) -> tuple[str | None, str | None]:
    """Least and greatest value of a time column by the file's own statistics, as ISO text."""
    place = metadata.schema.names.index(column)
    found = [metadata.row_group(i).column(place).statistics for i in range(metadata.num_row_groups)]
    known = [s for s in found if s is not None and s.has_min_max]
    if not known:
        return None, None
    return min(s.min for s in known).isoformat(), max(s.max for s in known).isoformat()
