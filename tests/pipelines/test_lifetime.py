"""Events in a workspace in; who is still there, and how stages moved, out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.artifact import digest
from features.schemas import EVENTS, STAGES
from models.lifetime.outlook import NobodyOrdered
from pipelines import lifetime, settings, steps
from pipelines.workspace import Workspace

START = datetime(2025, 1, 1, tzinfo=UTC)
SHOP = settings.read('[shop]\nname = "tea"\n[ingest]\nmapping = "synthetic"\n', source="tea")
Made = Callable[..., Workspace]


def event(
    day: float, who: str | None, kind: str = "purchase", price: float = 10.0
) -> dict[str, Any]:
    row = {
        "event_time": START + timedelta(days=day),
        "event_type": kind,
        "channel": "web",
        "customer_id": who,
        "product_id": "tea",
        "quantity": 1.0,
        "unit_price": price,
        "source": "a test",
        "source_row": 1,
    }
    return {"event_id": digest(row), **row}


def stocked(root: Path, *days: list[dict[str, Any]]) -> Workspace:
    """A workspace with these events, a part each."""
    place = Workspace(root)
    parts = []
    for rows in days:
        path = place.tables.beside("events")
        pa.parquet.write_table(pa.Table.from_pylist(rows, schema=EVENTS), path)
        parts.append(place.tables.adopt("events", path, time="event_time"))
    place.tables.commit("events", digest([part.sha256 for part in parts]), parts)
    return place


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return lambda *days, name="one": stocked(tmp_path / name, *days)


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shop of thirty with its tables."""
    place = stocked(tmp_path_factory.mktemp("clocks") / "shop", thirty())
    lifetime.run(place, SHOP)
    return place


def rows(place: Workspace, table: str = "customer_lifetime") -> list[dict[str, Any]]:
    return place.tables.need(table).read().to_pylist()


def thirty() -> list[dict[str, Any]]:
    """Thirty customers: each third came once, monthly until May, and monthly until July."""
    last = {0: 1, 1: 5, 2: 7}
    return [
        event(30 * month + customer / 30, f"c{customer:02}", price=5.0 + customer)
        for customer in range(30)
        for month in range(last[customer % 3])
    ]


def test_a_shop_of_thirty_gets_a_table_that_can_be_read(clocks: Workspace) -> None:
    table = {row["customer_id"]: row for row in rows(clocks)}
    assert len(table) == 30
    once, gone, regular = (table[name] for name in ("c00", "c01", "c02"))
    assert regular["probability_alive"] > gone["probability_alive"]
    assert regular["expected_orders_90d"] > gone["expected_orders_90d"] > 0
    assert regular["expected_orders_90d"] > 2 > 1 > once["expected_orders_90d"]
    assert regular["lifecycle_stage"] == "active"
    for row in table.values():
        assert 0 <= row["return_probability_90d"] <= 1
        assert (
            row["expected_orders_28d"] <= row["expected_orders_90d"] <= row["expected_orders_365d"]
        )
        assert row["expected_value_365d"] == pytest.approx(
            row["expected_order_value"] * row["expected_orders_365d"]
        )
    assert table["c29"]["expected_order_value"] > table["c02"]["expected_order_value"]
    assert date(2025, 7, 1) < regular["expected_next_order_date"] < date(2025, 9, 1)
    fit = clocks.tables.need("customer_lifetime").manifest["about"]
    assert fit["rhythm"]["k"] > 1  # they came like clocks
    assert len(fit["rhythm"]["errors"]) == 4


def test_a_second_run_finds_what_the_first_one_made(clocks: Workspace) -> None:
    again = lifetime.run(clocks, SHOP)
    assert again["reused"]
    current = clocks.tables.need("customer_lifetime")
    assert again["tables"]["customer_lifetime"]["snapshot"] == current.id
    assert again["fit"] == current.manifest["about"]


