"""Metrics: what the server did in, Prometheus text out.

Counted in plain numbers on the event loop and made into metrics only when somebody asks
(`serving/exposition.py`): the client library's counters cost more than the ranking.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
OTHER = "other"  # every surface that the shop did not configure


class Times:
    """How long things took: a histogram for each of a bounded number of names."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}  # in each bucket, and above the last
        self.seconds: dict[str, float] = {}  # the sum

    def add(self, name: str, seconds: float) -> None:
        """One more."""
        counts = self.counts.get(name)
        if counts is None:
            counts = self.counts[name] = [0] * (len(BUCKETS) + 1)
            self.seconds[name] = 0.0
        counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds[name] += seconds


@dataclass(slots=True)
class Process:
    """What the shops of one process share.

    refused: by shop (empty where no key said which), why and key. lag: seconds that the event
    loop was late of late. keys_trouble: why a shop's keys are not those of its file.
    """

    refused: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    shed: int = 0
    running: int = 0
    lag: float = 0.0
    keys_trouble: str | None = None

    def refuse(self, shop: str, why: str, key: str) -> None:
        """A request that was not let in; why: no_key, wrong_key, scope or rate."""
        self.refused[shop, why, key] += 1


class Metrics:
    """The numbers of one shop; whoever does something adds to them."""

    def __init__(self, shop: str = "", process: Process | None = None) -> None:
        self.shop, self.process = shop, process or Process()
        self.requests: Counter[tuple[str, int]] = Counter()  # by route and status
        self.routes, self.surfaces = Times(), Times()
        self.known: frozenset[str] = frozenset()  # the configured surfaces
        self.answers = {True: 0, False: 0}  # by whether they fell back
        self.swaps = self.refused = 0
        self.bundle: tuple[str, str, str] | None = None  # id, model, version
        self.since = 0.0  # unix time, as every time below
        self.as_of: float | None = None  # nothing in the bundle is later
        self.exposures_written = self.exposures_dropped = 0
        self.events: Counter[str] = Counter()  # by outcome: taken, repeated, refused …
        self.stock_version = 0
        self.stock_as_of: float | None = None
        self.rules_version = self.rules_troubles = 0
        self.degraded = False  # customer state answers from memory, or not at all

    def request(self, route: str, status: int, seconds: float) -> None:
        """One finished request."""
        self.requests[route, status] += 1
        self.routes.add(route, seconds)

    def surface(self, name: str, seconds: float) -> None:
        """One ranked answer of a surface; what is not configured counts as `other`."""
        self.surfaces.add(name if name in self.known else OTHER, seconds)

    def configured(self, surfaces: Iterable[str]) -> None:
        """The surfaces that have a histogram of their own: few, whatever callers write."""
        self.known = frozenset(surfaces)

    def swapped(
        self, bundle: str, model: str, version: str, *, now: float, as_of: float | None = None
    ) -> None:
        """A bundle was taken into use."""
        self.swaps += 1
        self.bundle, self.since, self.as_of = (bundle, model, version), now, as_of

    def text(self) -> bytes:
        """What /metrics answers."""
        from serving.exposition import text

        return text(self)
