"""Histories: what is known of some customers, in codes; the only thing that models learn from."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from features.schemas import EVENT_TYPES

Codes: TypeAlias = npt.NDArray[np.int32]
Scores: TypeAlias = npt.NDArray[np.float32]
Bytes: TypeAlias = npt.NDArray[np.int8]
Places: TypeAlias = npt.NDArray[np.int64]

# What an event adds to the weight of its product before the next build: features.parameters.
WEIGHTS = {"view_item": 1.0, "add_to_cart": 3.0, "add_to_wishlist": 2.0, "purchase": 5.0}


class ModelError(ValueError):
    """A model that does not exist, cannot be built or cannot be fitted.

    ModelError
    ├── UnknownModel     no module of that name holds one
    └── NotFitted        asked for scores before fit or restore
    """


@dataclass(frozen=True, slots=True)
class Events:
    """What customers did, oldest first, one customer's events after another's.

    starts: (rows + 1,) int64, row r's events stand at starts[r]:starts[r + 1].
    products: (n,) int32 code. types, channels: (n,) int8 place in EVENT_TYPES and CHANNELS of
        `features.schemas`, -1 unknown. orders: (n,) int32, which of her orders a purchase
        belongs to, from 0, oldest first; -1 for what is no purchase or unknown.
    days: (n,) float32 age in days, as `History.last_days`; NaN where unknown.
    """

    starts: Places
    products: Codes
    types: Bytes
    channels: Bytes
    orders: Codes
    days: Scores

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Events:
        """The events of some rows, in their order."""
        places, starts = taken(self.starts, rows)
        return Events(
            starts,
            *(getattr(self, field.name)[places] for field in fields(self)[1:]),
        )

    def narrow(self, products: int) -> Events:
        """Without the events of products whose code is `products` or above."""
        keep = self.products < products
        kept = np.concatenate(([0], np.cumsum(keep)))  # events kept before each place
        return Events(
            kept[self.starts].astype(np.int64),
            *(getattr(self, field.name)[keep] for field in fields(self)[1:]),
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the shop says of its products, by code.

    categories: (products,) int32 code of each product's category, -1 unknown.
    prices: (products,) float32 in the shop's currency, NaN unknown.
    traits: CSR (products, TRAITS of `models.histories`) float32, 1 where a product bears the
        hashed category, brand, supplier or word of the title: the same column in every run.
    """

    categories: Codes
    prices: Scores | None = None
    traits: sp.csr_matrix | None = None

    def narrow(self, products: int) -> Catalogue:
        """The first so many products."""
        return Catalogue(
            self.categories[:products],
            None if self.prices is None else self.prices[:products],
            None if self.traits is None else self.traits[:products],
        )


@dataclass(frozen=True, slots=True)
class History:
    """What is known of some customers: one row each, one column a product.

    weights: CSR, (rows, products) float32, indices sorted, no duplicates.
    last_days: (nnz,) float32 beside `weights.data`: age in days of the last event of each entry;
        None where times are unknown.
    catalogue: of the products; None without one.
    events: one by one, for models that need their order; None where they were not given.
    """

    weights: sp.csr_matrix
    last_days: npt.NDArray[np.float32] | None = None
    catalogue: Catalogue | None = None
    events: Events | None = None

    @property
    def rows(self) -> int:
        """Number of customers."""
        return int(self.weights.shape[0])

    @property
    def products(self) -> int:
        """Number of products, seen or not."""
        return int(self.weights.shape[1])

    def sequence(self) -> Events:
        """Her events; where they were not given each of her products once, the oldest first.

        Products of one age, and all of them where ages are unknown, stand in the order of codes.
        """
        if self.events is not None:
            return self.events
        weights, unknown = self.weights, np.full(self.weights.nnz, -1, np.int8)
        starts = weights.indptr.astype(np.int64)
        if self.last_days is None:
            order, days = np.arange(weights.nnz), np.full(weights.nnz, np.nan, np.float32)
        else:
            rows = np.repeat(np.arange(self.rows), np.diff(starts))
            order = np.lexsort((weights.indices, -self.last_days, rows))
            days = self.last_days[order]
        codes = weights.indices[order].astype(np.int32)
        return Events(starts, codes, unknown, unknown, unknown.astype(np.int32), days)

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> History:
        """The same for some rows, in their order; costs what is taken, not what is left."""
        places, pointers = taken(self.weights.indptr, rows)
        weights = sp.csr_matrix(
            (self.weights.data[places], self.weights.indices[places], pointers),
            shape=(len(rows), self.products),
        )
        days = None if self.last_days is None else self.last_days[places]
        events = None if self.events is None else self.events.take(rows)
        return History(weights, days, self.catalogue, events)

    def narrow(self, products: int) -> History:
        """The same for the first so many products; itself where it has no more."""
        if products >= self.products:
            return self
        keep = self.weights.indices < products
        kept = np.concatenate(([0], np.cumsum(keep)))
        weights = sp.csr_matrix(
            (self.weights.data[keep], self.weights.indices[keep], kept[self.weights.indptr]),
            shape=(self.rows, products),
        )
        return replace(
            self,
            weights=weights,
            last_days=None if self.last_days is None else self.last_days[keep],
            catalogue=None if self.catalogue is None else self.catalogue.narrow(products),
            events=None if self.events is None else self.events.narrow(products),
        )

    def check(self) -> None:
        """Raise ModelError where a model could not learn: nothing there, or impossible weights."""
        if not self.weights.nnz:
            raise ModelError(
                "a model must have at least 1 interaction to learn from, got "
                f"{self.rows} customers, {self.products} products and 0 interactions"
            )
        wrong = ~(np.isfinite(self.weights.data) & (self.weights.data > 0))
        if wrong.any():
            raise ModelError(
                f"weights must be finite and above 0, got {self.weights.data[wrong][0]} "
                f"and {int(wrong.sum())} such in all"
            )


