"""Uplift: what is known of customers and a past hold-out in, what a contact would change out.

Whom to contact is not who will come, but who comes because of it. Five plain ways to learn that;
the one used has the greatest Qini on parts of the training data that it has not seen:

- `linear`, `shrunk`, `shared`: a ridge regression of the outcome on what is known, the contact, and
  both multiplied, logistic where the outcome is 0 or 1. How much a contact's effect may differ from
  customer to customer is free; or pulled towards the mean by a prior as strong as the data; or not
  at all: then in logits it is the same for all, and those near even chances change most.
- `residual`: boosted trees on what the outcome is beyond what was to be expected of her, over what
  her arm is beyond chance (the R-learner of Nie and Wager 2021; with a known chance of contact it
  is the transformed outcome with the noise of the mean taken out).
- `crossed`: boosted trees on what each would have changed by the other arm's model (the X-learner
  of Künzel et al. 2019): good where few are held out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from models.evaluation.intervals import Interval
from models.evaluation.uplift import judge, qini

Floats: TypeAlias = npt.NDArray[np.float64]
Learner: TypeAlias = Literal["linear", "shrunk", "shared", "residual", "crossed"]
LEARNERS: tuple[Learner, ...] = get_args(Learner)
Change: TypeAlias = Callable[[Floats], Floats]

LEAST = 200  # customers of an arm that can be learned from at all
HAPPENED = 20  # of them, who did it
FREE = 1e-6  # of a weight that nothing pulls
RESAMPLES = 200  # of the evidence
STEPS = 25  # of Newton's method, at most


class TooFew(ValueError):
    """A hold-out too small to learn from."""


@dataclass(slots=True)
class Uplift:
    """What a contact changes of an outcome, by what was known before.

    learner: `best` chooses by Qini over `folds` parts. l2: the ridge of the regressions. trees,
    leaves, learning_rate: of the boosted trees. Learned: `chosen`; `qini`, the coefficient of each
    learner that was tried on customers it had not seen; `evidence`, the chosen one's with its
    interval: where it does not lie above zero, nobody knows yet whom a contact changes.
    """

    learner: Learner | Literal["best"] = "best"
    l2: float = 10.0
    trees: int = 120
    leaves: int = 6
    learning_rate: float = 0.03
    folds: int = 5
    seed: int = 0
    chosen: Learner | None = field(default=None, init=False)
    qini: dict[str, float] = field(default_factory=dict, init=False)
    evidence: Interval | None = field(default=None, init=False)
    _change: Change | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.learner not in (*LEARNERS, "best"):
            want = ", ".join((*LEARNERS, "best"))
            raise ValueError(f"learner must be one of {want}, got {self.learner!r}")
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, got {self.folds}")

    def fit(self, known: npt.ArrayLike, contacted: npt.ArrayLike, outcome: npt.ArrayLike) -> Self:
        """Learn from customers drawn at random into the two arms.

        known: (n, f), NaN where not known. contacted: (n,) 0 or 1. outcome: (n,) 0 or 1, or an
        amount. Raises TooFew where an arm has too few customers, or too few who did it.
        """
        x, t, y = _arrays(known, contacted, outcome)
        for name, arm in (("contacted", t == 1), ("held out", t == 0)):
            n, did = int(arm.sum()), int((y[arm] != 0).sum())
            if n < LEAST or did < HAPPENED:
                raise TooFew(
                    f"want {LEAST} customers {name} and {HAPPENED} of them who came, got {n} "
                    f"and {did}"
                )
        tried: tuple[Learner, ...] = LEARNERS if self.learner == "best" else (self.learner,)
        scores = {name: self._tried(name, x, t, y) for name in tried}
        came = np.maximum(y, 0)
        self.qini = {name: qini(one, t, came) for name, one in scores.items()}
        best: Learner = max(tried, key=lambda name: self.qini[name])
        self.evidence = judge(scores[best], t, came, seed=self.seed, resamples=RESAMPLES).qini
        self.chosen, self._change = best, self._learn(best, x, t, y)
        return self

    def change(self, known: npt.ArrayLike) -> Floats:
        """(n,): what a contact adds to each customer's outcome, in its unit."""
        if self._change is None:
            raise ValueError("an uplift model must be fitted before it is asked")
        return self._change(np.asarray(known, np.float64))

    def _tried(self, name: Learner, x: Floats, t: Floats, y: Floats) -> Floats:
        """(n,) what each part gets by what was learned from the others."""
        part, scores = _parts(t, y, self.folds, self.seed), np.empty_like(y)
        for one in range(self.folds):
            inside = part != one
            scores[~inside] = self._learn(name, x[inside], t[inside], y[inside])(x[~inside])
        return scores

    def _learn(self, name: Learner, x: Floats, t: Floats, y: Floats) -> Change:
        if name == "residual":
            return self._residual(x, t, y)
        if name == "crossed":
            return self._crossed(x, t, y)
        return self._regressed(name, x, t, y)

    def _regressed(self, name: Learner, x: Floats, t: Floats, y: Floats) -> Change:
        shape, chance = _Shape(x), float(t.mean())
        binary = bool(np.isin(y, (0, 1)).all())
        spread = float(y.mean() * (1 - y.mean())) if binary else 1.0
        said = len(y) * chance * (1 - chance) * spread  # what the data say of one interaction
        pull = {"linear": self.l2, "shrunk": said, "shared": 1e6 * said}[name]

        def design(z: Floats, arm: Floats) -> Floats:
            beyond = (arm - chance)[:, None]
            return np.hstack([np.ones((len(z), 1)), beyond, z, beyond * z])

        z = shape(x)
        columns = z.shape[1]
        ridge = np.repeat([FREE, FREE, self.l2, pull], [1, 1, columns, columns])
        weights = (_logistic if binary else _ridge)(design(z, t), y, ridge)

        def change(known: Floats) -> Floats:
            rows, ones = shape(known), np.ones(len(known))
            one, none = (design(rows, arm) @ weights for arm in (ones, 0 * ones))
            found: Floats = _chance(one) - _chance(none) if binary else one - none
            return found

        return change

    def _residual(self, x: Floats, t: Floats, y: Floats) -> Change:
        chance = float(t.mean())
        part, expected = _parts(t, y, self.folds, self.seed + 1), np.empty_like(y)
        for one in range(self.folds):
            inside = part != one
            expected[~inside] = self._grow(x[inside], y[inside])(x[~inside])
        beyond = t - chance
        return self._grow(x, (y - expected) / beyond, beyond**2)

    def _crossed(self, x: Floats, t: Floats, y: Floats) -> Change:
        one, none = t == 1, t == 0
        contacted, alone = self._grow(x[one], y[one]), self._grow(x[none], y[none])
        gained = self._grow(x[one], y[one] - alone(x[one]))
        missed = self._grow(x[none], contacted(x[none]) - y[none])
        chance = float(t.mean())

        def change(known: Floats) -> Floats:
            found: Floats = chance * missed(known) + (1 - chance) * gained(known)
            return found

        return change

    def _grow(self, x: Floats, y: Floats, weight: Floats | None = None) -> Change:
        import lightgbm

        settings: dict[str, Any] = {
            "objective": "regression",
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": max(20, len(y) // 100),
            "lambda_l2": 10.0,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(x, y, weight=weight, free_raw_data=True)
        booster = lightgbm.train(settings, data, self.trees)

        def change(known: Floats) -> Floats:
            return np.asarray(booster.predict(known), np.float64)

        return change


class _Shape:
    """Columns as a regression wants them: clipped, of spread 1, the unknown at the mean."""

    def __init__(self, x: Floats) -> None:
        known = np.where(np.isfinite(x), x, np.nan)
        some = np.isfinite(known).any(axis=0)
        self.low, self.high = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        if some.any():
            self.low[some], self.high[some] = np.nanquantile(known[:, some], [0.005, 0.995], axis=0)
        clipped = np.clip(known, self.low, self.high)
        self.mean = np.zeros(x.shape[1])
        self.mean[some] = np.nanmean(clipped[:, some], axis=0)
        self.gaps = np.flatnonzero(~np.isfinite(x).all(axis=0))  # columns that say when unknown
        filled = np.where(np.isfinite(clipped), clipped, self.mean)
        spread = filled.std(axis=0)
        self.spread = np.where(spread > 0, spread, 1.0)

    def __call__(self, x: Floats) -> Floats:
        """(n, f + columns with gaps)."""
        known = np.isfinite(x)
        clipped = np.clip(np.where(known, x, self.mean), self.low, self.high)
        filled = np.where(known, clipped, self.mean)
        return np.hstack([(filled - self.mean) / self.spread, ~known[:, self.gaps]])


def _logistic(x: Floats, y: Floats, ridge: Floats) -> Floats:
    """Logistic regression by Newton's method; ridge: (columns,), each weight's."""
    weights: Floats = np.zeros(x.shape[1])
    mean = float(np.clip(y.mean(), 1e-6, 1 - 1e-6))
    weights[0] = np.log(mean / (1 - mean))
    for _ in range(STEPS):
        chance = _chance(x @ weights)
        slope = x.T @ (chance - y) + ridge * weights
        bend = (x.T * (chance * (1 - chance))) @ x + np.diag(ridge)  # X'WX + λ
        step = np.linalg.solve(bend, slope).astype(np.float64)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _ridge(x: Floats, y: Floats, ridge: Floats) -> Floats:
    return np.linalg.solve(x.T @ x + np.diag(ridge), x.T @ y).astype(np.float64)


def _chance(logit: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return found


def _parts(t: Floats, y: Floats, folds: int, seed: int) -> npt.NDArray[np.intp]:
    """(n,): a part each, so that every part has its share of both arms and of those who came."""
    order = np.lexsort((np.random.default_rng(seed).random(len(t)), y != 0, t))
    part = np.empty(len(t), np.intp)
    part[order] = np.arange(len(t)) % folds
    return part


def _arrays(
    known: npt.ArrayLike, contacted: npt.ArrayLike, outcome: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    x = np.asarray(known, np.float64)
    t, y = (np.asarray(values, np.float64).ravel() for values in (contacted, outcome))
    if x.ndim != 2 or not len(x) == len(t) == len(y):
        raise ValueError(
            f"known must be (n, f) beside n contacted and outcomes, got {x.shape}, {len(t)} "
            f"and {len(y)}"
        )
    if not np.isin(t, (0, 1)).all():
        raise ValueError("contacted must be 0 or 1 for each customer")
    if not np.isfinite(y).all():
        raise ValueError(f"outcome must be finite, got {int((~np.isfinite(y)).sum())} not")
    return x, t, y
