"""Customers' ids in, a table that finds the row of one out, without a dict of all of them.

A dict of a million ids takes 200 MB and most of a second to build; this table is written at
publication, mapped like the rest, and takes 12 MB. Open addressing: an id stands in the first
free slot from the one that its hash names (Knuth, The Art of Computer Programming 3, 6.4).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeVar, overload

import numpy as np
import pyarrow as pa

from models.history import Codes

Default = TypeVar("Default")
KEPT = 1 << 17  # ids whose row is remembered: who visits asks again


def slots(ids: pa.Array) -> Codes:
    """(a power of two, at least twice the ids,) the row that stands in each slot, -1 in none."""
    size = 1 << max(1, 2 * len(ids) - 1).bit_length()
    table = np.full(size, -1, np.int32)
    rows = np.arange(len(ids), dtype=np.int32)
    at = np.fromiter((_hash(id.encode()) & (size - 1) for id in ids.to_pylist()), np.int64)
    while len(rows):
        free = np.flatnonzero(table[at] < 0)
        slot, first = np.unique(at[free], return_index=True)
        table[slot] = rows[free[first]]
        late = table[at] != rows
        rows, at = rows[late], (at[late] + 1) & (size - 1)
    return table


class RowOf:
    """The row of an id, as a dict gives it."""

    __slots__ = ("_bytes", "_ends", "_kept", "_mask", "_rows", "_slots")

    def __init__(self, table: Codes, ids: pa.Array) -> None:
        """`slots` of these very ids; raises ValueError where it cannot be."""
        size, self._rows = len(table), len(ids)
        whole = np.bincount(table[table >= 0], minlength=self._rows) if size else np.zeros(0)
        if size & (size - 1) or size <= self._rows or not (whole == 1).all() or table.min() < -1:
            raise ValueError(f"customers_slots are not those of {self._rows} customers")
        _, ends, held = ids.buffers()
        self._ends = np.frombuffer(ends, np.int32)[ids.offset :].data
        self._bytes = memoryview(b"" if held is None else held).cast("B")
        self._slots, self._mask = table.data, size - 1
        self._kept: dict[str, int] = {}

    def __len__(self) -> int:
        return self._rows

    def __contains__(self, id: str) -> bool:
        return self.get(id) is not None

    @overload
    def get(self, id: str) -> int | None: ...
    @overload
    def get(self, id: str, default: Default) -> int | Default: ...
    def get(self, id: str, default: Default | None = None) -> int | Default | None:
        """The row of an id, `default` where it is unknown."""
        row = self._kept.get(id)
        if row is not None:
            return row
        try:
            key = id.encode()
        except UnicodeEncodeError:  # half a character
            return default
        slots, ends = self._slots, self._ends
        slot = _hash(key) & self._mask
        while (row := slots[slot]) >= 0:
            if self._bytes[ends[row] : ends[row + 1]] == key:
                if len(self._kept) >= KEPT:
                    self._kept.clear()
                self._kept[id] = row
                return row
            slot = (slot + 1) & self._mask
        return default


def _hash(id: bytes) -> int:
    """The same in every process, and none that ids can be made to collide in."""
    return int.from_bytes(blake2b(id, digest_size=8).digest(), "little")
