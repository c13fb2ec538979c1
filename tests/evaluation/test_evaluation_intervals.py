"""Intervals cover what they promise, in any order, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation import intervals
from models.evaluation.intervals import Interval, mean_interval, of_table


def test_the_mean_stands_in_an_interval_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(5, 2, 2_000)
    got = mean_interval(values, seed=1)
    assert got.mean == pytest.approx(values.mean())
    assert got.n == 2_000
    assert got.high - got.low == pytest.approx(2 * 1.96 * 2 / np.sqrt(2_000), rel=0.1)


@pytest.mark.parametrize("how", ["one by one", "cells"])
def test_intervals_cover_the_true_mean_as_often_as_they_say(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop's figures: three in four are zero, the rest uneven. 200 shops, level 90%.

    Of 200 the count covered is binomial: 180 on average, standard deviation 4.2; four of them.
    """
    monkeypatch.setattr(intervals, "ONE_BY_ONE", 10_000 if how == "one by one" else 0)
    rng = np.random.default_rng(11)
    covered = 0
    for shop in range(200):
        values = rng.exponential(1.0, 400) * (rng.random(400) < 0.25)
        got = mean_interval(values, seed=shop, resamples=200, level=0.9)
        covered += got.low <= 0.25 <= got.high
    assert 163 <= covered <= 197


def test_cells_give_the_bootstraps_own_spread_and_skew() -> None:
    """Heavy tails, where a wrong shortcut would show: lognormal, sigma 1.5.

    Of a resampled mean both are known: the values' own over the root of n.
    """
    values = np.sort(np.random.default_rng(3).lognormal(0, 1.5, 3_000))
    values -= values.mean()
    spread = values.std()
    skew = float(np.mean(values**3)) / spread**3
    slow = intervals._one_by_one(values, 10_000, np.random.default_rng(1))
    fast = intervals._by_cells(values, 10_000, np.random.default_rng(2))
    for means in (slow, fast):
        assert means.std() == pytest.approx(spread / np.sqrt(3_000), rel=0.03)
        assert np.mean(means**3) / means.std() ** 3 == pytest.approx(skew / np.sqrt(3_000), abs=0.1)
    cuts = [0.01, 0.025, 0.25, 0.5, 0.75, 0.975, 0.99]
    apart = np.quantile(slow, cuts) - np.quantile(fast, cuts)
    assert np.abs(apart).max() < 0.15 * slow.std()


def test_what_a_wide_cell_hides_is_drawn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "CELLS", 2)
    monkeypatch.setattr(intervals, "EXTREMES", 1)
    values = np.arange(1_000.0)
    means = intervals._by_cells(values, 10_000, np.random.default_rng(0))
    assert means.mean() == pytest.approx(values.mean(), rel=0.01)
    assert means.std() == pytest.approx(values.std() / np.sqrt(1_000), rel=0.03)


def test_few_distinct_values_are_drawn_exactly() -> None:
    """A hit rate of a quarter: the resampled mean is binomial and takes whole steps of 1/n."""
    values = np.repeat([0.0, 1.0], [300, 100])
    means = intervals._by_cells(values, 2_000, np.random.default_rng(0))
    assert np.allclose(means * 400, np.round(means * 400))
    assert means.std() == pytest.approx(np.sqrt(0.25 * 0.75 / 400), rel=0.06)


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40),
    st.randoms(use_true_random=False),
    st.integers(0, 3),
)
def test_order_and_repetition_change_nothing(values: list[float], random, seed: int) -> None:  # type: ignore[no-untyped-def]
    got = mean_interval(values, seed=seed, resamples=50)
    mixed = random.sample(values, len(values))
    assert mean_interval(mixed, seed=seed, resamples=50) == got
    assert min(values) - 1e-6 <= got.low <= got.high <= max(values) + 1e-6


def test_another_seed_is_another_draw() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)
    many = np.random.default_rng(0).normal(size=20_000)
    assert mean_interval(many, seed=1) == mean_interval(many, seed=1)
    assert mean_interval(many, seed=1) != mean_interval(many, seed=2)


def test_nothing_and_one_customer_have_no_interval() -> None:
    nothing, one = mean_interval([], seed=0), mean_interval([0.5], seed=0)
    assert (nothing.n, one.n, one.mean) == (0, 1, 0.5)
    assert np.isnan([nothing.mean, nothing.low, nothing.high, one.low, one.high]).all()
    assert mean_interval(pa.nulls(3, pa.float64()), seed=0).dropped == 3


def test_nulls_and_nan_are_dropped_and_counted() -> None:
    whole = mean_interval([1.0, 2.0, 3.0], seed=0)
    holed = mean_interval(pa.array([1.0, None, 2.0, float("nan"), 3.0]), seed=0)
    assert holed == Interval(whole.mean, whole.low, whole.high, 3, dropped=2)


def test_equal_values_have_no_width() -> None:
    assert mean_interval([0.1] * 30, seed=0) == Interval(pytest.approx(0.1), 0.1, 0.1, 30)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"resamples": 0}, "resamples must be at least 1, got 0"),
        ({"level": 1.0}, "level must be between 0 and 1, got 1.0"),
        ({"values": [1.0, np.inf]}, "values must be finite"),
    ],
)
def test_what_cannot_be_is_refused(change, says) -> None:  # type: ignore[no-untyped-def]
    asked = {"values": [1.0, 2.0], "seed": 0} | change
    with pytest.raises(ValueError, match=says):
        mean_interval(asked.pop("values"), **asked)


@pytest.mark.parametrize("n", [9_999, 300_000])
def test_memory_stays_bounded(n: int) -> None:
    values = np.random.default_rng(0).random(n)
    tracemalloc.start()
    mean_interval(values, seed=0, resamples=1_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64e6


def test_a_table_gives_an_interval_for_each_metric() -> None:
    table = pa.table({"customer_id": ["a", "b"], "ndcg": [0.0, 1.0], "new": [None, 1.0]})
    got = of_table(table, seed=0)
    assert list(got) == ["ndcg", "new"]
    assert (got["ndcg"].mean, got["new"].n) == (0.5, 1)
    assert list(of_table(table, seed=0, metrics=["new"])) == ["new"]
