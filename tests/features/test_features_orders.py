"""Baskets in; order times of each customer, and her stage at any moment, out."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.customers import customer_features
from features.engine import Engine
from features.orders import orders
from features.parameters import FeatureParameters, Stages
from features.schemas import STAGES, TIME
from features.stages import NEVER, believed, month_ends, stages

START = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
bought = st.lists(
    st.tuples(st.sampled_from([None, "anna", "ben", "çelik"]), st.integers(0, 20 * 24)), max_size=25
)


def baskets(rows: list[tuple[str | None, float]]) -> pa.Table:
    """Orders by customer and hour since the shop opened."""
    times = [START + timedelta(hours=hour) for _, hour in rows]
    names = pa.array([who for who, _ in rows], pa.string())
    return pa.table({"customer_id": names, "order_time": pa.array(times, TIME)})


def slow(rows: list[tuple[str | None, float]], at: datetime) -> dict[str, tuple[Any, ...]]:
    """Orders, first day, last day and days with an order, of who had ordered, one at a time."""
    times: dict[str, list[datetime]] = defaultdict(list)
    for who, hour in rows:
        time = START + timedelta(hours=hour)
        if who is not None and time <= at:
            times[who].append(time)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return {
        who: (
            len(of),
            (min(of) - epoch).days,
            (max(of) - epoch).days,
            len({time.date() for time in of}),
        )
        for who, of in times.items()
    }


@given(bought, st.integers(0, 21 * 24))
def test_what_was_seen_at_a_moment_is_the_oracles(rows: list[Any], hour: int) -> None:
    every, at = orders(baskets(rows)), START + timedelta(hours=hour)
    seen = every.seen(at)
    assert every.customers.to_pylist() == sorted({who for who, _ in rows if who is not None})
    found = {
        who: (seen.count[i], seen.first_day[i], seen.last_day[i], seen.days[i])
        for i, who in enumerate(every.customers.to_pylist())
        if seen.count[i]
    }
    assert found == slow(rows, at)


@given(bought, st.integers(0, 21 * 24))
def test_no_later_order_is_seen(rows: list[Any], hour: int) -> None:
    at = START + timedelta(hours=hour)
    then, now = orders(baskets([row for row in rows if row[1] <= hour])), orders(baskets(rows))
    who = [now.customers.to_pylist().index(one) for one in then.customers.to_pylist()]
    for name in ("count", "first", "last", "days"):
        np.testing.assert_array_equal(
            getattr(then.seen(at), name), getattr(now.seen(at), name)[who]
        )
    for one, other in zip(then.gaps(at), now.gaps(at), strict=True):
        np.testing.assert_array_equal(one, other)


def test_gaps_are_whole_days_between_days_with_an_order_of_one_customer() -> None:
    rows = [("anna", 1), ("anna", 5), ("anna", 24 * 3), ("ben", 24 * 4), ("ben", 24 * 7)]
    lengths, counts = orders(baskets(rows)).gaps(START + 30 * DAY)
    assert (lengths.tolist(), counts.tolist()) == ([3], [2])


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="must have a time zone"):
        orders(baskets([("anna", 1)])).seen(datetime(2025, 3, 1))


@pytest.mark.parametrize("day", [0, 9, 40])
def test_stages_are_those_of_the_customer_table(
    shop: SimpleNamespace, engine: Engine, day: int
) -> None:
    rng = np.random.default_rng(day)
    who = rng.choice([None, *(f"c{i}" for i in range(60))], 150).tolist()
    rows = list(zip(who, rng.integers(0, 20 * 24, 150).tolist(), strict=True))
    parameters = FeatureParameters(stages=Stages(fallback_days=2.0))
    at = START + timedelta(days=day)
    events = [
        shop.event(
            hour / 24,
            f"e{i}",
            event_type="purchase",
            customer_id=who,
            order_id=f"o{i}",
            quantity=1.0,
        )
        for i, (who, hour) in enumerate(rows)
    ]
    table = customer_features(engine.rows(shop.table(events)), as_of=at, parameters=parameters)
    wanted = {row["customer_id"]: row["lifecycle_stage"] for row in table.to_pyarrow().to_pylist()}
    every = orders(baskets(rows))
    found = stages(every.seen(at), at=at, rule=parameters.stages)
    named = zip(every.customers.to_pylist(), found.tolist(), strict=True)
    assert {who: STAGES[code] for who, code in named if code != NEVER} == wanted


def test_a_stage_nobody_believes_is_not_said() -> None:
    by_rhythm = np.array([NEVER, 0, 1, 1, 1, 3, 4], np.int8)
    alive = np.array([0.0, 0.9, 0.9, 0.4, 0.1, 0.3, 0.99])
    said = believed(by_rhythm, alive)
    names = ["never" if code == NEVER else STAGES[code] for code in said]
    assert names == ["never", "new", "active", "at_risk", "lapsed", "at_risk", "lapsed"]


def test_months_end_where_the_next_begins_and_the_last_one_now() -> None:
    now = datetime(2025, 3, 9, 12, tzinfo=UTC)
    first = datetime(2024, 12, 30, tzinfo=UTC)
    ends = [end.isoformat()[:10] for end in month_ends(first, now, most=13)]
    assert ends == ["2025-01-01", "2025-02-01", "2025-03-01", "2025-03-09"]
    assert month_ends(first, now, most=2)[0].isoformat()[:10] == "2025-02-01"
    assert month_ends(now, now, most=2) == [now]
