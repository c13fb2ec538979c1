"""A drafted list is fair to both rankers, and a preference is one vote a customer."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from models.evaluation.interleave import preference, team_draft

LISTS = st.lists(st.integers(0, 30), unique=True, max_size=15)


@given(LISTS, LISTS, st.integers(1, 12), st.integers(0, 1_000))
def test_a_draft_is_a_list_of_both_without_doubles(
    a: list[int], b: list[int], k: int, seed: int
) -> None:
    drafted = team_draft(a, b, k, seed=seed)
    products = [product for product, _ in drafted]
    assert len(products) == len(set(products)) == min(k, len(set(a) | set(b)))
    lists = {"a": a, "b": b}
    for place, (product, team) in enumerate(drafted):
        free = [one for one in lists[team] if one not in products[:place]]
        assert free[0] == product  # each captain picks his best that is free


@given(LISTS, st.integers(1, 12), st.integers(0, 1_000))
def test_equal_lists_give_that_list_and_even_teams(a: list[int], k: int, seed: int) -> None:
    drafted = team_draft(a, a, k, seed=seed)
    assert [product for product, _ in drafted] == a[:k]
    teams = Counter(team for _, team in drafted)
    assert abs(teams["a"] - teams["b"]) <= 1


def test_the_coin_is_fair_and_its_seed_tells_it_again() -> None:
    first = Counter(team_draft([1, 2], [3, 4], 2, seed=seed)[0][1] for seed in range(2_000))
    assert binomtest(first["a"], 2_000).pvalue > 0.001
    assert team_draft([1, 2], [3, 4], 4, seed=5) == team_draft([1, 2], [3, 4], 4, seed=5)


def credits(*rows: tuple[str, str, float]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"customer_id": c, "team": team, "credit": credit} for c, team, credit in rows]
    )


def test_a_customer_is_one_vote_however_much_she_clicks() -> None:
    rows = [("eager", "a", 1.0)] * 50 + [(f"c{n}", "b", 1.0) for n in range(10)]
    rows += [("torn", "a", 1.0), ("torn", "b", 1.0)]
    found = preference(credits(*rows), seed=0)
    assert (found.a, found.b, found.ties) == (1, 10, 1)
    assert found.p_value == pytest.approx(binomtest(10, 11).pvalue)
    assert found.winner == "b"
    assert found.share.mean == pytest.approx(10 / 11)


def test_too_few_votes_have_no_winner() -> None:
    assert preference(credits(("x", "a", 1.0), ("y", "a", 1.0)), seed=0).winner is None
    assert preference(credits(("x", "a", 0.0)), seed=0).p_value == 1


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        team_draft([1], [2], 0, seed=0)
    with pytest.raises(ValueError, match="team must be a or b, got 'c'"):
        preference(credits(("x", "c", 1.0)), seed=0)
