"""Lists are valued rightly where rewards hang together as each way assumes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation import replay, slates
from models.evaluation.overlap import Limits, Replay

ALL = Limits(effective=0, rewarded=0, expected=0, unsupported=1)
NAMES = ("request_id", "position", "product_id", "propensity", "reward", "probability")
Row = tuple[str, int, str, float, float, float]


def tables(rows: list[Row]) -> tuple[pa.Table, pa.Table]:
    """The exposures, and the target's probability of each product shown."""
    every = pa.table(dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True)))
    return (
        every.drop_columns("probability"),
        every.drop_columns(["propensity", "reward"]),
    )


def complete(shown: pa.Table) -> pa.Table:
    """The same with all that the target would show otherwise as one product more."""
    rest = shown.set_column(2, "product_id", pa.array(["other"] * len(shown)))
    left = pa.array(1 - np.array(shown["probability"]))
    return pa.concat_tables([shown, rest.set_column(3, "probability", left)])


def value(rows: list[Row], way: slates.Way, **given: Any) -> Replay:
    exposures, shown = tables(rows)
    target = complete(shown) if way in ("independent", "additive") else shown
    return slates.value(exposures, target, way=way, limits=given.pop("limits", ALL), **given)


TWO = [  # weights 2 and 0.5; 0.5 and 1.5
    ("r1", 1, "tea", 0.25, 1.0, 0.5),
    ("r1", 2, "mug", 0.50, 0.0, 0.25),
    ("r2", 1, "jam", 0.50, 0.0, 0.25),
    ("r2", 2, "tea", 0.25, 3.0, 0.375),
]


def test_two_lists_by_hand() -> None:
    """Rewards 1 and 3 weigh 2 and 1.5 alone, 2 and 0.75 in a cascade, 1 and 0.75 as lists."""
    ways = get_args(slates.Way)
    plain = {way: value(TWO, way).values["ips"].mean for way in ways}
    assert plain == {
        "independent": 6.5 / 2,
        "cascade": 4.25 / 2,
        "list": 3.25 / 2,
        "additive": 4.5 / 2,
    }
    normal = {way: value(TWO, way).values["snips"].mean for way in ways}
    assert normal == pytest.approx(
        {
            "independent": 2 / 2.5 + 4.5 / 2,
            "cascade": 2 / 2.5 + 2.25 / 1.75,
            "list": 3.25 / 1.75,
            "additive": 4.5 / 2.5,
        }
    )
    assert value(TWO, "cascade").logged.mean == 2
    assert value(TWO, "cascade").gains["ips"].mean == 0.125


@st.composite
def logs(draw: st.DrawFn, *, same: bool = False, places: int = 3) -> list[Row]:
    """Lists of one to three places; a place may be missing in the middle."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows: list[Row] = []
    for number in range(draw(st.integers(2, 12))):
        deep = rng.permutation(np.arange(1, places + 1))[: rng.integers(1, places + 1)]
        for place in sorted(deep.tolist()):
            chance = float(rng.uniform(0.1, 1))
            rows.append(
                (
                    f"r{number:02}",
                    place,
                    f"p{rng.integers(0, 3)}",
                    chance,
                    float(rng.integers(0, 3)),
                    chance if same else float(rng.uniform(0, 1)),
                )
            )
    return rows


def by_loops(rows: list[Row], way: str, deepest: int) -> dict[str, float]:
    """Request by request, place by place."""
    requests: dict[str, dict[int, Row]] = {}
    for row in rows:
        requests.setdefault(row[0], {})[row[1]] = row
    above = np.zeros(deepest)
    below = np.zeros(deepest)
    for of in requests.values():
        weights = [of[at][5] / of[at][3] if at in of else 1.0 for at in range(1, deepest + 1)]
        rewards = [of[at][4] if at in of else 0.0 for at in range(1, deepest + 1)]
        for at in range(deepest):
            weight, reward = weights[at], rewards[at]
            if way == "cascade":
                weight = float(np.prod(weights[: at + 1]))
            if way in ("list", "additive"):
                weight = float(np.prod(weights)) if way == "list" else 1 - deepest + sum(weights)
                reward = sum(rewards) if at == 0 else 0.0
            above[at] += weight * reward
            below[at] += weight
    return {"ips": above.sum() / len(requests), "snips": float((above / below).sum())}


@settings(max_examples=30)
@given(logs(), st.integers(1, 3))
@pytest.mark.parametrize("way", get_args(slates.Way))
def test_values_are_those_of_plain_loops(way: slates.Way, rows: list[Row], k: int) -> None:
    if not any(row[1] <= k for row in rows):
        with pytest.raises(ValueError, match=f"exposures must have a position up to {k}, got none"):
            value(rows, way, k=k)
        return
    got = value(rows, way, k=k)
    if got.refused:
        assert "propensities" in got.refused
        return
    want = by_loops(rows, way, k)
    assert {name: said.mean for name, said in got.values.items()} == pytest.approx(want)


@settings(max_examples=20)
@given(logs(same=True))
@pytest.mark.parametrize("way", get_args(slates.Way))
def test_the_logs_own_lists_are_worth_what_they_earned(way: slates.Way, rows: list[Row]) -> None:
    got = value(rows, way)
    earned = sum(row[4] for row in rows) / len({row[0] for row in rows})
    for name in ("ips", "snips"):
        assert got.values[name].mean == pytest.approx(earned)
        assert got.gains[name].low == pytest.approx(0, abs=1e-9)
    assert got.logged.mean == pytest.approx(earned)


@settings(max_examples=20)
@given(logs(places=1))
def test_lists_of_one_place_are_valued_as_single_exposures(rows: list[Row]) -> None:
    exposures, shown = tables(rows)
    alone = replay.value(exposures, complete(shown), seed=1, limits=ALL)
    for way in get_args(slates.Way):
        got = value(rows, way)
        assert got.refused == alone.refused
        for name, said in got.values.items():
            other = alone.values[name]
            assert (said.mean, said.low, said.high) == pytest.approx(
                (other.mean, other.low, other.high)
            )


PRODUCTS, PLACES = 3, 3
LISTS = list(itertools.product(range(PRODUCTS), repeat=PLACES))
CHANCE = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.7, 0.2]])  # of a product, by place
Rewards = Callable[[tuple[int, ...]], list[float]]


def whole(rewards: Rewards) -> tuple[list[Row], float]:
    """Every list once, as a log has them that fills places evenly; and the target's true value."""
    rows: list[Row] = []
    truth = 0.0
    for number, shown in enumerate(LISTS):
        earned = rewards(shown)
        chances = [float(CHANCE[place, product]) for place, product in enumerate(shown)]
        truth += float(np.prod(chances)) * sum(earned)
        for place, product in enumerate(shown):
            rows.append(
                (f"r{number:02}", place + 1, f"p{product}", 1 / PRODUCTS, earned[place],
                 chances[place])
            )  # fmt: skip
    return rows, truth


