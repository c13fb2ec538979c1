"""Targets: customers' events in, what is to be foretold of each and what she had before it out.

A target is a product that is new to her, and what it is foretold from are her events strictly
before: those of the same moment, such as the rest of a basket, are no help and give nothing away.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from features.schemas import EVENT_TYPES
from models.history import Events

Integers: TypeAlias = npt.NDArray[np.integer[Any]]

UNWANTED = [EVENT_TYPES.index(t) for t in ("remove_from_cart", "refund", "view_item_list")]
WANTED = [EVENT_TYPES.index(t) for t in ("add_to_cart", "add_to_wishlist", "purchase")]
FEWEST = 20  # customers held out: of fewer it can't be told when to stop


@dataclass(frozen=True, slots=True)
class Targets:
    """Places of events to foretell and, for each, the places lo:hi of what she did before.

    wanted: whether she took it, then or later, and did not only look at it.
    """

    place: Integers
    lo: Integers
    hi: Integers
    wanted: npt.NDArray[np.bool_]

    def take(self, which: npt.NDArray[Any]) -> Targets:
        """Some of them."""
        return Targets(*(getattr(self, field.name)[which] for field in fields(self)))


def targets_of(events: Events, recent: int) -> Targets:
    """Every first event of a customer with a product, but those that take a product back.

    recent: events before it that count, at most.
    """
    row = row_of(events)
    count = int(events.products.max(initial=0)) + 1
    pair = row * count + events.products
    first = np.zeros(len(row), dtype=bool)
    first[np.unique(pair, return_index=True)[1]] = True
    first &= ~np.isin(events.types, UNWANTED)
    taken = np.isin(events.types, WANTED) | (events.types < 0)
    place = np.flatnonzero(first)
    began = np.ones(len(row), dtype=bool)  # whether an event is later than the one before it
    began[1:] = (row[1:] != row[:-1]) | (events.days[1:] != events.days[:-1])  # NaN: later
    hi = np.maximum.accumulate(np.where(began, np.arange(len(row)), 0))[place]
    lo = np.maximum(events.starts[row[place]], hi - recent)
    return Targets(place, lo, hi, np.isin(pair[place], pair[taken]))


def held_out(
    events: Events, *, part: float, most: int, recent: int, seed: int
) -> tuple[Events, Targets]:
    """Events without some customers' last target and what came after; and those targets.

    Only customers with two targets or more give theirs, and too few customers give none. Their
    places are of the events given.
    """
    targets = targets_of(events, recent)
    row = row_of(events)[targets.place]
    last = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else row
    before = np.searchsorted(row, row[last])  # the first target of the same customer
    last = last[(last > before) & (targets.hi[last] > targets.lo[last])]
    count = min(most, int(part * len(last)))
    count = 0 if count < FEWEST else count
    chosen = np.sort(np.random.default_rng(seed).choice(len(last), count, replace=False))
    held = targets.take(last[chosen])
    ends = events.starts[1:].copy()
    ends[row_of(events)[held.place]] = held.hi
    keep = np.arange(len(events.products)) < np.repeat(ends, np.diff(events.starts))
    return only(events, keep), held


def only(events: Events, keep: npt.NDArray[np.bool_]) -> Events:
    """Some of the events."""
    kept = np.concatenate(([0], np.cumsum(keep)))
    rest = (getattr(events, field.name)[keep] for field in fields(Events)[1:])
    return Events(kept[events.starts].astype(np.int64), *rest)


def shuffled(events: Events, random: np.random.Generator) -> Events:
    """Each customer's events in another order, for those whose order nobody knows."""
    order = np.lexsort((random.random(len(events.products)), row_of(events)))
    rest = (getattr(events, field.name)[order] for field in fields(Events)[1:])
    return Events(events.starts, *rest)


def row_of(events: Events) -> npt.NDArray[np.int64]:
    """(events,) the customer's row of each."""
    return np.repeat(np.arange(len(events.starts) - 1), np.diff(events.starts))
