"""Bounds that may be read every day are the published ones and err as seldom as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.evaluation.sequential import always, boundaries, planned

STEPS = [(100 * n, 0.3, 1 / math.sqrt(100 * n)) for n in range(1, 29)]
DAYS = [n / 28 for n in range(1, 29)]


def walks(tests: int = 20_000) -> np.ndarray:
    """Z values of tests without an effect, a row a test, a column a day."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((tests, 28)).cumsum(axis=1) / np.sqrt(np.arange(1, 29))


def test_five_even_looks_have_the_published_bounds() -> None:
    """Lan and DeMets with O'Brien and Fleming's spending, two-sided 5 %, as in Reboussin 2000."""
    found = boundaries([1, 2, 3, 4, 5], [0.2, 0.4, 0.6, 0.8, 1.0])
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


def test_one_look_at_the_end_is_the_usual_one() -> None:
    assert boundaries([50], [1.0]) == pytest.approx([1.959964], abs=1e-5)


def test_daily_looks_spend_all_of_the_error_and_no_more() -> None:
    z = (np.array([one.high for one in planned(STEPS, DAYS)]) - 0.3) * [1 / s[2] for s in STEPS]
    crossed = (np.abs(walks()) > z).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.004)
    assert (np.abs(walks()) > 1.96).any(axis=1).mean() > 0.25


def test_unevenly_filled_days_spend_no_more_either() -> None:
    units = np.cumsum([5, 50, 1, 1, 200, 3, 400])
    days = [0.1, 0.2, 0.25, 0.5, 0.6, 0.9, 1.0]
    rng = np.random.default_rng(1)
    steps = np.sqrt(np.diff(units, prepend=0)) * rng.standard_normal((20_000, 7))
    z = np.abs(steps.cumsum(axis=1)) / np.sqrt(units)
    crossed = (z > boundaries(units.tolist(), days)).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.005)


def test_a_look_without_new_units_changes_nothing() -> None:
    assert boundaries([10, 10, 20], [0.4, 0.5, 1.0])[1] > 7
    assert boundaries([10, 10, 20], [0.4, 0.5, 1.0])[2] == pytest.approx(
        boundaries([10, 20], [0.4, 1.0])[1]
    )


def test_a_confidence_sequence_is_the_papers_formula() -> None:
    (one,) = always([(1_000, 2.0, 0.1)], tightest=500)
    log = -2 * math.log(0.05)
    rho2 = (log + math.log(log + 1)) / 500
    sd = 0.1 * math.sqrt(1_000)
    width = sd * math.sqrt(
        2 * (1_000 * rho2 + 1) / (1_000**2 * rho2)
        * math.log(math.sqrt(1_000 * rho2 + 1) / 0.05)
    )  # fmt: skip
    assert (one.low, one.high) == pytest.approx((2 - width, 2 + width))


def test_a_confidence_sequence_errs_less_than_it_may_and_is_wider_than_one_look() -> None:
    looks = always([(100 * n, 0.0, 1.0) for n in range(1, 29)], tightest=2_800)
    z = np.array([one.high for one in looks])
    assert z.min() > 1.96
    assert 0 < (np.abs(walks()) > z).any(axis=1).mean() < 0.05


def test_a_confidence_sequence_is_tightest_where_it_was_asked_to_be() -> None:
    def width(tightest: int) -> float:
        (one,) = always([(1_000, 0.0, 1.0)], tightest=tightest)
        return one.high

    assert width(1_000) < min(width(200), width(5_000))


@pytest.mark.parametrize(
    ("steps", "spent", "said"),
    [
        ([(1, 0.0, 1.0)], [0.5, 1.0], "one share a look"),
        ([(1, 0.0, 1.0)], [0.0], "above 0"),
        ([(1, 0.0, 1.0)], [1.5], "at most 1"),
        ([(1, 0.0, 1.0), (2, 0.0, 1.0)], [0.6, 0.5], "never fall"),
        ([(2, 0.0, 1.0), (1, 0.0, 1.0)], [0.5, 0.6], "units must be at least 1 and never fall"),
    ],
)
def test_looks_that_make_no_sense_are_refused(
    steps: list[tuple[int, float, float]], spent: list[float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        planned(steps, spent)


def test_a_level_is_a_share() -> None:
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
        always(STEPS, tightest=10, level=95)
    with pytest.raises(ValueError, match="tightest must be at least 1, got 0"):
        always(STEPS, tightest=0)
