"""Simulated shops: what a model is told of customers since, and who would have known the best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.parameters import FeatureParameters
from features.schemas import EVENT_TYPES
from models.evaluation.reactions import Crowd
from models.evaluation.simulate import Asked, Done
from models.history import History
from models.rank import Ranked
from models.recommender import Recommender
from models.scorer import make
from pipelines import simulate, simulated

FEATURES = FeatureParameters()  # a view weighs 1, a purchase 5, half of it after 180 days
VIEW, PURCHASE = EVENT_TYPES.index("view_item"), EVENT_TYPES.index("purchase")


def fitted(kind: str = "blend") -> Recommender:
    """Anna bought 1 and looked at 2, ben bought 2 and 3; the newest event is today."""
    rows = [
        ("anna", "1", 5.0, 4),
        ("anna", "2", 1.0, 0),
        ("ben", "2", 5.0, 2),
        ("ben", "3", 5.0, 1),
    ]
    customer, product, weight, age = (list(column) for column in zip(*rows, strict=True))
    time = pa.array([(100 - days) * 86_400_000_000 for days in age], pa.timestamp("us", "UTC"))
    events = pa.table(
        {
            "customer_id": customer,
            "product_id": product,
            "event_time": time,
            "event_type": ["purchase", "view_item", "purchase", "purchase"],
            "channel": ["web"] * 4,
            "order_id": ["o1", None, "o2", "o3"],
        }
    )
    interactions = pa.table(
        {"customer_id": customer, "product_id": product, "weight": weight, "last_time": time}
    )
    return Recommender(make(kind, {})).fit(interactions, None, events)


def after(*acts: tuple[int, int, bool, int, int]) -> Done:
    """Acts of who, what, bought, day, visit."""
    who, what, bought, day, visit = (list(column) for column in zip(*acts, strict=True))
    return Done(
        np.array(who), np.array(what), np.array(bought, bool), np.array(day), np.array(visit)
    )


def cells(history: History) -> dict[tuple[int, int], float]:
    matrix = history.weights.tocoo()
    return {
        (int(r), int(c)): float(v)
        for r, c, v in zip(matrix.row, matrix.col, matrix.data, strict=True)
    }


def test_a_history_grows_by_what_was_done_and_ages_by_a_day_a_day() -> None:
    model = fitted()
    row = model.customer_map.codes(pa.array(["ben", "anna"]))
    code = model.product_map.codes(pa.array(["3", "1", "2", "unknown"]))
    # the crowd's own numbers: customer 0 is ben, product 0 is "3"
    done = after((1, 2, False, 0, 7), (1, 0, True, 8, 9), (1, 3, True, 8, 9), (0, 1, True, 9, 10))
    grown = simulated.grown(model.history, row, code, Asked(10, np.array([1]), done), FEATURES)
    one, two, three = (int(model.product_map.code(name)) for name in "123")
    fade = 0.5 ** (1 / 180)
    assert cells(grown) == pytest.approx(
        {
            (0, one): 5 * fade**10,
            (0, two): 1 * fade**10 + 1 * fade**10,
            (0, three): 5 * fade**2,
        }
    )
    ages = dict(zip(grown.weights.indices.tolist(), np.asarray(grown.last_days), strict=True))
    assert ages == {one: 14, two: 10, three: 2}
    events = grown.events
    assert events is not None
    assert events.starts.tolist() == [0, 4]
    assert events.products.tolist() == [one, two, two, three]
    assert events.types.tolist() == [PURCHASE, VIEW, VIEW, PURCHASE]
    assert events.days.tolist() == [14, 10, 10, 2]
    assert events.orders.tolist() == [0, -1, -1, 1]


def test_orders_since_are_numbered_by_customer_and_visit() -> None:
    model = fitted()
    row = model.customer_map.codes(pa.array(["anna", "ben"]))
    code = model.product_map.codes(pa.array(["1", "2", "3"]))
    done = after((1, 0, True, 1, 3), (1, 1, True, 1, 3), (0, 2, True, 2, 5), (1, 2, True, 4, 8))
    events = simulated.grown(
        model.history, row, code, Asked(5, np.array([0, 1]), done), FEATURES
    ).events
    assert events is not None
    parts = [
        events.orders[a:b].tolist() for a, b in zip(events.starts, events.starts[1:], strict=False)
    ]
    assert parts == [[0, -1, 1], [0, 1, 2, 2, 3]]


def test_nothing_done_on_the_first_day_leaves_a_history_as_it_was() -> None:
    model = fitted()
    row, code = np.array([0, 1], np.int32), np.array([0, 1, 2], np.int32)
    none = Done(*(np.empty(0, np.int64) for _ in range(5)))._replace(bought=np.empty(0, bool))
    grown = simulated.grown(model.history, row, code, Asked(0, np.array([0, 1]), none), FEATURES)
    assert cells(grown) == cells(model.history)
    assert grown.events is not None
    assert model.history.events is not None
    np.testing.assert_array_equal(grown.events.orders, model.history.events.orders)


def test_a_policy_is_the_models_own_answer_in_the_crowds_numbers() -> None:
    model = fitted("popularity")
    people, goods = pa.array(["ben", "anna"]), pa.array(["3", "new", "2", "1"])
    crowd = Crowd(
        interest=np.array([[0, 0, 0, -np.inf]] * 2, np.float32),  # "1" is not on sale
        rhythm=np.ones(2),
        price=np.ones(4),
        lasts=np.zeros(4),
        supplier=np.zeros(4, np.int64),
    )
    policy = simulated.served(model, people, goods, crowd, features=FEATURES)
    none = Done(*(np.empty(0, np.int64) for _ in range(5)))._replace(bought=np.empty(0, bool))
    lists = policy(Asked(0, np.array([1, 0]), none))
    said = model.recommend(pa.array(["anna"]), 10, among=pa.array(["3", "2"]), seen="keep")
    shown = [goods[int(code)].as_py() for code in lists[0] if code >= 0]
    assert shown == said["product_id"].to_pylist() == ["2", "3"]
    assert lists.shape == (2, 10)


@pytest.mark.parametrize(("seen", "shown"), [("keep", "321"), ("drop", "31")])
def test_places_that_a_model_leaves_empty_hold_popular_products(
    seen: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted("popularity")
    codes = np.full((1, 10), -1, np.int32)
    codes[0, 0] = model.product_map.code("3")
    monkeypatch.setattr(model, "rank", lambda *_, **__: Ranked(codes.copy(), codes * 0.0))
    goods = pa.array(["1", "2", "3"])
    crowd = Crowd(
        np.zeros((1, 3), np.float32), np.ones(1), np.ones(3), np.zeros(3), np.zeros(3, np.int64)
    )
    policy = simulated.served(model, pa.array(["ben"]), goods, crowd, features=FEATURES, seen=seen)
    none = Done(*(np.empty(0, np.int64) for _ in range(5)))._replace(bought=np.empty(0, bool))
    lists = policy(Asked(0, np.array([0]), none))
    assert [goods[int(code)].as_py() for code in lists[0] if code >= 0] == list(shown)


def record(kept: dict[str, float], **chosen: str | None) -> dict[str, Any]:
    every = {"nothing": 0.5, **kept, "oracle": 0.9}
    return {
        "customers": 100,
        "figures": {name: {"retained": value} for name, value in every.items()},
        "chosen": {"offline": "a", "off_policy": "a", "live": "a", **chosen},
        "refused": "",
    }


def test_a_judge_is_right_where_no_policy_kept_more() -> None:
    runs = [
        record({"a": 0.6, "b": 0.7}, live="b", off_policy=None),
        record({"a": 0.6, "b": 0.8}, live="b", off_policy="b"),
        record({"a": 0.7, "b": 0.7}, live="b", off_policy="b"),
    ]
    found = simulate.summary(runs, ["a", "b"])
    assert found["best"] == "b"
    assert found["gains"]["b"]["mean"] == pytest.approx(0.1)
    judges = found["judges"]
    assert {name: one["right"] for name, one in judges.items()} == {
        "offline": 1, "off_policy": 2, "live": 3,
    }  # fmt: skip
    assert judges["off_policy"]["refused"] == 1
    assert judges["off_policy"]["chosen"] == {"b": 2, "a": 1}
    assert judges["offline"]["regret"]["mean"] == pytest.approx(0.1)
    assert judges["live"]["regret"]["mean"] == 0


def test_the_command_prints_every_policy_and_judge_and_repeats_itself(
    tmp_path: Path, run_command: Any
) -> None:
    to = tmp_path / "out.json"
    words = ["simulate", "--policies", "popular,neighbours", "--customers", 80, "--days", 30]
    at = ["--workspace", tmp_path / "w", "--json", to]
    first = run_command(*words, "--runs", 1, *at)
    assert first.exit_code == 0, first.output
    said = json.loads(to.read_text())
    assert list(said["figures"]) == ["nothing", "popular", "neighbours", "oracle"]
    assert said["figures"]["nothing"]["retained"]["mean"] <= min(
        said["figures"][name]["retained"]["mean"] for name in said["figures"]
    )
    for words_ in (*said["figures"], "offline ndcg@10", "off-policy", "live test", "no answer in"):
        assert words_ in first.stdout
    run_command(*words, "--runs", 1, *at)
    assert json.loads(to.read_text()) == said


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ("popular", "policies must be 2 or more different ones, got popular"),
        ("als,als", "policies must be 2 or more different ones, got als, als"),
        ("als,oracle", "policies must be models, got oracle"),
        ("als,nope", "model must be one of"),
    ],
)
def test_policies_that_there_are_not_are_refused(
    policies: str, said: str, tmp_path: Path, run_command: Any
) -> None:
    words = ["simulate", "--policies", policies, "--customers", 60, "--workspace", tmp_path / "w"]
    result = run_command(*words)
    assert result.exit_code == 1
    assert said in result.stderr
