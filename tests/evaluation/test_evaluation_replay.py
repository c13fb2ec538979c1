"""Replay says what another policy would have earned, as sure as it is, or why it cannot say."""

from __future__ import annotations

import doctest
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.open_bandit import bandit_case
from models.evaluation import replay
from models.evaluation.logged import read
from models.evaluation.overlap import interval
from models.evaluation.replay import Limits, value

ALL = Limits(
    effective=0, rewarded=0, expected=0, unsupported=1
)  # refuse nothing but false propensities
PAGE = Path(__file__).parents[2] / "docs" / "off-policy.md"
DATA = Path(os.environ.get("REGULARS_DATA", "../shared/data"))


def table(rows: list[tuple[Any, ...]], *names: str) -> pa.Table:
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


EXPOSED = ("request_id", "position", "product_id", "propensity", "reward")
WANTED = ("position", "product_id", "probability")

FOUR = table(
    [
        ("r1", 1, "tea", 0.5, 1.0),
        ("r2", 1, "tea", 0.5, 0.0),
        ("r3", 1, "mug", 0.25, 1.0),
        ("r4", 1, "jam", 0.25, 0.0),
    ],
    *EXPOSED,
)
MUGS = table([(1, "mug", 0.5), (1, "tea", 0.5)], *WANTED)


def test_a_policy_that_shows_more_mugs_is_valued_by_what_mugs_earned() -> None:
    """Weights are 1, 1, 2 and 0; (1 + 0 + 2 + 0) / 4 of four exposures, and sums of 4."""
    got = value(FOUR, MUGS, seed=1, limits=ALL)
    assert got.logged.mean == 0.5
    assert {name: got.values[name].mean for name in ("ips", "snips")} == {
        "ips": 0.75,
        "snips": 0.75,
    }
    assert got.gains["ips"].mean == 0.25
    assert value(FOUR, MUGS, seed=1, limits=ALL, cap=1.5).values["clipped"].mean == 2.5 / 4
    assert got.overlap.effective == pytest.approx(16 / 6)
    assert got.overlap.rewarded == pytest.approx(9 / 5)
    assert (got.overlap.largest, got.overlap.mean.mean, got.overlap.units) == (2, 1, 4)
    assert value(FOUR, MUGS, seed=1, limits=ALL, cap=1.5).overlap.clipped == pytest.approx(0.125)


def test_without_a_cap_of_ones_own_weights_are_cut_at_the_root_of_the_exposures() -> None:
    """Only mugs: the one mug of four exposures weighs 4, and is cut at 2."""
    got = value(FOUR, table([(1, "mug", 1.0)], *WANTED), seed=1, limits=ALL)
    assert got.overlap.clipped == 0.5
    assert got.values["clipped"].mean == 0.5


class Bandit(NamedTuple):
    """n rounds in the arrays of the Open Bandit Pipeline; chosen, predicted: (n, products)."""

    action: npt.NDArray[np.int64]
    propensity: npt.NDArray[np.float64]
    reward: npt.NDArray[np.float64]
    chosen: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]

    @property
    def exposures(self) -> pa.Table:
        n = len(self.action)
        columns = [
            [f"r{row:04}" for row in range(n)],
            np.ones(n, np.int64),
            [f"p{code}" for code in self.action],
            self.propensity,
            self.reward,
        ]
        return pa.table(dict(zip(EXPOSED, columns, strict=True)))

    @property
    def target(self) -> pa.Table:
        n, products = self.chosen.shape
        return pa.table(
            {
                "request_id": [f"r{row:04}" for row in range(n) for _ in range(products)],
                "position": np.ones(n * products, np.int64),
                "product_id": [f"p{code}" for _ in range(n) for code in range(products)],
                "probability": self.chosen.ravel(),
                "predicted": self.predicted.ravel(),
            }
        )


@st.composite
def bandits(draw: st.DrawFn, *, same: bool = False) -> Bandit:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, products = draw(st.integers(2, 30)), draw(st.integers(2, 4))
    log = rng.dirichlet(np.full(products, 2.0), n) * 0.9 + 0.1 / products
    action = np.array([rng.choice(products, p=row) for row in log])
    chosen = log if same else rng.dirichlet(np.full(products, 0.5), n)
    reward = draw(st.sampled_from([rng.integers(0, 2, n) * 1.0, rng.exponential(20.0, n)]))
    return Bandit(action, log[np.arange(n), action], reward, chosen, rng.random((n, products)))


