"""Histories in, who is still there and when she orders next out."""

from __future__ import annotations

from math import lgamma, log

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hyp2f1

from models.lifetime import returning, rhythm
from models.lifetime.histories import Histories, histories
from models.lifetime.rhythm import Rhythm

WEEKS = 40.0
FEW = histories([0, 2, 5, 0, 1], [0, 70, 180, 0, 7], [273, 80, 273, 0, 200], log_gaps=2.0)


def simulated(
    truth: Rhythm, customers: int, seed: int, horizon: float = 12.0
) -> tuple[Histories, dict[str, npt.NDArray[np.float64]]]:
    """Customers by the model's own story, order after order, and what became of them (weeks)."""
    rng = np.random.default_rng(seed)
    pace = rng.gamma(truth.r, 1 / truth.alpha, customers)
    leaves = rng.beta(truth.a, truth.b, customers)
    steps = rng.gamma(truth.k, 1.0, (customers, 80)) / pace[:, None]
    times = np.concatenate([np.zeros((customers, 1)), np.cumsum(steps, axis=1)], axis=1)
    stays = rng.random(times.shape) >= leaves[:, None]
    if not truth.leaves_at_once:
        stays[:, 0] = True
    happens = np.ones(times.shape, dtype=np.bool_)
    happens[:, 1:] = np.cumprod(stays[:, :-1], axis=1)
    seen = happens & (times <= WEEKS)
    x = seen.sum(axis=1) - 1
    last = np.where(seen, times, 0).max(axis=1)
    gaps = np.diff(times, axis=1)[seen[:, 1:]]
    known = histories(
        x, last * 7, np.full(customers, WEEKS * 7), log_gaps=float(np.log(gaps).sum())
    )
    later = happens & (times > WEEKS)
    return known, {
        "alive": np.cumprod(stays, axis=1)[np.arange(customers), x].astype(np.float64),
        "orders": (later & (times <= WEEKS + horizon)).sum(axis=1).astype(np.float64),
        "next": np.where(later, times, np.inf).min(axis=1) - WEEKS,
        "x": x.astype(np.float64),
    }


def slow(values: npt.NDArray[np.float64], x: int, t: float, age: float) -> float:
    """BG/NBD's ln L of one customer as Fader, Hardie & Lee print it."""
    r, alpha, a, b = values
    a1 = lgamma(r + x) - lgamma(r) + r * log(alpha)
    a2 = lgamma(a + b) + lgamma(b + x) - lgamma(b) - lgamma(a + b + x)
    a3 = -(r + x) * log(alpha + age)
    a4 = log(a) - log(b + x - 1) - (r + x) * log(alpha + t) if x else -np.inf
    return float(a1 + a2 + np.logaddexp(a3, a4))


def test_the_likelihood_is_the_papers() -> None:
    values = np.array([0.6, 5.0, 0.9, 2.2])
    rows = zip(FEW.repeat_orders, FEW.days_to_last_order / 7, FEW.days_known / 7, strict=True)
    wanted = sum(slow(values, int(x), t, age) for x, t, age in rows)
    assert rhythm._Likelihood(FEW, 1, False)(values)[0] == pytest.approx(wanted, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(0.05, 20)] * 4), st.integers(1, 5), st.booleans(), st.integers(0, 3))
def test_the_gradient_is_the_slope(
    values: tuple[float, ...], k: int, leaves_at_once: bool, place: int
) -> None:
    likelihood = rhythm._Likelihood(FEW, k, leaves_at_once)
    point, step = np.array(values), np.zeros(4)
    step[place] = 1e-6 * point[place]
    rise = likelihood(point + step)[0] - likelihood(point - step)[0]
    slope = likelihood(point)[1]
    assert slope[place] * step[place] * 2 == pytest.approx(rise, rel=1e-3, abs=1e-8)


@pytest.mark.parametrize(
    "truth", [Rhythm(0.7, 4.0, 0.8, 2.5), Rhythm(1.2, 4.0, 0.8, 2.5, k=3, leaves_at_once=True)]
)
def test_parameters_are_found_again_within_their_standard_errors(truth: Rhythm) -> None:
    known, _ = simulated(truth, 20_000, seed=3)
    found = rhythm.fit(known, k=truth.k, leaves_at_once=truth.leaves_at_once)
    for name, error in zip(("r", "alpha", "a", "b"), found.errors, strict=True):
        assert 0 < error < 0.2 * getattr(truth, name)
        assert abs(getattr(found, name) - getattr(truth, name)) < 3.5 * error


@pytest.mark.parametrize("k", [1, 2, 4])
def test_regularity_is_found_by_likelihood(k: int) -> None:
    known, _ = simulated(Rhythm(1.5, 3.0 * k, 0.8, 2.5, k, leaves_at_once=True), 4_000, seed=k)
    best, tried = rhythm.choose(known)
    assert (best.k, best.leaves_at_once) == (k, True)
    assert {one.name for one in tried} >= {"BG/NBD", "MBG/NBD", "MBG/CNBD-2"}


@pytest.mark.parametrize("k", [1, 3])
def test_what_is_foretold_comes(k: int) -> None:
    truth = Rhythm(1.2, 4.0, 0.8, 2.5, k, leaves_at_once=True)
    known, came = simulated(truth, 60_000, seed=5)
    alive = returning.probability_alive(truth, known)[known.row]
    orders = returning.expected_orders(truth, known, days=84)[known.row]
    back = returning.return_probability(truth, known, days=84)[known.row]
    for low, high in ((0, 0), (1, 2), (3, 6), (7, 99)):
        some = (came["x"] >= low) & (came["x"] <= high)
        room = 4 / np.sqrt(some.sum())
        assert alive[some].mean() == pytest.approx(came["alive"][some].mean(), abs=room / 2)
        spread = came["orders"][some].std()
        assert orders[some].mean() == pytest.approx(came["orders"][some].mean(), abs=room * spread)
        share = (came["orders"][some] > 0).mean()
        assert back[some].mean() == pytest.approx(share, abs=room / 2)
    there = came["alive"] > 0
    median = returning.days_to_next_order(truth, known)[known.row] / 7
    assert (came["next"][there] <= median[there]).mean() == pytest.approx(0.5, abs=0.012)


