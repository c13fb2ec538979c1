"""The chances that an exploring answer logs are those it is drawn with."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation import replay, slates
from serving.trials.explore import WIDER, draw

LIKING = [0.5, 0.4, 0.35, 0.3, 0.25, 0.1]  # what customers like of six products, best ranked first


class Told(random.Random):
    """A generator that draws what it is told: the places, or the ranked list."""

    def __init__(self, places: tuple[int, ...] | None) -> None:
        super().__init__(0)
        self.places = places

    def random(self) -> float:
        return 1.0 if self.places is None else 0.0

    def sample(self, population: Any, k: int, **_: Any) -> list[int]:
        assert self.places is not None
        assert k == len(self.places)
        assert set(self.places) <= set(population)
        return list(self.places)


def lists(n: int, m: int, share: float) -> dict[tuple[int, ...], float]:
    """The oracle: every list that can be shown, with its chance."""
    every = list(permutations(range(m), n))
    chance = dict.fromkeys(every, share / len(every))
    chance[tuple(range(n))] += 1 - share
    return chance


@given(st.integers(1, 3), st.integers(1, 6), st.floats(0.01, 1.0))
def test_chances_are_those_of_all_lists_counted_out(n: int, candidates: int, share: float) -> None:
    codes = [10 * code for code in range(candidates)]
    m = min(WIDER * n, candidates)
    n = min(n, candidates)
    chance = lists(n, m, share)
    for places in (None, *chance):
        drawn = draw(codes, n, share, Told(places))
        shown = tuple(code // 10 for code in drawn.codes)
        assert shown == (places or tuple(range(n)))
        assert drawn.explored == (places is not None)
        for k in range(n):
            there = sum(p for one, p in chance.items() if one[k] == shown[k])
            above = sum(p for one, p in chance.items() if one[:k] == shown[:k])
            both = sum(p for one, p in chance.items() if one[: k + 1] == shown[: k + 1])
            assert drawn.propensities[k] == pytest.approx(there)
            assert drawn.given_above[k] == pytest.approx(both / above)


@given(st.integers(1, 8), st.integers(0, 30), st.floats(0, 1), st.integers(0, 99))
def test_a_list_has_n_of_the_best_candidates_each_once(
    n: int, candidates: int, share: float, seed: int
) -> None:
    codes = list(range(candidates))
    drawn = draw(codes, n, share, random.Random(seed))
    assert len(set(drawn.codes)) == len(drawn.codes) == min(n, candidates)
    assert set(drawn.codes) <= set(codes[: WIDER * n])
    assert len(drawn.propensities) == len(drawn.given_above) == len(drawn.codes)
    assert all(0 < p <= 1 + 1e-12 for p in (*drawn.propensities, *drawn.given_above))


def test_without_a_share_nothing_is_drawn() -> None:
    class Never(random.Random):
        def random(self) -> float:
            raise AssertionError("drawn")

    drawn = draw([3, 1, 2], 2, 0.0, Never())
    assert (drawn.codes, drawn.explored) == ([3, 1], False)
    assert list(drawn.propensities) == list(drawn.given_above) == [1.0, 1.0]


def log(share: float, reward: Callable[[Any, list[int]], list[float]], *, seed: int) -> pa.Table:
    """What 6,000 answers of two products showed and earned."""
    rng, world = random.Random(seed), np.random.default_rng(seed)
    rows = []
    for request in range(6_000):
        drawn = draw(list(range(6)), 2, share, rng)
        for k, earned in enumerate(reward(world, drawn.codes)):
            rows.append(
                {
                    "request_id": f"r{request}", "position": k + 1, "reward": earned,
                    "product_id": f"p{drawn.codes[k]}", "propensity": drawn.propensities[k],
                    "propensity_given_above": drawn.given_above[k],
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows)


def each(world: Any, codes: list[int]) -> list[float]:
    """Every place by itself."""
    return [float(world.random() < LIKING[code]) for code in codes]


def first(world: Any, codes: list[int]) -> list[float]:
    """The first that pleases, then no more."""
    found = each(world, codes)
    return [found[0], found[1] * (1 - found[0])]


def uniform(*, given_above: bool) -> pa.Table:
    """The policy of showing any two of the six."""
    rows = [
        {"position": k + 1, "product_id": f"p{code}", "probability": 1 / (6 - k * given_above)}
        for k in range(2)
        for code in range(6)
    ]
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_log_says_what_another_policy_earns(share: float) -> None:
    table = log(share, each, seed=5)
    mean = sum(LIKING) / 6
    found = replay.value(table, uniform(given_above=False), seed=0, by="request_id")
    assert not found.refused
    for name in ("ips", "snips", "dr"):
        assert found.values[name].low < mean < found.values[name].high
        assert found.values[name].high - found.values[name].low < 0.06
    whole = slates.value(table, uniform(given_above=False), way="independent")
    assert whole.values["ips"].low < 2 * mean < whole.values["ips"].high


def test_lists_read_from_the_top_are_valued_by_the_chances_given_above() -> None:
    table = log(0.5, first, seed=7)
    pairs = list(permutations(LIKING, 2))
    truth = sum(a + (1 - a) * b for a, b in pairs) / len(pairs)
    for way in ("cascade", "list"):
        found = slates.value(table, uniform(given_above=True), way=way)
        assert not found.refused
        assert found.values["snips"].low < truth < found.values["snips"].high
    ranked = LIKING[0] + (1 - LIKING[0]) * LIKING[1]
    assert not found.values["snips"].low < ranked < found.values["snips"].high
    wrong = slates.value(
        table.drop_columns(["propensity_given_above"]), uniform(given_above=True), way="list"
    )
    assert "propensities are not those" in wrong.refused
