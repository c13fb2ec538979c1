"""Reading: checked files in, chunks of raw rows out, at most about a million rows each.

A chunk's columns are c0, c1 … as in the file, then `row` (from 1), `src` (which file), `bad` (the
text of a row that is none) and `i` (place in the chunk). JSON lines stay text in c0.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from features.sources.errors import BadFile
from features.sources.files import File, reading, text_stream
from features.sources.mapping import Format

ROWS = 1 << 20
BYTES = 1 << 28
BATCH = 1 << 17
BLOCK = 1 << 24
DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Raw rows of one shape: `names[j]` is the file's name of column c<j>.

    sources: the places of its files among all; table.src holds them.
    """

    names: tuple[str, ...]
    lines: bool
    sources: tuple[int, ...]
    table: pa.Table


def names(file: File, format: Format, wanted: Sequence[str]) -> tuple[str, ...]:
    """The column names of a file; for JSON lines all keys of its first thousand objects."""
    if file.kind == "jsonl":
        with reading(file.name), _stream(file, format) as stream:
            lines = stream.read(BLOCK).removeprefix(codecs.BOM_UTF8).split(b"\n")[:1000]
        return tuple(dict.fromkeys(key for line in lines for key in _keys(line)))
    if file.kind == "parquet":
        with reading(file.name), pq.ParquetFile(file.path) as parquet:
            return tuple(parquet.schema_arrow.names)
    return _csv(file, format, wanted)[1]


def chunks(files: Sequence[File], format: Format, wanted: Sequence[str]) -> Iterator[Chunk]:
    """All rows of all files in order; small files of one shape share a chunk."""
    held: list[pa.Table] = []
    of: tuple[Any, ...] | None = None
    for place, file in enumerate(files):
        names, batches = _open(file, format, wanted)
        with reading(file.name):
            for table in batches:
                table = table.append_column("src", _same(place, len(table)))
                shape = (names, file.kind == "jsonl", table.schema)
                full = sum(map(len, held)) >= ROWS or sum(t.nbytes for t in held) >= BYTES
                if held and of is not None and (full or shape != of):
                    yield _chunk(held, of)
                    held = []
                held.append(table)
                of = shape
    if held and of is not None:
        yield _chunk(held, of)


def _chunk(held: list[pa.Table], of: tuple[Any, ...]) -> Chunk:
    table = pa.concat_tables(held)
    sources = sorted({t.column("src")[0].as_py() for t in held})
    table = table.append_column("i", pa.array(np.arange(len(table))))
    return Chunk(of[0], of[1], tuple(sources), table)


def _same(value: int, n: int) -> pa.Array:
    return pa.array(np.full(n, value, dtype=np.int32))


def _open(
    file: File, format: Format, wanted: Sequence[str]
) -> tuple[tuple[str, ...], Iterator[pa.Table]]:
    if file.kind == "jsonl":
        return ("",), _lines(file, format)
    if file.kind == "parquet":
        with reading(file.name), pq.ParquetFile(file.path) as parquet:
            return tuple(parquet.schema_arrow.names), _parquet(file)
    delimiter, names, blanks = _csv(file, format, wanted)
    return names, _rows(file, format, delimiter, names, blanks)


def _parquet(file: File) -> Iterator[pa.Table]:
    row = 0
    with pq.ParquetFile(file.path, page_checksum_verification=True) as parquet:
        for batch in parquet.iter_batches(BATCH):
            if batch.num_rows:
                rows = np.arange(row + 1, row + batch.num_rows + 1)
                row += batch.num_rows
                yield _raw(batch.columns, rows)


def _raw(data: Sequence[Any], rows: npt.NDArray[np.int64], bad: pa.Array | None = None) -> pa.Table:
    names = [f"c{j}" for j in range(len(data))]
    bad = pa.nulls(len(rows), pa.string()) if bad is None else bad
    return pa.table([*data, pa.array(rows), bad], names=[*names, "row", "bad"])


