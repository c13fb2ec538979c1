"""Assignment: declared tests and a unit's id in, the arm that she is in out, the same everywhere.

A unit's bucket is a hash of a salt and its id (Kohavi, Tang and Xu 2020, chapter 4). Three salts,
so that three draws are independent: the holdout's, which is one for the whole shop; the layer's,
which decides the tests of one layer that she may be in, at most one at a time; and the test's own,
which decides the arm. Nothing is stored, so that the server, a pipeline and a check afterwards
agree without asking each other.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

BUCKETS = 10_000
HOLDOUT = "holdout"


@dataclass(frozen=True, slots=True)
class Plan:
    """One test as far as assignment needs it.

    arms: name -> share, the control first; shares sum to 1. traffic: which part of its layer's
    units take part, from and to, as shares; two tests of one layer may run at the same time where
    their parts are apart. holdout: the share of all the shop's units that no test may touch; a
    unit held out at 5 % is also held out at 10 %. surfaces: where it runs; none: everywhere.
    The window holds `start` and not `end`; without an end it stays open.
    """

    name: str
    arms: tuple[tuple[str, float], ...]
    start: datetime
    end: datetime | None = None
    surfaces: frozenset[str] = frozenset()
    salt: str = ""
    layer: str = "default"
    traffic: tuple[float, float] = (0.0, 1.0)
    holdout: float = 0.0

    def runs(self, at: datetime, surface: str | None = None) -> bool:
        """Whether it runs at a moment, on a surface."""
        here = surface is None or not self.surfaces or surface in self.surfaces
        return here and self.start <= at and (self.end is None or at < self.end)

    def arm(self, unit: str) -> str | None:
        """The unit's arm, `holdout`, or None where the test passes her by; whatever the time."""
        if bucket(HOLDOUT, unit) < round(self.holdout * BUCKETS):
            return HOLDOUT
        low, high = (round(share * BUCKETS) for share in self.traffic)
        if not low <= bucket(f"layer:{self.layer}", unit) < high:
            return None
        place, reached = bucket(f"test:{self.salt or self.name}", unit), 0.0
        for name, share in self.arms:
            reached += share
            if place < round(reached * BUCKETS):
                return name
        return self.arms[-1][0]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A unit's place in a test; what an answer says and an exposure logs."""

    experiment: str
    arm: str


def bucket(salt: str, unit: str) -> int:
    """A whole number below 10,000, even over units and independent over salts."""
    word = hashlib.blake2b(unit.encode(), digest_size=8, key=_key(salt)).digest()
    return int.from_bytes(word, "big") * BUCKETS >> 64


def assign(tests: Iterable[Plan], unit: str, *, at: datetime, surface: str) -> list[Assigned]:
    """Every test that the unit is in, there and then; of one layer and surface at most one."""
    return [
        Assigned(test.name, arm)
        for test in tests
        if test.runs(at, surface) and (arm := test.arm(unit)) is not None
    ]


def clashes(tests: Iterable[Plan]) -> list[tuple[str, str]]:
    """Pairs of tests of one layer that would share units at the same time on the same surface."""
    every = list(tests)
    return [
        (one.name, other.name)
        for place, one in enumerate(every)
        for other in every[place + 1 :]
        if one.layer == other.layer
        and max(one.traffic[0], other.traffic[0]) < min(one.traffic[1], other.traffic[1])
        and (other.end is None or one.start < other.end)
        and (one.end is None or other.start < one.end)
        and (not one.surfaces or not other.surfaces or one.surfaces & other.surfaces)
    ]


@functools.lru_cache(maxsize=1024)
def _key(salt: str) -> bytes:
    """A salt of any length as a key of at most 64 bytes."""
    return hashlib.blake2b(salt.encode(), digest_size=32).digest()
