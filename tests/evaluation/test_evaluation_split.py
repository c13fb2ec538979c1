"""Splits never overlap and never leak."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.split import Fold, folds, leave_last_out, validation_fold

LAST = datetime(2026, 1, 1, tzinfo=UTC)


def day(n: int) -> datetime:
    return LAST - timedelta(days=n)


def test_two_folds_of_a_month_end_at_the_last_moment() -> None:
    assert folds(LAST, horizon_days=30, n=2) == [Fold(day(60), day(30)), Fold(day(30), LAST)]


def test_the_search_looks_at_the_month_before_the_first_fold() -> None:
    assert validation_fold(LAST, horizon_days=30, n=2) == Fold(day(90), day(60))


@settings(deadline=None)
@given(
    last=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    horizon=st.integers(1, 400),
    n=st.integers(1, 20),
)
def test_folds_touch_never_overlap_and_the_search_never_sees_them(
    last: datetime, horizon: int, n: int
) -> None:
    made = folds(last, horizon_days=horizon, n=n)
    assert len(made) == n
    assert made[-1].until == last
    assert all(a.until == b.cut for a, b in pairwise(made))
    assert all(fold.until - fold.cut == timedelta(days=horizon) for fold in made)
    search = validation_fold(last, horizon_days=horizon, n=n)
    assert search.cut < search.until == made[0].cut
    moments = [last - timedelta(hours=6 * i) for i in range(4 * horizon * 2)]
    for moment in moments:  # each is truth of at most one fold, and then not known to it
        judged = [fold for fold in [search, *made] if fold.cut < moment <= fold.until]
        assert len(judged) <= 1
        assert not any(moment <= fold.cut for fold in judged)


def test_another_time_zone_is_the_same_moment_in_utc() -> None:
    tokyo = LAST.astimezone(timezone(timedelta(hours=9)))
    (fold,) = folds(tokyo, horizon_days=7, n=1)
    assert fold == Fold(day(7), LAST)
    assert fold.cut.tzinfo is UTC


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"horizon_days": 0}, "horizon_days must be at least 1, got 0"),
        ({"last": datetime(2026, 1, 1)}, "last must have a time zone"),
        ({"first": datetime(2025, 1, 1)}, "first must have a time zone"),
        ({"first": day(59)}, "before the first event"),
    ],
)
@pytest.mark.parametrize("split", [folds, validation_fold])
def test_a_value_that_cannot_be_is_refused(split, change, says) -> None:  # type: ignore[no-untyped-def]
    values = {"last": LAST, "horizon_days": 30, "n": 2} | change
    with pytest.raises(ValueError, match=says):
        split(values.pop("last"), **values)


def test_a_search_needs_events_before_its_own_cut() -> None:
    assert len(folds(LAST, horizon_days=30, n=2, first=day(60))) == 2
    with pytest.raises(ValueError, match="before the first event"):
        validation_fold(LAST, horizon_days=30, n=2, first=day(60))


def products(*tables: pa.Table) -> list[list[str]]:
    return [table["product_id"].to_pylist() for table in tables]


def test_the_last_event_tests_and_the_one_before_validates() -> None:
    events = pa.table({"customer_id": list("aaaabbb"), "product_id": list("1234567")})
    assert products(*leave_last_out(events)) == [["1", "2", "5"], ["3", "6"], ["4", "7"]]


def test_who_has_two_events_stays_in_train() -> None:
    events = pa.table({"customer_id": list("aabbb"), "product_id": list("12345")})
    assert products(*leave_last_out(events)) == [["1", "2", "3"], ["4"], ["5"]]


def test_time_orders_events_and_ties_stand_as_their_rows() -> None:
    times = pa.array([day(1), day(9), day(1), day(5)], pa.timestamp("us", "UTC"))
    events = pa.table(
        {"customer_id": list("aaaa"), "product_id": list("wxyz"), "event_time": times}
    )
    assert products(*leave_last_out(events)) == [["x", "z"], ["w"], ["y"]]


def test_position_goes_before_time_and_may_not_stand_twice() -> None:
    events = pa.table(
        {"customer_id": list("aaa"), "product_id": list("xyz"), "position": [3, 1, 2]}
    )
    assert products(*leave_last_out(events)) == [["y"], ["z"], ["x"]]
    twice = events.set_column(2, "position", pa.array([3, 1, 3]))
    with pytest.raises(ValueError, match="position must be unique within a customer, got 3 twice"):
        leave_last_out(twice)


def test_no_events_give_three_empty_tables() -> None:
    events = pa.table({"customer_id": pa.array([], "str"), "product_id": pa.array([], "str")})
    assert [table.schema for table in leave_last_out(events)] == [events.schema] * 3


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_every_event_is_in_one_part_and_no_customer_learns_from_later(customers: list[str]) -> None:
    events = pa.table({"customer_id": pa.array(customers, "str"), "row": range(len(customers))})
    parts = [table.to_pylist() for table in leave_last_out(events)]
    assert sorted(row["row"] for part in parts for row in part) == list(range(len(customers)))
    for customer in set(customers):
        train, validation, test = (
            [row["row"] for row in part if row["customer_id"] == customer] for part in parts
        )
        assert [len(validation), len(test)] == ([1, 1] if customers.count(customer) > 2 else [0, 0])
        assert train + validation + test == sorted(train + validation + test)


def test_amazon_beauty_splits_as_published() -> None:
    """22,363 users and 198,502 events, as S3-Rec states them: each user tests once."""
    path = Path(os.environ.get("REGULARS_DATA", "../shared/data")) / "amazon_beauty.parquet"
    if not path.is_file():
        pytest.skip(
            "amazon_beauty.parquet is not here: set REGULARS_DATA to the folder that has it"
        )
    events = pq.read_table(path).rename_columns({"user": "customer_id", "item": "product_id"})
    train, validation, test = leave_last_out(events)
    assert (test.num_rows, validation.num_rows) == (22_363, 22_363)
    assert train.num_rows == 198_502 - 2 * 22_363
