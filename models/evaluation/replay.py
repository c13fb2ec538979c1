"""Replay: logged exposures with propensities and another policy in, what it would have earned out.

Value is the mean reward of an exposure had the target policy chosen the products. With w how much
more often the target shows the logged product than the log did, r the reward, q a predicted one:
    ips      mean of w r                       Horvitz and Thompson, JASA 1952
    snips    sum of w r over sum of w          Swaminathan and Joachims, NIPS 2015
    clipped  mean of min(w, cap) r             Ionides 2008; Bottou and others, JMLR 2013
    dr       mean of q under the target, plus mean of w (r - q)   Dudík and others, ICML 2011
Lists whose products depend on one another: `slates`. Which to read: docs/off-policy.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.evaluation.codes import Floats, Places
from models.evaluation.logged import Logged, Target, read, unseen
from models.evaluation.overlap import (
    ENOUGH,
    TINY,
    Limits,
    Overlap,
    Replay,
    answer,
    overlapping,
    refusal,
)

__all__ = ["Limits", "Overlap", "Replay", "value"]

FOLDS = 5
PRIOR = 20.0  # exposures that the mean of a position counts for in a product's predicted reward


def value(
    exposures: pa.Table,
    target: pa.Table,
    *,
    seed: int,
    reward: str = "reward",
    by: str = "request_id",
    cap: float | None = None,
    limits: Limits = ENOUGH,
    level: float = 0.95,
) -> Replay:
    """Estimate what the target policy would have earned an exposure.

    exposures: request_id, position (from 1), product_id, propensity (the chance the log gave that
        product at that position), the reward and the column `by`.
    target: position, product_id, probability; request_id unless the policy is the same for all
        requests; predicted, if another model's rewards are to be used in `dr` (rows of probability
        0 may be there). Without it, a product's smoothed mean at a position, learned on the other
        folds of units.
    by: what is drawn anew for intervals: "customer_id" where customers come more than once.
    cap: the largest weight of `clipped`; None: the root of the number of exposures.

    Raises ValueError for tables that are wrong in themselves. A log too unlike the target gives a
    Replay that is `refused`.
    """
    if cap is not None and not cap > 0:
        raise ValueError(f"cap must be above 0, got {cap}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    logged, found = read(exposures, target, by=by, reward=reward)
    weights = found.weights(logged)
    n = len(weights)
    most = float(np.sqrt(n)) if cap is None else cap
    clipped = np.minimum(weights, most)
    rewards = logged.reward
    expected, predicted = _predictions(logged, found, seed=seed)
    one = np.ones(n)
    parts = {
        "ips": [(weights * rewards, one)],
        "snips": [(weights * rewards, weights)],
        "clipped": [(clipped * rewards, one)],
        "dr": [(expected + weights * (rewards - predicted), one)],
    }
    overlap = overlapping(
        logged.unit,
        weights,
        weights * rewards,
        rewards,
        clipped=1 - clipped.sum() / max(weights.sum(), TINY),
        never=float(found.mean(unseen(logged, found)).mean()),
    )
    return answer(
        parts,
        (rewards, one),
        overlap,
        refused=refusal(overlap, limits, of=by),
        unit=logged.unit,
        level=level,
    )


def _predictions(logged: Logged, target: Target, *, seed: int) -> tuple[Floats, Floats]:
    """(n,) the reward expected of what the target shows, and (n,) of what was shown."""
    if target.predicted is not None:
        expected = target.mean(target.predicted)
        return expected, np.where(target.shown < 0, 0.0, target.predicted[target.shown])
    fold = np.random.default_rng(seed).permutation(int(logged.unit.max()) + 1)[logged.unit] % FOLDS
    _, place = np.unique(logged.position, return_inverse=True)
    position = place[target.row]
    expected, predicted = np.empty(len(fold)), np.empty(len(fold))
    for held in range(FOLDS):
        here, model = fold == held, _means(logged, place, fold != held)
        expected[here] = target.mean(model[position, target.product])[here]
        predicted[here] = model[place[here], logged.product[here]]
    return expected, predicted


def _means(logged: Logged, place: Places, among: npt.NDArray[np.bool_]) -> Floats:
    """(positions, products) mean rewards, drawn to the position's, and that to the overall one."""
    shape = int(place.max()) + 1, len(logged.product_ids)
    at = (place * shape[1] + logged.product)[among]
    reward = logged.reward[among]
    sums = np.bincount(at, reward, shape[0] * shape[1]).reshape(shape)
    count = np.bincount(at, None, shape[0] * shape[1]).reshape(shape)
    overall = reward.sum() / max(len(reward), 1)
    of_place = (sums.sum(1) + PRIOR * overall) / (count.sum(1) + PRIOR)
    return np.asarray((sums + PRIOR * of_place[:, None]) / (count + PRIOR))
