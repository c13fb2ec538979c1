"""Facts in, one row a customer and product out."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import FeatureParameters, Weights
from features.engine import Engine
from features.identity import resolved
from features.interactions import interactions

DEFAULTS = FeatureParameters()


def build(
    shop: SimpleNamespace,
    engine: Engine,
    rows: list[dict[str, Any]],
    day: float,
    parameters: FeatureParameters = DEFAULTS,
) -> dict[tuple[str, str], dict[str, Any]]:
    events = resolved(engine.rows(shop.table(rows)), None)
    table = interactions(events, as_of=shop.time(day), parameters=parameters).to_pyarrow()
    return {(row["customer_id"], row["product_id"]): row for row in table.to_pylist()}


def slow(rows: list[dict[str, Any]], as_of: datetime, parameters: FeatureParameters) -> Any:
    """The table's definition, an event at a time."""
    weights = parameters.weights.model_dump()
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        known = row["customer_id"] and ":" not in row["customer_id"] and row["product_id"]
        if known and row["event_time"] <= as_of and row["event_type"] in {*weights, "refund"}:
            pairs[row["customer_id"], row["product_id"]].append(row)
    table = {}
    for pair, events in pairs.items():
        bought = [row for row in events if row["event_type"] == "purchase"]
        units = sum(row["quantity"] or 1.0 for row in bought)
        back = sum(row["quantity"] or 1.0 for row in events if row["event_type"] == "refund")
        kept = max(0.0, units - back) / units if units else 0.0
        weight = 0.0
        for row in events:
            age = (as_of - row["event_time"]).total_seconds() / 86_400
            worth = weights.get(row["event_type"], 0.0) * 2 ** (-age / parameters.half_life_days)
            weight += worth * (kept if row in bought else 1.0)
        times = [row["event_time"] for row in events]
        kinds = [row["event_type"] for row in events]
        table[pair] = {
            "weight": weight,
            "views": kinds.count("view_item"),
            "carts": kinds.count("add_to_cart") + kinds.count("add_to_wishlist"),
            "purchases": len(bought),
            "orders": len({row["order_id"] or row["event_id"] for row in bought}),
            "refunds": kinds.count("refund"),
            "quantity": units,
            "revenue": sum((row["quantity"] or 1.0) * (row["unit_price"] or 0.0) for row in bought),
            "refunded_quantity": back,
            "first_time": min(times),
            "last_time": max(times),
            "last_purchase_time": max((row["event_time"] for row in bought), default=None),
        }
    return table


@given(data=st.data(), quarter=st.integers(-1, 44), half_life=st.sampled_from([1.0, 30.0, 180.0]))
@settings(max_examples=15, deadline=None)
def test_the_table_agrees_with_its_definition_an_event_at_a_time(
    shop: SimpleNamespace, engine: Engine, data: st.DataObject, quarter: int, half_life: float
) -> None:
    rows = data.draw(shop.draw_events())
    parameters = FeatureParameters(half_life_days=half_life)
    found = build(shop, engine, rows, quarter / 4, parameters)
    wanted = slow(rows, shop.time(quarter / 4), parameters)
    assert found.keys() == wanted.keys()
    for pair, row in wanted.items():
        for name, value in row.items():
            # A line's money is rounded to a ten-thousandth.
            close = pytest.approx(value, rel=1e-5, abs=5e-4) if isinstance(value, float) else value
            assert found[pair][name] == close, (pair, name)


def test_a_weight_halves_in_a_half_life(shop: SimpleNamespace, engine: Engine) -> None:
    rows = [shop.event(0)]
    for day, weight in ((0, 1.0), (180, 0.5), (360, 0.25)):
        found = build(shop, engine, rows, day)
        assert found["anna", "tea"]["weight"] == pytest.approx(weight, rel=1e-5)


def test_a_purchase_given_back_leaves_the_look_that_led_to_it(
    shop: SimpleNamespace, engine: Engine
) -> None:
    rows = [
        shop.event(1, event_type="view_item"),
        shop.event(1, event_type="purchase", quantity=2.0, order_id="o1"),
        shop.event(1, event_type="refund", quantity=1.0, order_id="o1"),
    ]
    assert build(shop, engine, rows, 1)["anna", "tea"]["weight"] == pytest.approx(1 + 5 / 2)
    rows.append(shop.event(1.5, event_type="refund", quantity=1.0, order_id="o1"))
    assert build(shop, engine, rows, 1.5)["anna", "tea"]["weight"] == pytest.approx(1, rel=0.01)


def test_a_refund_alone_weighs_nothing(shop: SimpleNamespace, engine: Engine) -> None:
    rows = [shop.event(1, event_type="refund", quantity=1.0)]
    assert build(shop, engine, rows, 1)["anna", "tea"]["weight"] == 0.0


def test_weights_are_the_parameters(shop: SimpleNamespace, engine: Engine) -> None:
    parameters = FeatureParameters(weights=Weights(view_item=0.25))
    assert build(shop, engine, [shop.event(0)], 0, parameters)["anna", "tea"][
        "weight"
    ] == pytest.approx(0.25)


def test_a_product_on_two_lines_of_an_order_is_one_order(
    shop: SimpleNamespace, engine: Engine
) -> None:
    line = {"event_type": "purchase", "order_id": "o1"}
    rows = [shop.event(1, id="e1", **line), shop.event(2, id="e2", **line)]
    found = build(shop, engine, rows, 3)["anna", "tea"]
    assert (found["purchases"], found["orders"]) == (2, 1)
