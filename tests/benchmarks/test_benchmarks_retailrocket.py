"""RetailRocket's protocol on a shop of three customers."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.protocols import retailrocket
from models.popularity import Popularity

SHOP = pa.table(
    {
        "user": pa.array([0, 0, 0, 0, 1, 1, 2, 0, 1, 2], pa.int32()),
        "item": pa.array([5, 6, 6, 7, 5, 6, 7, 8, 8, 9], pa.int32()),
        "timestamp": pa.array([10, 20, 30, 5, 10, 11, 12, 1, 1, 1], pa.int64()),
        "behaviour": ["buy", "view", "buy", "cart", "buy", "view", "buy", "buy", "buy", "buy"],
        "split": ["train"] * 7 + ["test"] * 3,
    }
)


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retailrocket, "read", lambda name: SHOP)


def pairs(table: pa.Table) -> set[tuple[str, str]]:
    return {(row["customer_id"], row["product_id"]) for row in table.to_pylist()}


def test_test_targets_are_in_no_training() -> None:
    events, truth = retailrocket.test()
    assert events.num_rows == 7
    assert pairs(truth) == {("0", "8"), ("1", "8"), ("2", "9")}
    assert not pairs(events) & pairs(truth)


def test_validation_holds_out_the_last_buy_of_who_has_another_and_all_she_did_with_it() -> None:
    events, truth = retailrocket.validation()
    assert pairs(truth) == {("0", "6")}
    assert pairs(events) == {("0", "5"), ("0", "7"), ("1", "5"), ("1", "6"), ("2", "7")}


def test_weights_of_a_pair_add_up_and_types_are_ours() -> None:
    events = retailrocket.test().events
    table = retailrocket.interactions(events).to_pylist()
    weight = {(row["customer_id"], row["product_id"]): row["weight"] for row in table}
    assert weight["0", "6"] == retailrocket.WEIGHTS["view"] + retailrocket.WEIGHTS["buy"]
    assert set(retailrocket.typed(events)["event_type"].to_pylist()) == {
        "purchase",
        "view_item",
        "add_to_cart",
    }


def test_figures_are_those_of_the_places_and_count_who_has_no_list() -> None:
    truth = retailrocket.test().truth
    lists = pa.table(
        {
            "customer_id": ["0", "0", "1", "1"],
            "product_id": ["9", "8", "9", "8"],
            "rank": pa.array([1, 3, 1, 12], pa.int32()),
        }
    )
    found = retailrocket.figures(lists, truth)
    assert found["hit_rate_at_10"] == pytest.approx(1 / 3)
    assert found["ndcg_at_10"] == pytest.approx(1 / np.log2(4) / 3)
    assert found["recall_at_20"] == pytest.approx(2 / 3)


def test_a_model_is_judged_on_products_that_are_new_to_each() -> None:
    figures, fit_seconds, seconds = retailrocket.judged(Popularity(), retailrocket.validation())
    assert figures["hit_rate_at_10"] == 1.0  # the only product that she had nothing to do with
    assert 0 < fit_seconds < seconds
