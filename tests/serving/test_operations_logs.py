"""Logs: one line an event, read by machines or people, without anything that must not be there."""

import json
import logging
import sys

import pytest

from serving import logs
from serving.logs import Json, Lines, Text


def record(message="hello", *, error=None, **extra):
    exc_info = None
    if error is not None:
        try:
            raise error
        except type(error):
            exc_info = sys.exc_info()
    made = logging.LogRecord("regulars", logging.INFO, "x.py", 1, message, (), exc_info)
    made.created = 1767225600.25
    made.__dict__.update(extra)
    return made


def test_a_line_is_one_json_object_with_the_fields_that_are_known():
    line = Json().format(record(request_id="r1", status=200, seconds=0.5, shop=None, secret="k"))
    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "info",
        "logger": "regulars",
        "message": "hello",
        "request_id": "r1",
        "status": 200,
        "seconds": 0.5,
    }


@pytest.mark.parametrize("formatter", [Json(), Text()])
def test_a_message_with_line_ends_stays_one_line(formatter):
    assert "\n" not in formatter.format(record("a\nb\r\n2026 INFO forged"))


def test_a_traceback_stands_in_its_json_line_and_below_its_text():
    line = Json().format(record(error=ValueError("no")))
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: no")
    assert Text().format(record(error=ValueError("no"))).endswith("ValueError: no")


def test_text_is_for_people():
    line = Text().format(record(request_id="r1", status=200))
    assert line == "2026-01-01T00:00:00.250Z INFO regulars: hello request_id=r1 status=200"


@pytest.mark.parametrize(
    ("level", "status", "seconds", "written"),
    [
        ("info", 200, 0.01, None),
        ("info", 200, 1.5, "INFO"),
        ("info", 500, 0.01, "INFO"),
        ("info", 404, 0.01, None),
        ("info", 503, 0.01, None),
        ("debug", 200, 0.01, "DEBUG"),
        ("debug", 500, 0.01, "INFO"),
        ("warning", 500, 0.01, None),
    ],
)
def test_a_request_has_a_line_where_it_failed_was_slow_or_all_are_wanted(
    level, status, seconds, written, caplog
):
    caplog.set_level(level.upper(), logger="regulars")
    lines = Lines()
    if lines.worth(status, seconds):
        lines.write(status, seconds, request_id="r1", route="/v1/x", surface="", key=None)
    assert [entry.levelname for entry in caplog.records] == ([written] if written else [])
    for entry in caplog.records:
        assert (entry.request_id, entry.route, entry.status) == ("r1", "/v1/x", status)
        assert not hasattr(entry, "surface")
        assert not hasattr(entry, "key")


def test_a_field_that_nobody_named_is_never_written():
    assert not {"authorization", "x-api-key", "customer_id", "body"} & set(logs.FIELDS)
