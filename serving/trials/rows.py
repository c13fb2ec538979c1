"""Rows: a journal in, a parquet file of `features.schemas.EXPOSURES` out: a row a product and test.

Nothing here goes through Python objects, so that a server that turns its journal has its GIL free.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.artifact import sync
from features.columns import column, numbers
from features.schemas import EXPOSURES
from serving.trials.journal import Line

BLOCK = 1 << 20  # bytes of a journal that are turned at once
WORDS, CHANCES = pa.list_(pa.string()), pa.list_(pa.float64())
JOURNAL = pa.schema(
    [
        *((name, pa.string()) for name in ("request_id", "customer_id", "unit", "surface")),
        *((name, pa.string()) for name in ("channel", "model")),
        ("at", pa.int64()),
        ("tests", pa.list_(pa.struct([("experiment", pa.string()), ("arm", pa.string())]))),
        *((name, WORDS) for name in ("products", "models", "teams")),
        *((name, CHANCES) for name in ("propensities", "given_above")),
    ]
)
Places = npt.NDArray[np.int64]


def turn(journal: Path, *, pause: Callable[[], None]) -> int:
    """Write `NAME.parquet` beside a journal `NAME.jsonl` and remove that; gives the lines dropped.

    What a kill left torn is dropped. pause: called between blocks. Raises OSError; then the journal
    stays as it is, and repeating is safe.
    """
    dropped = _mend(journal)
    table, beside = journal.with_suffix(".parquet"), journal.with_name(f".{journal.stem}.part")
    try:
        try:
            _write(journal, beside, pause)
        except pa.ArrowInvalid:
            dropped += _sift(journal)
            _write(journal, beside, pause)
        if beside.exists():
            beside.replace(table)
            sync(table.parent)
        journal.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return dropped


def exploded(answers: pa.RecordBatch) -> pa.RecordBatch:
    """Answers, one a row, as exposures: a row for each product, once for each test."""
    tests, products = _lengths(answers, "tests"), _lengths(answers, "products")
    whose = np.repeat(np.arange(len(tests)), np.maximum(tests, 1))  # (sets,) the answer of each
    size = np.maximum(products, 1)[whose]  # (sets,) rows of each
    of_set = np.repeat(np.arange(len(whose)), size)  # (rows,)
    of_answer = whose[of_set]
    place = np.arange(len(of_set)) - (np.cumsum(size) - size)[of_set]  # (rows,) from 0
    first = (np.cumsum(np.maximum(tests, 1)) - np.maximum(tests, 1))[whose]
    nth = (np.arange(len(whose)) - first)[of_set]  # (rows,) which of its answer's tests
    test = _inner(answers, "tests", of_answer, nth)
    every = {
        "event_time": answers["at"].cast(EXPOSURES.field("event_time").type),
        **{name: answers[name] for name in ("request_id", "customer_id", "unit")},
        **{name: answers[name] for name in ("surface", "channel")},
    }
    columns = {name: values.take(column(of_answer)) for name, values in every.items()} | {
        "experiment": pc.struct_field(test, "experiment"),
        "arm": pc.coalesce(
            pc.struct_field(test, "arm"), _inner(answers, "teams", of_answer, place)
        ),
        "product_id": _inner(answers, "products", of_answer, place),
        "position": _some((place + 1).astype(np.int32), products[of_answer] > 0),
        "propensity": _inner(answers, "propensities", of_answer, place),
        "propensity_given_above": _inner(answers, "given_above", of_answer, place),
        "model": pc.coalesce(
            _inner(answers, "models", of_answer, place), answers["model"].take(column(of_answer))
        ),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in EXPOSURES.names], schema=EXPOSURES)


def _write(journal: Path, beside: Path, pause: Callable[[], None]) -> None:
    """All of a journal as exposures, on the disk when this returns; nothing for an empty one."""
    import pyarrow.json as json
    import pyarrow.parquet as pq

    if not journal.stat().st_size:
        return
    parse = json.ParseOptions(explicit_schema=JOURNAL, unexpected_field_behavior="ignore")
    read = json.ReadOptions(use_threads=False, block_size=BLOCK)
    with (
        json.open_json(journal, read_options=read, parse_options=parse) as answers,
        beside.open("wb") as file,
    ):
        with pq.ParquetWriter(
            file, EXPOSURES, compression="zstd", write_statistics=["event_time"]
        ) as writer:
            for batch in answers:
                writer.write_batch(exploded(batch))
                pause()
        file.flush()
        os.fsync(file.fileno())


def _mend(journal: Path) -> int:
    """Cut off a last line without its end; gives how many that were."""
    text = memoryview(journal.read_bytes())
    end = bytes(text[-BLOCK:]).rfind(b"\n")
    whole = len(text[:-BLOCK]) + end + 1
    if whole < len(text):
        os.truncate(journal, whole)
    return int(whole < len(text))


def _sift(journal: Path) -> int:
    """Leave out lines that are none; gives how many those were. For what a bad disk did."""
    read, good, bad = msgspec.json.Decoder(Line), [], 0
    for line in journal.read_bytes().splitlines(keepends=True):
        try:
            read.decode(line)
            good.append(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            bad += 1
    beside = journal.with_name(f".{journal.name}.new")
    beside.write_bytes(b"".join(good))
    beside.replace(journal)
    return bad


def _lengths(answers: pa.RecordBatch, name: str) -> Places:
    """(answers,) how long each one's list is; 0 where it has none."""
    return numbers(pc.list_value_length(answers[name]), null=0).astype(np.int64)


def _inner(answers: pa.RecordBatch, name: str, of_answer: Places, place: Places) -> pa.Array:
    """(rows,) the value at a place of an answer's list; null where the list ends before."""
    lengths = _lengths(answers, name)
    start = np.cumsum(lengths) - lengths
    there = place < lengths[of_answer]
    at = np.where(there, start[of_answer] + place, 0)
    return pc.list_flatten(answers[name]).take(_some(at, there))


def _some(values: npt.NDArray[np.generic], there: npt.NDArray[np.bool_]) -> pa.Array:
    """Numbers, null where they are not there."""
    bits = pa.py_buffer(np.packbits(there, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])
