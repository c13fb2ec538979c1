"""Tables in, histories of events and traits out; recommenders that take in newer tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from models.als import ALS
from models.history import Events, History, taken_today
from models.popularity import Popularity
from models.recommender import Recommender
from models.scorer import ModelError, needs
from models.traits import TRAITS, hashed

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


class Needing(Popularity):
    """Popularity that asks for all there is."""

    needs = frozenset({"events", "catalogue"})


class Wrong(Popularity):
    """Popularity that asks for what nobody has."""

    needs = frozenset({"weather"})


def interactions(*pairs: str) -> pa.Table:
    who, what = zip(*(pair.split() for pair in pairs), strict=True)
    weights = pa.array([1.0] * len(pairs), pa.float32())
    return pa.table({"customer_id": list(who), "product_id": list(what), "weight": weights})


def events(*rows: tuple[str, str, str, int, str | None]) -> pa.Table:
    """Customer, product, type, day, order."""
    who, what, how, day, order = (list(column) for column in zip(*rows, strict=True))
    return pa.table(
        {
            "customer_id": who,
            "product_id": what,
            "event_type": how,
            "event_time": pa.array(
                [NOON + timedelta(days=d) for d in day], pa.timestamp("us", tz="UTC")
            ),
            "channel": ["app"] * len(who),
            "order_id": pa.array(order, pa.string()),
        }
    )


PAIRS = interactions("ann tea", "ann milk", "bea tea")
PRODUCTS = pa.table(
    {
        "product_id": ["tea", "new", "milk"],
        "title": ["Green TEA, green", None, "Milk"],
        "category": ["hot", "hot", None],
        "brand": ["b", "b", "b"],
        "price": pa.array([2.5, None, 1.0], pa.float64()),
    }
)
EVENTS = events(
    ("bea", "tea", "purchase", 4, "o9"),
    ("ann", "milk", "purchase", 3, "o2"),
    ("ann", "tea", "purchase", 3, "o2"),
    ("ann", "tea", "purchase", 1, "o7"),
    ("ann", "milk", "view_item", 2, None),
    ("zoe", "tea", "view_item", 2, None),
    ("ann", "unknown", "view_item", 2, None),
)


def test_events_stand_by_customer_and_time_with_each_one_s_orders_counted() -> None:
    fitted = Recommender(Needing()).fit(PAIRS, PRODUCTS, EVENTS)
    assert fitted.customers.to_pylist() == ["ann", "bea"]
    assert fitted.products.to_pylist() == ["milk", "tea", "new"]
    found = fitted.history.events
    assert found is not None
    assert found.starts.tolist() == [0, 4, 5]
    assert found.products.tolist() == [1, 0, 0, 1, 1]
    assert found.types.tolist() == [4, 0, 4, 4, 4]
    assert found.channels.tolist() == [1] * 5
    assert found.orders.tolist() == [0, -1, 1, 1, 0]
    assert found.days.tolist() == [3, 2, 1, 1, 0]


def test_any_order_of_rows_gives_the_same_events() -> None:
    order = np.random.default_rng(0).permutation(EVENTS.num_rows)
    once, again = (
        Recommender(Needing()).fit(PAIRS, PRODUCTS, rows).history.events
        for rows in (EVENTS, EVENTS.take(pa.array(order)))
    )
    assert once is not None
    for name in Events.__slots__:
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))


def test_events_without_times_keep_the_order_of_their_rows() -> None:
    given = EVENTS.select(["customer_id", "product_id"])
    found = Recommender(Needing()).fit(PAIRS, PRODUCTS, given).history.events
    assert found is not None
    assert found.products.tolist() == [0, 1, 1, 0, 1]
    assert np.isnan(found.days).all()
    assert set(found.types.tolist()) == set(found.orders.tolist()) == {-1}


def test_a_scorer_gets_what_it_needs_and_no_more() -> None:
    plain = Recommender(Popularity()).fit(PAIRS, PRODUCTS, EVENTS)
    assert plain.history.events is None
    assert plain.products.to_pylist() == ["milk", "tea"]
    assert plain.history.catalogue is not None
    assert plain.history.catalogue.traits is None
    with pytest.raises(ModelError, match=r"popularity\.needs must be of events, catalogue, got w"):
        needs(Wrong())


def test_traits_are_the_same_columns_for_the_same_words() -> None:
    catalogue = Recommender(Needing()).fit(PAIRS, PRODUCTS).history.catalogue
    assert catalogue is not None
    assert catalogue.traits is not None
    assert catalogue.traits.shape == (3, TRAITS)
    milk, tea, new = (set(row.indices.tolist()) for row in catalogue.traits)
    assert tea == {hashed(t) for t in ("category=hot", "brand=b", "green", "tea")}
    assert milk == {hashed(t) for t in ("brand=b", "milk")}
    assert new == {hashed(t) for t in ("category=hot", "brand=b")}
    assert catalogue.prices is not None
    np.testing.assert_array_equal(catalogue.prices, np.array([1, 2.5, np.nan], np.float32))


def test_what_was_not_given_is_derived_from_ages() -> None:
    weights = sp.csr_matrix(np.array([[1, 1, 1], [0, 0, 1]], np.float32))
    ages = np.array([2, 9, 4, 1], np.float32)
    found = History(weights, ages).sequence()
    assert found.products.tolist() == [1, 2, 0, 2]
    assert found.days.tolist() == [9, 4, 2, 1]
    assert History(weights).sequence().products.tolist() == [0, 1, 2, 2]


def test_taken_and_narrowed_rows_keep_their_events() -> None:
    history = Recommender(Needing()).fit(PAIRS, PRODUCTS, EVENTS).history
    both = history.take(np.array([1, 0, 1]))
    assert both.sequence().starts.tolist() == [0, 1, 5, 6]
    assert both.sequence().products.tolist() == [1, 1, 0, 0, 1, 1]
    milk = both.narrow(1)
    assert milk.weights.toarray().tolist() == [[0], [1], [0]]
    assert milk.sequence().starts.tolist() == [0, 0, 2, 2]
    assert milk.catalogue is not None
    assert milk.catalogue.categories.shape == (1,)
    assert both.narrow(3) is both


def test_all_of_a_history_is_saved(tmp_path: Path) -> None:
    fitted = Recommender(Needing()).fit(PAIRS, PRODUCTS, EVENTS)
    fitted.save(tmp_path / "one")
    # Its class isn't a module's, so it comes back as the popularity that it is.
    loaded = Recommender.load(tmp_path / "one").history
    events, catalogue = fitted.history.events, fitted.history.catalogue
    assert loaded.events is not None
    assert loaded.catalogue is not None
    for name in Events.__slots__:
        np.testing.assert_array_equal(getattr(loaded.events, name), getattr(events, name))
    assert catalogue is not None
    assert catalogue.traits is not None
    assert (loaded.catalogue.traits != catalogue.traits).nnz == 0
    np.testing.assert_array_equal(loaded.catalogue.prices, catalogue.prices)


def test_a_history_of_products_has_events_where_the_model_learned_from_them() -> None:
    fitted = Recommender(Needing()).fit(PAIRS, PRODUCTS, EVENTS)
    found = fitted.history_of(["tea", "milk", "tea", "nothing"], []).events
    assert found is not None
    assert found.products.tolist() == [1, 0, 1]
    assert found.starts.tolist() == [0, 3, 3]
    assert found.days.tolist() == [0, 0, 0]
    assert Recommender(Popularity()).fit(PAIRS).history_of(["tea"]).events is None


@given(st.lists(st.lists(st.integers(0, 5), max_size=9), max_size=4))
def test_a_history_of_today_is_the_matrix_that_checks_would_let_pass(rows: list[list[int]]) -> None:
    like = Recommender(Popularity()).fit(interactions(*(f"ann p{j}" for j in range(6)))).history
    first, found = taken_today(rows, like=like).weights, taken_today(rows, like=like).weights
    first.data[:] = 7  # one visit's is not another's
    wanted = sp.csr_matrix([[float(j in row) for j in range(6)] for row in rows] or (0, 6))
    np.testing.assert_array_equal(found.toarray(), wanted.toarray())
    assert (found.dtype, found.indices.dtype, found.indptr.dtype) == (
        np.float32,
        np.int32,
        np.int32,
    )
    found.check_format()
    assert found.has_canonical_format


MORE = interactions("ann tea", "ann milk", "bea tea", "abe jam", "abe tea", "bea jam")


def test_new_customers_and_products_get_codes_behind_the_known() -> None:
    fitted = Recommender(Popularity()).fit(PAIRS).update(MORE)
    assert fitted.customers.to_pylist() == ["ann", "bea", "abe"]
    assert fitted.products.to_pylist() == ["milk", "tea", "jam"]
    assert fitted.history.weights.toarray().tolist() == [[1, 1, 0], [0, 1, 1], [0, 1, 1]]


def test_a_model_that_cannot_be_updated_ranks_new_products_after_a_refit(tmp_path: Path) -> None:
    class Still(ALS):
        """ALS that cannot be updated."""

        update = None

    fitted = Recommender(Still(factors=2)).fit(PAIRS)
    before = fitted.scorer.arrays()
    fitted.update(MORE)
    assert fitted.scorer.arrays()["products"] is before["products"]
    lists = fitted.recommend(pa.array(["abe"]), 3, seen="keep")
    assert set(lists["product_id"].to_pylist()) == {"milk", "tea"}
    assert fitted.similar(pa.array(["jam", "tea"]), 3)["product_id"].to_pylist() == ["tea"]
    assert fitted.recommend_for([["jam"]], 3).num_rows == 0
    fitted.save(tmp_path / "one")
    again = Recommender.load(tmp_path / "one").recommend(pa.array(["abe"]), 3, seen="keep")
    assert again.equals(lists)
    fitted.refit(MORE)
    assert fitted.products.to_pylist() == ["milk", "tea", "jam"]
    assert fitted.recommend(pa.array(["abe"]), 3, seen="keep").num_rows == 3
