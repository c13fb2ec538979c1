"""The closed loop against a plain loop over customers, and against what must be so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation import simulate as loop
from models.evaluation import verdicts
from models.evaluation.reactions import Chance, Crowd, Nature
from models.evaluation.simulate import Asked, Outcome, Policy, simulate

STEADY = Nature(tires=0, sated=0, care=0)  # nothing that happens changes what happens next


def crowd(n: int = 60, products: int = 30, *, seed: int = 0, rhythm: float = 12.0) -> Crowd:
    rng = np.random.default_rng(seed)
    taste, kind = rng.standard_normal((n, 4)), rng.standard_normal((products, 4))
    return Crowd(
        interest=(taste @ kind.T).astype(np.float32),
        rhythm=np.full(n, rhythm),
        price=np.arange(1.0, products + 1),
        lasts=np.where(np.arange(products) % 2, 30.0, 0.0),
        supplier=np.arange(products) % 5,
    )


def always(*products: int) -> Policy:
    return lambda asked: np.tile(np.array(products, np.int32), (len(asked.rows), 1))


def slowly(people: Crowd, policy: Policy, *, days: int, seed: int, k: int) -> dict[str, Any]:
    """The module's assumptions, one customer and one product at a time."""
    nature = Nature()
    chance = Chance.draw(people, nature, days=days, k=k, seed=seed)
    n, products = people.interest.shape
    tired, has = [dict[int, float]() for _ in range(n)], [dict[int, float]() for _ in range(n)]
    last, pleased, borne = [0] * n, [nature.start] * n, [0.0] * n
    stayed, revenue, clicks, bought = [days] * n, [0.0] * n, 0, 0
    bars = [sorted(row, reverse=True)[nature.wanted - 1] for row in people.interest]
    for day in range(days):
        for visit in np.flatnonzero(chance.day == day):
            who = int(chance.who[visit])
            if stayed[who] < days:
                continue
            gap, last[who] = day - last[who], day
            for p in tired[who]:
                tired[who][p] *= 0.5 ** (gap / nature.forgets)
            for p in has[who]:
                if people.lasts[p]:
                    has[who][p] *= 0.5 ** (gap / (people.lasts[p] / 2))
            done = loop.Done(*(np.empty(0, np.int64) for _ in range(5)))
            shown = policy(Asked(day, np.array([who]), done))[0]
            # what she chooses alone, she chooses before she has what is on the list
            want = [people.interest[who, p] - has[who].get(p, 0.0) for p in range(products)]
            weights = np.cumsum(np.exp(np.array(want) - max(want)))
            own = int(np.searchsorted(weights, chance.choice[visit] * weights[-1]))
            best = 0.0
            tires, gets = [], []
            for k_, p in enumerate(shown):
                if p < 0 or chance.looks[visit, k_] >= (k_ + 1) ** -nature.fall:
                    continue
                wish = people.interest[who, p] - bars[who]
                wish -= tired[who].get(p, 0.0) + has[who].get(p, 0.0)
                attraction = 1 / (1 + math.exp(-wish))
                if chance.clicks[visit, k_] >= attraction:
                    tires.append(p)
                    continue
                clicks, best = clicks + 1, max(best, nature.click)
                if chance.buys[visit, k_] < nature.buys * attraction:
                    gets.append(p)
                    bought, best = bought + 1, 1.0
            if chance.own[visit] < 1 / nature.visits:
                gets.append(own)
            for p in tires:
                tired[who][p] = tired[who].get(p, 0.0) + nature.tires
            for p in gets:
                has[who][p] = has[who].get(p, 0.0) + nature.sated
                revenue[who] += people.price[p]
            pleased[who] += nature.learns * (best - pleased[who])
        for who in range(n):
            borne[who] += math.exp(-nature.care * (pleased[who] - nature.start)) / nature.life
            if stayed[who] == days and borne[who] > chance.endurance[who]:
                stayed[who] = day
    return {"stayed": stayed, "revenue": revenue, "clicks": clicks, "bought": bought}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_vectors_do_what_the_plain_loop_does(seed: int) -> None:
    people = crowd(seed=seed)
    policy = loop.oracle(people, 4) if seed else always(3, 1, 4, -1)
    fast = simulate(people, policy, days=50, seed=seed, k=4)
    slow = slowly(people, policy, days=50, seed=seed, k=4)
    assert fast.stayed.tolist() == slow["stayed"]
    np.testing.assert_allclose(fast.revenue, slow["revenue"])
    assert (fast.clicked.sum(), fast.bought.sum()) == (slow["clicks"], slow["bought"])


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    people = crowd()
    runs = [
        simulate(people, loop.at_random(people, seed=seed), days=60, seed=seed)
        for seed in (7, 7, 8)
    ]
    for name in ("stayed", "revenue", "lists", "clicked", "bought"):
        np.testing.assert_array_equal(getattr(runs[0], name), getattr(runs[1], name))
    assert (runs[0].revenue != runs[2].revenue).any()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), shown=st.permutations(range(12)))