def as_obp(bandit: Bandit, cap: float) -> dict[str, float]:
    """The estimators of the Open Bandit Pipeline (Saito and others 2021), round by round."""
    ips, clipped, doubly, weights = [], [], [], []
    for i, shown in enumerate(bandit.action):
        weight = bandit.chosen[i, shown] / bandit.propensity[i]
        direct = sum(
            chance * q for chance, q in zip(bandit.chosen[i], bandit.predicted[i], strict=True)
        )
        weights.append(weight)
        ips.append(weight * bandit.reward[i])
        clipped.append(min(weight, cap) * bandit.reward[i])
        doubly.append(direct + weight * (bandit.reward[i] - bandit.predicted[i, shown]))
    n = len(weights)
    return {
        "ips": sum(ips) / n,
        "snips": sum(reward / (sum(weights) / n) for reward in ips) / n,
        "clipped": sum(clipped) / n,
        "dr": sum(doubly) / n,
    }


def unrefused(bandit: Bandit, **given: Any) -> dict[str, float]:
    """Means alone; a small log's weights may average above 1 by chance, which is refused."""
    got = value(bandit.exposures, bandit.target, seed=1, limits=ALL, **given)
    if got.refused:
        assert "propensities" in got.refused
        return {}
    return {name: said.mean for name, said in got.values.items()}


@settings(max_examples=40)
@given(bandits(), st.floats(0.1, 5))
def test_estimators_agree_with_the_formulas_of_obp(bandit: Bandit, cap: float) -> None:
    got = unrefused(bandit, cap=cap)
    if got:
        assert got == pytest.approx(as_obp(bandit, cap))


@settings(max_examples=40)
@given(bandits(same=True))
def test_the_logs_own_policy_is_worth_the_plain_mean(bandit: Bandit) -> None:
    got = value(bandit.exposures, bandit.target, seed=1, limits=ALL, cap=1.5)
    for name in ("ips", "snips", "clipped"):
        assert got.values[name].mean == pytest.approx(bandit.reward.mean())
        gain = got.gains[name]
        assert (gain.mean, gain.low, gain.high) == pytest.approx((0, 0, 0), abs=1e-9)
    assert got.overlap.effective == pytest.approx(len(bandit.action))


@settings(max_examples=40)
@given(bandits(), st.floats(0.1, 1))
def test_self_normalised_does_not_care_for_the_scale_of_weights(
    bandit: Bandit, scale: float
) -> None:
    once = unrefused(bandit)
    again = unrefused(bandit._replace(propensity=bandit.propensity * scale))
    if once and again:
        assert again["snips"] == pytest.approx(once["snips"])
        assert again["ips"] == pytest.approx(once["ips"] / scale)


@settings(max_examples=40)
@given(bandits())
def test_doubly_robust_is_the_direct_method_where_the_model_is_exact(bandit: Bandit) -> None:
    exact = bandit._replace(reward=bandit.predicted[np.arange(len(bandit.action)), bandit.action])
    got = unrefused(exact)
    if got:
        assert got["dr"] == pytest.approx((bandit.chosen * bandit.predicted).sum(axis=1).mean())


@settings(max_examples=40)
@given(bandits(), st.floats(0.05, 20), st.floats(1, 5))
def test_the_higher_the_cap_the_more_is_counted_up_to_all(
    bandit: Bandit, cap: float, more: float
) -> None:
    low, high, all_of = (unrefused(bandit, cap=at) for at in (cap, cap * more, 1e9))
    if low:
        assert low["clipped"] <= high["clipped"] + 1e-12
        assert high["clipped"] <= high["ips"] + 1e-12
        assert all_of["clipped"] == pytest.approx(all_of["ips"])


