"""Who had drifted away and came back is judged by the order she came back with, nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.returns import beside, first_orders

START = datetime(2026, 1, 1, tzinfo=UTC)


def bought(*rows: tuple[str, str, str, int]) -> pa.Table:
    """Customer, product, order, day."""
    who, what, order, day = zip(*rows, strict=True) if rows else ([], [], [], [])
    return pa.table(
        {
            "customer_id": pa.array(who, pa.string()),
            "product_id": pa.array(what, pa.string()),
            "order_id": pa.array(order, pa.string()),
            "event_time": pa.array(
                [START + timedelta(days=d) for d in day], pa.timestamp("us", "UTC")
            ),
        }
    )


def listed(lists: dict[str, list[str]]) -> pa.Table:
    rows = [(c, i, p) for c, ps in lists.items() for i, p in enumerate(ps, 1)]
    who, rank, what = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table(
        {
            "customer_id": pa.array(who, pa.string()),
            "rank": pa.array(rank, pa.int32()),
            "product_id": pa.array(what, pa.string()),
        }
    )


def rate(
    lists: dict[str, list[str]], purchases: pa.Table, away: list[str], k: int = 10
) -> dict[str, float | None]:
    everyone = pa.table({"customer_id": pa.array(sorted(set(lists) | set(away)), pa.string())})
    back = first_orders(purchases, pa.array(away, pa.string()))
    found = beside(everyone, listed(lists), back, k=k)
    assert found.column_names == ["customer_id", f"return_hit_rate_at_{k}"]
    return dict(zip(*(column.to_pylist() for column in found.columns), strict=True))


def test_the_order_she_came_back_with_decides_not_a_later_one() -> None:
    purchases = bought(("ann", "tea", "o2", 9), ("ann", "cup", "o1", 3), ("ann", "pot", "o1", 3))
    assert rate({"ann": ["tea"]}, purchases, ["ann"]) == {"ann": 0.0}
    assert rate({"ann": ["jam", "pot"]}, purchases, ["ann"]) == {"ann": 1.0}


def test_who_was_not_away_or_did_not_come_back_has_no_figure() -> None:
    purchases = bought(("ann", "tea", "o1", 1), ("bob", "tea", "o2", 1))
    lists = {"ann": ["tea"], "bob": ["tea"], "cleo": ["tea"]}
    assert rate(lists, purchases, ["bob", "cleo"]) == {"ann": None, "bob": 1.0, "cleo": None}


def test_a_product_below_rank_k_is_no_hit_and_who_has_no_list_counts_zero() -> None:
    purchases = bought(("ann", "tea", "o1", 1), ("bob", "tea", "o2", 1))
    assert rate({"ann": ["cup", "tea"]}, purchases, ["ann", "bob"], k=1) == {"ann": 0.0, "bob": 0.0}


def test_nobody_away_gives_no_figure_at_all() -> None:
    assert rate({"ann": ["tea"]}, bought(("ann", "tea", "o1", 1)), []) == {"ann": None}


CUSTOMERS = st.sampled_from(["ann", "bob", "cleo"])
PRODUCTS = st.sampled_from(["cup", "jam", "pot", "tea"])


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(CUSTOMERS, PRODUCTS, st.sampled_from("xyz"), st.integers(0, 5))),
    lists=st.dictionaries(CUSTOMERS, st.lists(PRODUCTS, unique=True)),
    away=st.sets(CUSTOMERS),
    k=st.integers(1, 3),
)
def test_the_figure_is_what_its_definition_says(
    rows: list[tuple[str, str, str, int]], lists: dict[str, list[str]], away: set[str], k: int
) -> None:
    found = rate(lists, bought(*rows), sorted(away), k)
    for customer, value in found.items():
        hers = [row for row in rows if row[0] == customer and customer in away]
        if not hers:
            assert value is None
            continue
        _, first = min((day, order) for _, _, order, day in hers)
        wanted = {product for _, product, order, _ in hers if order == first}
        assert value == float(bool(wanted & set(lists.get(customer, [])[:k])))
