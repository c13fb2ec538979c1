"""Ids: the shop's strings in, dense int32 codes out, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.artifact import Damaged, Missing
from features.columns import column, numbers

Codes: TypeAlias = npt.NDArray[np.int32]
Ids: TypeAlias = "pa.Array | pa.ChunkedArray | Sequence[str]"

# Below this share of the map a batch is looked up one by one: Arrow hashes the whole map each call.
FEW = 1 / 50


class UnknownId(KeyError):
    """An id that the map doesn't hold, where only known ones will do."""

    def __str__(self) -> str:
        return str(self.args[0])


class IdMap:
    """Ids by code: code c is the place of its id, from 0. Immutable."""

    def __init__(self, ids: Ids) -> None:
        """Take ids in the order of their codes; no nulls, each once."""
        self.ids = _strings(ids)
        if self.ids.null_count:
            raise ValueError(f"ids must not be null, got {self.ids.null_count} nulls")
        distinct = pc.count_distinct(self.ids).as_py()
        if distinct != len(self.ids):
            twice = len(self.ids) - distinct
            raise ValueError(f"ids must be distinct, got {twice} repeated of {len(self.ids)}")

    @classmethod
    def of(cls, ids: Ids) -> IdMap:
        """The distinct ids, nulls left out, sorted: the same map whatever the order of rows."""
        found = pc.unique(_strings(ids)).drop_null()
        return cls(found.take(pc.sort_indices(found)))

    def extended(self, ids: Ids) -> IdMap:
        """The same map and, behind it, the ids it lacks, sorted; no known id changes its code."""
        given = pc.unique(_strings(ids)).drop_null()
        fresh = given.filter(pc.invert(pc.is_in(given, value_set=self.ids)))
        fresh = fresh.take(pc.sort_indices(fresh))
        return IdMap(pa.concat_arrays([self.ids, fresh])) if len(fresh) else self

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, id: object) -> bool:
        return id in self._places

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and bool(self.ids.equals(other.ids))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"IdMap({len(self)} ids)"

    @cached_property
    def _places(self) -> dict[str, int]:
        return {id: code for code, id in enumerate(self.ids.to_pylist())}

    def code(self, id: str) -> int:
        """The code of one id, -1 where unknown; a dict's speed after the first call builds it."""
        return self._places.get(id, -1)

    def codes(self, ids: Ids, *, unknown: Literal["mark", "raise"] = "mark") -> Codes:
        """Codes of a batch, in its order; an unknown or null id is -1, or raises UnknownId."""
        asked = _strings(ids)
        if len(asked) <= FEW * len(self):
            found = np.fromiter(map(self.code, asked.to_pylist()), np.int32, len(asked))
        else:
            found = numbers(pc.index_in(asked, value_set=self.ids), null=-1)
        if unknown == "raise" and (found < 0).any():
            lost = asked.take(column(np.flatnonzero(found < 0)[:3])).to_pylist()
            count = int((found < 0).sum())
            raise UnknownId(f"ids must be known, got {count} unknown such as {lost}")
        return found

    def take(self, codes: npt.NDArray[Any]) -> pa.Array:
        """The ids of codes, in their order."""
        return self.ids.take(column(np.asarray(codes)))

    def save(self, path: Path) -> None:
        """Write the ids, in the order of their codes, as one Arrow file."""
        table = pa.table({"id": self.ids})
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, path: Path, *, verified: bool = False) -> IdMap:
        """Open what `save` wrote, as a memory map; raises Missing or Damaged.

        verified: the file's checksum was compared, so that the ids need not be looked at.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except FileNotFoundError as error:
            raise Missing(f"no ids in {path}") from error
        except (pa.ArrowInvalid, OSError) as error:
            raise Damaged(f"{path} is not an Arrow file of ids: {error}") from error
        if table.schema.names != ["id"]:
            raise Damaged(f"{path} must hold one column `id`, got {table.schema.names}")
        if verified:
            known = cls.__new__(cls)
            known.ids = _strings(table["id"])
            return known
        try:
            return cls(table["id"])
        except ValueError as error:
            raise Damaged(f"{path}: {error}") from error


def _strings(ids: Ids) -> pa.Array:
    """Ids as one plain Arrow string array."""
    if isinstance(ids, str):
        raise TypeError(f"ids must be an array or a list of strings, got the string {ids!r}")
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
        if isinstance(ids, pa.ChunkedArray):  # too large for one chunk, or none at all
            ids = pa.concat_arrays(ids.chunks) if ids.num_chunks else pa.array([], ids.type)
    if not isinstance(ids, pa.Array):
        return pa.array(ids, pa.string())
    if ids.type == pa.string():
        return ids
    kind = ids.type.value_type if pa.types.is_dictionary(ids.type) else ids.type
    if not (pa.types.is_large_string(kind) or kind in (pa.string(), pa.null(), pa.string_view())):
        raise TypeError(f"ids must be strings, got {ids.type}")
    return ids.cast(pa.string())
