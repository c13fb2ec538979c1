"""The Qini curve and uplift@k against sums done by hand, and their intervals against chance."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.uplift import judge, qini

Floats = npt.NDArray[np.float64]


def slow(score: Floats, t: Floats, y: Floats) -> float:
    """Radcliffe's coefficient by walking down the ranking, ties taken together."""

    def area(order: Floats) -> float:
        points = [(0.0, 0.0)]
        for cut in sorted(set(order.tolist()), reverse=True):
            first = order >= cut
            ones, none = first & (t == 1), first & (t == 0)
            gain = y[ones].sum()
            if none.sum():
                gain -= y[none].sum() * ones.sum() / none.sum()
            points.append((first.sum() / len(t), gain / t.sum()))
        sides = itertools.pairwise(points)
        under = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in sides)
        return under - points[-1][1] / 2

    best = area(y * (2 * t - 1))
    return area(score) / best if best > 1e-12 else np.nan


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=8, max_size=40)
)
def test_the_coefficient_is_that_of_the_walk(rows: list[tuple[int, bool, bool]]) -> None:
    rows = [*rows, (0, True, False), (1, True, True), (0, False, False), (1, False, True)]
    score, t, y = (np.array(column, float) for column in zip(*rows, strict=True))
    assert qini(score, t, y) == pytest.approx(slow(score, t, y), nan_ok=True)


def test_who_comes_because_of_it_stands_first_in_the_best_ranking() -> None:
    t = np.array([1, 1, 1, 1, 0, 0, 0, 0], float)
    y = np.array([1, 1, 0, 0, 0, 0, 1, 1], float)
    score = np.array([9, 8, 5, 4, 6, 5.5, 2, 1])
    found = judge(score, t, y, seed=0, shares=(0.5,), resamples=10)
    # of the first four two are contacted and came, two were left alone and did not
    assert found.at[0.5].mean == 1.0
    assert found.effect.mean == 0.0
    assert qini(y * (2 * t - 1), t, y) == pytest.approx(1.0)


def test_equal_scores_are_no_ranking() -> None:
    rng = np.random.default_rng(0)
    t, y = rng.integers(0, 2, 500).astype(float), rng.integers(0, 2, 500).astype(float)
    found = judge(np.zeros(500), t, y, seed=0, resamples=50)
    assert found.qini.mean == pytest.approx(0.0)
    assert found.at[0.3].mean == pytest.approx(found.effect.mean)
    assert found.auuc.mean == pytest.approx(found.effect.mean / 2)


def test_the_interval_of_a_random_ranking_holds_zero_in_19_of_20_worlds() -> None:
    held = 0
    for world in range(60):
        rng = np.random.default_rng(world)
        t = (rng.random(400) < 0.7).astype(float)
        y = (rng.random(400) < 0.2 + 0.1 * t).astype(float)
        one = judge(rng.random(400), t, y, seed=world, resamples=120).qini
        held += one.low <= 0 <= one.high
    assert 52 <= held <= 60


def test_what_cannot_be_judged_is_refused_in_words() -> None:
    three = np.ones(3)
    with pytest.raises(ValueError, match="want at least 2 contacted and 2 left alone, got 3 and 0"):
        judge(three, three, three, seed=0)
    with pytest.raises(ValueError, match="outcome must have 3 values as score has, got 2"):
        qini(three, three, np.ones(2))
    with pytest.raises(ValueError, match="outcome must not be negative, got -1"):
        qini(np.arange(4), [0, 0, 1, 1], [0, -1, 0, 0])
    with pytest.raises(ValueError, match="score must be finite, got 1 not"):
        qini([np.nan, 1, 2, 3], [0, 0, 1, 1], [0, 1, 0, 0])
