import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ranking.fuse import DEEP, blend, boosted
from models.scorer import Codes


def ints(values: Any) -> Codes:
    return np.array(values, np.int32)


def slow_blend(lists: list[list[int]], weights: list[float], n: int) -> list[tuple[Any, ...]]:
    """Reciprocal ranks added up: (code, score, source) best first."""
    total: dict[int, float] = {}
    parts: dict[int, list[float]] = {}
    for source, (codes, weight) in enumerate(zip(lists, weights, strict=True)):
        codes = codes[: codes.index(-1)] if -1 in codes else codes
        for rank, code in enumerate(codes, 1):
            if weight > 0 and codes.index(code) == rank - 1:
                total[code] = total.get(code, 0.0) + weight / (60 + rank)
                parts.setdefault(code, [0.0] * len(lists))[source] = weight / (60 + rank)
    scores = {code: float(np.float32(score)) for code, score in total.items()}
    best = sorted(scores, key=lambda code: (-scores[code], code))[:n]
    found = [(code, scores[code], int(np.argmax(parts[code]))) for code in best]
    return found + [(-1, -math.inf, -1)] * (min(n, sum(map(len, lists))) - len(found))


code = st.integers(0, 30) | st.integers(0, 2**31 - 1)
ranked = st.lists(code, max_size=30, unique=True) | st.lists(code | st.just(-1), max_size=8)


@settings(deadline=None)
@given(
    st.lists(st.tuples(ranked, st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=5),
    st.integers(0, 60),
)
def test_lists_are_blended_as_by_the_formula(given: list[tuple[list[int], float]], n: int) -> None:
    lists, weights = [codes for codes, _ in given], [weight for _, weight in given]
    found = blend([ints(codes) for codes in lists], weights, n)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == slow_blend(
        lists, weights, n
    )


def test_what_several_lists_hold_beats_the_first_of_one() -> None:
    found = blend([ints([1, 7, 2]), ints([3, 7]), ints([4, 5, 7])], [1, 1, 1], 3)
    assert found.codes.tolist() == [7, 1, 3]
    assert found.sources.tolist() == [0, 0, 1]


def test_a_heavier_list_counts_for_more_and_one_without_weight_for_nothing() -> None:
    lists = [ints([1, 2]), ints([3, 4]), ints([5])]
    assert blend(lists, [1, 2, 0], 5).codes.tolist() == [3, 4, 1, 2, -1]


def test_what_stands_far_behind_in_a_list_does_not_count() -> None:
    long = np.arange(DEEP + 5, dtype=np.int32)
    found = blend([long, ints([DEEP + 1])], [1.0, 0.0001], 3 * DEEP).codes.tolist()
    assert found == [*range(DEEP), DEEP + 1]


def test_every_list_wants_a_weight() -> None:
    with pytest.raises(ValueError, match="want a weight for each of 2 lists, got 1"):
        blend([ints([1]), ints([2])], [1.0], 1)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([-2.0, -1.0, 0.0, 1.0, 1.5, 3.0])),
        max_size=12,
    ),
    st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=10, max_size=10),
)
def test_boosted_lists_are_sorted_by_what_their_products_are_worth_now(
    given: list[tuple[int, float]], factors: list[float]
) -> None:
    worth = [score * factors[c] if score > 0 else score / factors[c] for c, score in given]
    order = sorted(range(len(given)), key=lambda i: -worth[i])  # stable
    codes, scores = [c for c, _ in given], [score for _, score in given]
    found = boosted(
        ints([*codes, -1, 3]),
        np.array([*scores, 9, 9], np.float32),
        np.array(factors, np.float32),
    )
    assert found.order.tolist() == [*order, -1, -1]
    assert found.codes.tolist() == [*(codes[i] for i in order), -1, -1]
    assert found.scores.tolist() == [*(worth[i] for i in order), -math.inf, -math.inf]


def test_a_boost_moves_a_product_with_a_negative_score_up_as_well() -> None:
    scores = np.array([-1.0, -1.5, -2.0], np.float32)
    boost = np.array([1, 1, 4], np.float32)
    assert boosted(ints([0, 1, 2]), scores, boost).codes.tolist() == [2, 0, 1]


def test_a_score_that_is_no_number_goes_to_the_end() -> None:
    scores = np.array([math.nan, 1.0, -math.inf], np.float32)
    found = boosted(ints([0, 1, 2]), scores, np.ones(3, np.float32))
    assert found.codes.tolist() == [1, 0, 2]
