"""A moment in, what each known customer did until then, one by one, out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace

import pytest

from features.sequences import SEQUENCES, sequences
from features.tables import Tables


def test_sequences_are_what_known_customers_did_with_products_until_then(
    shop: SimpleNamespace, stores: Callable[[], Tables]
) -> None:
    tables = stores()
    events = [
        shop.event(3, id="bought", event_type="purchase", order_id="o1", channel="store"),
        shop.event(2, id="carted", event_type="add_to_cart", customer_id="cookie:1"),
        shop.event(1, id="looked"),
        shop.event(1, id="listed", event_type="view_item_list"),
        shop.event(1, id="given back", event_type="refund"),
        shop.event(1, id="stranger", customer_id=None),
        shop.event(4, id="too late"),
    ]
    shop.commit(tables, "events", [shop.table(events)])
    shop.commit(tables, "identities", [shop.links([("cookie:1", "anna", 2.5)])])
    found = sequences(tables, until=shop.time(3))
    assert found.schema == SEQUENCES
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("anna", shop.time(1), "tea", "view_item", "web", None),
        ("anna", shop.time(2), "tea", "add_to_cart", "web", None),
        ("anna", shop.time(3), "tea", "purchase", "store", "o1"),
    ]
    # Before the link was known the cart was nobody's.
    assert sequences(tables, until=shop.time(2)).num_rows == 1


def test_a_time_without_a_zone_is_refused_for_sequences(stores: Callable[[], Tables]) -> None:
    with pytest.raises(ValueError, match="until must have a time zone, got 2025-03-06T00:00:00"):
        sequences(stores(), until=datetime(2025, 3, 6))
