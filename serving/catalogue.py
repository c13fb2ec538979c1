"""The catalogue: filters in, which products pass them out."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from operator import eq, ge, gt, le, lt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.history import Codes
from serving.answers import Filters
from serving.filters import Filter, Value, shorthand

REMEMBERED = 256  # filters whose answer is kept: a storefront asks the same few again and again
BYTES = 1 << 26  # and how much memory that may take
GROUPS = {"category": "category", "brand": "brand", "supplier": "supplier_id"}
COMPARE = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
NEVER = np.iinfo(np.int64).min  # a time that is not known

Group = Literal["category", "brand", "supplier"]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Allowed:
    """What passes.

    passes: (products,) bool, by the filters alone; with `stock.mask` it is what may be shown.
    unknown: (column, value) pairs that no product has. whole: nothing was asked, all pass.
    """

    passes: Mask
    unknown: tuple[tuple[str, str], ...]
    whole: bool
    available: Mask

    @cached_property
    def mask(self) -> Mask:
        """What passes and was available when the bundle was published."""
        return self.passes & self.available

    @cached_property
    def codes(self) -> Codes:
        """The same as ascending codes."""
        return np.flatnonzero(self.mask).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)  # itself, never another
class Catalogue:
    """Products by code: what filters look at."""

    table: pa.Table
    available: Mask  # (products,)
    prices: npt.NDArray[np.float64]  # (products,), NaN where unknown
    launched: npt.NDArray[np.int64]  # (products,), microseconds, NEVER where unknown
    replenishable: npt.NDArray[np.int8]  # (products,), -1 where unknown
    columns: dict[str, tuple[Codes, dict[str, int]]]  # per group: code of each value, its codes
    kept: OrderedDict[Any, Allowed] = field(default_factory=OrderedDict)

    def allowed(self, filters: Filters, where: tuple[Filter, ...] = ()) -> Allowed:
        """What passes all of them; remembered for the next request."""
        found = self.kept.get((filters, where))
        if found is None:
            found = self.kept[filters, where] = self._find((*shorthand(filters), *where))
            while len(self.kept) > max(2, min(REMEMBERED, BYTES // (len(self.available) or 1))):
                self.kept.popitem(last=False)
        return found

    def groups(self, column: Group) -> Codes:
        """(products,) int32: which group each product belongs to, -1 where that is not known."""
        return self.columns[column][0]

    def _find(self, filters: tuple[Filter, ...]) -> Allowed:
        passes = np.ones(len(self.available), np.bool_)
        unknown: list[tuple[str, str]] = []
        for one in filters:
            passes &= self._passes(one)
            if one.column in self.columns:
                known = self.columns[one.column][1]
                unknown += [(one.column, str(value)) for value in one.values if value not in known]
        unknown = list(dict.fromkeys(unknown))
        return Allowed(passes, tuple(unknown), not filters, self.available)

    def _passes(self, one: Filter) -> Mask:
        """(products,) bool: one filter's."""
        if one.operator != "!=":
            return self._meets(one)
        return np.greater(self._known(one.column), self._meets(one))

    def _known(self, column: str) -> Mask:
        """Whose column is not empty."""
        if column == "price":
            return np.logical_not(np.isnan(self.prices))
        if column == "launched_at":
            return np.not_equal(self.launched, NEVER)
        if column == "replenishable":
            return np.greater_equal(self.replenishable, 0)
        if column in self.columns:
            return np.greater_equal(self.columns[column][0], 0)
        return truths(self.table[column].combine_chunks().is_valid())

    def _meets(self, one: Filter) -> Mask:
        """What has one of the values, also for !=, or stands to the one as the operator says."""
        compare = COMPARE.get(one.operator, eq)
        if one.column == "price":
            meets = [compare(self.prices, value) for value in one.values]
        elif one.column == "launched_at":
            meets = [_on(self.launched, one.operator, value) for value in one.values]
        elif one.column == "replenishable":
            meets = [self.replenishable == value for value in one.values]
        elif one.column in self.columns:
            codes, known = self.columns[one.column]
            wanted = [known[str(value)] for value in one.values if value in known]
            return np.isin(codes, np.array(wanted, np.int32))
        else:
            values = _texts([str(value) for value in one.values])
            found = pc.is_in(self.table[one.column].combine_chunks(), value_set=values)
            return truths(found)
        passes: Mask = np.any(meets, axis=0)
        return passes


def catalogue(products: pa.Table) -> Catalogue:
    """The catalogue of a bundle's `products.arrow`."""
    columns = {}
    for name, column in GROUPS.items():
        encoded = pc.dictionary_encode(products[column].combine_chunks())
        values = encoded.dictionary.to_pylist()
        codes = dict(zip(values, range(len(values)), strict=True))
        columns[name] = numbers(encoded.indices, missing=-1).astype(np.int32), codes
    launched = products["launched_at"].combine_chunks().cast(pa.int64())
    again = products["replenishable"].combine_chunks().cast(pa.int8())
    return Catalogue(
        table=products,
        available=truths(products["available"].combine_chunks()),
        prices=numbers(products["price"].combine_chunks(), missing=np.nan),
        launched=numbers(launched, missing=NEVER),
        replenishable=numbers(again, missing=-1).astype(np.int8),
        columns=columns,
    )


def _on(launched: npt.NDArray[np.int64], operator: str, day: Value) -> Mask:
    """Which times stand so to a whole day, in UTC; with != too, those of the day."""
    assert isinstance(day, date)
    start = (datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH) // MICROSECOND
    end = start + DAY // MICROSECOND
    low, high = NEVER + 1, np.iinfo(np.int64).max
    low = {">": end, ">=": start, "=": start, "!=": start}.get(operator, low)
    high = {"<": start, "<=": end, "=": end, "!=": end}.get(operator, high)
    return np.logical_and(launched >= low, launched < high)


def _texts(values: list[str]) -> pa.Array:
    """Texts as an Arrow column, not by pa.array, which imports pandas."""
    parts = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int32)
    buffers = [pa.py_buffer(ends), pa.py_buffer(b"".join(parts))]
    return pa.StringArray.from_buffers(len(parts), *buffers)


def numbers(column: pa.Array, *, missing: float) -> npt.NDArray[Any]:
    """A column of numbers, nulls replaced. Not by Arrow's to_numpy, which imports pandas."""
    if not len(column):
        return np.empty(0, column.type.to_pandas_dtype())
    buffers = [None, column.buffers()[1]]
    bare = pa.Array.from_buffers(column.type, len(column), buffers, offset=column.offset)
    return np.where(truths(column.is_valid()), np.from_dlpack(bare), missing)


def truths(column: pa.Array) -> Mask:
    """A column of truths without nulls."""
    return np.from_dlpack(column.cast(pa.uint8())).astype(np.bool_)