def test_who_is_shown_nothing_stays_no_longer_than_who_is_shown_something(
    seed: int, shown: list[int]
) -> None:
    people = crowd(30, 12, seed=seed)
    floor = simulate(people, loop.nothing(6), days=80, seed=seed, k=6)
    some = simulate(people, always(*shown[:6]), days=80, seed=seed, k=6)
    assert (floor.stayed <= some.stayed).all()
    assert floor.retained.sum() <= some.retained.sum()


def test_the_oracle_keeps_more_than_chance_does_by_more_than_their_difference_varies() -> None:
    gains = []
    for seed in range(6):
        people = crowd(300, 60, seed=seed)
        best, any_ = (
            simulate(people, policy, days=90, seed=seed).retained.mean()
            for policy in (loop.oracle(people), loop.at_random(people, seed=seed))
        )
        gains.append(best - any_)
    assert verdicts.over_runs(gains).low > 0


def test_chance_is_the_same_whatever_is_shown() -> None:
    people = crowd()
    one, other = (
        simulate(people, policy, days=60, seed=1)
        for policy in (loop.nothing(), loop.oracle(people))
    )
    both = np.flatnonzero(one.retained & other.retained)
    for who in both:
        np.testing.assert_array_equal(
            one.visit_day[one.visit_who == who], other.visit_day[other.visit_who == who]
        )
    assert len(both) > 10


def test_clicks_fall_by_position_as_looks_do() -> None:
    people = crowd(400, 20)
    sure = Crowd(np.full((400, 20), 50, np.float32), *[getattr(people, name) for name in (
        "rhythm", "price", "lasts", "supplier")])  # fmt: skip
    sure.interest[:, 10:] = (
        0  # so that her tenth best is what is shown, and draws every second time
    )
    ran = simulate(sure, always(*range(10)), days=60, seed=0, nature=STEADY)
    rate, n = ran.clicked.mean(axis=0), len(ran.clicked)
    expected = 0.5 * np.arange(1, 11) ** -STEADY.fall
    assert (np.abs(rate - expected) < 4 * np.sqrt(expected * (1 - expected) / n)).all()


def test_a_list_that_does_not_change_is_clicked_less_and_less() -> None:
    people = crowd(300)
    tired, fresh = (
        simulate(people, loop.oracle(people), days=80, seed=0, nature=nature)
        for nature in (Nature(sated=0, care=0), STEADY)
    )
    late = fresh.visit_day >= 40
    np.testing.assert_array_equal(tired.visit_day, fresh.visit_day)
    assert tired.clicked[late].mean() < 0.95 * fresh.clicked[late].mean()


def test_what_is_not_used_up_is_bought_once_and_what_is_again() -> None:
    people = crowd(200, 12, rhythm=4.0)
    nature = Nature(wanted=1, tires=0, sated=10, care=0)
    ran = simulate(people, always(0, 1), days=90, seed=0, k=2, nature=nature)
    for place, again in ((0, False), (1, True)):  # 0 is never used up, 1 in 30 days
        times = np.bincount(ran.visit_who[ran.bought[:, place]])
        assert (times.max() > 1) == again


def test_what_is_not_on_sale_is_neither_clicked_nor_bought() -> None:
    people = crowd()
    people.interest[:, 3:] = -np.inf
    ran = simulate(people, always(3, 4, 0), days=60, seed=0, k=3)
    assert not ran.clicked[:, :2].any()
    assert ran.clicked[:, 2].any()
    assert set(ran.done.product) <= {0, 1, 2}


def test_the_shop_sees_clicks_purchases_and_orders_of_her_own() -> None:
    people = crowd()
    asked: list[Asked] = []

    def curious(one: Asked) -> Any:
        asked.append(one)
        return loop.oracle(people)(one)

    ran = simulate(people, curious, days=30, seed=0)
    assert len(asked[0].done.who) == 0
    assert (np.diff(ran.done.day) >= 0).all()
    assert all((one.done.day < one.day).all() for one in asked)
    paid = np.zeros(len(people.rhythm))
    sold = ran.done.bought
    np.add.at(paid, ran.done.who[sold], people.price[ran.done.product[sold]])
    np.testing.assert_allclose(paid, ran.revenue)
    assert sold.sum() > ran.bought.sum()  # some of it not from lists
    assert (~sold).sum() == (ran.clicked & ~ran.bought).sum()


