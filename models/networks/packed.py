"""Events in, rows of one width out in which several customers' events stand without padding.

A row of `width` places holds whole sequences, each marked by its own number, so that attention
keeps them apart and the dense layers compute no place in vain but the few that nothing fits into.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from features.schemas import CHANNELS, EVENT_TYPES
from models.history import History

Numbers: TypeAlias = npt.NDArray[np.int64]

HOUR, DAY = 1 / 24, 1.0
GAPS = (1 / 1440, HOUR, DAY, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 365.0)  # days
UNWANTED = [EVENT_TYPES.index(n) for n in ("remove_from_cart", "refund", "view_item_list")]
SIZES = {"types": len(EVENT_TYPES) + 1, "channels": len(CHANNELS) + 1, "gaps": len(GAPS) + 2}


@dataclass(frozen=True, slots=True)
class Sequences:
    """The last events of some customers, oldest first, one after another.

    starts: (rows + 1,). products: (n,) code. traits: by name (n,) code below SIZES, 0 where
    unknown. ties: (n,) ascending, the same for events of one customer whose order is not known,
    such as a basket's. ordered: whether there is any order; without, all of hers are one tie.
    wanted: (n,) False for what tells nothing of what she wants, such as a refund: it is read but
    not foretold.
    """

    starts: Numbers
    products: Numbers
    traits: dict[str, Numbers]
    ties: Numbers
    wanted: npt.NDArray[np.bool_]
    ordered: bool = True

    @property
    def lengths(self) -> Numbers:
        """(rows,) events of each."""
        return np.diff(self.starts)

    @property
    def asked(self) -> Numbers:
        """(n,) place of the event after which each is foretold: the last before its tie.

        Within a customer's first tie the event before, so that one basket tells what goes together.
        """
        begins = np.flatnonzero(np.diff(self.ties, prepend=-1))[self.ties]
        first = begins == np.repeat(self.starts[:-1], self.lengths)
        places: Numbers = np.where(first, np.arange(len(first)), begins) - 1
        return places

    @property
    def newest(self) -> Numbers:
        """(rows,) how many events stand in each customer's last tie, 0 for none at all."""
        ends = self.starts[1:]
        if not self.ordered or not len(self.ties):
            return np.minimum(self.lengths, 1)
        sizes = np.bincount(self.ties)
        return np.where(self.lengths > 0, sizes[self.ties[ends - 1]], 0)

    def untied(self, places: Numbers) -> Sequences:
        """The same with a tie that ends before each of some events, so that no shuffle does."""
        begins = np.diff(self.ties, prepend=-1) > 0
        begins[places] = True
        return replace(self, ties=np.cumsum(begins) - 1)

    def shuffled(self, random: np.random.Generator) -> Sequences:
        """The same with what has no order in one drawn at random; gaps are of places and stay."""
        if len(self.ties) == 0 or self.ties[-1] + 1 == len(self.ties):
            return self
        order = np.lexsort((random.random(len(self.ties)), self.ties))
        traits = {
            name: trait if name == "gaps" else trait[order] for name, trait in self.traits.items()
        }
        products, wanted = self.products[order], self.wanted[order]
        return replace(self, products=products, traits=traits, wanted=wanted)


def sequences(history: History, length: int) -> Sequences:
    """Each customer's last `length` events; what has no order keeps the one it stands in."""
    events = history.sequence()
    ends = events.starts[1:]
    begins = np.maximum(events.starts[:-1], ends - length)
    starts = np.concatenate(([0], np.cumsum(ends - begins)))
    places = np.arange(starts[-1]) + np.repeat(begins - starts[:-1], ends - begins)
    days, first = events.days[places], starts[:-1][starts[1:] > starts[:-1]]
    gap = np.full(len(places), np.nan, np.float32)
    gap[1:] = days[:-1] - days[1:]
    gap[first] = np.nan
    gaps = np.where(np.isnan(gap), 0, 1 + np.searchsorted(GAPS, np.nan_to_num(gap)))
    ordered = history.events is not None or history.last_days is not None
    tied = gap == 0 if ordered else np.ones(len(places), dtype=bool)
    tied[first] = False
    return Sequences(
        starts.astype(np.int64),
        events.products[places].astype(np.int64),
        {
            "types": events.types[places].astype(np.int64) + 1,
            "channels": events.channels[places].astype(np.int64) + 1,
            "gaps": gaps.astype(np.int64),
        },
        np.cumsum(~tied) - 1,
        ~np.isin(events.types[places], UNWANTED),
        ordered,
    )


@dataclass(frozen=True, slots=True)
class Packed:
    """Sequences packed into rows.

    places: (rows, width) place of an event in `Sequences`, 0 where nothing stands. marks: (rows,
    width) number of its sequence, -1 where nothing stands. filled: (n,) flat places of events, one
    sequence after another, in the given order.
    """

    places: Numbers
    marks: Numbers
    filled: Numbers


def packed(starts: Numbers, lengths: Numbers, width: int) -> Packed:
    """The sequences that begin at `starts` and have some `lengths`, none above `width`."""
    row, column = _rows(lengths.tolist(), width)
    first = np.cumsum(lengths) - lengths
    inside = np.arange(int(lengths.sum())) - np.repeat(first, lengths)
    filled = np.repeat(row * width + column, lengths) + inside
    rows = int(row.max(initial=-1)) + 1
    places = np.zeros(rows * width, np.int64)
    marks = np.full(rows * width, -1, np.int64)
    places[filled] = np.repeat(starts, lengths) + inside
    marks[filled] = np.repeat(np.arange(len(lengths)), lengths)
    return Packed(places.reshape(rows, width), marks.reshape(rows, width), filled)


def batches(lengths: Numbers, size: int, random: np.random.Generator) -> Iterator[Numbers]:
    """Rows in random order, `size` at a time."""
    order = random.permutation(len(lengths))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _rows(lengths: list[int], width: int) -> tuple[Numbers, Numbers]:
    """Row and column of each sequence: the longest first, each where it leaves least room."""
    row, column = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    rooms: list[list[int]] = [[] for _ in range(width + 1)]  # rows by free places
    rows = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        length = lengths[place]
        room = next((room for room in range(length, width) if rooms[room]), width)
        if room == width:
            at, rows = rows, rows + 1
        else:
            at = rooms[room].pop()
        row[place], column[place] = at, width - room
        rooms[room - length].append(at)
    return row, column
