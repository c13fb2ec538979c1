"""Columns of ids in, dense codes out: what lets a judge join tables by sorting whole numbers."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


def column(table: pa.Table, name: str, *, of: str) -> pa.ChunkedArray:
    """A column that must be there and whole; `of` is what the table is called in the error."""
    if name not in table.column_names:
        raise ValueError(f"{of} must have a column {name}, got {', '.join(table.column_names)}")
    values = table.column(name)
    if values.null_count:
        raise ValueError(f"{of}.{name} must have no nulls, got {values.null_count}")
    return values


def ids(table: pa.Table, name: str, *, of: str) -> pa.ChunkedArray:
    """A column of ids as strings, whatever width or dictionary they are stored in."""
    return column(table, name, of=of).cast(pa.string())


def encode(*columns: pa.Array | pa.ChunkedArray) -> tuple[list[Places], pa.Array]:
    """Codes of each column over one common vocabulary, and the vocabulary: ids by code.

    Codes are given in order of first appearance, so those of the first column's ids come first.
    """
    chunks = [chunk for values in columns for chunk in _chunks(values)]
    one = pa.chunked_array(chunks, pa.string()).dictionary_encode().unify_dictionaries()
    parts = [chunk.indices.to_numpy() for chunk in one.chunks]
    codes = np.concatenate([np.empty(0, np.int64), *parts], dtype=np.int64)
    ends = np.cumsum([len(values) for values in columns])
    words = one.chunk(0).dictionary if one.num_chunks else pa.array([], pa.string())
    return np.split(codes, ends[:-1]), words


def place(values: pa.Array | pa.ChunkedArray, among: pa.Array) -> Places:
    """Where each value stands in `among` first, -1 where it does not."""
    found = pc.fill_null(pc.index_in(values, value_set=among), -1)
    places: Places = found.to_numpy().astype(np.int64)
    return places


def unique(values: pa.ChunkedArray, *, of: str, what: str = "customer") -> pa.Array:
    """Ids that must each stand once, as one array."""
    (codes,), words = encode(values)
    if len(words) < len(codes):
        again = int(np.flatnonzero(np.bincount(codes) > 1)[0])
        raise ValueError(f"{of} must have one row a {what}, got several for {words[again]}")
    return words


def _chunks(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]
