"""What was paid in, what will be paid out; chances foretold in, chances put right out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from models.lifetime import calibration, spend
from models.lifetime.calibration import Calibration, Foretold, calibration_error


def paid(customers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Averages by the model's own story: p 3, q 4, v 30; the average order is worth 30."""
    rng = np.random.default_rng(seed)
    orders = rng.integers(1, 9, customers)
    scale = 1 / rng.gamma(4.0, 1 / 30.0, customers)
    return orders, rng.gamma(3.0 * orders) * scale / orders


def test_parameters_are_found_again_within_their_standard_errors() -> None:
    found = spend.fit(*paid(20_000, seed=0))
    for value, truth, error in zip(
        (found.p, found.q, found.v), (3, 4, 30), found.errors, strict=True
    ):
        assert 0 < error < 0.1 * truth
        assert abs(value - truth) < 3.5 * error
    assert found.average == pytest.approx(30, rel=0.03)


def test_the_currency_does_not_matter() -> None:
    orders, average = paid(300, seed=5)
    pounds, rupiah = spend.fit(orders, average), spend.fit(orders, average * 20_000)
    assert (rupiah.p, rupiah.q) == pytest.approx((pounds.p, pounds.q), rel=1e-3)
    assert rupiah.v == pytest.approx(pounds.v * 20_000, rel=1e-3)


def test_an_average_is_shrunk_towards_the_shops_the_more_the_fewer_orders() -> None:
    found = spend.fit(*paid(2_000, seed=1))
    few, many, none = found.expected([1, 50, 0], [100.0, 100.0, 0.0])
    assert found.average < few < many < 100
    assert none == pytest.approx(found.average)


def test_what_came_is_what_was_expected() -> None:
    rng = np.random.default_rng(2)
    scale = 1 / rng.gamma(4.0, 1 / 30.0, 50_000)
    first = rng.gamma(6.0, 1.0, 50_000) * scale / 2
    after = rng.gamma(3.0, 1.0, 50_000) * scale
    expected = spend.Spend(3, 4, 30).expected(np.full(50_000, 2), first)
    for part in np.array_split(np.argsort(first), 5):
        assert expected[part].mean() == pytest.approx(after[part].mean(), rel=0.05)


def test_who_gave_back_more_than_she_bought_teaches_nothing_and_is_worth_little() -> None:
    orders, average = paid(500, seed=3)
    alone = spend.fit(orders, average)
    with_her = spend.fit([*orders, 2], [*average, -80.0])
    assert with_her == alone
    assert 0 < alone.expected([2], [-80.0])[0] < alone.average
    assert alone.expected([2], [-80.0]) == alone.expected([2], [0.0])
    with pytest.raises(ValueError, match="needs a customer who kept what she bought, got none"):
        spend.fit([1, 2], [0.0, -5.0])
    with pytest.raises(ValueError, match="columns of one length"):
        spend.fit([1, 2], [1.0])


def test_three_customers_have_an_average_near_theirs() -> None:
    found = spend.fit([1, 2, 1], [20.0, 30.0, 25.0])
    assert 10 < found.average < 60
    assert found.q > 1


def test_a_season_is_put_right_by_the_like_season_and_the_slope_by_all() -> None:
    rng = np.random.default_rng(4)

    def moment(shift: float) -> Foretold:
        right = rng.beta(1, 2, 30_000)
        return Foretold(expit((logit(right) - shift) / 1.3), rng.random(30_000) < right)

    summer, autumn = moment(-0.8), moment(0.5)
    found = calibration.fit(summer, autumn)
    assert found.slope == pytest.approx(1.3, abs=0.05)
    assert found.shift == pytest.approx(-0.8, abs=0.06)
    assert calibration_error(summer.chance, summer.came) > 0.05
    again = moment(-0.8)
    assert calibration_error(found(again.chance), again.came) < 0.02


def test_little_data_leaves_chances_nearly_as_they_are() -> None:
    few = Foretold(np.array([0.2, 0.6]), np.array([True, True]))
    found = calibration.fit(few)
    assert 0 < found.slope < 2
    assert abs(found.shift) < 1
    chance = np.array([0.0, 0.3, 1.0])
    assert Calibration()(chance) is chance
    assert np.all(np.isfinite(found(chance)))


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    chance = np.array([0.1, 0.15, 0.9, 1.0])
    came = np.array([False, True, True, True])
    # two in the bin from .1, of whom half came, and two in the last, all came
    assert calibration_error(chance, came) == pytest.approx((0.75 + 0.1) / 4)
