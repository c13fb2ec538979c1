"""A span of time in, what known customers bought in it out."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from features.purchases import PURCHASES, purchases
from features.tables import Tables


def test_purchases_are_those_of_known_customers_after_and_until(
    shop: SimpleNamespace, stores: Callable[[], Tables]
) -> None:
    tables = stores()
    buy = {"event_type": "purchase"}
    events = [
        shop.event(1, id="at the cut", **buy),
        shop.event(2, id="e2", quantity=2.0, unit_price=1.5, order_id="o2", **buy),
        shop.event(3, id="e3", customer_id="cookie:1", product_id="jam", channel="app", **buy),
        shop.event(3, id="stranger", customer_id=None, **buy),
        shop.event(3, id="a look"),
        shop.event(3, id="of nothing", product_id=None, **buy),
        shop.event(4, id="at the end", **buy),
        shop.event(5, id="too late", **buy),
    ]
    shop.commit(tables, "events", [shop.table(events[:3]), shop.table(events[3:])])
    shop.commit(tables, "identities", [shop.links([("cookie:1", "ben", 3.5)])])
    found = purchases(tables, after=shop.time(1), until=shop.time(4))
    assert found.schema == PURCHASES
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("anna", "tea", "o2", shop.time(2), "web", 2.0, 3.0),
        ("ben", "jam", "e3", shop.time(3), "app", 1.0, 0.0),
        ("anna", "tea", "at the end", shop.time(4), "web", 1.0, 0.0),
    ]
    # The cookie was nobody's yet.
    assert purchases(tables, after=shop.time(2), until=shop.time(3)).num_rows == 0


def test_an_empty_span_has_the_same_columns(
    shop: SimpleNamespace, stores: Callable[[], Tables]
) -> None:
    tables = stores()
    shop.commit(tables, "events", [shop.table([shop.event(1)])])
    assert purchases(tables, after=shop.time(5), until=shop.time(6)) == PURCHASES.empty_table()


def test_a_time_without_a_zone_is_refused(
    shop: SimpleNamespace, stores: Callable[[], Tables]
) -> None:
    naive = shop.time(5).replace(tzinfo=None)
    with pytest.raises(ValueError, match="until must have a time zone, got 2025-03-06T00:00:00"):
        purchases(stores(), after=shop.time(5), until=naive)
