"""Logs become units with outcomes; what is wrong with them is told, and what was done about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from features.assignment import HOLDOUT
from pipelines.experiments import Experiment
from pipelines.outcomes import Gathered, gather

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=60)
TEST = Experiment(
    arms={"old": 0.5, "new": 0.5}, start=START, end=START + timedelta(days=28), horizon_days=7
)
Rows = list[dict[str, Any]]


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def shown(
    unit: str, arm: str, day: float, request: str | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "request_id": request or f"{unit}@{day}", "event_time": at(day), "customer_id": unit,
        "unit": None, "experiment": "home", "arm": arm, "product_id": "p", "position": 1,
        "channel": "live", "surface": "home", **more,
    }  # fmt: skip


def bought(customer: str | None, day: float, **more: Any) -> dict[str, Any]:
    return {
        "event_time": at(day), "event_type": "purchase", "channel": "store",
        "customer_id": customer, "product_id": "p", "quantity": 1.0, "unit_price": 10.0,
        "order_id": None, "request_id": None, **more,
    }  # fmt: skip


def crowd(each: int = 100) -> Rows:
    """Units of both arms, each shown one answer on the first day."""
    return [shown(f"{arm}{n}", arm, 0.5) for n in range(each) for arm in TEST.arms]


def read(exposures: Rows, outcomes: Rows | None = None, **more: Any) -> Gathered:
    outcomes = outcomes or [bought("nobody", 1)]
    return gather(
        "home", TEST, pa.Table.from_pylist(exposures), pa.Table.from_pylist(outcomes),
        now=NOW, as_of=more.pop("as_of", at(40)), **more,
    )  # fmt: skip


def unit(gathered: Gathered, name: str) -> dict[str, Any]:
    (row,) = [row for row in gathered.units.to_pylist() if row["unit"] == name]
    return dict(row)


def codes(gathered: Gathered) -> dict[str, int]:
    return {one.code: one.count for one in gathered.findings}


def test_outcomes_count_from_the_first_exposure_for_the_horizon_in_any_channel() -> None:
    gathered = read(
        [shown("a", "old", 3), shown("a", "old", 5), shown("b", "new", 3)],
        [
            bought("a", -40, order_id="first"),
            bought("a", 2.9),
            bought("a", 3.2, order_id="x"),
            bought("a", 3.2, order_id="x", product_id="q", channel="web"),
            bought("a", 9.9, event_type="refund", unit_price=4.0),
            bought("a", 10.1, unit_price=1_000.0),
        ],
    )
    a = unit(gathered, "a")
    assert (a["conversion"], a["orders"], a["revenue"]) == (1, 1, 16)
    assert (a["revenue_in_store"], a["revenue_in_web"]) == (6, 10)
    assert (a["orders_before"], a["revenue_before"]) == (2, 20)
    assert (a["arm"], a["channel"], a["surface"], a["requests"]) == ("old", "live", "home", 2)
    assert unit(gathered, "b")["revenue"] == 0
    assert gathered.findings == []


def test_an_outcome_is_joined_by_its_answer_when_the_customer_is_unknown() -> None:
    gathered = read(
        [shown("cookie:1", "old", 3, "r1"), shown("b", "new", 3)],
        [bought(None, 4, request_id="r1"), bought("b", 4, request_id="elsewhere")],
    )
    assert unit(gathered, "cookie:1")["orders"] == 1
    assert unit(gathered, "cookie:1")["clicked"] == 1
    assert unit(gathered, "b")["orders"] == 1
    assert unit(gathered, "b")["clicked"] == 0
    assert gathered.joined == (2, 1)


def test_a_unit_that_is_no_customer_is_found_by_the_customer_in_its_exposures() -> None:
    gathered = read([{**shown("a", "old", 3), "unit": "loyalty:7"}], [bought("a", 4)])
    assert unit(gathered, "loyalty:7")["orders"] == 1


def test_coming_back_is_a_later_day() -> None:
    view = {"event_type": "view_item", "channel": "web"}
    gathered = read(
        [shown("same", "old", 3), shown("next", "old", 3), shown("late", "new", 3)],
        [bought("same", 3.9, **view), bought("next", 4.1, **view), bought("late", 10.5, **view)],
    )
    assert [unit(gathered, name)["return"] for name in ("same", "next", "late")] == [0, 1, 0]


def test_only_units_whose_time_is_up_are_ripe() -> None:
    gathered = read([shown("a", "old", 3), shown("b", "new", 4)], as_of=at(10.5))
    assert [row["mature"] for row in gathered.units.to_pylist()] == [True, False]


def test_what_comes_after_the_moment_of_the_report_is_not_known() -> None:
    rows = [shown("a", "old", 3), shown("b", "new", 3), shown("c", "new", 20)]
    gathered = read(rows, [bought("a", 4), bought("a", 6)], as_of=at(5))
    assert unit(gathered, "a")["orders"] == 1
    assert gathered.units.num_rows == 2
    assert gathered.findings == []


def test_without_a_moment_it_is_the_last_that_can_be() -> None:
    rows = [*crowd(), shown("ahead", "new", 10_000)]
    gathered = read(rows, [bought("old1", 12)], as_of=None)
    assert gathered.as_of == at(12)
    assert codes(gathered) == {"from_the_future": 1}


def test_holdouts_are_counted_and_not_compared() -> None:
    gathered = read([*crowd(5), shown("out", HOLDOUT, 1)])
    assert gathered.holdout == 1
    assert gathered.units.num_rows == 10


BROKEN: list[tuple[str, Callable[[], tuple[Rows, Rows]], int, bool]] = [
    ("duplicate_exposures", lambda: (crowd() + crowd()[:7], []), 7, False),
    (
        "duplicate_request_ids",
        lambda: ([*crowd(), shown("x", "old", 1, "r"), shown("y", "new", 1, "r")], []),
        1,
        False,
    ),
    ("several_arms", lambda: ([*crowd(), shown("old1", "new", 2)], []), 1, False),
    ("several_arms", lambda: ([*crowd(20), shown("old1", "new", 2)], []), 1, True),
    ("undeclared_arm", lambda: ([*crowd(), shown("x", "third", 2)], []), 1, False),
    ("undeclared_arm", lambda: ([*crowd(20), shown("x", "third", 2)], []), 1, True),
    ("missing_arm", lambda: ([row for row in crowd() if row["arm"] == "old"], []), 1, True),
    (
        "outside_window",
        lambda: ([*crowd(), shown("x", "new", -2), shown("y", "old", 29)], []),
        2,
        False,
    ),
    (
        "incomplete_exposures",
        lambda: ([*crowd(), {**shown("x", "new", 2), "arm": None}], []),
        1,
        False,
    ),
    (
        "bots",
        lambda: ([*crowd(), *(shown("bot", "new", 2, f"b{n}") for n in range(10_000))], []),
        1,
        False,
    ),
    (
        "bots",
        lambda: (
            crowd(),
            [bought("new1", 1 + n / 1e5, event_type="view_item") for n in range(10_000)],
        ),
        1,
        False,
    ),
    ("duplicate_outcomes", lambda: (crowd(), [bought("old1", 1), bought("old1", 1)]), 1, False),
    ("from_the_future", lambda: (crowd(), [bought("old1", 1), bought("old1", 999)]), 1, True),
    ("unknown_customers", lambda: (crowd(), [bought(None, 1)]), 1, False),
    ("no_price", lambda: (crowd(), [bought("old1", 1, unit_price=None)]), 1, False),
    (
        "outcomes_before_exposures",
        lambda: (crowd(), [bought("old1", 0.4, request_id="old1@0.5")]),
        1,
        False,
    ),
    (
        "clocks_apart",
        lambda: (crowd(), [bought("old1", 0.499, request_id="old1@0.5")]),
        1,
        False,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "logs", "count", "grave"), BROKEN, ids=[b[0] for b in BROKEN])
def test_a_broken_log_is_told_of(
    code: str, logs: Callable[[], tuple[Rows, Rows]], count: int, grave: bool
) -> None:
    gathered = read(*logs())
    assert codes(gathered) == {code: count}
    (found,) = gathered.findings
    assert found.grave == grave
    assert found.what
    assert found.did


def test_a_bot_is_left_out_and_nobody_else() -> None:
    code, logs, _, _ = BROKEN[9]
    assert code == "bots"
    left = set(read(*logs()).units["unit"].to_pylist())
    assert left == {row["unit"] or row["customer_id"] for row in crowd()}


def test_who_saw_two_arms_is_left_out() -> None:
    left = read([*crowd(), shown("old1", "new", 2)]).units["unit"].to_pylist()
    assert "old1" not in left
    assert len(left) == 199


def test_each_of_a_pair_of_duplicates_counts_once() -> None:
    gathered = read([*crowd(), *crowd()], [bought("old1", 1), bought("old1", 1)])
    assert unit(gathered, "old1")["revenue"] == 10
    assert unit(gathered, "old1")["requests"] == 1


def test_a_shared_request_id_joins_nothing_but_time_still_does() -> None:
    rows = [*crowd(), shown("x", "old", 1, "r"), shown("y", "new", 1, "r")]
    gathered = read(rows, [bought("x", 2, request_id="r"), bought(None, 2, request_id="r")])
    assert unit(gathered, "x")["orders"] == 1
    assert unit(gathered, "y")["orders"] == 0
    assert unit(gathered, "x")["clicked"] == 0


def test_an_answer_may_be_in_tests_of_two_layers() -> None:
    other = shown("old1", "blue", 0.5, "old1@0.5", experiment="colour")
    gathered = read([*crowd(), other], [bought(None, 1, request_id="old1@0.5")])
    assert unit(gathered, "old1")["orders"] == unit(gathered, "old1")["clicked"] == 1
    assert gathered.findings == []


def test_an_outcome_before_its_answer_counts_by_time_alone() -> None:
    gathered = read(crowd(), [bought("old1", 0.4, request_id="old1@0.5")])
    assert unit(gathered, "old1")["orders"] == 0
    assert unit(gathered, "old1")["orders_before"] == 1


def test_a_channel_whose_clock_is_behind_is_moved_as_a_whole() -> None:
    """The till is two hours behind: half its sales stand before the answers that led to them."""
    hours = [0.5 if n % 2 else 5 for n in range(40)]
    linked = [
        bought(f"old{n}", 0.5 + (hour - 2) / 24, request_id=f"old{n}@0.5")
        for n, hour in enumerate(hours)
    ]
    web = [bought("new2", 0.45, channel="web")]
    gathered = read(crowd(), [*linked, *web, bought("new1", 0.45)])
    assert set(codes(gathered)) == {"clock_skew"}
    assert "store is 90 minutes behind" in gathered.findings[0].what
    assert all(unit(gathered, f"old{n}")["orders"] == 1 for n in range(40))
    assert unit(gathered, "new1")["orders"] == 1  # unlinked, but of the same till
    assert unit(gathered, "new2")["orders"] == 0  # another channel's clock is right


def test_answers_named_wrongly_are_no_clock() -> None:
    """They are off by any time, a clock by one."""
    wrong = [bought(f"old{n}", 0.5 - n / 4, request_id=f"old{n}@0.5") for n in range(1, 20)]
    right = [bought(f"new{n}", 2, request_id=f"new{n}@0.5") for n in range(40)]
    gathered = read(crowd(), [*wrong, *right])
    assert codes(gathered) == {"outcomes_before_exposures": 19}
    assert unit(gathered, "old1")["orders"] == 0


def test_logs_of_another_test_are_no_logs() -> None:
    with pytest.raises(
        ValueError, match="no exposure is of experiment 'home'; the files hold cart"
    ):
        read([shown("a", "old", 1, experiment="cart")])


def test_a_log_without_times_is_refused() -> None:
    with pytest.raises(ValueError, match="want a column event_time, got request_id"):
        gather("home", TEST, pa.table({"request_id": ["a"]}), pa.table({"a": [1]}), now=NOW)


def test_a_time_without_zone_is_taken_as_utc() -> None:
    rows = pa.Table.from_pylist(crowd())
    bare = rows["event_time"].cast(pa.timestamp("ms"))
    rows = rows.set_column(rows.column_names.index("event_time"), "event_time", bare)
    gathered = gather("home", TEST, rows, pa.Table.from_pylist([bought("old1", 1)]), now=NOW)
    assert unit(gathered, "old1")["orders"] == 1
