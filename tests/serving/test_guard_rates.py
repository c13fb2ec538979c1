"""Rates: a bucket beside a slow count of every window."""

from hypothesis import given
from hypothesis import strategies as st

from serving.guard import Bucket

GAPS = st.lists(st.floats(0, 3, allow_subnormal=False), min_size=1, max_size=60)
RATES = st.floats(0.1, 50)


@given(RATES, GAPS)
def test_in_no_window_more_is_let_through_than_rate_and_burst_allow(rate, gaps):
    bucket, now, passed = Bucket(rate, now=0.0), 0.0, []
    for gap in gaps:
        now += gap
        if not bucket.take(now):
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            window = passed[last] - passed[first]
            assert last - first + 1 <= max(rate, 1) + rate * window + 1e-6


@given(RATES, GAPS)
def test_whoever_waits_as_long_as_told_is_let_through(rate, gaps):
    bucket, now = Bucket(rate, now=0.0), 0.0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        if wait:
            now += wait + 1e-9
            assert bucket.take(now) == 0.0


def test_a_key_may_ask_as_often_at_once_as_its_rate_says():
    bucket = Bucket(3, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0] * 3
    assert round(bucket.take(0.0), 6) == round(1 / 3, 6)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0] * 3, "rest does not add up"
    assert bucket.take(100.0) > 0
