"""The engine: table expressions in; parquet parts, with the same bytes on any threads, out."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import __version__ as duckdb_version

from features.schemas import SCHEMAS
from features.tables import ROW_GROUP, Part, Snapshot, Tables

VERSION = f"duckdb {duckdb_version}, ibis {ibis.__version__}"


class Engine:
    """Ibis on an embedded DuckDB that spills to a folder of its own and cleans up behind itself.

    `memory_limit` is the engine's; the process needs about 0.7 GB more. A folder that a killed
    engine left is removed by the next one.
    """

    def __init__(
        self, spill: Path, *, memory_limit: str = "3GB", threads: int | None = None
    ) -> None:
        self.spill = _own(spill)
        self._lock = (self.spill / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        config: dict[str, Any] = {} if threads is None else {"threads": threads}
        self.connection = ibis.duckdb.connect(
            memory_limit=memory_limit,
            temp_directory=str(self.spill / "engine"),
            preserve_insertion_order=False,
            **config,
        )
        self.connection.raw_sql("SET enable_progress_bar = false")  # on by itself on a terminal
        self._names = (f"r{number}" for number in itertools.count())
        self._kept: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give memory and disk back."""
        self.connection.disconnect()
        shutil.rmtree(self.spill, ignore_errors=True)
        self._lock.close()

    def read(self, snapshot: Snapshot) -> ir.Table:
        """A snapshot's rows, read when they are needed."""
        return self.parts(snapshot, snapshot.parts)

    def parts(self, snapshot: Snapshot, parts: Iterable[Part]) -> ir.Table:
        """The rows of some of a table's parts, not necessarily that snapshot's."""
        folder = snapshot.directory / "parts"
        paths = [str(folder / f"{part.name}.parquet") for part in parts]
        return self.files(paths, SCHEMAS[snapshot.table])

    def files(self, paths: Sequence[str], schema: pa.Schema) -> ir.Table:
        """Parquet files' rows; no file makes a table without rows."""
        if not paths:
            return self.rows(schema.empty_table())
        return self.connection.read_parquet(
            list(paths), table_name=next(self._names), hive_partitioning=False
        )

    def rows(self, table: pa.Table) -> ir.Table:
        """An Arrow table's rows."""
        name = next(self._names)
        self.connection.con.register("arrow", table)
        self._run(f'CREATE TEMP TABLE "{name}" AS FROM "arrow"')
        self.connection.con.unregister("arrow")
        return self._table(name)

    def keep(self, expression: ir.Table) -> ir.Table:
        """Compute an expression once and keep its rows, in memory or spilled."""
        name = next(self._names)
        self._run(f'CREATE TEMP TABLE "{name}" AS {self._sql(expression)}')
        return self._table(name)

    def add(self, kept: ir.Table, expression: ir.Table) -> None:
        """Append an expression's rows to what `keep` gave."""
        self._run(f'INSERT INTO "{kept.op().name}" {self._sql(expression)}')

    def drop(self, *kept: ir.Table) -> None:
        """Let go of what `keep` gave."""
        for table in kept:
            self._run(f'DROP TABLE IF EXISTS temp."{table.op().name}"')

    @contextlib.contextmanager
    def scratch(self) -> Iterator[None]:
        """Everything kept, read and spread in the block is let go at its end."""
        before, self._kept = self._kept, []
        try:
            yield
        finally:
            for name in self._kept:
                self._run(f'DROP TABLE IF EXISTS temp."{name}"')
            for folder in self.spill.glob("spread-*"):
                shutil.rmtree(folder)
            self._kept = before

    def spread(self, expression: ir.Table, by: str, n: int) -> list[ir.Table]:
        """Split rows by a column of 0 to n - 1; through files, so that memory stays small."""
        if n == 1:
            return [self.keep(expression)]
        folder = self.spill / f"spread-{uuid.uuid4().hex}"
        self._run(
            f"COPY ({self._sql(expression)}) TO {_quoted(folder)} "
            f"(FORMAT parquet, PARTITION_BY ({by}), COMPRESSION lz4, DICTIONARY_SIZE_LIMIT 100)"
        )
        schema = expression.drop(by).schema().to_pyarrow()
        return [
            self.files(sorted(map(str, (folder / f"{by}={i}").glob("*.parquet"))), schema)
            for i in range(n)
        ]

    def value(self, expression: ir.Scalar) -> Any:
        """One value, as Python's."""
        return expression.to_pyarrow().as_py()

    def write(
        self,
        expression: ir.Table,
        tables: Tables,
        table: str,
        *,
        order: Iterable[str],
        time: str | None = None,
        split: str | None = None,
        values: Iterable[Any] = (),
        **about: Any,
    ) -> list[Part]:
        """Stream an expression into parts of a table: one, or one a value of the column `split`.

        `order` must tell any two rows apart, else their order, and the part's name, are open.
        Where there are no rows there is no part.
        """
        columns = ", ".join(
            f'CAST("{field.name}" AS {_sql_type(field.type)}) AS "{field.name}"'
            for field in SCHEMAS[table]
        )
        sql = f"SELECT {columns} FROM ({self.connection.compile(expression)})"
        by = "ORDER BY " + ", ".join(f'"{name}"' for name in order)
        if split is None:
            return self._part(f"{sql} {by}", tables, table, time, about)
        parts: list[Part] = []
        for value in values:
            some = f'{sql} WHERE "{split}" = {value!r} {by}'
            parts += self._part(some, tables, table, time, {**about, split: value})
        return parts

    def _part(
        self, sql: str, tables: Tables, table: str, time: str | None, about: dict[str, Any]
    ) -> list[Part]:
        path = tables.beside(table)
        try:
            self._run(
                f"COPY ({sql}) TO {_quoted(path)} (FORMAT parquet, COMPRESSION zstd, "
                f"COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP})"
            )
            if pq.read_metadata(path).num_rows:
                return [tables.adopt(table, path, time=time, **about)]
            return []
        finally:
            path.unlink(missing_ok=True)

    def _table(self, name: str) -> ir.Table:
        self._kept.append(name)
        return self.connection.table(name, database=("temp", "main"))

    def _run(self, sql: str) -> None:
        self.connection.con.execute(sql)

    def _sql(self, expression: ir.Table) -> str:
        """SQL whose columns have the types that the expression says; a sum would be wider."""
        columns = ", ".join(
            f'CAST("{name}" AS {_sql_type(kind.to_pyarrow())}) AS "{name}"'
            if kind.is_integer()
            else f'"{name}"'
            for name, kind in expression.schema().items()
        )
        return f"SELECT {columns} FROM ({self.connection.compile(expression)})"


def _own(spill: Path) -> Path:
    """A new folder below `spill`, after the folders of engines that died are gone."""
    spill.mkdir(parents=True, exist_ok=True)
    for folder in spill.iterdir():
        try:
            with (folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, or being made this moment
            continue
    own = spill / uuid.uuid4().hex
    own.mkdir()
    return own


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type."""
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    return {
        pa.string(): "VARCHAR",
        pa.int8(): "TINYINT",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float32(): "FLOAT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
    }[kind]
