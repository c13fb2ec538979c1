"""Visits: a customer, what she did since and where she is in, what ranking needs of her out.

A customer is her history: the bundle's row of her, with what she did since behind it. One whom the
bundle does not know is what she did since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.history import followed_by, taken_today
from models.scorer import Codes, History
from serving.shelf import Shelf
from serving.state.person import EMPTY, Person

SESSION = 1800.0  # seconds without an event that end a visit
FEW = 64  # codes up to which Python sorts faster than NumPy begins
NOTHING: Codes = np.empty(0, np.int32)


@dataclass(slots=True)
class Visit:
    """One question's customer on one shelf.

    row: hers in the bundle, -1 for one it does not know. person: what the state knows of her.
    context: codes of the product shown, else of the cart. at: now, unix seconds. since: codes of
    what she did since the bundle's as_of, oldest first, each once; types: what she did last.
    """

    shelf: Shelf
    row: int
    person: Person
    at: float
    context: Codes
    shown: int = -1  # the product of the page, -1 elsewhere
    since: Sequence[int] = field(default=())
    types: Sequence[str] = field(default=())

    @property
    def known(self) -> bool:
        """Whether there is anything personal to rank by."""
        return self.row >= 0 or bool(self.since)

    def seen(self) -> Codes:
        """Codes of her published history, ascending."""
        if self.row < 0:
            return NOTHING
        shelf = self.shelf
        return shelf.indices[shelf.indptr[self.row] : shelf.indptr[self.row + 1]]

    def bought_ever(self) -> Codes:
        """Codes of what she bought, before and since."""
        now = codes_of(self.shelf, self.person.bought)
        before = self.shelf.bought(self.row) if self.row >= 0 else NOTHING
        return np.concatenate([before, now]) if len(now) else before

    def history(self) -> History:
        """Her history with what she did since behind it."""
        recommender = self.shelf.bundle.recommender
        if self.row < 0:
            return taken_today([list(self.since)], like=recommender.history)
        before = recommender.history.take(np.array([self.row]))
        return followed_by(before, self.since, self.types) if self.since else before

    def session(self) -> History | None:
        """Her events of the last half hour, else the context; None without either."""
        begin, person = self.at - SESSION, self.person
        recent = [
            code
            for id, at in zip(person.recent, person.recent_at, strict=True)
            if at >= begin and (code := self.shelf.code(id)) >= 0
        ]
        if not recent and self.row < 0:
            recent = list(self.since)
        recent += self.context.tolist()
        if not recent:
            return None
        return taken_today([recent], like=self.shelf.bundle.recommender.history)


def visit(
    shelf: Shelf,
    row: int,
    person: Person,
    *,
    at: float,
    product: str | None = None,
    cart: Iterable[str] = (),
) -> Visit:
    """Who asks, with ids as codes; products that the bundle does not know are left out."""
    shown = -1 if product is None else shelf.code(product)
    if shown >= 0:
        context = np.array([shown], np.int32)
    else:
        held = cart or person.cart
        context = codes_of(shelf, held) if held else NOTHING
    if person is EMPTY:
        return Visit(shelf, row, person, at, context, shown)
    since: list[int] = []
    types: list[str] = []
    for id, when, type in zip(person.recent, person.recent_at, person.recent_types, strict=True):
        if when > shelf.published and (code := shelf.code(id)) >= 0:
            since.append(code)
            types.append(type)
    return Visit(shelf, row, person, at, context, shown, since, types)


def codes_of(shelf: Shelf, ids: Iterable[str]) -> Codes:
    """Codes of those that the bundle knows, in order."""
    return np.array([code for id in ids if (code := shelf.code(id)) >= 0], np.int32)


def ascending(parts: Sequence[Codes]) -> Codes:
    """All codes of these, each once; few, as a visit's, without what NumPy takes to begin."""
    codes = np.concatenate(parts)
    if len(codes) > FEW:
        return np.unique(codes)
    return np.array(sorted(set(codes.tolist())), np.int32)
