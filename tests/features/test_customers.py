"""Facts, orders and pairs in, one row a known customer out."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import baskets, interactions
from features.build import FeatureParameters, Stages
from features.customers import customer_features, partial, published
from features.engine import Engine
from features.facts import facts
from features.identity import resolved
from features.schemas import CHANNELS

DEFAULTS = FeatureParameters()
DAY = 86_400


def build(
    shop: SimpleNamespace,
    engine: Engine,
    rows: list[dict[str, Any]],
    day: float,
    parameters: FeatureParameters = DEFAULTS,
) -> dict[str, dict[str, Any]]:
    events = resolved(engine.rows(shop.table(rows)), None)
    table = customer_features(events, as_of=shop.time(day), parameters=parameters).to_pyarrow()
    return {row["customer_id"]: row for row in table.to_pylist()}


def slow(rows: list[dict[str, Any]], as_of: datetime, stages: Stages) -> dict[str, dict[str, Any]]:
    """The table's definition, an event at a time."""
    people: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if ":" not in (row["customer_id"] or ":") and row["event_time"] <= as_of:
            people[row["customer_id"]].append(row)
    table: dict[str, dict[str, Any]] = {}
    for who, events in people.items():
        bought = [row for row in events if row["event_type"] == "purchase"]
        back = [row for row in events if row["event_type"] == "refund"]
        orders: dict[str, str] = {}  # the channel of each
        for row in bought:
            id = row["order_id"] or row["event_id"]
            orders[id] = min(row["channel"], orders.get(id, row["channel"]))
        money = [(r["quantity"] or 1.0) * (r["unit_price"] or 0.0) for r in bought]
        money += [-(r["quantity"] or 1.0) * (r["unit_price"] or 0.0) for r in back]
        times = sorted(row["event_time"] for row in bought)
        n, seen = len(orders), sorted(row["event_time"] for row in events)
        by_orders = Counter(orders.values())
        by_events = Counter(row["channel"] for row in events)
        table[who] = {
            "frequency": n,
            "monetary_value": sum(money),
            "average_order_value": sum(money) / n if n else None,
            "days_since_last_order": (as_of - times[-1]).total_seconds() / DAY if n else None,
            "tenure_days": (as_of - seen[0]).total_seconds() / DAY,
            "average_days_between_orders": (times[-1] - times[0]).total_seconds() / DAY / (n - 1)
            if n > 1
            else None,
            "first_order_time": times[0] if n else None,
            "last_order_time": times[-1] if n else None,
            "first_event_time": seen[0],
            "last_event_time": seen[-1],
            "events": len(events),
            "products": len({row["product_id"] for row in bought} - {None}),
            "purchases": len(bought),
            "refunds": len(back),
            "refund_rate": len(back) / len(bought) if bought else None,
            "main_channel": max(CHANNELS, key=lambda c: (by_orders[c], by_events[c])),
            "orders_web": by_orders["web"],
            "events_store": by_events["store"],
        }
    gaps = [row["average_days_between_orders"] for row in table.values()]
    shop_gap = median([gap for gap in gaps if gap is not None] or [0]) or stages.fallback_days
    for row in table.values():
        row["lifecycle_stage"] = stage(row, shop_gap, stages)
    return table


def stage(row: dict[str, Any], shop_gap: float, stages: Stages) -> str | None:
    n, days, gap = row["frequency"], row["days_since_last_order"], shop_gap
    if n == 0:
        return None
    if n >= stages.own_orders:
        own, k = row["average_days_between_orders"], stages.shop_gaps
        gap = (own * (n - 1) + shop_gap * k) / (n - 1 + k)
    if n == 1 and days <= gap * stages.new:
        return "new"
    limits = (("active", stages.active), ("cooling", stages.cooling), ("at_risk", stages.at_risk))
    return next((name for name, limit in limits if days <= gap * limit), "lapsed")


@given(data=st.data(), quarter=st.integers(-1, 60))
@settings(max_examples=12, deadline=None)
def test_the_table_agrees_with_its_definition_an_event_at_a_time(
    shop: SimpleNamespace, engine: Engine, data: st.DataObject, quarter: int
) -> None:
    rows = data.draw(shop.draw_events())
    # Awkward limits: rounding must not decide on which side of one a customer is.
    stages = Stages(new=1.013, active=1.517, cooling=3.019, at_risk=6.031)
    found = build(shop, engine, rows, quarter / 4, FeatureParameters(stages=stages))
    wanted = slow(rows, shop.time(quarter / 4), stages)
    assert found.keys() == wanted.keys()
    for who, row in wanted.items():
        for name, value in row.items():
            close = pytest.approx(value, rel=1e-9, abs=2e-3) if isinstance(value, float) else value
            assert found[who][name] == close, (who, name)


def test_a_stage_is_counted_in_the_customers_own_gaps(
    shop: SimpleNamespace, engine: Engine
) -> None:
    """Anna comes every day, ben every ten; both were last here five days ago."""
    buy = {"event_type": "purchase"}
    rows = [shop.event(35 + day, customer_id="anna", **buy) for day in range(11)]
    rows += [shop.event(5 + 10 * n, customer_id="ben", **buy) for n in range(5)]
    rows += [shop.event(45, customer_id="carl", **buy), shop.event(45, customer_id="dora")]
    found = build(shop, engine, rows, 50)
    stages = {who: row["lifecycle_stage"] for who, row in found.items()}
    assert stages == {"anna": "cooling", "ben": "active", "carl": "new", "dora": None}


def test_a_shop_where_nobody_came_back_takes_the_fallback(
    shop: SimpleNamespace, engine: Engine
) -> None:
    rows = [shop.event(0, event_type="purchase")]
    days = {27: "new", 29: "active", 43: "cooling", 85: "at_risk", 169: "lapsed"}
    for day, wanted in days.items():
        assert build(shop, engine, rows, day)["anna"]["lifecycle_stage"] == wanted


def test_a_shop_gap_of_many_digits_is_reckoned_with_as_a_float(
    shop: SimpleNamespace, engine: Engine
) -> None:
    """As a bare SQL literal it was a decimal of 18 digits: doubled, 50.36… no longer fits."""
    buy = {"event_type": "purchase"}
    rows = [shop.event(day, customer_id="anna", **buy) for day in (0, 50, 100)]
    state = partial(
        lines := facts(resolved(engine.rows(shop.table(rows)), None), as_of=shop.time(120)),
        orders := baskets.partial(lines),
        None,
        interactions.partial(
            lines, orders, None, as_of=shop.time(120), parameters=FeatureParameters()
        ),
        None,
    )
    gap = 50.360224574271726
    table = published(state, gap, as_of=shop.time(120), parameters=DEFAULTS).to_pyarrow()
    assert table["lifecycle_stage"].to_pylist() == ["active"]


def test_limits_that_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="limits must rise"):
        Stages(active=4.0, cooling=3.0)


def test_the_main_channel_is_where_orders_happened_before_where_events_did(
    shop: SimpleNamespace, engine: Engine
) -> None:
    rows = [shop.event(n, channel="app") for n in range(5)]
    assert build(shop, engine, rows, 9)["anna"]["main_channel"] == "app"
    rows.append(shop.event(6, event_type="purchase", channel="store"))
    assert build(shop, engine, rows, 9)["anna"]["main_channel"] == "store"