def _csv(file: File, format: Format, wanted: Sequence[str]) -> tuple[str, tuple[str, ...], int]:
    """The delimiter, the column names, and how many blank lines stand before them.

    Of the likely delimiters it is the one that shows what is wanted.
    """
    tries = format.delimiter or ("\t" if ".tsv" in file.name.lower() else DELIMITERS)
    with reading(file.name), text_stream(file.name, file.path) as stream:
        head = codecs.getincrementaldecoder(format.encoding)().decode(stream.read(1 << 16))
    head = head.removeprefix("\ufeff")
    lines = {d: next(_reader(head, d, format), []) for d in tries}
    best = max(
        tries,
        key=lambda d: (
            len(set(format.header or lines[d]) & set(wanted)) if not format.header else 0,
            len(lines[d]),
            -tries.index(d),
        ),
    )
    names = tuple(name.strip() for name in (format.header or lines[best]))
    twice = sorted({name for name in names if names.count(name) > 1 and name in wanted})
    if twice:
        raise BadFile(f"{file.name}: column {twice[0]!r} stands twice: {', '.join(names)}")
    blank = head[: len(head) - len(head.lstrip("\r\n"))]
    return best, names, len(blank.splitlines())


def _reader(head: str, delimiter: str, format: Format) -> Iterator[list[str]]:
    rows = csv.reader(
        io.StringIO(head, newline=""),
        delimiter=delimiter,
        quotechar=format.quote,
        escapechar=format.escape,
    )
    return (row for row in rows if row)


def _stream(file: File, format: Format) -> Any:
    stream = text_stream(file.name, file.path)
    if codecs.lookup(format.encoding).name in ("utf-8", "ascii", "utf-8-sig"):
        return stream
    return pa.transcoding_input_stream(stream, format.encoding, "utf8")


def _rows(
    file: File, format: Format, delimiter: str, names: tuple[str, ...], blanks: int
) -> Iterator[pa.Table]:
    """CSV: every value is text; a row with too few or too many values is kept as bad."""
    broken: list[tuple[int, str]] = []

    def keep(row: Any) -> str:
        broken.append((row.number, row.text))
        return "skip"

    plain = [f"c{j}" for j in range(len(names))]
    # Arrow numbers records from 1, blank lines before the header and the header among them
    header = 0 if format.header else 1
    first = blanks + header
    with _stream(file, format) as stream:
        try:
            reader = pc.open_csv(
                stream,
                pc.ReadOptions(
                    use_threads=False,
                    block_size=BLOCK,
                    column_names=plain,
                    skip_rows=blanks,
                    skip_rows_after_names=header,
                ),
                pc.ParseOptions(
                    delimiter=delimiter,
                    quote_char=format.quote,
                    escape_char=format.escape or False,
                    newlines_in_values=True,
                    invalid_row_handler=keep,
                ),
                pc.ConvertOptions(
                    column_types=dict.fromkeys(plain, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error) or "no rows" in str(error).lower():
                return
            raise
        record = first  # of those that were read, with the header
        done = 0  # of broken
        for batch in reader:
            rows, record, done = _numbers(batch.num_rows, record, broken, done)
            if batch.num_rows:
                yield _raw(batch.columns, rows - first)
        if broken:
            bad = np.array([number for number, _ in broken], dtype=np.int64) - first
            texts = pa.array([text for _, text in broken], pa.string())
            yield _raw([pa.nulls(len(bad), pa.string()) for _ in names], bad, texts)


def _numbers(
    n: int, record: int, broken: list[tuple[int, str]], done: int
) -> tuple[npt.NDArray[np.int64], int, int]:
    """The record numbers of n good rows behind `record`: those that no broken row has."""
    skipped = [number for number, _ in broken[done:]]
    rows = np.arange(record + 1, record + n + len(skipped) + 1)
    rows = rows[~np.isin(rows, skipped)][:n]
    last = int(rows[-1]) if n else record
    return rows, last, done + sum(number <= last for number in skipped)


def _keys(line: bytes) -> list[str]:
    try:
        found = json.loads(line)
    except ValueError:  # cut by the block, or a row that will be malformed
        return []
    return list(found) if isinstance(found, dict) else []


def _lines(file: File, format: Format) -> Iterator[pa.Table]:
    """JSON lines: each line as it is; blank ones are no rows but count as lines."""
    rest, row = b"", 0
    with _stream(file, format) as stream:
        while True:
            block = stream.read(BLOCK)
            text = rest + block
            if row == 0:
                text = text.removeprefix(codecs.BOM_UTF8)
            cut = text.rfind(b"\n") + 1 if block else len(text)
            rest, text = text[cut:], text[:cut]
            lines = text.split(b"\n")
            if text.endswith(b"\n"):
                lines.pop()
            rows = np.arange(row + 1, row + len(lines) + 1)
            row += len(lines)
            full = np.fromiter((bool(line.strip()) for line in lines), bool, len(lines))
            if full.any():
                array = pa.array([line for line in lines if line.strip()], pa.large_binary())
                yield _raw([array.cast(pa.large_string())], rows[full])
            if not block:
                return
