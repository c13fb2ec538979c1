import math
from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.ids import IdMap
from models import together as module
from models.together import LEAST, surprise, together

PRODUCTS = IdMap([f"p{i}" for i in range(8)])


def orders(*lists: list[str]) -> pa.Table:
    return pa.table({"products": pa.array(lists, pa.list_(pa.string()))})


def definition(baskets: list[list[str]]) -> dict[str, list[tuple[str, float]]]:
    """Dunning's ratio pair by pair, from the probabilities themselves."""
    count = Counter(p for basket in baskets for p in basket)
    pairs = Counter(pair for b in baskets for pair in combinations(sorted(b), 2))
    n = len(baskets)

    def likelihood(k: int, of: int, p: float) -> float:
        hit = k * math.log(p) if k else 0.0
        return hit + ((of - k) * math.log(1 - p) if of > k else 0.0)

    best: dict[str, list[tuple[str, float]]] = {}
    for (a, b), k in pairs.items():
        if k < LEAST or k * n <= count[a] * count[b]:
            continue
        rest = count[b] - k  # orders with b and without a
        two = likelihood(k, count[a], k / count[a])
        if n > count[a]:
            two += likelihood(rest, n - count[a], rest / (n - count[a]))
        one = likelihood(k, count[a], count[b] / n) + likelihood(rest, n - count[a], count[b] / n)
        for x, y in ((a, b), (b, a)):
            best.setdefault(x, []).append((y, 2 * (two - one)))
    return best


@given(st.lists(st.sets(st.sampled_from(PRODUCTS.ids.to_pylist())), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_what_goes_together_agrees_with_the_definition_pair_by_pair(baskets):
    codes, scores = together(orders(*map(sorted, baskets)), PRODUCTS, k=7)
    said = definition([sorted(basket) for basket in baskets])
    names = PRODUCTS.ids.to_pylist()
    for row, name in enumerate(names):
        found = {names[c]: s for c, s in zip(codes[row], scores[row], strict=True) if c >= 0}
        wanted = dict(said.get(name, []))
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-4)
        assert list(scores[row]) == sorted(scores[row], reverse=True)


def test_a_sure_pair_stands_before_a_chance_one_and_before_the_product_in_every_order():
    baskets = [["p0", "p1", "p7"]] * 20 + [["p0", "p2", "p7"]] * 3 + [["p3", "p7"]] * 30
    codes, scores = together(orders(*baskets), PRODUCTS, k=3)
    assert codes[0].tolist() == [1, 2, -1]
    assert scores[0, 0] > scores[0, 1] > 0
    assert codes[7].tolist() == [-1, -1, -1]


def test_two_orders_are_no_evidence_and_three_are():
    assert (together(orders(*[["p0", "p1"]] * 2, *[["p2"]] * 9), PRODUCTS)[0] == -1).all()
    assert together(orders(*[["p0", "p1"]] * 3, *[["p2"]] * 9), PRODUCTS)[0][0, 0] == 1


def test_products_that_the_model_does_not_know_are_passed_over():
    codes, _ = together(orders(*[["gone", "p0", "p1"]] * 4, *[["p2"]] * 9), PRODUCTS)
    assert codes[0].tolist() == [1] + [-1] * 49


def test_an_order_too_large_says_nothing(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 2)
    baskets = orders(*[["p0", "p1", "p2"]] * 9, *[["p0", "p1"]] * 3, *[["p3"]] * 5)
    codes, scores = together(baskets, PRODUCTS, k=2)
    assert codes[0].tolist() == [1, -1]
    kept = surprise(np.array([3]), np.array([3]), np.array([3]), 8)
    assert scores[0, 0] == pytest.approx(kept[0])


def test_blocks_do_not_change_what_is_found(monkeypatch):
    random = np.random.default_rng(5)
    names = PRODUCTS.ids.to_pylist()
    baskets = orders(*(sorted(random.choice(names, 4, replace=False)) for _ in range(60)))
    whole = together(baskets, PRODUCTS)
    monkeypatch.setattr(module, "PAIRS", 1)
    for one, other in zip(whole, together(baskets, PRODUCTS), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("table", [orders(), orders([]), orders(["p0"]), orders(["gone"])])
def test_a_shop_with_no_pair_has_none(table):
    codes, scores = together(table, PRODUCTS, k=2)
    assert codes.shape == scores.shape == (8, 2)
    assert (codes == -1).all()


def test_a_part_of_a_table_counts_only_its_own_orders():
    table = orders(["p4", "p5"], *[["p0", "p1"]] * 3, ["p2"], ["p6", "p7"])
    parts = pa.concat_tables([table.slice(1, 2), table.slice(3, 2)])
    codes, _ = together(parts, PRODUCTS, k=1)
    assert codes[:, 0].tolist() == [1, 0, -1, -1, -1, -1, -1, -1]


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        together(orders(), PRODUCTS, k=0)
