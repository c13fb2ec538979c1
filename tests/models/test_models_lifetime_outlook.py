"""All orders and a moment in, what to expect of each customer out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from features.orders import DAY_MICROS, Orders, orders
from features.schemas import TIME
from models.lifetime.calibration import Calibration, calibration_error
from models.lifetime.outlook import NobodyOrdered, came, known_at, outlook

START = datetime(2023, 1, 1, tzinfo=UTC)


def shop(customers: int, seed: int, *, winter: float = 1.0) -> Orders:
    """Two years and a half; each orders by her own pace, in winter by so many times that."""
    rng = np.random.default_rng(seed)
    pace = rng.gamma(0.8, 1 / 60, customers)  # orders a day
    first, stays = rng.uniform(0, 700, customers), rng.exponential(500, customers)
    who, day = [np.arange(customers)], [first]
    n = rng.poisson(pace * stays * max(winter, 1.0))
    again = np.repeat(np.arange(customers), n)
    later = first[again] + rng.uniform(0, 1, len(again)) * stays[again]
    cold = (later % 365 < 60) | (later % 365 > 305)
    kept = rng.random(len(again)) < np.where(cold, winter, 1.0) / max(winter, 1.0)
    who, day = [*who, again[kept]], [*day, later[kept]]
    time = int(START.timestamp() * 1e6) + (np.concatenate(day) * DAY_MICROS).astype(np.int64)
    ids = pa.array([f"c{i:05}" for i in range(customers)]).take(pa.array(np.concatenate(who)))
    return orders(pa.table({"customer_id": ids, "order_time": pa.array(time).cast(TIME)}))


def test_a_season_is_learned_from_the_year_before() -> None:
    every = shop(4_000, seed=0, winter=3.0)
    at = START + timedelta(days=665)  # before a second winter
    back = came(every, known_at(every, at).who, after=at, until=at + timedelta(days=90))
    found, plain = outlook(every, at), outlook(every, at, look_back=False)
    assert found.calibration.shift > 0.3
    assert found.factors[90] > 1.3
    before = calibration_error(plain.return_probability, back > 0)
    assert before > 0.08
    assert calibration_error(found.return_probability, back > 0) < before / 2
    off = [abs(one.expected_orders[90].sum() - back.sum()) for one in (found, plain)]
    assert off[0] < off[1]
    assert np.all((found.probability_alive >= 0) & (found.probability_alive <= 1))


def test_no_later_order_changes_an_outlook() -> None:
    every = shop(600, seed=1)
    at = START + timedelta(days=600)
    early = orders(_before(every, at))
    then, now = outlook(early, at), outlook(every, at)
    assert then.rhythm == now.rhythm
    np.testing.assert_array_equal(then.return_probability, now.return_probability)
    np.testing.assert_array_equal(then.expected_orders[365], now.expected_orders[365])


def test_a_young_shop_is_not_put_right() -> None:
    every = shop(300, seed=2)
    found = outlook(every, START + timedelta(days=120))
    assert found.calibration == Calibration()
    assert set(found.factors.values()) == {1.0}
    assert found.loss == {}


def test_a_moment_before_the_first_order_is_refused_in_words() -> None:
    with pytest.raises(NobodyOrdered, match="nobody had ordered by 2022"):
        outlook(shop(10, seed=3), START - timedelta(days=1))


def _before(every: Orders, at: datetime) -> pa.Table:
    owner = np.repeat(np.arange(len(every.customers)), np.diff(every.start))
    table = pa.table(
        {
            "customer_id": every.customers.take(pa.array(owner)),
            "order_time": pa.array(every.time).cast(TIME),
        }
    )
    return table.filter(pa.array(every.time <= int(at.timestamp() * 1e6)))