def by_place(shown: tuple[int, ...]) -> list[float]:
    return [(product + 1) ** 2 / (place + 1) for place, product in enumerate(shown)]


def first_only(shown: tuple[int, ...]) -> list[float]:
    """She takes the first of product 1 or 2 that she meets, and goes."""
    taken = [product for product in shown if product > 0][:1]
    return [
        float(product) if [product] == taken and shown.index(product) == place else 0.0
        for place, product in enumerate(shown)
    ]


def unseen_parts(shown: tuple[int, ...]) -> list[float]:
    """Each place adds to what the list earns, but all of it is taken at the last."""
    return [0.0, 0.0, sum(by_place(shown))]


def all_together(shown: tuple[int, ...]) -> list[float]:
    """Only a list of three different products earns, and it earns at the first."""
    return [float(len(set(shown)) == PLACES), 0.0, 0.0]


@pytest.mark.parametrize(
    ("rewards", "right"),
    [
        (by_place, {"independent", "cascade", "list", "additive"}),
        (first_only, {"cascade", "list"}),
        (unseen_parts, {"cascade", "list", "additive"}),
        (all_together, {"list"}),
    ],
)
def test_each_way_is_exact_where_its_assumption_holds_and_only_there(
    rewards: Rewards, right: set[str]
) -> None:
    rows, truth = whole(rewards)
    exact = {
        way
        for way in get_args(slates.Way)
        if value(rows, way).values["ips"].mean == pytest.approx(truth)
    }
    assert exact == right


@pytest.mark.parametrize("way", get_args(slates.Way))
def test_the_order_of_rows_changes_nothing(way: slates.Way) -> None:
    rows, _ = whole(by_place)
    assert value(rows[::-1], way) == value(rows, way)


def test_fewer_places_carry_a_cascade_further() -> None:
    rows, _ = whole(by_place)
    effective = [value(rows, "cascade", k=k).overlap.effective for k in (1, 2, 3)]
    assert effective == sorted(effective, reverse=True)
    assert effective[0] > 2 * effective[2]


def test_the_worst_place_stands_for_all() -> None:
    """The first place shown as the target would, the second half of what the log never shows."""
    rows: list[Row] = []
    for number in range(400):
        rows.append((f"r{number:03}", 1, "p0", 1.0, 1.0, 1.0))
        rows.append((f"r{number:03}", 2, f"p{number % 2}", 0.5, 0.0, 0.25))
    got = value(rows, "independent", limits=Limits())
    assert got.refused == (
        "of what the target shows the log never had a chance to show 50.0%, at most 5.0% may be "
        "missing"
    )
    assert got.values == {}
    assert got.overlap.mean.mean == 0.5
    assert value(rows, "independent", limits=Limits(), k=1).refused == ""


@pytest.mark.parametrize(
    ("rows", "given", "says"),
    [
        (
            TWO,
            {"way": "sideways"},
            "way must be one of independent, cascade, list, additive, got s",
        ),
        (TWO, {"way": "list", "k": 0}, "k must be at least 1, got 0"),
        (TWO, {"way": "list", "level": 0.0}, "level must be between 0 and 1, got 0"),
        (TWO[:2], {"way": "list"}, "exposures must hold at least two of request_id, got only r1"),
        (
            TWO,
            {"way": "list", "by": "customer_id"},
            "one customer_id a request, got several for r1",
        ),
    ],
)
def test_faults_are_said(rows: list[Row], given: dict[str, Any], says: str) -> None:
    exposures, shown = tables(rows)
    if "by" in given:
        exposures = exposures.append_column("customer_id", pa.array(["a", "b", "c", "c"]))
    with pytest.raises(ValueError, match=says):
        slates.value(exposures, shown, **given)


def test_a_product_shown_that_the_target_says_nothing_of_is_an_error() -> None:
    exposures, shown = tables(TWO)
    with pytest.raises(ValueError, match="of every product shown, got none for tea, request r2"):
        slates.value(exposures, shown.slice(0, 3), way="list")
    with pytest.raises(
        ValueError, match=r"must sum to 1 over the products of a place, got 0\.5 for"
    ):
        slates.value(exposures, shown, way="independent")


@pytest.mark.parametrize("way", get_args(slates.Way))
def test_where_weights_multiply_luck_chooses_the_answered_logs_and_plain_ips_is_left_out(
    way: slates.Way,
) -> None:
    answered = value(TWO, way, limits=Limits(effective=1, rewarded=0, expected=0, unsupported=1))
    assert ("ips" in answered.values) == (way in ("independent", "additive"))
    assert "snips" in answered.gains
