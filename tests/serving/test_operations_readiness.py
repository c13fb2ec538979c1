"""Readiness: whether a shop should be asked, and what is wrong meanwhile."""

import pytest

from serving.readiness import Parts, readiness, seconds

NOON = seconds("2026-05-01T12:00:00+00:00")
HOUR = 3600


def parts(**change):
    return Parts(**({"bundle": "b1", "as_of": "2026-05-01T12:00:00+00:00"} | change))


def test_a_server_with_a_bundle_is_ready_and_says_how_old_it_is():
    ready = readiness(parts(tables={"events": "2026-05-01"}), now=NOON + 5 * HOUR)
    assert (ready.ready, ready.reason, ready.bundle_hours) == (True, None, 5.0)
    assert ready.tables == {"events": "2026-05-01"}


@pytest.mark.parametrize(
    ("change", "most_hours", "reason"),
    [
        ({"bundle": None, "reason": "there is no bundle"}, None, "there is no bundle"),
        ({"bundle": None}, None, "no bundle is loaded"),
        ({"leaving": True}, None, "the server is shutting down"),
        ({}, 48, "the bundle is 53 h old, want at most 48"),
        ({"as_of": None}, 48, "the bundle does not say how old it is, want at most 48 h"),
        ({"as_of": "yesterday"}, 1.5, "the bundle does not say how old it is, want at most 1.5 h"),
    ],
)
def test_a_server_that_should_not_be_asked_says_why(change, most_hours, reason):
    ready = readiness(parts(**change), now=NOON + 53 * HOUR, most_hours=most_hours)
    assert (ready.ready, ready.reason) == (False, reason)


def test_an_old_bundle_is_ready_where_no_age_was_asked_for():
    assert readiness(parts(), now=NOON + 9999 * HOUR).ready
    assert readiness(parts(), now=NOON + 48 * HOUR, most_hours=48).ready


def test_a_refused_newer_bundle_leaves_the_server_ready_and_is_told():
    ready = readiness(parts(reason="bundle b2 was refused: damaged"), now=NOON)
    assert (ready.ready, ready.reason) == (True, "bundle b2 was refused: damaged")


def test_what_is_wrong_beside_the_bundle_is_told_and_answers_go_on():
    broken = parts(degraded="redis is gone", exposures="disk full", keys="cut", stock_as_of=NOON)
    ready = readiness(broken, now=NOON + 90)
    assert ready.ready
    assert ready.troubles == ["redis is gone", "disk full", "cut"]
    assert ready.stock_seconds == 90


@pytest.mark.parametrize(
    ("moment", "unix"),
    [
        ("1970-01-01", 0.0),
        ("1970-01-01T00:01:00", 60.0),
        ("1970-01-01T02:00:00+02:00", 0.0),
        ("", None),
        (None, None),
    ],
)
def test_a_time_without_a_zone_is_utc(moment, unix):
    assert seconds(moment) == unix


def test_a_clock_behind_the_bundle_makes_it_new_not_younger():
    assert readiness(parts(), now=NOON - 5).bundle_hours == 0
