"""Metrics: what the server did in, Prometheus text out.

Counted in plain numbers on the event loop and made into metrics only when somebody asks: the
client library's counters cost more than the ranking.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class Metrics(Collector):
    """The counters of one app."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # by route and status
        self.buckets: dict[str, list[int]] = {}  # by route: requests in each bucket, and above
        self.seconds: dict[str, float] = {}  # by route: the sum
        self.answers = {True: 0, False: 0}  # by whether they fell back
        self.swaps = self.refused = 0
        self.bundle: tuple[str, str, str] | None = None
        self.since = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One finished request."""
        self.requests[route, status] += 1
        if route not in self.buckets:
            self.buckets[route], self.seconds[route] = [0] * (len(BUCKETS) + 1), 0.0
        self.buckets[route][bisect_left(BUCKETS, seconds)] += 1
        self.seconds[route] += seconds

    def swapped(self, bundle: str, model: str, version: str, *, now: float) -> None:
        """A bundle was taken into use."""
        self.swaps += 1
        self.bundle, self.since = (bundle, model, version), now

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Every metric, as the client library writes them."""
        requests = CounterMetricFamily(
            "regulars_requests", "Requests, by route and status.", labels=["route", "status"]
        )
        for (route, status), count in self.requests.items():
            requests.add_metric([route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "regulars_request_seconds", "Time to answer.", labels=["route"]
        )
        for route, counts in self.buckets.items():
            below, pairs = 0, []
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                below += count
                pairs.append((bound, float(below)))
            seconds.add_metric([route], pairs, self.seconds[route])
        yield seconds
        answers = CounterMetricFamily(
            "regulars_answers", "Ranked answers, by whether they fell back.", labels=["fallback"]
        )
        for fallback, count in self.answers.items():
            answers.add_metric([str(fallback).lower()], count)
        yield answers
        yield CounterMetricFamily(
            "regulars_bundle_swaps", "Bundles taken into use.", value=self.swaps
        )
        yield CounterMetricFamily(
            "regulars_bundle_refused", "Tries at a missing or damaged bundle.", value=self.refused
        )
        info = GaugeMetricFamily(
            "regulars_bundle_info", "The bundle in use.", labels=["bundle", "model", "version"]
        )
        if self.bundle is not None:
            info.add_metric(list(self.bundle), 1)
        yield info
        yield GaugeMetricFamily(
            "regulars_bundle_taken_seconds", "When it was taken, unix time.", value=self.since
        )
