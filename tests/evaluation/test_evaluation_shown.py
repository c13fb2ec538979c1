"""What is shown is counted by hand: new products, prices, and whose they are."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from models.evaluation.shown import of_lists, suppliers

CATALOGUE = pa.table(
    {
        "product_id": ["p", "q", "r", "s"],
        "age_days": [3.0, 28.0, 400.0, 29.0],
        "price": [10.0, None, 4.0, 100.0],
        "supplier_id": ["ann", "bob", "ann", None],
    }
)
LISTS = pa.table(
    {
        "customer_id": ["a", "a", "a", "b", "b"],
        "rank": [1, 2, 3, 1, 2],
        "product_id": ["p", "q", "s", "r", "unknown"],
    }
)


def test_each_place_counts_once() -> None:
    found = of_lists(LISTS, catalogue=CATALOGUE, k=10)
    assert found["new_share_at_10"] == pytest.approx(3 / 5)  # p, q and what nobody ever saw
    assert found["price_at_10"] == pytest.approx((10 + 100 + 4) / 3)
    assert found["supplier_gini_at_10"] == pytest.approx(1 / 6)  # ann has two places, bob one
    assert suppliers(LISTS, catalogue=CATALOGUE) == {"ann": 2 / 5, "bob": 1 / 5}


def test_places_beyond_k_do_not_count() -> None:
    found = of_lists(LISTS, catalogue=CATALOGUE, k=1)
    assert found["new_share_at_1"] == 0.5
    assert found["price_at_1"] == 7
    assert suppliers(LISTS, catalogue=CATALOGUE, k=1) == {"ann": 1.0, "bob": 0.0}


def test_what_the_catalogue_does_not_say_has_no_figure() -> None:
    bare = CATALOGUE.select(["product_id"])
    assert all(math.isnan(value) for value in of_lists(LISTS, catalogue=bare).values())
    assert suppliers(LISTS, catalogue=bare) == {}
    empty = of_lists(LISTS.slice(0, 0), catalogue=CATALOGUE)
    assert all(math.isnan(value) for value in empty.values())
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        of_lists(LISTS, catalogue=CATALOGUE, k=0)
