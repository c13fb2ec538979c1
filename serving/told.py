"""Told: what is known of a request while it is answered in; a count, a line and a trace out."""

from __future__ import annotations

import time

from serving.guard.edges import Headers
from serving.guard.headers import Given, request_id
from serving.logs import Lines
from serving.metrics import Metrics
from serving.traces import Traces


class Told:
    """One request, filled in on its way.

    id: of the answer, the caller's own where she gave one. own: headers that every answer to her
    bears. metrics: of the shop, of nobody's as long as that is not known.
    """

    __slots__ = ("began", "given", "id", "key", "method", "metrics", "own", "route", "shop",
                 "status", "surface")  # fmt: skip

    def __init__(self, given: Given, method: str, own: Headers, metrics: Metrics) -> None:
        self.began = time.perf_counter()
        self.given, self.method, self.own, self.metrics = given, method, own, metrics
        self.id = request_id(given)
        self.status, self.route = 500, "none"
        self.shop = self.key = self.surface = ""

    def end(self, lines: Lines, traces: Traces | None) -> None:
        """It is answered: count it; write its line and its trace where they are wanted."""
        seconds = time.perf_counter() - self.began
        self.metrics.request(self.route, self.status, seconds)
        if lines.worth(self.status, seconds):
            lines.write(
                self.status,
                seconds,
                request_id=self.id,
                method=self.method,
                route=self.route,
                shop=self.shop,
                key=self.key,
                surface=self.surface,
            )
        if traces is not None:
            traces.request(
                self.given,
                method=self.method,
                route=self.route,
                status=self.status,
                seconds=seconds,
                shop=self.shop,
                surface=self.surface,
                request_id=self.id or "",
            )
