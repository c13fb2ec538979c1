"""What she buys again: baskets, rhythm and customers alike, against readable oracles."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import EVENT_TYPES
from models.baskets import bought, intervals, rhythm
from models.history import Events, History, ModelError
from models.rebuy import Rebuy
from models.renewals import spells

PURCHASE, VIEW, REFUND = (EVENT_TYPES.index(n) for n in ("purchase", "view_item", "refund"))


def history_of(
    *customers: list[list[int]], products: int = 6, days: list[list[float]] | None = None
) -> History:
    """Customers of baskets of codes, oldest first; days: the age of each basket."""
    rows, codes, orders, ages = [], [], [], []
    for row, baskets in enumerate(customers):
        for order, basket in enumerate(baskets):
            for code in basket:
                rows.append(row)
                codes.append(code)
                orders.append(order)
                ages.append(np.nan if days is None else days[row][order])
    counts = np.zeros((len(customers), products), np.float32)
    np.add.at(counts, (rows, codes), 1)
    n = len(codes)
    events = Events(
        np.searchsorted(rows, np.arange(len(customers) + 1)).astype(np.int64),
        np.array(codes, np.int32),
        np.full(n, PURCHASE, np.int8),
        np.full(n, -1, np.int8),
        np.array(orders, np.int32),
        np.array(ages, np.float32),
    )
    return History(sp.csr_matrix(counts), events=events)


def shares(baskets: list[list[int]], products: int, decay: float) -> np.ndarray:
    share, total = np.zeros(products), 0.0
    for age, basket in enumerate(reversed(baskets)):
        total += decay**age
        for code in set(basket):
            share[code] += decay**age
    return share / total if total else share


def oracle(customers: list[list[list[int]]], products: int, model: Rebuy) -> np.ndarray:
    vectors = np.array([shares(baskets, products, model.decay) for baskets in customers])
    takers = np.array([[any(c in b for b in hers) for c in range(products)] for hers in customers])
    popular = takers.sum(axis=0) / takers.sum(axis=0).max()
    scores = []
    for hers in vectors:
        cosines = [
            hers @ other / np.linalg.norm(other) if other.any() else 0.0 for other in vectors
        ]
        near = np.argsort(-np.array(cosines), kind="stable")[: model.neighbours]
        theirs = sum((vectors[p] for p in near if cosines[p] > 0), np.zeros(products))
        mean = theirs / model.neighbours
        scores.append(model.alpha * hers + (1 - model.alpha) * mean + 1e-6 * popular)
    return np.array(scores)


BASKETS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(BASKETS, min_size=1, max_size=6), st.floats(0.3, 1), st.floats(0, 1))
def test_scores_are_those_of_the_readable_model(
    customers: list[list[list[int]]], decay: float, alpha: float
) -> None:
    model = Rebuy(decay=decay, alpha=alpha, neighbours=20)
    found = model.fit(history_of(*customers)).score(history_of(*customers))
    np.testing.assert_allclose(found, oracle(customers, 6, model), atol=2e-6)


def test_only_the_nearest_speak() -> None:
    customers = [[[0, 1]], [[0, 2]], [[0, 1, 3]], [[4]]]
    model = Rebuy(alpha=0.0, neighbours=2).fit(history_of(*customers))
    found = model.score(history_of([[0, 1]]))[0]
    assert found[3] > 0.1  # of who bought both
    assert found[2] < 1e-5  # of who is third
    assert found[4] < 1e-5  # of a stranger


def test_of_peers_equally_near_exactly_so_many_speak() -> None:
    customers = [[[0, 1]], [[0, 2]], [[0, 3]]]
    found = Rebuy(alpha=0.0, neighbours=2).fit(history_of(*customers)).score(history_of([[0]]))
    np.testing.assert_allclose(found[0, :4], [1, 0.5, 0.5, 0], atol=2e-6)


def test_what_was_bought_long_ago_counts_less() -> None:
    model = Rebuy(alpha=1.0, decay=0.8).fit(history_of([[0], [1], [2]]))
    scores = model.score(history_of([[0], [1], [2]]))[0]
    assert scores[2] > scores[1] > scores[0] > scores[3]


def test_a_product_twice_in_a_basket_counts_once() -> None:
    found = bought(history_of([[0, 0], [1]]), decay=1.0)
    assert found.times.tolist() == [1, 1]
    assert found.share.tolist() == [0.5, 0.5]


def test_without_orders_a_day_is_a_basket_and_without_days_an_event() -> None:
    given = history_of([[0, 1], [0]], days=[[5.2, 5.2]])
    assert given.events is not None
    unordered = np.full(3, -1, np.int32)
    parts = (given.events.starts, given.events.products, given.events.types)
    for days, baskets in (([9.5, 5.9, 5.2], 2), ([np.nan] * 3, 3)):
        events = Events(*parts, given.events.channels, unordered, np.array(days, np.float32))
        assert bought(History(given.weights, events=events), decay=1.0).baskets.tolist() == [
            baskets
        ]


def test_purchases_describe_a_buyer_and_views_who_only_looked() -> None:
    given = history_of([[0], [1]], [[2], [3]])
    assert given.events is not None
    given.events.types[:] = [PURCHASE, VIEW, VIEW, REFUND]
    found = bought(given, decay=1.0)
    assert found.products.tolist() == [0, 2]
    assert np.diff(found.starts).tolist() == [1, 1]


def test_facts_count_baskets_and_days() -> None:
    found = bought(history_of([[0], [1], [0], [2]], days=[[30, 20, 12, 1]]), decay=0.5)
    assert found.products.tolist() == [0, 1, 2]
    assert found.times.tolist() == [2, 1, 1]
    assert found.last.tolist() == [1, 2, 0]
    assert found.first.tolist() == [3, 2, 0]
    assert found.days.tolist() == [12, 20, 1]
    assert found.oldest.tolist() == [30, 20, 1]
    np.testing.assert_allclose(found.share, np.array([0.625, 0.25, 1]) / 1.875)


def test_intervals_are_pulled_to_the_shop_s_and_hers_to_the_product_s() -> None:
    given = history_of([[0], [0], [0]], [[1], [1]], days=[[20, 10, 0], [2, 0]])
    gaps = intervals(given)
    shop = (20 + 2) / 3
    assert gaps[0, 1] == pytest.approx((20 + 3 * shop) / (2 + 3))
    assert gaps[1, 1] == pytest.approx((2 + 3 * shop) / (1 + 3))
    assert gaps[2, 1] == pytest.approx(shop)
    assert gaps[0, 0] == 1  # baskets
    since, usual = rhythm(bought(given, decay=1.0), gaps)
    assert since.tolist() == [0, 0]
    assert usual[0] == pytest.approx((20 + 3 * gaps[0, 1]) / (2 + 3))


def every(gap: float, *, until: float, times: int) -> list[float]:
    """Ages of purchases that came so many days apart, oldest first."""
    return [until + gap * number for number in reversed(range(times))]


def test_what_was_bought_yesterday_waits_and_what_is_due_does_not() -> None:
    """All buy 0 and 1 every forty days or so; of the last customer 1 is due and 0 is not."""
    rng = np.random.default_rng(0)
    ages = [every(40 + rng.normal(), until=rng.uniform(0, 45), times=9) for _ in range(60)]
    baskets = [[[0, 1] for _ in one] for one in ages]
    last = {0: 2.0, 1: 42.0}
    hers = [(age, [code]) for code in last for age in every(40, until=last[code], times=5)]
    hers.sort(key=lambda pair: -pair[0])
    given = history_of(*baskets, [what for _, what in hers], days=[*ages, [age for age, _ in hers]])
    plain, timed, half = (
        Rebuy(alpha=1.0, rhythm=r).fit(given).score(given)[-1] for r in (0.0, 1.0, 0.5)
    )
    assert plain[0] > plain[1]
    assert timed[1] > 1.3 * timed[0]
    np.testing.assert_allclose(half[:2], np.sqrt(plain[:2] * timed[:2]), rtol=1e-4)


def test_what_was_learned_of_rhythms_is_saved_and_a_model_without_has_none() -> None:
    ages = [every(9, until=n, times=6) for n in range(8)]
    given = history_of(*([[0]] * 6 for _ in ages), days=ages)
    for rhythm_, names in ((0.0, 0), (0.5, 4)):
        model = Rebuy(rhythm=rhythm_).fit(given)
        arrays = model.arrays()
        assert sum(name.startswith("renewal_") for name in arrays) == names
        again = Rebuy(rhythm=rhythm_).restore(arrays)
        np.testing.assert_array_equal(again.score(given), model.score(given))


def test_without_days_nothing_is_known_of_rhythms() -> None:
    given = history_of([[0], [0]], [[1]])
    assert given.events is not None
    given.events.days[:] = np.nan
    one, other = (Rebuy(rhythm=r).fit(given).score(given) for r in (0.0, 1.0))
    np.testing.assert_array_equal(one, other)


@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=8), min_size=1))
def test_spells_are_what_a_walk_through_each_customer_s_days_finds(
    customers: list[list[tuple[int, int]]],
) -> None:
    rows = [sorted(one, reverse=True) for one in customers]
    given = history_of(
        *([[code] for _, code in one] for one in rows),
        days=[[float(ago) for ago, _ in one] for one in rows],
        products=3,
    )
    wanted = []
    for row, one in enumerate(rows):
        for code in range(3):
            ages = sorted({ago for ago, what in one if what == code}, reverse=True)
            logs: list[int] = []
            for number, ago in enumerate(ages, 1):
                closed = number < len(ages)
                length = ago - ages[number] if closed else ago
                log = round(np.log(length) * 1000) if closed else 0
                wanted.append((row, code, number, length, closed, log, sum(logs)))
                logs.append(log)
    found = spells(given)
    assert [*zip(*(fact.tolist() for fact in found or ()), strict=True)] == wanted


def test_a_history_without_events_is_its_weights() -> None:
    weights = sp.csr_matrix(np.array([[4, 2, 0], [0, 0, 3]], np.float32))
    model = Rebuy(alpha=1.0).fit(History(weights))
    found = model.score(History(weights))
    np.testing.assert_allclose(found, [[1, 0.5, 0], [0, 0, 1]], atol=2e-6)


def test_an_empty_history_gets_what_is_popular() -> None:
    model = Rebuy().fit(history_of([[0]], [[0, 1]]))
    scores = model.score(history_of([], [[1]]))
    assert np.argsort(-scores[0], kind="stable")[:2].tolist() == [0, 1]
    assert np.isfinite(scores).all()


def test_peers_are_drawn_by_the_seed_where_there_are_more() -> None:
    given = history_of(*([[n % 6]] for n in range(40)))
    one, same, other = (Rebuy(peers=7, seed=seed).fit(given).arrays() for seed in (1, 1, 2))
    assert len(one["indptr"]) == 8
    np.testing.assert_array_equal(one["indices"], same["indices"])
    assert one["indices"].tolist() != other["indices"].tolist()


def test_an_update_knows_new_products() -> None:
    model = Rebuy().fit(history_of([[0]], products=1))
    assert model.update(history_of([[0], [4]])).score(history_of([[4]])).shape == (1, 6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"decay": 0.0}, "decay must be above 0"),
        ({"decay": 1.1}, "decay must be at most 1, got 1.1"),
        ({"alpha": -0.1}, "alpha must be at least 0"),
        ({"rhythm": 2.0}, "rhythm must be at most 1, got 2.0"),
        ({"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"peers": 0}, "peers must be at least 1, got 0"),
    ],
)
def test_hyperparameters_that_cannot_be_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Rebuy(**wrong)  # type: ignore[arg-type]
