"""Columns of ids in, dense codes out: what lets a judge join tables by whole numbers."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

Codes: TypeAlias = npt.NDArray[np.int32]
Places: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

PROBE = 1000  # rows looked at before runs are looked for
ENCODED = pa.dictionary(pa.int32(), pa.string())


def column(table: pa.Table, name: str, *, of: str) -> pa.ChunkedArray:
    """A column that must be there and whole; `of` is what the table is called in the error."""
    if name not in table.column_names:
        raise ValueError(f"{of} must have a column {name}, got {', '.join(table.column_names)}")
    values = table.column(name)
    if values.null_count:
        raise ValueError(f"{of}.{name} must have no nulls, got {values.null_count}")
    return values


def ids(table: pa.Table, name: str, *, of: str) -> pa.ChunkedArray:
    """A column of ids as strings of one width; what was stored as a dictionary stays one."""
    values = column(table, name, of=of)
    return values.cast(ENCODED if pa.types.is_dictionary(values.type) else pa.string())


def encode(*columns: pa.Array | pa.ChunkedArray) -> tuple[list[Places], pa.Array]:
    """Codes of each column over one common vocabulary, and the vocabulary: ids by code.

    Codes are given in order of first appearance, so those of the first column's ids come first.
    """
    codes, words = encoded(*columns)
    return [values.astype(np.int64) for values in codes], words


def place(values: pa.Array | pa.ChunkedArray, among: pa.Array) -> Places:
    """Where each value stands in `among` first, -1 where it does not."""
    return placed(values, among).astype(np.int64)


def encoded(*columns: pa.Array | pa.ChunkedArray) -> tuple[list[Codes], pa.Array]:
    """`encode` in half the memory: codes to look up with, not to reckon with."""
    of_columns = [[_part(chunk) for chunk in _chunks(values)] for values in columns]
    words = [part.met() for parts in of_columns for part in parts]
    every = pa.chunked_array(words, pa.string()).combine_chunks().unique()
    return [_placed(parts, every) for parts in of_columns], every


def placed(values: pa.Array | pa.ChunkedArray, among: pa.Array) -> Codes:
    """`place` in half the memory."""
    return _placed([_part(chunk) for chunk in _chunks(values)], among)


def unordered(words: pa.Array) -> bool:
    """Whether some id stands before a lesser one."""
    return pc.any(pc.greater(words[:-1], words[1:])).as_py() or False


def unique(values: pa.ChunkedArray, *, of: str, what: str = "customer") -> pa.Array:
    """Ids that must each stand once, as one array."""
    (codes,), words = encode(values)
    if len(words) < len(codes):
        again = int(np.flatnonzero(np.bincount(codes) > 1)[0])
        raise ValueError(f"{of} must have one row a {what}, got several for {words[again]}")
    return words


class _Part(NamedTuple):
    """A chunk of ids: the code of each run over some words, and how long the runs are."""

    words: pa.Array
    codes: Codes
    lengths: Places | None  # None: each is one row
    whole: bool  # every word is met, in order of first appearance

    def met(self) -> pa.Array:
        """The words that occur, in order of first appearance."""
        return (
            self.words
            if self.whole
            else self.words.take(pa.array(_first(self.codes, len(self.words))))
        )


def _part(chunk: pa.Array) -> _Part:
    if pa.types.is_dictionary(chunk.type):
        if not chunk.null_count:
            return _Part(chunk.dictionary, chunk.indices.to_numpy(), None, False)
        chunk = chunk.cast(pa.string())
    heads = _heads(chunk)
    some = chunk if heads is None else chunk.take(pa.array(heads))
    every = some.dictionary_encode(null_encoding="encode")
    lengths = None if heads is None else np.diff(heads, append=len(chunk))
    return _Part(every.dictionary, every.indices.to_numpy(), lengths, True)


def _placed(parts: list[_Part], among: pa.Array) -> Codes:
    """(rows,) places in `among` of all parts."""
    ends = np.cumsum([0, *(len(p.codes) if p.lengths is None else p.lengths.sum() for p in parts)])
    places = np.empty(ends[-1], np.int32)
    for part, start, end in zip(parts, ends, ends[1:], strict=False):
        found = pc.fill_null(pc.index_in(part.words, value_set=among), -1)
        turn = found.to_numpy(zero_copy_only=False).astype(np.int32)  # (words,)
        if part.lengths is None:
            np.take(turn, part.codes, out=places[start:end], mode="clip")  # the others are slow
        else:
            places[start:end] = np.repeat(turn[part.codes], part.lengths)
    return places


def _heads(chunk: pa.Array) -> Places | None:
    """Rows that differ from the one before, where ids stand in runs: to compare is half a hash."""
    if len(chunk) < PROBE or _changes(chunk[:PROBE]).sum() > PROBE / 2:
        return None
    return np.concatenate([[0], np.flatnonzero(_changes(chunk)) + 1])


def _changes(chunk: pa.Array) -> npt.NDArray[np.bool_]:
    """(rows - 1,) whether each row differs from the one before; a null does."""
    changed = pc.fill_null(pc.not_equal(chunk[:-1], chunk[1:]), True)
    changes: npt.NDArray[np.bool_] = changed.to_numpy(zero_copy_only=False)
    return changes


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _first(codes, words):  # type: ignore[no-untyped-def]
    """The codes that occur, in order of first appearance."""
    first = np.empty(words, np.int32)
    met = np.zeros(words, np.bool_)
    count = 0
    for code in codes:
        if not met[code]:
            met[code] = True
            first[count] = code
            count += 1
    return first[:count]


def _chunks(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]
