"""A file of the feed: CSV, JSON lines or Parquet in, its counts out, or what is wrong where.

Columns, of which the first two are needed: product_id, quantity, store_id (empty: the whole shop),
observed_at (RFC 3339 with its offset; empty: when the file was written). No others.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from serving.catalogue import EPOCH
from serving.problems import Refused, shown
from serving.stock import Record
from serving.stocktaking import StockItem, record

LARGEST = 1 << 26  # bytes of one file
BREATH = 500  # rows after which other threads may run
NEEDED = ("product_id", "quantity")
COLUMNS = (*NEEDED, "store_id", "observed_at")
WANTS = {
    "product_id": "a text of 1 to 256 characters",
    "quantity": "a number from 0 to 1e12",
    "store_id": "a text of 1 to 256 characters, or empty",
    "observed_at": "an RFC 3339 time with its offset, such as 2026-03-01T09:30:00Z",
}


class BadFile(ValueError):
    """A file of which nothing is taken; says where and what is wanted."""


def read(path: Path, now: float) -> list[Record]:
    """A file's counts, in its order; raises BadFile, and OSError where it cannot be read."""
    status = path.stat()
    if status.st_size > LARGEST:
        raise BadFile(f"the file has {status.st_size:,} bytes, want at most {LARGEST:,}: split it")
    written = min(status.st_mtime, now)
    records: list[Record] = []
    for place, row in READERS[path.suffix](path):
        if len(records) % BREATH == 0:
            time.sleep(0)
        try:
            records.append(record(_item(row), now=now, at=written, name=place))
        except Refused as error:
            raise BadFile(error.detail) from None
        except msgspec.ValidationError as error:
            raise BadFile(_said(place, row, error)) from None
    return records


def _item(row: bytes | dict[str, Any]) -> StockItem:
    return _DECODER.decode(row) if isinstance(row, bytes) else msgspec.convert(row, StockItem)


_DECODER = msgspec.json.Decoder(StockItem)


def _said(place: str, row: bytes | dict[str, Any], error: msgspec.ValidationError) -> str:
    """What is wrong with a row: the field, what is wanted, what stands there."""
    detail, _, path = str(error).partition(" - at ")
    field = path.strip("`").removeprefix("$.")
    if field not in WANTS:
        return f"{place}: {detail}; want {', '.join(COLUMNS)}"
    values = msgspec.json.decode(row) if isinstance(row, bytes) else row
    return f"{place}: {field} must be {WANTS[field]}, got {shown(values[field])}"


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            head = file.readline()
            file.seek(0)
            delimiter = ";" if ";" in head and "," not in head else ","
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(rows, [])]
            _header(names)
            for cells in rows:
                if not cells:
                    continue
                place = f"line {rows.line_num}"
                if len(cells) != len(names):
                    raise BadFile(f"{place}: {len(cells)} values, want {len(names)}")
                row: dict[str, Any] = {
                    name: text
                    for name, cell in zip(names, cells, strict=True)
                    if (text := cell.strip())
                }
                yield place, _numbered(place, row)
        except csv.Error as error:
            raise BadFile(f"line {rows.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            raise BadFile(f"the file must be UTF-8: {error}") from None


def _numbered(place: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row of texts with its quantity as a number."""
    try:
        return row | {"quantity": float(row["quantity"])}
    except (KeyError, ValueError):
        got = shown(row.get("quantity", ""))
        raise BadFile(f"{place}: quantity must be {WANTS['quantity']}, got {got}") from None


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if text:
                try:
                    msgspec.json.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise BadFile(f"line {number}: want a JSON object: {error}") from None
                yield f"line {number}", text


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, number = file.schema_arrow, 0
            _header(schema.names)
            if "observed_at" in schema.names:
                kind = schema.field("observed_at").type
                if getattr(kind, "tz", None) is None:
                    raise BadFile(f"observed_at is {kind}, want a timestamp with a time zone")
            for batch in file.iter_batches(BREATH):
                columns = [_values(name, batch[name]) for name in schema.names]
                for values in zip(*columns, strict=True):
                    number += 1
                    row = dict(zip(schema.names, values, strict=True))
                    yield f"row {number}", {k: v for k, v in row.items() if v is not None}
    except (pa.ArrowException, OverflowError) as error:
        raise BadFile(f"the file cannot be read as Parquet: {error}") from None


def _values(name: str, column: Any) -> list[Any]:
    """A column of a Parquet file; times not by Arrow's to_pylist, which imports pandas."""
    import pyarrow as pa

    if name == "observed_at":
        micros = column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_pylist()
        return [None if it is None else EPOCH + timedelta(microseconds=it) for it in micros]
    values: list[Any] = column.cast(pa.float64() if name == "quantity" else pa.string()).to_pylist()
    return values


def _header(names: Iterable[str]) -> None:
    """Raise BadFile where a column is missing, unknown or there twice."""
    names = list(names)
    for name in NEEDED:
        if name not in names:
            raise BadFile(f"line 1: no column {name}; want {', '.join(COLUMNS)}, got {names}")
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            problem = "stands twice" if name in COLUMNS else "is none of them"
            raise BadFile(f"line 1: column {shown(name)} {problem}; want {', '.join(COLUMNS)}")


Rows = Iterator[tuple[str, Any]]
READERS: dict[str, Callable[[Path], Rows]] = {
    ".csv": _csv,
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".parquet": _parquet,
}
