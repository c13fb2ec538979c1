"""What each product's gaps add up to in; how long it lasts, and how surely, out."""

from __future__ import annotations

import numpy as np
import pytest

from features import pooling


def sums_of(products: list[list[list[float]]], category: list[int]) -> pooling.Sums:
    """Of each product the gaps' logarithms of each of its customers who came again."""
    logs = [[[round(x * 1000) for x in pair] for pair in pairs] for pairs in products]
    flat = [[x for pair in pairs for x in pair] for pairs in logs]
    columns = [
        category,
        [len(pairs) for pairs in logs],
        [sum(bool(pair) for pair in pairs) for pairs in logs],
        [len(xs) for xs in flat],
        [sum(xs) for xs in flat],
        [sum(x * x for x in xs) for xs in flat],
        [sum(round(sum(p) ** 2 / len(p)) for p in pairs if p) for pairs in logs],
        [sum(len(p) ** 2 for p in pairs) for pairs in logs],
    ]
    return pooling.Sums(*(np.array(column, np.int64) for column in columns))


def test_pooling_finds_the_spread_of_gaps_and_of_customers() -> None:
    rng = np.random.default_rng(3)
    products = []
    for mean in rng.normal(3.5, 0.4, 60):
        hers = rng.normal(mean, 0.6, 40)
        products.append([list(rng.normal(one, 0.3, 6)) for one in hers])
    found = pooling.pooled(sums_of(products, [1] * 60))
    assert found.prior == pytest.approx(0.3**2 / 0.6**2, abs=0.3)
    assert found.prior >= pooling.LEAST
    np.testing.assert_allclose(found.spread, 0.3, atol=0.05)
    truth = [np.mean([x for pair in pairs for x in pair]) for pairs in products]
    np.testing.assert_allclose(found.mean, truth, atol=0.1)


def test_customers_who_are_alike_are_pulled_to_the_product() -> None:
    rng = np.random.default_rng(4)
    products = [[list(rng.normal(3, 0.5, 5)) for _ in range(30)] for _ in range(20)]
    found = pooling.pooled(sums_of(products, [0] * 20))
    assert found.prior > 10
    np.testing.assert_allclose(found.mean, 3, atol=0.1)


def test_a_product_with_few_gaps_is_taken_for_its_category() -> None:
    rng = np.random.default_rng(5)
    slow_ones = [[list(rng.normal(4 + d, 0.2, 4)) for _ in range(9)] for d in (-0.2, 0, 0.2)]
    quick_ones = [[list(rng.normal(2 + d, 0.2, 4)) for _ in range(9)] for d in (-0.2, 0, 0.2)]
    never = [[[], [], []]]
    found = pooling.pooled(
        sums_of(slow_ones + quick_ones + never + never, [1, 1, 1, 2, 2, 2, 1, 2])
    )
    assert found.mean[6] == pytest.approx(4, abs=0.1)
    assert found.mean[7] == pytest.approx(2, abs=0.1)
    assert (found.again[:6] > found.again[6:].max()).all()
