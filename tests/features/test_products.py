"""Facts, orders and pairs in, one row a product out."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import FeatureParameters
from features.engine import Engine
from features.identity import resolved
from features.products import product_features

DEFAULTS = FeatureParameters()
DAY = 86_400


def build(
    shop: SimpleNamespace, engine: Engine, rows: list[dict[str, Any]], day: float
) -> dict[str, dict[str, Any]]:
    events = resolved(engine.rows(shop.table(rows)), None)
    table = product_features(events, as_of=shop.time(day), parameters=DEFAULTS).to_pyarrow()
    return {row["product_id"]: row for row in table.to_pylist()}


def slow(rows: list[dict[str, Any]], as_of: datetime) -> dict[str, dict[str, Any]]:
    """The table's definition, an event at a time."""
    goods: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["product_id"] and row["event_time"] <= as_of:
            goods[row["product_id"]].append(row)
    table: dict[str, dict[str, Any]] = {}
    for product, events in goods.items():

        def of(kind: str, events: list[dict[str, Any]] = events) -> list[dict[str, Any]]:
            return [row for row in events if row["event_type"] == kind]

        def decayed(rows: list[dict[str, Any]], days: float) -> float:
            ages = [(as_of - row["event_time"]).total_seconds() / DAY for row in rows]
            return sum(2 ** (-age / days) for age in ages)

        def known(rows: list[dict[str, Any]]) -> set[str]:
            return {r["customer_id"] for r in rows if ":" not in (r["customer_id"] or ":")}

        bought, viewed, back = of("purchase"), of("view_item"), of("refund")
        orders = {
            (
                row["order_id"] or row["event_id"],
                row["customer_id"] if ":" not in (row["customer_id"] or ":") else None,
            )
            for row in bought
        }
        buyers, viewers = known(bought), known(viewed)
        repeat = [who for who in buyers if sum(owner == who for _, owner in orders) >= 2]
        paid = [(r["event_time"], r["unit_price"]) for r in bought if r["unit_price"] is not None]
        times = [row["event_time"] for row in events]
        table[product] = {
            "popularity_7d": decayed(bought, 7),
            "popularity_28d": decayed(bought, 28),
            "popularity_180d": decayed(bought, 180),
            "views_28d": decayed(viewed, 28),
            "purchases": len(bought),
            "orders": len(orders),
            "refunds": len(back),
            "viewers": len(viewers),
            "buyers": len(buyers),
            "conversion": len(viewers & buyers) / len(viewers) if viewers else None,
            "repeat_rate": len(repeat) / len(buyers) if buyers else None,
            "return_rate": len(back) / len(bought) if bought else None,
            "price": max(paid)[1] if paid else None,
            "first_time": min(times),
            "last_time": max(times),
            "age_days": (as_of - min(times)).total_seconds() / DAY,
        }
    return table


@given(data=st.data(), quarter=st.integers(-1, 60))
@settings(max_examples=12, deadline=None)
def test_the_table_agrees_with_its_definition_an_event_at_a_time(
    shop: SimpleNamespace, engine: Engine, data: st.DataObject, quarter: int
) -> None:
    rows = data.draw(shop.draw_events())
    found = build(shop, engine, rows, quarter / 4)
    wanted = slow(rows, shop.time(quarter / 4))
    assert found.keys() == wanted.keys()
    for product, row in wanted.items():
        for name, value in row.items():
            close = pytest.approx(value, rel=1e-5, abs=1e-4) if isinstance(value, float) else value
            assert found[product][name] == close, (product, name)


def test_strangers_make_a_product_popular_but_are_no_buyers(
    shop: SimpleNamespace, engine: Engine
) -> None:
    rows = [
        shop.event(0, event_type="purchase", customer_id=None),
        shop.event(0, event_type="purchase", customer_id="cookie:1"),
    ]
    tea = build(shop, engine, rows, 0)["tea"]
    assert tea["popularity_7d"] == pytest.approx(2.0)
    assert (tea["buyers"], tea["orders"], tea["repeat_rate"]) == (0, 2, None)
