"""A unit"s arm follows from its id and the declared test, evenly, independently and for ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from features.assignment import BUCKETS, HOLDOUT, Assigned, Plan, assign, bucket, clashes

START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
PLAN = Plan("home", (("old", 0.5), ("new", 0.5)), START, END)
UNITS = [f"customer {n}" for n in range(20_000)]
GOLDEN = [9247, 4054, 5467]
ARMS = ["old", "old", "old", "new", "old", "old"]


def test_an_assignment_never_changes() -> None:
    """Computed once and written down: another release must give the same arms."""
    assert [bucket("salt", unit) for unit in ("a", "b", "loyalty:7")] == GOLDEN
    assert [PLAN.arm(unit) for unit in UNITS[:6]] == ARMS


def test_buckets_are_even() -> None:
    counts = Counter(bucket("salt", unit) // 100 for unit in UNITS)
    assert chisquare([counts[n] for n in range(BUCKETS // 100)]).pvalue > 0.001


def test_tests_with_other_salts_are_independent() -> None:
    other = replace(PLAN, name="cart")
    table = Counter((PLAN.arm(unit), other.arm(unit)) for unit in UNITS)
    rows = [[table[a, b] for b in ("old", "new")] for a in ("old", "new")]
    assert chi2_contingency(rows).pvalue > 0.001
    assert min(map(min, rows)) > 4_500


def test_shares_are_kept() -> None:
    plan = replace(PLAN, arms=(("old", 0.8), ("a", 0.15), ("b", 0.05)))
    counts = Counter(plan.arm(unit) for unit in UNITS)
    assert (
        chisquare([counts["old"], counts["a"], counts["b"]], [16_000, 3_000, 1_000]).pvalue > 0.001
    )


def test_tests_of_one_layer_never_share_a_unit() -> None:
    first = replace(PLAN, traffic=(0.0, 0.4))
    second = replace(PLAN, name="second", traffic=(0.4, 1.0))
    for unit in UNITS[:3_000]:
        assert (first.arm(unit) is None) != (second.arm(unit) is None)


def test_the_holdout_is_one_for_all_tests_and_nested() -> None:
    small, large = replace(PLAN, holdout=0.05), replace(PLAN, name="other", holdout=0.1)
    out = {unit for unit in UNITS if small.arm(unit) == HOLDOUT}
    assert len(out) == pytest.approx(1_000, rel=0.1)
    assert out < {unit for unit in UNITS if large.arm(unit) == HOLDOUT}


def test_arms_of_the_holdouts_rest_are_even() -> None:
    """The holdout"s draw must not lean on the arms" draw."""
    counts = Counter(replace(PLAN, holdout=0.3).arm(unit) for unit in UNITS)
    assert chisquare([counts["old"], counts["new"]]).pvalue > 0.001


@pytest.mark.parametrize(
    ("at", "surface", "inside"),
    [
        (START, "home", True),
        (END, "home", False),
        (datetime(2026, 2, 28, 23, 59, tzinfo=UTC), "home", False),
        (START, "cart", False),
    ],
)
def test_a_test_runs_in_its_window_and_on_its_surfaces(
    at: datetime, surface: str, inside: bool
) -> None:
    plan = replace(PLAN, surfaces=frozenset({"home"}))
    wanted = [Assigned("home", str(plan.arm("a")))] if inside else []
    assert assign([plan], "a", at=at, surface=surface) == wanted


def test_tests_that_would_share_units_are_named() -> None:
    other = replace(PLAN, name="other")
    assert clashes([PLAN, other]) == [("home", "other")]
    assert clashes([PLAN, replace(other, layer="prices")]) == []
    assert clashes([PLAN, replace(other, start=END, end=None)]) == []
    assert clashes([replace(PLAN, end=None), replace(other, start=END)]) == [("home", "other")]
    apart = [replace(PLAN, traffic=(0, 0.5)), replace(other, traffic=(0.5, 1))]
    assert clashes(apart) == []
    here, there = frozenset({"home"}), frozenset({"cart"})
    assert clashes([replace(PLAN, surfaces=here), replace(other, surfaces=there)]) == []


@given(st.text(), st.text())
def test_any_unit_and_salt_has_a_bucket(salt: str, unit: str) -> None:
    assert 0 <= bucket(salt, unit) < BUCKETS
