"""Slates: logged lists with propensities and another policy in, what a list would have earned out.

Value is the mean over requests of the rewards of a whole list. With w_k how much more often the
target shows the product logged at position k than the log did, r_k the reward there:
    independent  sum of w_k r_k          a reward hangs on its own product and position
                 Li and others, Offline evaluation of ranking policies with click models, KDD 2018
    cascade      sum of w_1 ... w_k r_k  a reward hangs on what stands there and above
                 McInerney and others, Counterfactual evaluation of slate recommendations, KDD 2020
    list         w_1 ... w_K times the list's reward    nothing assumed; few logs suffice for it
    additive     (1 - K + sum of w_k) times the list's reward    a list's reward is a sum of unseen
                 parts, one a position, and the log fills positions independently of one another:
                 the pseudo-inverse of Swaminathan and others, NIPS 2017, in closed form
The propensities that each needs: docs/off-policy.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.evaluation.codes import Floats, Places
from models.evaluation.logged import Logged, read, read_shown, unseen
from models.evaluation.overlap import (
    ENOUGH,
    Limits,
    Overlap,
    Replay,
    answer,
    overlapping,
    refusal,
)

Way = Literal["independent", "cascade", "list", "additive"]


def value(
    exposures: pa.Table,
    target: pa.Table,
    *,
    way: Way,
    k: int | None = None,
    reward: str = "reward",
    by: str = "request_id",
    limits: Limits = ENOUGH,
    level: float = 0.95,
) -> Replay:
    """Estimate what the target policy would have earned a request in its first k positions.

    exposures, target, by: as of `replay.value`, with every position of a list. For `independent`
        and `additive` propensity and probability are those of the product at that position whatever
        stands above; for `cascade` and `list` those given what the log showed above (of the
        exposures `propensity_given_above`, where they have that column), and of the target only the
        products shown are needed.
    k: None is all positions. Fewer carry a cascade further: its weights multiply.

    The Replay has the values `ips` and `snips`, the latter normalised at each position. Where
    weights multiply (`cascade`, `list`) and logs are refused by their effective number, `ips` is
    left out: the logs that pass are those that happened to lack great weights, so that it stands
    too low, while `snips` divides that luck away. A position that a list has not counts as shown by
    both policies alike. Of overlap the worst position stands for all. Raises ValueError as
    `replay.value` does.
    """
    if way not in get_args(Way):
        raise ValueError(f"way must be one of {', '.join(get_args(Way))}, got {way}")
    if k is not None and k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    whole = way in ("independent", "additive")
    logged, found = (read if whole else read_shown)(exposures, target, by=by, reward=reward)
    row_weights, never = found.weights(logged), np.zeros(len(logged.position))
    if whole:
        never = found.mean(unseen(logged, found))
    kept = logged.position <= k if k else np.ones(len(never), np.bool_)
    if not kept.any():
        raise ValueError(f"exposures must have a position up to {k}, got none")
    unit = _units(logged, by=by)
    weights = _lists(row_weights, logged, kept, empty=1.0)  # (requests, positions)
    rewards = _lists(logged.reward, logged, kept, empty=0.0)
    if way == "cascade":
        weights = np.asarray(np.cumprod(weights, axis=1), np.float64)
    elif way != "independent":
        each = weights.prod(axis=1) if way == "list" else 1 + (weights - 1).sum(axis=1)
        weights, rewards = each[:, None], rewards.sum(axis=1)[:, None]  # (requests, 1)
    one = np.ones(len(unit))
    weighted = weights * rewards
    parts = {"snips": [(at, below) for at, below in zip(weighted.T, weights.T, strict=True)]}
    if whole or not limits.effective:
        parts["ips"] = [(weighted.sum(axis=1), one)]
    overlap = _worst(unit, weights, rewards, never=float(never[kept].mean()))
    return answer(
        parts,
        (rewards.sum(axis=1), one),
        overlap,
        refused=refusal(overlap, limits, of=by),
        unit=unit,
        level=level,
    )


def _lists(of_rows: Floats, logged: Logged, kept: npt.NDArray[np.bool_], *, empty: float) -> Floats:
    """(requests, positions) of kept rows' values; `empty` where a list has no such position."""
    positions, place = np.unique(logged.position[kept], return_inverse=True)
    lists = np.full((len(logged.request_ids), len(positions)), empty)
    lists[logged.request[kept], place] = of_rows[kept]
    return lists


def _units(logged: Logged, *, by: str) -> Places:
    """(requests,) the unit of each; a request must be of one."""
    unit = np.empty(len(logged.request_ids), np.int64)
    unit[logged.request] = logged.unit
    wrong = np.flatnonzero(unit[logged.request] != logged.unit)
    if wrong.size:
        raise ValueError(
            f"exposures must have one {by} a request, got several for "
            f"{logged.request_ids[int(logged.request[wrong[0]])]}"
        )
    return unit


def _worst(unit: Places, weights: Floats, rewards: Floats, *, never: float) -> Overlap:
    """The overlap of the position that has the least, of (requests, positions) each."""
    weighted, earned = (weights * rewards).sum(axis=1), rewards.sum(axis=1)
    each = [overlapping(unit, at, weighted, earned, never=never) for at in weights.T]
    return replace(
        min(each, key=lambda at: at.effective),
        largest=max(at.largest for at in each),
        mean=max((at.mean for at in each), key=lambda mean: max(mean.low - 1, 1 - mean.high)),
        unsupported=max(at.unsupported for at in each),
    )
