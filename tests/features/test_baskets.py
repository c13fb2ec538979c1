"""Purchase lines in, one row an order and customer out."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.baskets import baskets
from features.engine import Engine
from features.identity import resolved


def build(
    shop: SimpleNamespace, engine: Engine, rows: list[dict[str, Any]], day: float
) -> dict[tuple[str, str | None], dict[str, Any]]:
    events = resolved(engine.rows(shop.table(rows)), None)
    found = baskets(events, as_of=shop.time(day)).to_pyarrow().to_pylist()
    return {(row.pop("order_id"), row.pop("customer_id")): row for row in found}


@given(data=st.data(), quarter=st.integers(-1, 44))
@settings(max_examples=15, deadline=None)
def test_the_table_agrees_with_its_definition_a_line_at_a_time(
    shop: SimpleNamespace, engine: Engine, data: st.DataObject, quarter: int
) -> None:
    rows = data.draw(shop.draw_events())
    orders: dict[tuple[str, str | None], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["event_type"] == "purchase" and row["event_time"] <= shop.time(quarter / 4):
            known = row["customer_id"] if ":" not in (row["customer_id"] or ":") else None
            orders[row["order_id"] or row["event_id"], known].append(row)
    found = build(shop, engine, rows, quarter / 4)
    assert found.keys() == orders.keys()
    for key, lines in orders.items():
        amounts = [(line["quantity"] or 1.0) * (line["unit_price"] or 0.0) for line in lines]
        assert found[key] == {
            "order_time": min(line["event_time"] for line in lines),
            "channel": min(line["channel"] for line in lines),
            "store_id": min((x["store_id"] for x in lines if x["store_id"]), default=None),
            "products": sorted({x["product_id"] for x in lines if x["product_id"]}),
            "lines": len(lines),
            "quantity": sum(line["quantity"] or 1.0 for line in lines),
            "revenue": pytest.approx(sum(amounts), abs=1e-3),
        }


def test_an_order_number_of_two_customers_is_two_orders(
    shop: SimpleNamespace, engine: Engine
) -> None:
    line = {"event_type": "purchase", "order_id": "o1"}
    rows = [
        shop.event(1, customer_id="anna", product_id="tea", **line),
        shop.event(1, customer_id="ben", product_id="jam", **line),
        shop.event(1, customer_id=None, product_id="soap", **line),
    ]
    found = build(shop, engine, rows, 1)
    assert {key: row["products"] for key, row in found.items()} == {
        ("o1", "anna"): ["tea"],
        ("o1", "ben"): ["jam"],
        ("o1", None): ["soap"],
    }