def taken_today(rows: Sequence[Sequence[int]], *, like: History) -> History:
    """Histories of which only the products are known, by code in the order they were taken.

    Weight 1 each, all of today; with what `like`, whose products they are, has beside weights.
    """
    sets = [sorted(set(row)) for row in rows]
    indices = np.array([code for row in sets for code in row], np.int32)
    weights = copy(_no_weights(len(rows), like.products))
    weights.data, weights.indices = np.ones(len(indices), np.float32), indices
    weights.indptr = np.array([0, *accumulate(map(len, sets))], np.int32)
    days = None if like.last_days is None else np.zeros(len(indices), np.float32)
    events = None
    if like.events is not None:
        starts = np.array([0, *accumulate(map(len, rows))], np.int64)
        codes = np.array([code for row in rows for code in row], np.int32)
        unknown = np.full(len(codes), -1, np.int8)
        today = np.zeros(len(codes), np.float32)
        events = Events(starts, codes, unknown, unknown, unknown.astype(np.int32), today)
    return History(weights, days, like.catalogue, events)


@lru_cache(maxsize=8)
def _no_weights(rows: int, products: int) -> sp.csr_matrix:
    """To be copied and filled by rows in order without duplicates: checks take a visit 20 µs."""
    empty = sp.csr_matrix((rows, products), dtype=np.float32)
    empty.has_canonical_format = True
    return empty


def followed_by(history: History, codes: Sequence[int], types: Sequence[str]) -> History:
    """One customer's history with what she did since behind it, all of it of today.

    codes: oldest first. types: EVENT_TYPES of `features.schemas` beside; each adds its WEIGHT.
    """
    more = np.array(codes, np.int32)
    worth = np.array([WEIGHTS.get(type, 1.0) for type in types], np.float32)
    old, weights = history.weights, np.concatenate([history.weights.data, worth])
    found, place = np.unique(np.concatenate([old.indices, more]), return_inverse=True)
    summed = np.bincount(place, weights, len(found)).astype(np.float32)
    row = sp.csr_matrix((summed, found.astype(np.int32), [0, len(found)]), (1, history.products))
    days = history.last_days
    if days is not None:
        youngest = np.full(len(found), np.inf, np.float32)
        np.minimum.at(youngest, place, np.concatenate([days, np.zeros(len(more), np.float32)]))
        days = youngest
    events = history.events
    if events is not None:
        unknown, today = np.full(len(more), -1, np.int8), np.zeros(len(more), np.float32)
        did = np.array([EVENT_TYPES.index(type) for type in types], np.int8)
        later = (more, did, unknown, unknown.astype(np.int32), today)
        joined = (
            np.concatenate([getattr(events, field.name), part])
            for field, part in zip(fields(events)[1:], later, strict=True)
        )
        events = Events(np.array([0, len(events.products) + len(more)], np.int64), *joined)
    return History(row, days, history.catalogue, events)


def taken(
    pointers: npt.NDArray[Any], rows: npt.NDArray[np.integer[Any]]
) -> tuple[Places, npt.NDArray[Any]]:
    """Places of the entries of some rows of a compressed matrix, and the pointers of the rest."""
    lengths = pointers[rows + 1] - pointers[rows]
    starts = np.zeros(len(rows) + 1, dtype=pointers.dtype)
    np.cumsum(lengths, out=starts[1:])
    places = np.arange(starts[-1]) + np.repeat(pointers[rows] - starts[:-1], lengths)
    return places, starts
