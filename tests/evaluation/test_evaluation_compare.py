"""Comparisons see what is there, rarely what is not, and refuse unlike tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from models.evaluation.compare import paired


def table(values, customers=None) -> pa.Table:  # type: ignore[no-untyped-def]
    names = [f"c{i}" for i in range(len(values))] if customers is None else list(customers)
    return pa.table({"customer_id": names, "ndcg": pa.array(values, pa.float64())})


def test_the_difference_is_of_the_same_customers_whatever_their_rows() -> None:
    got = paired(table([0.5, 0.9, 0.1], "abc"), table([0.2, 0.4, 0.4], "cab"), "ndcg", seed=0)
    # a: .5 - .4, b: .9 - .4, c: .1 - .2
    assert got.mean == pytest.approx(0.5 / 3)
    assert got.relative == pytest.approx(0.5)
    assert got.n == 3
    same = paired(table([0.5, 0.9, 0.1], "abc"), table([0.1, 0.5, 0.9], "cab"), "ndcg", seed=0)
    assert (same.low, same.high) == (0, 0)


def test_p_agrees_with_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    old = rng.random(50)
    new = old + rng.normal(0.02, 0.1, 50)
    got = paired(table(new), table(old), "ndcg", seed=0)
    assert got.p_value == pytest.approx(stats.ttest_rel(new, old).pvalue)


def test_pairing_sees_what_two_separate_means_would_not() -> None:
    rng = np.random.default_rng(4)
    old = rng.random(400)
    got = paired(table(old + 0.01 + rng.normal(0, 0.02, 400)), table(old), "ndcg", seed=0)
    assert 0 < got.low < got.mean < got.high
    assert got.detectable < 0.01 < old.std() / np.sqrt(400)


@pytest.mark.parametrize("skew", [False, True])
def test_no_difference_is_rarely_called_one(skew: bool) -> None:
    """300 shops without a difference; 5% shall look like one: 15, standard deviation 3.8."""
    rng = np.random.default_rng(8)
    wrong_interval = wrong_p = 0
    for shop in range(300):
        gain = rng.normal(0, 1, 200) if not skew else rng.exponential(1, 200) - 1
        old = rng.random(200)
        got = paired(table(old + gain), table(old), "ndcg", seed=shop, resamples=200)
        wrong_interval += not got.low <= 0 <= got.high
        wrong_p += got.p_value < 0.05
    assert 2 <= wrong_interval <= 33
    assert 2 <= wrong_p <= 31


def test_the_detectable_difference_is_seen_in_four_of_five_tries() -> None:
    rng = np.random.default_rng(9)
    old = rng.random(200)
    detectable = paired(table(rng.normal(old, 1)), table(old), "ndcg", seed=0).detectable
    assert detectable == pytest.approx(2.8016 / np.sqrt(200), rel=0.15)
    true = 2.8016 / np.sqrt(200)
    seen = sum(
        paired(
            table(old + rng.normal(true, 1, 200)), table(old), "ndcg", seed=0, resamples=2
        ).p_value
        < 0.05
        for _ in range(300)
    )
    assert 0.72 <= seen / 300 <= 0.88  # four standard errors of 2.3% are a bit more


def test_different_customers_are_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"1 only in the candidate and 0 only .* such as c"):
        paired(table([1, 2, 3], "abc"), table([1, 2], "ab"), "ndcg", seed=0)
    with pytest.raises(ValueError, match=r"0 only in the candidate and 2 only .* such as b"):
        paired(table([1], "a"), table([1, 2, 3], "abc"), "ndcg", seed=0)
    with pytest.raises(ValueError, match=r"candidate must have one row a customer, .* for a"):
        paired(table([1, 2, 3], "baa"), table([1], "a"), "ndcg", seed=0)


def test_null_in_both_is_left_out_and_null_in_one_is_refused() -> None:
    got = paired(table([0.5, None, 0.7]), table([0.4, None, 0.5]), "ndcg", seed=0)
    assert (got.n, got.mean) == (2, pytest.approx(0.15))
    with pytest.raises(ValueError, match="1 null in one table only, such as c1"):
        paired(table([0.5, 0.1]), table([0.4, None]), "ndcg", seed=0)


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(ValueError, match="baseline must have a column ndcg, got customer_id"):
        paired(table([1.0]), table([1.0]).drop(["ndcg"]), "ndcg", seed=0)


def test_a_model_against_itself_is_no_different() -> None:
    got = paired(table([0.1, 0.9, 0.4]), table([0.1, 0.9, 0.4]), "ndcg", seed=0)
    assert (got.mean, got.low, got.high, got.relative, got.p_value) == (0, 0, 0, 0, 1)


def test_the_same_gain_for_all_is_certain_as_far_as_seen() -> None:
    got = paired(table([1.5, 2.5]), table([1.0, 2.0]), "ndcg", seed=0)
    assert (got.mean, got.low, got.high, got.p_value) == (0.5, 0.5, 0.5, 0)


@pytest.mark.parametrize("n", [0, 1])
def test_one_customer_or_none_never_passes_a_gate(n: int) -> None:
    got = paired(table([0.9] * n), table([0.1] * n), "ndcg", seed=0)
    assert got.n == n
    assert np.isnan([got.low, got.high, got.p_value, got.detectable]).all()
    assert not got.low > 0


def test_a_baseline_of_zero_has_no_relative_difference() -> None:
    assert np.isnan(paired(table([0.1, 0.2]), table([0.0, 0.0]), "ndcg", seed=0).relative)
