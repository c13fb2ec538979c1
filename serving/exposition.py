"""Exposition: a shop's numbers in, Prometheus text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from serving.metrics import BUCKETS, Metrics, Times


def text(metrics: Metrics) -> bytes:
    """Every metric of a shop and of its process, as the client library writes them."""
    registry = CollectorRegistry()
    registry.register(_Shop(metrics))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Shop(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Every family."""
        yield from _requests(self.metrics)
        yield from _bundle(self.metrics)
        yield from _parts(self.metrics)
        yield from _process(self.metrics)


def _requests(m: Metrics) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "regulars_requests", "Requests, by route and status.", labels=["route", "status"]
    )
    for (route, status), count in m.requests.items():
        requests.add_metric([route, str(status)], count)
    yield requests
    yield _times("regulars_request_seconds", "Time to answer, by route.", "route", m.routes)
    yield _times("regulars_surface_seconds", "Time to rank, by surface.", "surface", m.surfaces)
    answers = CounterMetricFamily(
        "regulars_answers", "Ranked answers, by whether they fell back.", labels=["fallback"]
    )
    for fallback, count in m.answers.items():
        answers.add_metric([str(fallback).lower()], count)
    yield answers


def _bundle(m: Metrics) -> Iterator[Metric]:
    yield _count("regulars_bundle_swaps", "Bundles taken into use.", m.swaps)
    yield _count("regulars_bundle_refused", "Tries at a missing or damaged bundle.", m.refused)
    info = GaugeMetricFamily(
        "regulars_bundle_info", "The bundle in use.", labels=["bundle", "model", "version"]
    )
    if m.bundle is not None:
        info.add_metric(list(m.bundle), 1)
    yield info
    yield _gauge("regulars_bundle_taken_seconds", "When it was taken, unix time.", m.since)
    yield _gauge(
        "regulars_bundle_as_of_seconds", "Nothing in the bundle is later, unix time.", m.as_of
    )


def _parts(m: Metrics) -> Iterator[Metric]:
    yield _count("regulars_exposures_written", "Products shown, logged.", m.exposures_written)
    yield _count(
        "regulars_exposures_dropped", "Products shown, not logged under pressure.",
        m.exposures_dropped,
    )  # fmt: skip
    events = CounterMetricFamily("regulars_events", "Events sent, by outcome.", labels=["outcome"])
    for outcome, count in m.events.items():
        events.add_metric([outcome], count)
    yield events
    yield _gauge("regulars_stock_version", "Changes of the stock taken.", m.stock_version)
    yield _gauge("regulars_stock_as_of_seconds", "The last of them, unix time.", m.stock_as_of)
    yield _gauge("regulars_rules_version", "The operator's rules in use.", m.rules_version)
    yield _gauge("regulars_rules_troubles", "Rules that cannot be followed.", m.rules_troubles)
    yield _gauge("regulars_state_degraded", "1: customer state is not kept.", int(m.degraded))


def _process(m: Metrics) -> Iterator[Metric]:
    p = m.process
    refused = CounterMetricFamily(
        "regulars_requests_refused",
        "Requests not let in, by why (no_key, wrong_key, scope, rate) and key.",
        labels=["why", "key"],
    )
    for (shop, why, key), count in p.refused.items():
        if shop in ("", m.shop):  # another shop's keys are its own
            refused.add_metric([why, key], count)
    yield refused
    yield _count("regulars_requests_shed", "Requests turned away, too much to do.", p.shed)
    yield _gauge("regulars_requests_running", "Requests being answered.", p.running)
    yield _gauge("regulars_loop_lag_seconds", "How late the event loop was of late.", p.lag)
    yield _gauge(
        "regulars_keys_trouble", "1: a file of keys is not in use.", int(bool(p.keys_trouble))
    )


def _times(name: str, about: str, label: str, times: Times) -> Metric:
    family = HistogramMetricFamily(name, about, labels=[label])
    for value, counts in times.counts.items():
        below, pairs = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            below += count
            pairs.append((bound, float(below)))
        family.add_metric([value], pairs, times.seconds[value])
    return family


def _count(name: str, about: str, value: int) -> Metric:
    return CounterMetricFamily(name, about, value=value)


def _gauge(name: str, about: str, value: float | None) -> Metric:
    """A gauge; without a value none, which is not the same as 0."""
    family = GaugeMetricFamily(name, about)
    if value is not None:
        family.add_metric([], value)
    return family
