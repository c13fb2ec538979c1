"""Terms: filters, stock, rules and a surface in, what may be shown and in what order out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models.ranking.arrange import PLAIN, Arrangement, arrangement
from models.scorer import Codes, Scores
from models.surfaces import GROUPS, Surface
from serving.catalogue import Allowed, Mask
from serving.questions import Question
from serving.rules.board import Board
from serving.shelf import Shelf
from serving.stock import Stock
from serving.visit import NOTHING, codes_of

KEPT = 256  # surfaces with their filters whose terms are kept


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What may be shown here and now.

    allowed: what passes the filters. shown: (products,) the same less what is blocked. stock:
    (products,) what can be had, kept up to date in place. returned: codes that can be had, but
    could not when the lists were made. boost: (products,) factors, None where no rule boosts. by:
    caps, pins, shares, spread. pinned: whether a rule pins. stale: codes that she was shown too
    often; times: how often she was shown each. all: `shown` before `only`. simple: for whom
    nothing happened since, the published list less what is ruled out here is the answer.
    """

    allowed: Allowed
    shown: Mask
    stock: Mask
    returned: Codes = field(default_factory=lambda: NOTHING)
    boost: Scores | None = None
    by: Arrangement = PLAIN
    pinned: bool = False
    stale: Codes = field(default_factory=lambda: NOTHING)
    times: Mapping[int, int] = field(default_factory=dict)
    all: Mask | None = None
    simple: bool = False

    def only(self, codes: Codes) -> Terms:
        """Nothing but these."""
        mask = np.zeros(len(self.shown), np.bool_)
        mask[codes] = True
        return replace(self, shown=self.shown & mask, all=self.shown)

    def whole(self) -> Terms:
        """Without what `only` ruled out."""
        return self if self.all is None else replace(self, shown=self.all, all=None)

    def free(self, hidden: Codes) -> Codes:
        """Codes of all that may be shown to one for whom these are hidden."""
        may = self.shown & self.stock
        may[hidden] = False
        return np.flatnonzero(may).astype(np.int32)


class Counter:
    """Where terms are made; those of the same surface and filters are made once a change."""

    def __init__(self, stock: Stock, board: Board) -> None:
        self.stock, self.board = stock, board
        self._kept: OrderedDict[Any, tuple[tuple[object, ...], Terms]] = OrderedDict()

    def terms(self, shelf: Shelf, question: Question, surface: Surface, *, at: float) -> Terms:
        """The terms of a question on a shelf; at: now, unix seconds."""
        rules = self.board.compiled(shelf, question.surface, at) if surface.rules else None
        key: Any = (id(shelf), id(surface), question.surface)  # an arm may have another surface
        if not question.plain:
            key = (*key, question.filters, question.where, question.store)
        state = (shelf, surface, rules, self.stock.version)
        kept = self._kept.get(key)
        if kept is not None and _same(kept[0], state):
            found = kept[1]
        else:
            found = self._make(shelf, question, surface, rules)
            self._kept[key] = state, found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return _among(shelf, found, question.among) if question.among else found

    def keep(self, shelves: Collection[Shelf]) -> None:
        """Forget the terms of every other shelf, which they would hold in memory."""
        for key, (state, _) in list(self._kept.items()):
            if not any(state[0] is shelf for shelf in shelves):
                self._kept.pop(key, None)

    def _make(self, shelf: Shelf, question: Question, surface: Surface, rules: Any) -> Terms:
        allowed = shelf.catalogue.allowed(question.filters, question.where)
        stock = self.stock.mask(shelf, question.store)
        shown = allowed.passes
        if rules is not None and rules.blocked is not None:
            shown = shown & ~rules.blocked
        pins = rules.pins if rules is not None else ()
        shares = rules.shares if rules is not None else ()
        by = PLAIN
        if surface.limits or surface.spread or pins or shares:
            most = dict(surface.limits)
            by = arrangement(
                groups=[shelf.catalogue.groups(name) for name in GROUPS],  # type: ignore[arg-type]
                caps=[most.get(name) for name in GROUPS],
                pins=pins,
                shares=shares,
                spread=surface.spread,
            )
        back = np.flatnonzero(stock & ~shelf.catalogue.available).astype(np.int32)
        return Terms(
            allowed,
            shown,
            stock,
            back,
            None if rules is None else rules.boost,
            by,
            bool(pins),
            simple=surface.simple and not pins and not len(back),
        )


def _among(shelf: Shelf, terms: Terms, among: tuple[str, ...]) -> Terms:
    mask = np.zeros(len(terms.shown), np.bool_)
    mask[codes_of(shelf, among)] = True
    return replace(terms, shown=terms.shown & mask)


def _same(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    return (
        before[0] is now[0] and before[1] is now[1] and before[2] is now[2] and before[3] == now[3]
    )
