"""Traces: a finished request in, one OpenTelemetry span out; nothing is imported unless asked."""

from __future__ import annotations

import importlib
import sys
import time
from typing import TYPE_CHECKING

from serving.guard.headers import Given
from serving.settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

OTLP = "opentelemetry-exporter-otlp-proto-http"
EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Traces:
    """Writes spans. A span is made when its request has ended: the hot path only passes numbers.

    A caller's `traceparent` is the span's parent. Spans are sent from a thread, and dropped where
    the collector does not keep up.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": "regulars"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("regulars")
        self._parent = TraceContextTextMapPropagator().extract

    def request(
        self,
        given: Given,
        *,
        method: str,
        route: str,
        status: int,
        seconds: float,
        shop: str = "",
        surface: str = "",
        request_id: str = "",
    ) -> None:
        """One finished request; route: the template, never the path, which holds ids."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        ended = time.time_ns()
        carried = {
            name: given[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in given
        }
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        own = {"shop": shop, "surface": surface, "request_id": request_id}
        attributes |= {f"regulars.{name}": value for name, value in own.items() if value}
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._parent(carried) if carried else None,
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=ended - round(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def close(self) -> None:
        """Send what is left; takes as long as the collector does, so: in a thread."""
        self._provider.shutdown()


def traces(settings: Settings) -> Traces | None:
    """What the settings ask for; None for nothing. Raises SettingsError for what is missing."""
    if not settings.traces:
        return None
    try:
        from opentelemetry.sdk.trace.export import (
            BatchSpanProcessor,
            ConsoleSpanExporter,
            SimpleSpanProcessor,
        )
    except ImportError:
        raise _missing(settings, "opentelemetry-sdk") from None
    if settings.traces == "console":
        return Traces(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr, formatter=_line)))
    return Traces(BatchSpanProcessor(_exporter(settings)))


def _exporter(settings: Settings) -> SpanExporter:
    try:
        module = importlib.import_module(EXPORTER)
    except ImportError:
        raise _missing(settings, OTLP) from None
    exporter: SpanExporter = module.OTLPSpanExporter(endpoint=settings.traces)
    return exporter


def _line(span: object) -> str:
    return str(span.to_json(indent=None)) + "\n"  # type: ignore[attr-defined]


def _missing(settings: Settings, package: str) -> SettingsError:
    return SettingsError(
        f"REGULARS_TRACES is {settings.traces!r}, which wants the package {package}: "
        f"pip install {package}"
    )
