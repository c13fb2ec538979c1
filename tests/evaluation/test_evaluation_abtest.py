"""Effects are what plain formulas give, and say so when nothing can be said."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, ttest_ind

from models.evaluation.abtest import Measure, effects, holm

ONE = [Measure("spend", "spend")]


def shop(n: int = 400, *, gain: float = 0.0, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    taste = rng.gamma(1, 1, n)
    new = rng.random(n) < 0.5
    visits = 1 + rng.poisson(2 * taste)
    return pa.table(
        {
            "arm": np.where(new, "new", "old"),
            "spend": 10 * taste + rng.random(n) + gain * new,
            "visits": visits.astype(float),
            "before": 8 * taste + rng.random(n),
            "town": np.where(taste > 1, "big", "small"),
        }
    )


def split(units: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    values, new = np.array(units[name]), np.array(units["arm"]) == "new"
    return values[new], values[~new]


def test_a_mean_is_compared_by_welchs_test() -> None:
    units = shop(gain=1)
    new, old = split(units, "spend")
    (one,) = effects(units, ONE, control="old")
    peer = ttest_ind(new, old, equal_var=False)
    interval = peer.confidence_interval(0.95)
    assert (one.n, one.n_control) == (len(new), len(old))
    assert one.difference == pytest.approx(new.mean() - old.mean())
    assert (one.low, one.high) == pytest.approx((interval.low, interval.high))
    assert one.p_value == pytest.approx(peer.pvalue)
    assert one.error == pytest.approx(
        math.sqrt(new.var(ddof=1) / len(new) + old.var(ddof=1) / len(old))
    )
    assert one.relative == pytest.approx(one.difference / old.mean())
    assert one.relative_low < one.relative < one.relative_high


def test_a_ratio_of_sums_has_the_delta_methods_error_not_that_of_its_units() -> None:
    """The oracle draws customers anew: visits of one customer hang together."""
    units = shop(gain=1)
    (one,) = effects(units, [Measure("per_visit", "spend", "visits")], control="old")
    sides = [list(zip(*pair, strict=True)) for pair in zip(
        split(units, "spend"), split(units, "visits"), strict=True)]  # fmt: skip
    rng = np.random.default_rng(0)

    def ratios(pairs: list[tuple[float, float]]) -> np.ndarray:
        drawn = np.array(pairs)[rng.integers(0, len(pairs), (2_000, len(pairs)))]
        return drawn[..., 0].sum(axis=1) / drawn[..., 1].sum(axis=1)

    new, old = map(ratios, sides)
    totals = [np.array(pairs).sum(axis=0) for pairs in sides]
    assert one.difference == pytest.approx(
        totals[0][0] / totals[0][1] - totals[1][0] / totals[1][1]
    )
    assert one.error == pytest.approx(float((new - old).std()), rel=0.06)


def test_what_was_known_before_takes_out_noise_and_no_effect() -> None:
    units = shop(gain=1)
    (plain,) = effects(units, ONE, control="old")
    (kept,) = effects(units, ONE, control="old", covariates=["before"])
    spend, before = np.array(units["spend"]), np.array(units["before"])
    theta = np.cov(spend, before)[0, 1] / before.var(ddof=1)
    adjusted = pa.table({"arm": units["arm"], "spend": spend - theta * (before - before.mean())})
    (oracle,) = effects(adjusted, ONE, control="old")
    assert kept.difference == pytest.approx(oracle.difference)
    assert kept.error == pytest.approx(oracle.error)
    assert kept.variance_left == pytest.approx((kept.error / plain.error) ** 2)
    assert kept.variance_left < 0.05
    assert kept.low < 1 < kept.high
    assert (kept.control, kept.treated) == (plain.control, plain.treated)


def test_several_covariates_words_too_do_better_than_one() -> None:
    units = shop(gain=1)
    (one,) = effects(units, ONE, control="old", covariates=["town"])
    (two,) = effects(units, ONE, control="old", covariates=["town", "visits"])
    assert two.variance_left < one.variance_left < 0.8


def test_a_null_covariate_is_its_mean_and_too_many_covariates_are_none() -> None:
    units = shop(30)
    known = pa.array([None, *np.array(units["before"])[1:].tolist()])
    units = units.set_column(units.column_names.index("before"), "before", known)
    assert effects(units, ONE, control="old", covariates=["before"])[0].variance_left < 0.5
    assert effects(units, ONE, control="old", covariates=["before", "visits"])[0].variance_left == 1


def test_a_covariate_that_is_the_outcome_is_not_one() -> None:
    (one,) = effects(shop(gain=1), ONE, control="old", covariates=["spend"])
    assert (one.difference, one.variance_left) == (pytest.approx(1, abs=2), pytest.approx(1))
    assert one == effects(shop(gain=1), ONE, control="old")[0]


def test_arms_are_each_compared_with_the_control_and_corrected_together() -> None:
    units = pa.concat_tables([shop(gain=3), shop(gain=0, seed=2)])
    third = np.where(np.arange(800) % 3 == 0, "third", np.array(units["arm"]))
    units = units.set_column(0, "arm", pa.array(third))
    found = effects(units, [*ONE, Measure("visits", "visits")], control="old")
    assert [(one.measure, one.arm) for one in found] == [
        ("spend", "new"), ("spend", "third"), ("visits", "new"), ("visits", "third"),
    ]  # fmt: skip
    assert [one.adjusted for one in found] == holm([one.p_value for one in found])


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5, 0.9], [1.0, 1.0]), ([], []), ([0.2], [0.2])],
)
def test_holm_is_the_papers(given_: list[float], wanted: list[float]) -> None:
    assert holm(given_) == pytest.approx(wanted)


def test_holm_leaves_what_cannot_be_said() -> None:
    assert holm([math.nan, 0.02, 0.04])[1:] == pytest.approx([0.04, 0.04])


def test_detectable_is_what_four_of_five_tests_would_see() -> None:
    (one,) = effects(shop(4_000), ONE, control="old")
    seen = norm.sf(1.959964 - one.detectable / one.error)
    assert seen == pytest.approx(0.8, abs=1e-4)
    assert one.relative_detectable == pytest.approx(one.detectable / one.control)


def test_where_nothing_varies_nothing_is_claimed() -> None:
    columns = {"spend": [0.0] * 4, "visits": [0.0] * 4, "asked": [1.0, 2.0, 3.0, 4.0]}
    units = pa.table({"arm": ["old", "old", "new", "new"], **columns})
    ratios = [Measure("ratio", "spend", "visits"), Measure("ratio", "spend", "asked")]
    for measure in (*ONE, *ratios, Measure("ratio", "asked", "asked")):
        (one,) = effects(units, [measure], control="old")
        assert math.isnan(one.low)
        assert math.isnan(one.p_value)


def test_an_arm_without_a_sale_has_no_relative_interval() -> None:
    units = pa.table({"arm": ["old"] * 5 + ["new"] * 5, "spend": [0, 1, 0, 2, 0] + [0] * 5})
    (one,) = effects(units, ONE, control="old")
    assert one.relative == -1
    assert math.isnan(one.relative_low)
    assert one.low < one.difference < one.high


def test_yes_and_no_are_one_and_zero() -> None:
    units = pa.table({"arm": ["old", "old", "new", "new"], "spend": [True, False, True, True]})
    assert effects(units, ONE, control="old")[0].difference == 0.5


@pytest.mark.parametrize(
    ("table", "words", "said"),
    [
        ({"arm": ["a", "b"], "spend": [1, 2]}, {"control": "c"}, "control must be one of a, b"),
        ({"arm": ["a", "b"]}, {"control": "a"}, "must have a column spend"),
        ({"arm": ["a", "b"], "spend": [1, None]}, {"control": "a"}, "must have no nulls"),
        ({"arm": ["a", "b"], "spend": [1, math.inf]}, {"control": "a"}, "must be finite"),
        ({"arm": ["a"], "spend": [1]}, {"control": "a", "level": 95}, "between 0 and 1, got 95"),
    ],
)
def test_what_cannot_be_reckoned_is_refused(
    table: dict[str, list[object]], words: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        effects(pa.table(table), ONE, **words)  # type: ignore[arg-type]


def test_an_arm_of_one_unit_has_no_effect() -> None:
    assert effects(pa.table({"arm": ["a", "a", "b"], "spend": [1, 2, 3]}), ONE, control="a") == []


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 1e4), st.integers(0, 50))
def test_another_currency_is_another_scale_and_no_other_answer(rate: float, seed: int) -> None:
    units = shop(60, seed=seed)
    scaled = units.set_column(1, "spend", pa.array(np.array(units["spend"]) * rate))
    (one,) = effects(units, ONE, control="old", covariates=["before"])
    (other,) = effects(scaled, ONE, control="old", covariates=["before"])
    assert other.difference == pytest.approx(one.difference * rate)
    assert other.p_value == pytest.approx(one.p_value)
    assert other.relative_high == pytest.approx(one.relative_high)