def test_yesterdays_table_is_the_same_from_todays_data(made: Made) -> None:
    until = START + timedelta(days=100)
    early = [one for one in thirty() if one["event_time"] <= until]
    late = [one for one in thirty() if one["event_time"] > until]
    then, now = made(early, name="then"), made(early, late, name="now")
    lifetime.run(now, SHOP)
    names = []
    for place in (then, now):
        done = lifetime.run(place, SHOP, as_of=until, current=False)
        ids = {name: one["snapshot"] for name, one in done["tables"].items()}
        names.append(
            [part.sha256 for name in ids for part in place.tables.get(name, ids[name]).parts]
        )
    assert names[0] == names[1]
    assert now.tables.need("customer_lifetime").as_of > until  # a look back is not the newest


@pytest.mark.parametrize(
    "times", [[0.1 * i for i in range(12)], [0.5] * 12], ids=["one order each", "all at one moment"]
)
def test_where_nobody_came_back_the_prior_speaks(made: Made, times: list[float]) -> None:
    place = made([event(day, f"c{i}") for i, day in enumerate(times)])
    lifetime.run(place, SHOP, as_of=START + timedelta(days=60))
    for row in rows(place):
        assert 0 < row["probability_alive"] <= 1
        assert 0 < row["expected_orders_90d"] < 2


def test_orders_of_one_day_count_as_one(made: Made) -> None:
    place = made([event(0.1 * hour, "ann", price=float(hour + 1)) for hour in range(5)])
    lifetime.run(place, SHOP, as_of=START + timedelta(days=60))
    (row,) = rows(place)
    assert row["expected_order_value"] == pytest.approx(15, rel=0.5)  # all five of them


def test_refunds_are_taken_out_also_where_they_exceed_the_orders(made: Made) -> None:
    many = [event(i, f"c{i}", price=50.0) for i in range(20)]
    back = event(21, "c0", "refund", price=500.0)
    plain, returned = made(many, name="plain"), made([*many, back], name="returned")
    as_of = START + timedelta(days=40)
    for place in (plain, returned):
        lifetime.run(place, SHOP, as_of=as_of)
    worth = [rows(place)[0]["expected_order_value"] for place in (plain, returned)]
    assert worth[0] == pytest.approx(50, rel=0.1)
    assert 0 < worth[1] < worth[0]
    nothing = made(
        [event(1, "ann", price=5.0), event(2, "ann", "refund", price=9.0)], name="nothing"
    )
    done = lifetime.run(nothing, SHOP, as_of=as_of)
    (row,) = rows(nothing)
    assert (row["expected_order_value"], row["expected_value_365d"]) == (None, None)
    assert done["fit"]["spend"] is None


def test_a_clock_ahead_of_as_of_is_not_seen(made: Made) -> None:
    place = made([*thirty(), event(4_000, "c00")])
    lifetime.run(place, SHOP, as_of=START + timedelta(days=200))
    assert {row["customer_id"]: row for row in rows(place)}["c00"]["expected_orders_90d"] < 1
    with pytest.raises(NobodyOrdered, match="nobody had ordered by 2024"):
        lifetime.run(place, SHOP, as_of=START - timedelta(days=1))


def test_a_shop_without_known_buyers_goes_on_without_the_tables(made: Made) -> None:
    place = made([event(1, None), event(2, "ann", "view_item")])
    assert steps.foretell(steps.Job(place, SHOP))["tables"] == {}


def test_moves_tell_where_everybody_went(clocks: Workspace) -> None:
    place = clocks
    moves = rows(place, "stage_moves")
    now = [row["lifecycle_stage"] for row in rows(place)]
    last = max(row["month"] for row in moves)
    assert last == date(2025, 6, 1)
    for stage in STAGES:
        went = sum(r["customers"] for r in moves if r["month"] == last and r["to_stage"] == stage)
        assert went == now.count(stage)
    for month in {row["month"] for row in moves}:
        assert sum(row["customers"] for row in moves if row["month"] == month) == 30
    assert sum(row["customers"] for row in moves if row["from_stage"] is None) == 30