@settings(max_examples=40)
@given(bandits(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_rows_changes_nothing(bandit: Bandit, random: Any, own_model: bool) -> None:
    exposures, target = bandit.exposures, bandit.target
    if own_model:
        target = target.drop_columns("predicted")
    rows, others = list(range(len(exposures))), list(range(len(target)))
    random.shuffle(rows)
    random.shuffle(others)
    once = value(exposures, target, seed=1, limits=ALL)
    again = value(exposures.take(rows), target.take(others), seed=1, limits=ALL)
    assert again.refused == once.refused
    for name, said in once.values.items():
        other = again.values[name]
        assert (other.mean, other.low, other.high) == pytest.approx(
            (said.mean, said.low, said.high), rel=1e-9, abs=1e-9
        )


def test_a_product_is_predicted_from_other_customers_only() -> None:
    """What one visitor did must not come back as what she was expected to do."""
    rng = np.random.default_rng(3)
    n = 200
    columns = {
        "request_id": [f"r{row:03}" for row in range(n)],
        "customer_id": [f"c{row // 4:02}" for row in range(n)],
        "position": rng.integers(1, 3, n),
        "product_id": [f"p{code}" for code in rng.integers(0, 3, n)],
        "propensity": np.full(n, 1 / 3),
    }
    target = table([(at, f"p{code}", 1 / 3) for at in (1, 2) for code in range(3)], *WANTED)
    reward = rng.random(n)
    spent = np.where(np.arange(n) // 4 == 7, reward + 100, reward)  # customer c07, much more
    predicted = []
    for rewards in (reward, spent):
        logged, found = read(
            pa.table(columns | {"reward": rewards}), target, by="customer_id", reward="reward"
        )
        expected, shown = replay._predictions(logged, found, seed=1)
        predicted.append(np.stack([expected, shown])[:, 28:32])
        assert np.isclose(shown.mean(), rewards.mean(), rtol=0.1)
    np.testing.assert_array_equal(predicted[0], predicted[1])


def test_predictions_are_means_drawn_to_the_position_as_said() -> None:
    """Twenty exposures' worth of the position's mean, itself drawn to the overall one."""
    exposures = table(
        [(f"r{i:02}", 1 + i % 2, f"p{i % 4}", 0.5, float(i % 3 == 0)) for i in range(48)], *EXPOSED
    )
    target = table([(at, f"p{code}", 0.25) for at in (1, 2) for code in range(4)], *WANTED)
    logged, _ = read(exposures, target, by="request_id", reward="reward")
    rows = exposures.to_pylist()
    means = replay._means(logged, logged.position - 1, np.ones(48, np.bool_))
    overall = sum(row["reward"] for row in rows) / 48
    for at in (1, 2):
        here = [row["reward"] for row in rows if row["position"] == at]
        place = (sum(here) + 20 * overall) / (len(here) + 20)
        for code in range(4):
            of = [r["reward"] for r in rows if (r["position"], r["product_id"]) == (at, f"p{code}")]
            found = means[at - 1, logged.product_ids.to_pylist().index(f"p{code}")]
            assert found == pytest.approx((sum(of) + 20 * place) / (len(of) + 20))


def clicks(seed: int, *, n: int = 600, rate: float = 0.3, sharp: float = 1.0) -> Bandit:
    """A log with weights up to about 20; how glad products are taken is known: `predicted`."""
    rng = np.random.default_rng(seed)
    liking = np.linspace(-1.5, 1.5, 8)
    log = np.exp(-0.7 * liking) / np.exp(-0.7 * liking).sum()
    target = np.exp(sharp * liking) / np.exp(sharp * liking).sum()
    action = rng.choice(8, n, p=log)
    glad = rate / (1 + np.exp(-liking))
    reward = (rng.random(n) < glad[action]).astype(float)
    return Bandit(action, log[action], reward, np.tile(target, (n, 1)), np.tile(glad, (n, 1)))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """200 logs at 90%: of those held the count is binomial, 180 with a deviation of 4.2; four."""
    held = dict.fromkeys(("ips", "snips", "dr"), 0)
    for seed in range(200):
        bandit = clicks(seed)
        truth = float((bandit.chosen[0] * bandit.predicted[0]).sum())
        policy = bandit.target.slice(0, 8).drop_columns(["request_id", "predicted"])
        got = value(bandit.exposures, policy, seed=seed, level=0.9, limits=ALL)
        for name in held:
            held[name] += got.values[name].low <= truth <= got.values[name].high
    assert all(163 <= count <= 197 for count in held.values()), held


def test_what_a_customer_does_again_makes_nothing_surer() -> None:
    """Three requests alike of each customer: drawn by customer, the interval of one of each."""
    once = clicks(1).exposures
    thrice = pa.concat_tables(
        once.set_column(
            0, "request_id", pa.array([f"{i}-{id_}" for id_ in once["request_id"]])
        ).append_column("customer_id", once["request_id"])
        for i in range(3)
    )
    policy = clicks(1).target.slice(0, 8).drop_columns(["request_id", "predicted"])
    alone = value(once, policy, seed=1, limits=ALL).values
    by_customer = value(thrice, policy, seed=1, by="customer_id", limits=ALL).values
    by_request = value(thrice, policy, seed=1, limits=ALL).values
    for name in ("ips", "snips", "clipped"):
        width = alone[name].high - alone[name].low
        assert by_customer[name].high - by_customer[name].low == pytest.approx(width, rel=0.05)
        assert by_request[name].high - by_request[name].low < 0.65 * width


def test_without_skew_the_interval_is_students() -> None:
    values = np.r_[np.arange(-10.0, 11.0)] + 5
    got = interval([(values, np.ones(21))], unit=np.arange(21), level=0.95)
    low, high = stats.t.interval(0.95, 20, loc=5, scale=stats.sem(values))
    assert (got.mean, got.low, got.high) == pytest.approx((5, low, high))


def test_with_skew_the_interval_reaches_further_to_the_long_side() -> None:
    """The transformation undone gives Student's t again: Hall 1992, equation (2.3)."""
    values = np.random.default_rng(1).exponential(1.0, 60) ** 2
    got = interval([(values, np.ones(60))], unit=np.arange(60), level=0.95)
    spread, skew = (
        values.std(ddof=1),
        np.mean((values - values.mean()) ** 3) / values.std(ddof=1) ** 3,
    )
    reach = stats.t.ppf(0.975, 59) / np.sqrt(60)
    for end, sign in ((got.low, 1), (got.high, -1)):
        t = (values.mean() - end) / spread
        bent = t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / (6 * 60)
        assert bent == pytest.approx(sign * reach)
    assert got.high - got.mean > 1.3 * (got.mean - got.low)


def refused(exposures: pa.Table, target: pa.Table, **given: Any) -> str:
    """Why, and that no number stands beside it."""
    got = value(exposures, target, seed=1, **given)
    assert got.values == {}
    assert got.gains == {}
    assert got.logged.mean >= 0
    return got.refused


def test_products_that_the_log_never_showed_are_refused_for_in_words() -> None:
    new = table([(1, f"p{code}", 0.1) for code in range(8)] + [(1, "new", 0.2)], *WANTED)
    assert refused(clicks(1).exposures, new) == (
        "of what the target shows the log never had a chance to show 20.0%, at most 5.0% may be "
        "missing"
    )
    spare = value(clicks(1).exposures, new, seed=1, limits=Limits(unsupported=0.25))
    assert spare.overlap.unsupported == pytest.approx(0.2)
    assert not spare.refused


def test_a_log_without_chance_is_refused_though_each_product_was_shown() -> None:
    """The log always showed each customer the one product; the target spreads over eight."""
    bandit = clicks(1)._replace(propensity=np.ones(600), chosen=np.full((600, 8), 1 / 8))
    why = refused(bandit.exposures, bandit.target)
    assert "the log never had a chance to show 87.5%" in why


def test_false_propensities_are_refused() -> None:
    bandit = clicks(1)
    why = refused(
        bandit._replace(propensity=bandit.propensity / 2).exposures, bandit.target, limits=ALL
    )
    assert why.startswith("the weights average 1.9 where 1 is due")
    assert why.endswith("the propensities are not those by which the products were chosen")


def test_few_effective_requests_and_few_rewards_are_refused_together() -> None:
    bandit = clicks(2, n=150, rate=0.03, sharp=1.5)
    why = refused(bandit.exposures, bandit.target)
    assert "the 150 requests weigh as much as" in why
    assert "at least 300 are needed; the answer would rest on" in why


def test_rewards_too_rare_for_the_weights_are_refused() -> None:
    """The target shows b, of which forty were seen, each of weight 90, and none was rewarded: that
    one in fifty would be cannot be told. All that was rewarded weighs next to nothing."""
    n = 4000
    seen = np.where(np.arange(n) % 100 == 0, "b", "a")
    exposures = pa.table(
        {
            "request_id": [f"r{row}" for row in range(n)],
            "position": [1] * n,
            "product_id": seen,
            "propensity": np.where(seen == "b", 0.01, 0.99),
            "reward": (np.arange(n) % 10 == 1) * 1.0,
        }
    )
    policy = table([(1, "a", 0.1), (1, "b", 0.9)], *WANTED)
    why = refused(exposures, policy, limits=Limits(effective=40))
    assert why == "as many chosen by the target would show 0.499 rewards, at least 1 are needed"


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.float32(), pa.decimal128(5, 2)])
def test_rewards_may_be_of_any_number(kind: pa.DataType) -> None:
    rewards = FOUR["reward"].cast(kind)
    got = value(FOUR.set_column(4, "reward", rewards), MUGS, seed=1, limits=ALL)
    assert got == value(FOUR, MUGS, seed=1, limits=ALL)


def test_the_example_of_the_page_prints_what_it_says() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert (failed, tried > 0) == (0, True)


def test_the_page_says_the_limits_that_there_are() -> None:
    text, limits = PAGE.read_text("utf-8"), Limits()
    for said in (
        f"above {limits.unsupported:.0%}",
        f"below {limits.effective:g}",
        f"below {limits.rewarded:g}",
        f"below {limits.expected:g}",
    ):
        assert f"| {said} |" in text


def test_a_log_without_any_reward_or_overlap_is_refused_not_divided_by() -> None:
    nothing = FOUR.set_column(4, "reward", pa.array([0.0] * 4))
    assert "would rest on 0 rewards" in refused(nothing, MUGS)
    assert "never had a chance to show 100.0%" in refused(FOUR, table([(1, "new", 1.0)], *WANTED))


def changed(rows: pa.Table, name: str, row: int, to: Any) -> pa.Table:
    values = rows[name].to_pylist()
    values[row] = to
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("exposures", "target", "says"),
    [
        (FOUR.slice(0, 0), MUGS, "exposures must hold rows, got none"),
        (FOUR.slice(0, 1), MUGS, "exposures must hold at least two of request_id, got only r1"),
        (FOUR.drop_columns("propensity"), MUGS, "exposures must have a column propensity, got req"),
        (FOUR, MUGS.drop_columns("probability"), "target must have a column probability, got posi"),
        (changed(FOUR, "propensity", 1, 0.0), MUGS, "above 0 and at most 1, got 0 for request r2,"),
        (changed(FOUR, "propensity", 1, -0.2), MUGS, "got -0.2 for request r2, position 1"),
        (changed(FOUR, "propensity", 1, 1.2), MUGS, "got 1.2 for request r2, position 1"),
        (changed(FOUR, "propensity", 1, np.nan), MUGS, "got nan for request r2, position 1"),
        (
            changed(FOUR, "propensity", 1, None),
            MUGS,
            "exposures.propensity must have no nulls, got 1",
        ),
        (
            changed(FOUR, "reward", 2, np.inf),
            MUGS,
            "exposures.reward must be finite, got inf for r",
        ),
        (changed(FOUR, "request_id", 1, "r1"), MUGS, "one row a position, got two of request r1, "),
        (changed(FOUR, "position", 1, 0), MUGS, "exposures.position must be at least 1, got 0"),
        (FOUR, changed(MUGS, "position", 1, 0), "target.position must be at least 1, got 0"),
        (
            changed(FOUR, "position", 1, 1.5),
            MUGS,
            "exposures.position must be whole numbers, got d",
        ),
        (
            FOUR.set_column(4, "reward", pa.array(list("abcd"))),
            MUGS,
            "reward must be numbers, got s",
        ),
        (
            FOUR,
            changed(MUGS, "probability", 0, 0.4),
            "must sum to 1 over the products of a place, got 0.9 for",
        ),
        (
            FOUR,
            MUGS.slice(0, 0),
            "must sum to 1 over the products of a place, got 0 for request r1",
        ),
        (changed(FOUR, "position", 3, 2), MUGS, "of a place, got 0 for request r4, position 2"),
        (
            FOUR,
            changed(MUGS, "probability", 0, -0.5),
            "between 0 and 1, got -0.5 for position 1, product mug",
        ),
        (
            FOUR,
            changed(MUGS, "probability", 0, np.nan),
            "between 0 and 1, got nan for position 1, prod",
        ),
        (
            FOUR,
            changed(MUGS, "product_id", 0, "tea"),
            "one row a product and place, got two of position 1, product tea",
        ),
        (
            FOUR,
            MUGS.append_column("predicted", pa.array([1.0, np.nan])),
            "target.predicted must be finite, got nan",
        ),
    ],
)
def test_faults_of_the_tables_are_said(exposures: pa.Table, target: pa.Table, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        value(exposures, target, seed=1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cap": 0.0}, "cap must be above 0, got 0"),
        ({"level": 1.0}, "level must be between 0 and 1, got 1"),
        ({"by": "customer_id"}, "exposures must have a column customer_id, got request_id, pos"),
        ({"reward": "revenue"}, "exposures must have a column revenue, got request_id, pos"),
    ],
)
def test_faults_of_the_call_are_said(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        value(FOUR, MUGS, seed=1, **given)


def test_requests_and_positions_that_were_not_logged_are_of_no_matter() -> None:
    whole = table(
        [(f"r{i}", 1, name, 0.5) for i in range(1, 9) for name in ("mug", "tea")],
        "request_id",
        *WANTED,
    )
    deeper = pa.concat_tables([MUGS, changed(MUGS.slice(0, 1), "position", 0, 7)])
    want = value(FOUR, MUGS, seed=1, limits=ALL)
    assert value(FOUR, whole, seed=1, limits=ALL) == want
    assert value(FOUR, deeper, seed=1, limits=ALL) == want


# The Open Bandit sample: what each policy earned, and what the other's log says that it would have.


@pytest.fixture(scope="module")
def open_bandit() -> pa.Table:
    path = DATA / "open_bandit.parquet"
    if not path.exists():
        pytest.skip("open_bandit.parquet is not here: set REGULARS_DATA to the folder that has it")
    return pq.read_table(path)


@pytest.mark.parametrize(
    ("campaign", "target", "log"),
    [("men", "random", "bts"), ("men", "bts", "random"), ("women", "bts", "random")],
)
def test_each_policys_clicks_lie_where_the_others_log_says(
    open_bandit: pa.Table, campaign: str, target: str, log: str
) -> None:
    truth, exposures, policy = bandit_case(open_bandit, campaign, target=target, log=log)
    got = value(exposures, policy, seed=1)
    assert not got.refused
    for name, said in got.values.items():
        assert said.low <= truth <= said.high, name
        assert said.high < 3 * truth, name


def test_one_row_of_great_weight_is_refused_for_and_said(open_bandit: pa.Table) -> None:
    """A propensity of 0.000001 among 10,000 rows: one exposure would speak for nearly all."""
    _, exposures, policy = bandit_case(open_bandit, "women", target="random", log="bts")
    got = value(exposures, policy, seed=1)
    assert got.refused.startswith(
        "the 10000 requests weigh as much as 2.08 chosen by the target, at least 300 are needed"
    )
    assert got.overlap.largest > 20_000
    assert got.values == {}


def test_open_bandit_estimates_are_those_of_obps_formulas(open_bandit: pa.Table) -> None:
    _, exposures, policy = bandit_case(open_bandit, "men", target="bts", log="random")
    exposures = exposures.slice(0, 4000)
    names = sorted(set(policy["product_id"].to_pylist()))
    code = {name: place for place, name in enumerate(names)}
    chance = np.zeros((4, len(names)))
    for row in policy.to_pylist():
        chance[row["position"], code[row["product_id"]]] = row["probability"]
    believed = np.random.default_rng(1).random((4, len(names))) / 100
    policy = policy.append_column(
        "predicted",
        pa.array(
            believed[at, code[name]]
            for at, name in zip(
                policy["position"].to_pylist(), policy["product_id"].to_pylist(), strict=True
            )
        ),
    )
    position = exposures["position"].to_numpy()
    bandit = Bandit(
        np.array([code[name] for name in exposures["product_id"].to_pylist()]),
        exposures["propensity"].to_numpy(),
        exposures["reward"].to_numpy(),
        chance[position],
        believed[position],
    )
    got = value(exposures, policy, seed=1, cap=3.0, limits=ALL)
    assert {name: said.mean for name, said in got.values.items()} == pytest.approx(
        as_obp(bandit, cap=3.0)
    )
