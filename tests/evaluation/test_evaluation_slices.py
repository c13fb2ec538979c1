"""Slices hold every customer once, in the shop's words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.schemas import CUSTOMER_FEATURES
from models.evaluation import slices


def figures(**values: float | None) -> pa.Table:
    return pa.table(
        {"customer_id": list(values), "ndcg": pa.array(list(values.values()), pa.float64())}
    )


def means(table: pa.Table, name: str) -> dict[str, float | None]:
    return {r["value"]: r["mean"] for r in table.to_pylist() if r["slice"] == name}


ATTRIBUTES = pa.table(
    {
        "customer_id": ["c", "a", "b", "d"],
        "lifecycle_stage": [None, "active", "active", "lapsed"],
        "main_channel": [None, "store", "kiosk", "web"],
        "frequency": pa.array([0, 10, 9, 3], pa.int32()),
    }
)
PEOPLE = figures(a=1.0, b=0.0, c=0.5, d=0.25, stranger=0.75)


def test_each_customer_is_in_one_value_of_each_slice() -> None:
    table = slices.by(PEOPLE, ATTRIBUTES)
    assert table.schema == slices.SLICES
    assert means(table, "lifecycle_stage") == {
        "active": 0.5,
        "lapsed": 0.25,
        "never_ordered": 0.625,
    }
    assert means(table, "channel") == {"web": 0.25, "store": 1.0, "kiosk": 0.0, "unknown": 0.625}
    assert means(table, "history_length") == {"0": 0.625, "2-3": 0.25, "4-9": 0.0, "10+": 1.0}
    for name in ("lifecycle_stage", "channel", "history_length"):
        assert sum(r["n"] for r in table.to_pylist() if r["slice"] == name) == PEOPLE.num_rows


def test_orders_fall_into_their_buckets() -> None:
    people = figures(**{f"c{i}": float(i) for i in range(13)})
    attributes = pa.table({"customer_id": people["customer_id"], "frequency": range(13)})
    got = means(slices.by(people, attributes), "history_length")
    wanted = {"0": [0], "1": [1], "2-3": [2, 3], "4-9": range(4, 10), "10+": [10, 11, 12]}
    assert got == {name: np.mean(list(values)) for name, values in wanted.items()}


def test_few_customers_are_flagged_and_nulls_do_not_count() -> None:
    n = 60
    people = pa.table(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "ndcg": [1.0] * n,
            "repeat": [None if i % 2 else 1.0 for i in range(29)] + [None] * (n - 29),
        }
    )
    stages = ["new"] * 29 + ["active"] * 31
    attributes = pa.table({"customer_id": people["customer_id"], "lifecycle_stage": stages})
    rows = slices.by(people, attributes, metrics=["ndcg", "repeat"]).to_pylist()
    got = {(r["value"], r["metric"]): (r["n"], r["small"], r["mean"]) for r in rows}
    assert got == {
        ("new", "ndcg"): (29, True, 1.0),
        ("new", "repeat"): (15, True, 1.0),
        ("active", "ndcg"): (31, False, 1.0),
        ("active", "repeat"): (0, True, None),
    }


def test_the_customer_features_table_itself_will_do() -> None:
    nobody = CUSTOMER_FEATURES.empty_table()
    assert means(slices.by(PEOPLE, nobody), "history_length") == {"0": 0.5}
    assert slices.by(PEOPLE.slice(0, 0), nobody).num_rows == 0


def test_the_seed_decides_and_the_rows_order_does_not() -> None:
    rng = np.random.default_rng(0)
    people = figures(**{f"c{i}": v for i, v in enumerate(rng.random(50))})
    attributes = pa.table({"customer_id": people["customer_id"], "frequency": [1] * 50})
    mixed = people.take(pa.array(rng.permutation(50)))
    assert slices.by(people, attributes, seed=1).equals(slices.by(mixed, attributes, seed=1))
    assert not slices.by(people, attributes, seed=1).equals(slices.by(people, attributes, seed=2))


def test_attributes_that_say_nothing_or_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="attributes must have one of lifecycle_stage"):
        slices.by(PEOPLE, pa.table({"customer_id": ["a"]}))
    with pytest.raises(ValueError, match=r"attributes must have one row a customer, .* for a"):
        slices.by(PEOPLE, pa.table({"customer_id": ["a", "a"], "frequency": [1, 2]}))
