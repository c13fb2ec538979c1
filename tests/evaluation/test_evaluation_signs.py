"""The randomisation test is what trying every sign gives, and keeps its promise of error."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from models.evaluation.signs import chance, effect


def every_sign(gains: list[float]) -> float:
    """The slow oracle: all 2^n signs."""
    seen = abs(sum(gains))
    sums = [
        abs(sum(s * g for s, g in zip(signs, gains, strict=True)))
        for signs in product((1, -1), repeat=len(gains))
    ]
    return float(np.mean([total >= seen - 1e-12 for total in sums]))


@pytest.mark.parametrize(
    "gains",
    [[0.5, 0.2, -0.1, 0.4, 0.3], [1.0, 1.0, 1.0, -1.0, 1.0, 1.0], [0.3, 0.3, 0.1, 0.2, -0.1, 0.0]],
)
def test_it_is_the_share_of_all_signs_as_far_from_zero(gains: list[float]) -> None:
    assert chance(gains, seed=1, draws=20_000) == pytest.approx(every_sign(gains), abs=0.015)


def test_it_agrees_with_the_t_test_where_differences_are_normal() -> None:
    gains = np.random.default_rng(3).normal(0.02, 0.1, 120)
    assert chance(gains, seed=0, draws=20_000) == pytest.approx(
        stats.ttest_1samp(gains, 0).pvalue, abs=0.01
    )


def test_it_errs_in_five_of_a_hundred_tests_without_an_effect() -> None:
    """400 shops: 20 shall look like a difference, standard deviation 4.4."""
    rng = np.random.default_rng(5)
    found = sum(
        chance(rng.choice([-1, 1], 60) * rng.exponential(1, 60) ** 2, seed=i, draws=399) <= 0.05
        for i in range(400)
    )
    assert 7 <= found <= 34


def test_order_does_not_matter_and_nothing_is_ever_certain() -> None:
    gains = [0.1, 0.4, -0.2, 0.1, 0.7]
    assert chance(gains, seed=2) == chance(gains[::-1], seed=2)
    assert chance(np.ones(200), seed=0, draws=99) == 0.01
    assert chance([0.0, 0.0], seed=0) == chance([], seed=0) == 1.0


def test_the_effects_size_and_shares_are_those_by_hand() -> None:
    got = effect([1.0, 0.0, 0.0, 3.0, -1.0])
    assert got.size == pytest.approx(0.6 / np.std([1, 0, 0, 3, -1], ddof=1))
    assert (got.better, got.worse) == (0.4, 0.2)
    assert np.isnan(effect([]).better)
    assert np.isnan(effect([2.0, 2.0]).size)


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        chance([1.0, np.nan], seed=0)
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        chance([1.0], seed=0, draws=0)