def test_without_regularity_expected_orders_are_the_closed_form() -> None:
    model = Rhythm(0.243, 4.414, 0.793, 2.426)
    x, t, age = FEW.repeat_orders, FEW.days_to_last_order / 7, FEW.days_known / 7
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    more = hyp2f1(r + x, b + x, a + b + x - 1, 39 / (alpha + age + 39))
    up = (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + 39)) ** (r + x) * more)
    gone = np.where(x > 0, a / (b + x - 1 + (x == 0)), 0) * ((alpha + age) / (alpha + t)) ** (r + x)
    found = returning.expected_orders(model, FEW, days=273)
    np.testing.assert_allclose(found, up / (1 + gone), rtol=1e-7)
    np.testing.assert_allclose(returning.probability_alive(model, FEW), 1 / (1 + gone))


def test_thousands_of_orders_are_reckoned_without_overflow() -> None:
    many = histories([5_000, 5_000], [3_000, 1_500], [3_000, 3_000])
    for k in (1, 4):
        model = Rhythm(1.0, 10.0, 0.5, 2.5, k, leaves_at_once=True)
        alive = returning.probability_alive(model, many)
        assert alive[0] < 1e-9  # silent for half her life, at five orders in three days
        assert alive[1] > 0.99
        year = returning.expected_orders(model, many, days=365)
        assert year[1] == pytest.approx(5_000 / (3_000 + 70 * k) * 365, rel=0.05)
        back = returning.return_probability(model, many, days=90)
        assert np.all((back >= 0) & (back <= alive + 1e-12))


def test_a_longer_horizon_never_expects_less() -> None:
    model = Rhythm(0.7, 9.0, 0.3, 2.5, k=2, leaves_at_once=True)
    some = [returning.expected_orders(model, FEW, days=days) for days in (0, 28, 90, 365, 36_500)]
    assert np.all(np.diff(some, axis=0) >= 0)
    assert np.all(some[0] == 0)


def test_equal_histories_are_one_row_and_say_the_same() -> None:
    one = histories([1, 0, 1], [7, 0, 7], [70, 70, 70])
    assert (len(one), one.customers.tolist(), one.row.tolist()) == (2, [1, 2], [1, 0, 1])
    apart = Histories(
        one.repeat_orders[one.row], one.days_to_last_order[one.row], one.days_known[one.row],
        np.ones(3, np.int64), np.arange(3), np.nan,
    )  # fmt: skip
    values = np.array([0.5, 3.0, 1.0, 2.0])
    grouped = rhythm._Likelihood(one, 1, True)(values)
    each = rhythm._Likelihood(apart, 1, True)(values)
    assert grouped[0] == pytest.approx(each[0])
    np.testing.assert_allclose(grouped[1], each[1])


def test_one_order_each_leaves_it_to_the_prior() -> None:
    once = histories([0] * 50, [0] * 50, np.arange(50) * 4)
    found = rhythm.fit(once)
    assert all(0 < value < 100 for value in (found.r, found.alpha, found.a, found.b))
    orders = returning.expected_orders(found, once, days=90)
    assert np.all((orders > 0) & (orders < 1))
    assert orders[0] > orders[-1]  # who came yesterday, and who came half a year ago
    with pytest.raises(ValueError, match="none of 50 customers came back"):
        rhythm.fit(once, prior=0)


def test_orders_all_on_one_day_leave_it_to_the_prior() -> None:
    found, _ = rhythm.choose(histories([0] * 9, [0] * 9, [0] * 9))
    assert found.r == pytest.approx(1, rel=0.2)
    assert found.alpha == pytest.approx(10, rel=0.2)


def test_thirty_customers_give_wide_errors_and_a_fair_sum() -> None:
    truth = Rhythm(0.8, 5.0, 0.8, 2.5)
    off = []
    for seed in range(20):
        known, came = simulated(truth, 30, seed=seed, horizon=40.0)
        found = rhythm.fit(known)
        assert found.errors[3] > 0.3 * found.b
        expected = returning.expected_orders(found, known, days=280) @ known.customers
        off.append(expected - came["orders"].sum())
    assert abs(np.mean(off)) < 12  # of some 35 orders a shop


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([1], [30], [20]), "days_known must reach the last order.*clock.*20 days known"),
        (([-1], [0], [20]), "repeat_orders must be 0, 1, 2 …, got -1"),
        (([0.5], [0], [20]), "repeat_orders must be 0, 1, 2 …, got 0.5"),
        (([0], [3], [20]), "days_to_last_order must be 0 for who did not come back"),
        (([0], [0], [np.nan]), "days_known must be a number of days, got nan"),
        (([0, 1], [0], [20]), "columns of one length"),
    ],
)
def test_histories_that_cannot_be_are_refused(columns: tuple[list[float], ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        histories(*columns)


def test_nothing_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="at least one customer who ordered"):
        rhythm.fit(histories([], [], []))
    with pytest.raises(ValueError, match="k above 1 needs the gaps"):
        rhythm.fit(histories([1], [7], [20]), k=2)
