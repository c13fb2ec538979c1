"""The catalogue: filters in, the codes of the available products that pass them out."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.scorer import Codes
from serving.answers import Filters

REMEMBERED = 256  # filters whose answer is kept: a storefront asks the same few again and again
COLUMNS = {"category": "category", "brand": "brand", "supplier": "supplier_id"}


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be shown.

    mask: (products,) bool. codes: the same as ascending codes. unknown: (filter, value) pairs that
    no product has.
    """

    mask: npt.NDArray[np.bool_]
    codes: Codes
    unknown: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Products by code: what filters look at."""

    available: npt.NDArray[np.bool_]  # (products,)
    prices: npt.NDArray[np.float64]  # (products,), NaN where unknown
    columns: dict[str, tuple[Codes, dict[str, int]]]  # per column: code of each value, its codes
    kept: OrderedDict[Filters, Allowed] = field(default_factory=OrderedDict)

    def allowed(self, filters: Filters) -> Allowed:
        """The available products that pass; remembered for the next request."""
        found = self.kept.get(filters)
        if found is None:
            found = self.kept[filters] = self._find(filters)
            if len(self.kept) > REMEMBERED:
                self.kept.popitem(last=False)
        return found

    def _find(self, filters: Filters) -> Allowed:
        mask, unknown = self.available.copy(), []
        for name, (codes, values) in self.columns.items():
            wanted: tuple[str, ...] = getattr(filters, name)
            if wanted:
                unknown += [(name, value) for value in wanted if value not in values]
                mask &= np.isin(codes, [values[value] for value in wanted if value in values])
        if filters.price_min is not None:
            mask &= self.prices >= filters.price_min
        if filters.price_max is not None:
            mask &= self.prices <= filters.price_max
        return Allowed(mask, np.flatnonzero(mask).astype(np.int32), tuple(unknown))


def catalogue(products: pa.Table) -> Catalogue:
    """The catalogue of a bundle's `products.arrow`."""
    columns = {}
    for name, column in COLUMNS.items():
        encoded = pc.dictionary_encode(products[column].combine_chunks())
        values = encoded.dictionary.to_pylist()
        codes = dict(zip(values, range(len(values)), strict=True))
        columns[name] = numbers(encoded.indices, missing=-1).astype(np.int32), codes
    return Catalogue(
        available=truths(products["available"].combine_chunks()),
        prices=numbers(products["price"].combine_chunks(), missing=np.nan),
        columns=columns,
    )


def numbers(column: pa.Array, *, missing: float) -> npt.NDArray[Any]:
    """A column of numbers, nulls replaced. Not by Arrow's to_numpy, which imports pandas."""
    if not len(column):
        return np.empty(0, column.type.to_pandas_dtype())
    buffers = [None, column.buffers()[1]]
    bare = pa.Array.from_buffers(column.type, len(column), buffers, offset=column.offset)
    return np.where(truths(column.is_valid()), np.from_dlpack(bare), missing)


def truths(column: pa.Array) -> npt.NDArray[np.bool_]:
    """A column of truths without nulls."""
    return np.from_dlpack(column.cast(pa.uint8())).astype(np.bool_)
