"""Uneven arms and arms that were unlike before are found, fair ones are left alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest, chisquare

from models.evaluation.sanity import alike_before, sample_ratio

EVEN = {"old": 0.5, "new": 0.5}


def test_fair_arms_hold_and_lost_units_do_not() -> None:
    assert sample_ratio({"old": 10_000, "new": 10_100}, EVEN).holds
    lost = sample_ratio({"old": 10_000, "new": 9_400}, EVEN)
    assert not lost.holds
    assert lost.p_value == pytest.approx(chisquare([10_000, 9_400]).pvalue)
    assert lost.expected == {"old": 9_700, "new": 9_700}


def test_declared_shares_count_not_even_ones() -> None:
    assert sample_ratio({"old": 9_000, "new": 1_000}, {"old": 0.9, "new": 0.1}).holds
    assert not sample_ratio({"old": 9_000, "new": 1_000}, EVEN).holds


def test_few_units_are_reckoned_exactly() -> None:
    one = sample_ratio({"old": 8, "new": 1}, EVEN)
    assert one.p_value == pytest.approx(binomtest(8, 9).pvalue)


def test_an_arm_without_units_is_a_mismatch() -> None:
    assert not sample_ratio({"old": 40}, EVEN).holds
    assert sample_ratio({"old": 40}, EVEN).counts["new"] == 0


def test_counts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="must be of the arms old, new, got 'third'"):
        sample_ratio({"third": 1}, EVEN)
    with pytest.raises(ValueError, match="at least one unit"):
        sample_ratio({}, EVEN)


def test_an_even_draw_is_seldom_called_a_mismatch() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(3_000, [0.2, 0.3, 0.5], 2_000)
    shares = {"a": 0.2, "b": 0.3, "c": 0.5}
    small = [
        sample_ratio(dict(zip(shares, row.tolist(), strict=True)), shares).p_value < 0.05
        for row in drawn
    ]
    assert np.mean(small) == pytest.approx(0.05, abs=0.012)


def test_arms_that_were_unlike_before_are_named() -> None:
    rng = np.random.default_rng(1)
    arm = np.where(rng.random(2_000) < 0.5, "new", "old")
    units = pa.table(
        {
            "arm": arm,
            "orders": rng.poisson(2, 2_000),
            "spend": rng.random(2_000) + 0.1 * (arm == "new"),
            "town": np.where(rng.random(2_000) < 0.5, "x", "y"),
            "same": np.ones(2_000),
        }
    )
    found = alike_before(units, ["orders", "spend", "town", "same"], control="old")
    assert [one.name for one in found] == ["orders", "spend", "town x", "town y"]
    assert [one.holds for one in found] == [True, False, True, True]
    assert found[1].gap == pytest.approx(0.1 / np.std(units["spend"]), rel=0.3)
