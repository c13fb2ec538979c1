"""Uplift models on customers whose true change is known."""

import numpy as np
import numpy.typing as npt
import pytest

from models.uplift import LEARNERS, Learner, TooFew, Uplift

Floats = npt.NDArray[np.float64]


def world(n: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Known, contacted, outcome, true change: those with a high first column come because of it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    change = np.where(x[:, 0] > 0, 0.3, 0.0)
    t = (rng.random(n) < 0.5).astype(float)
    base = 0.15 + 0.2 * (x[:, 1] > 0)  # who would come anyway, which says nothing of the change
    y = (rng.random(n) < base + change * t).astype(float)
    return x, t, y, change


@pytest.mark.parametrize("learner", LEARNERS)
def test_each_learner_finds_whom_the_contact_changes(learner: Learner) -> None:
    x, t, y, _ = world(3000, 0)
    model = Uplift(learner=learner).fit(x, t, y)
    new, _, _, change = world(2000, 1)
    moved = model.change(new)
    top = np.argsort(-moved)[:600]
    # in logits `shared` is the same for all: it knows who is near even chances, not who is moved
    assert change[top].mean() > (0.25 if learner != "shared" else 0.1)
    assert moved.mean() == pytest.approx(change.mean(), abs=0.05)


def test_the_best_is_chosen_by_qini_on_customers_not_seen_and_has_evidence() -> None:
    x, t, y, _ = world(3000, 0)
    model = Uplift(folds=3).fit(x, t, y)
    assert model.chosen != "shared"
    assert model.chosen == max(model.qini, key=lambda name: model.qini[name])
    assert set(model.qini) == set(LEARNERS)
    assert model.evidence is not None
    assert model.evidence.low > 0


def test_without_an_effect_there_is_no_evidence() -> None:
    x, _, _, _ = world(1500, 0)
    without = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        t, y = (rng.random((2, 1500)) < 0.4).astype(float)
        evidence = Uplift(learner="linear").fit(x, t, y).evidence
        without += evidence is not None and evidence.low <= 0
    assert without >= 4


def test_unknown_values_and_constant_columns_are_taken() -> None:
    x, t, y, change = world(3000, 0)
    x[::3, 1] = np.nan
    x[:, 2] = 7
    model = Uplift(learner="linear").fit(x, t, y)
    assert np.corrcoef(model.change(x), change)[0, 1] > 0.6
    assert np.isfinite(model.change(np.full((1, 3), np.nan))).all()


def test_amounts_are_learned_too() -> None:
    x, t, y, change = world(3000, 0)
    model = Uplift(learner="linear").fit(x, t, 40 * y)
    assert model.change(x).mean() == pytest.approx(40 * change.mean(), abs=2)


def test_the_same_seed_gives_the_same_changes() -> None:
    x, t, y, _ = world(1000, 0)
    first, again = (Uplift(learner="crossed").fit(x, t, y).change(x) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_small_hold_out_is_refused_in_words() -> None:
    x, _, y, _ = world(1000, 0)
    t = np.ones(1000)
    t[:50] = 0
    with pytest.raises(TooFew, match="want 200 customers held out and 20 of them who came, got 50"):
        Uplift().fit(x, t, y)
    with pytest.raises(ValueError, match=r"learner must be one of linear, .*got 'magic'"):
        Uplift(learner="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be fitted before it is asked"):
        Uplift().change(x)
