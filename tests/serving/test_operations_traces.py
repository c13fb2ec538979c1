"""Traces: a span a request, when asked; nothing imported when not."""

import json
import subprocess
import sys

import pytest

from serving.settings import Settings, SettingsError
from serving.traces import EXPORTER, OTLP, Traces, traces

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    """Spans kept in memory, and what writes them."""
    export = pytest.importorskip("opentelemetry.sdk.trace.export", reason="no opentelemetry-sdk")
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    writes = Traces(export.SimpleSpanProcessor(kept))
    yield writes, kept
    writes.close()


def said(given=None, status=200, **more):
    return {
        "given": given or {},
        "method": "GET",
        "route": "/v1/customers/{customer_id}/recommendations",
        "status": status,
        "seconds": 0.25,
    } | more


def ask(writes, **what):
    given = what.pop("given")
    writes.request(given, **what)


def test_a_request_is_one_span_by_its_route(spans):
    writes, kept = spans
    ask(writes, **said(shop="pets", surface="home", request_id="r1"))
    (span,) = kept.get_finished_spans()
    assert span.name == "GET /v1/customers/{customer_id}/recommendations"
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/v1/customers/{customer_id}/recommendations",
        "http.response.status_code": 200,
        "regulars.shop": "pets",
        "regulars.surface": "home",
        "regulars.request_id": "r1",
    }
    assert span.end_time - span.start_time == 250_000_000
    assert span.status.is_ok


def test_a_span_hangs_on_its_callers(spans):
    writes, kept = spans
    ask(writes, **said({b"traceparent": PARENT}))
    ask(writes, **said({b"traceparent": b"nonsense\xff"}))
    hangs, free = kept.get_finished_spans()
    assert f"{hangs.context.trace_id:032x}".encode() in PARENT
    assert hangs.parent is not None
    assert free.parent is None


def test_our_mistake_is_an_error_and_a_callers_is_not(spans):
    writes, kept = spans
    for status in (404, 500, 503):
        ask(writes, **said(status=status))
    assert [s.status.status_code.name for s in kept.get_finished_spans()] == [
        "UNSET", "ERROR", "ERROR",
    ]  # fmt: skip


def test_the_console_gets_one_json_line_a_span(capsys):
    pytest.importorskip("opentelemetry.sdk", reason="no opentelemetry-sdk")
    writes = traces(Settings(traces="console"))
    ask(writes, **said())
    writes.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["attributes"]["http.response.status_code"] == 200


def test_a_missing_exporter_is_told_with_what_to_install():
    pytest.importorskip("opentelemetry.sdk", reason="no opentelemetry-sdk")
    try:
        import opentelemetry.exporter.otlp.proto.http  # noqa: F401
    except ImportError:
        with pytest.raises(SettingsError, match=f"REGULARS_TRACES .* pip install {OTLP}"):
            traces(Settings(traces="http://127.0.0.1:4318/v1/traces"))
    else:
        pytest.skip("the exporter is installed")


def test_an_address_is_where_the_exporter_sends_to(monkeypatch):
    pytest.importorskip("opentelemetry.sdk", reason="no opentelemetry-sdk")
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, asked = InMemorySpanExporter(), []

    class Module:
        @staticmethod
        def OTLPSpanExporter(endpoint):
            asked.append(endpoint)
            return kept

    monkeypatch.setitem(sys.modules, EXPORTER, Module)
    writes = traces(Settings(traces="http://127.0.0.1:4318/v1/traces"))
    ask(writes, **said())
    writes.close()
    assert asked == ["http://127.0.0.1:4318/v1/traces"]
    assert len(kept.get_finished_spans()) == 1


def test_without_traces_nothing_is_imported():
    program = (
        "import sys, serving.traces as t, serving.settings as s\n"
        "assert t.traces(s.Settings()) is None\n"
        "print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