def test_figures_are_those_reckoned_by_hand() -> None:
    people = crowd(4, 10)
    none = loop.Done(*(np.empty(0, np.int64) for _ in range(5)))
    ran = Outcome(
        days=10,
        stayed=np.array([10, 3, 10, 10]),
        revenue=np.array([4.0, 0, 0, 2]),
        visit_day=np.array([0, 6]),
        visit_who=np.array([0, 3]),
        lists=np.array([[0, 5], [1, -1]], np.int32),
        clicked=np.array([[True, True], [False, False]]),
        bought=np.zeros((2, 2), bool),
        done=none,
    )
    figures = ran.figures(people)
    assert figures["retained"] == 0.75
    assert figures["revenue"] == 1.5
    assert (figures["clicked"], figures["bought"]) == (0.5, 0.0)
    assert ran.suppliers(people).tolist() == [2, 1, 0, 0, 0]
    assert figures["supplier_top"] == pytest.approx(2 / 3)
    assert ran.returned(5).tolist() == [False, False, False, True]
    empty = simulate(people, loop.nothing(), days=5, seed=0).figures(people)
    assert math.isnan(empty["supplier_gini"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: simulate(crowd(), always(0, 1), days=60, seed=0, k=3), "shape"),
        (lambda: simulate(crowd(), always(0, 99), days=60, seed=0, k=2), "from -1 to 29"),
        (lambda: simulate(crowd(), always(0), days=0, seed=0, k=1), "days must be at least 1"),
        (lambda: Nature(life=0), "life must be above 0, got 0"),
        (lambda: Nature(wanted=0), "wanted must be at least 1, got 0"),
        (lambda: Nature(tires=-1), "tires must be at least 0, got -1"),
        (lambda: crowd(rhythm=0), "rhythm must be above 0"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_each_arm_of_a_live_test_is_served_by_its_own_policy() -> None:
    policies = {"first": always(0, 1), "second": always(2, 3)}
    policy = verdicts.split(policies, np.array([0, 1, 1, 0]))
    none = loop.Done(*(np.empty(0, np.int64) for _ in range(5)))
    lists = policy(Asked(0, np.array([3, 1, 2]), none))
    assert lists.tolist() == [[0, 1], [2, 3], [2, 3]]


def test_a_live_test_prefers_only_what_is_surely_better() -> None:
    people = crowd(3_000, 30, rhythm=12.0)
    strong = Nature(care=6, life=100)
    before = np.arange(3_000) % 7.0
    ask: dict[str, Any] = {"days": 60, "seed": 0, "before": before, "nature": strong}
    same = {"one": loop.nothing(), "two": loop.nothing()}
    effects, chosen = verdicts.live(people, same, **ask)
    assert chosen == "one"
    assert effects[0].low < 0 < effects[0].high
    better = {"one": loop.nothing(), "two": loop.oracle(people)}
    effects, chosen = verdicts.live(people, better, **ask)
    assert chosen == "two"
    assert effects[0].low > 0


def test_an_exploring_log_tells_what_each_policy_would_have_been_clicked() -> None:
    people = crowd(600, 30)
    policies = {
        "few": always(*range(10)),
        "best": loop.oracle(people),
        "any": loop.at_random(people, seed=3),
    }
    found, chosen = verdicts.off_policy(people, policies, days=40, seed=1, nature=STEADY)
    assert chosen == "best"
    for name, policy in policies.items():
        ran = simulate(people, policy, days=40, seed=99, nature=STEADY)
        true = ran.clicked.sum(axis=1).mean()
        told = found[name].values["snips"]
        wide = told.high - told.low
        assert told.low - wide / 2 < true < told.high + wide / 2


def test_a_log_of_too_few_customers_chooses_nothing() -> None:
    people = crowd(20)
    policies = {"few": always(*range(10)), "best": loop.oracle(people)}
    found, chosen = verdicts.off_policy(people, policies, days=10, seed=1)
    assert chosen == ""
    assert all(one.refused for one in found.values())


def test_intervals_over_runs_are_students() -> None:
    found = verdicts.over_runs([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert math.isnan(verdicts.over_runs([1.0]).low)
