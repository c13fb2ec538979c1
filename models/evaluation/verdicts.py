"""Verdicts: candidate policies and a simulated shop in, what a test, a log and the truth say out.

The shop cannot run every policy on everybody. It can give each customer one of them and compare
(`live`), or answer each request with a policy drawn at random, log the chances and reckon what each
would have earned (`off_policy`). Here the truth is known, so that one can see who was right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import stdtrit

from models.evaluation import abtest, slates
from models.evaluation.abtest import Effect, Measure
from models.evaluation.codes import Codes, Floats, Places
from models.evaluation.intervals import Interval
from models.evaluation.overlap import Replay
from models.evaluation.reactions import Crowd, Nature
from models.evaluation.simulate import Asked, Outcome, Policy, simulate

LEVEL = 0.95


@dataclass(slots=True)
class Explorer:
    """A policy that draws one of several for each request, and keeps what each would have shown."""

    policies: Mapping[str, Policy]
    seed: int
    shown: list[npt.NDArray[np.int32]] = field(default_factory=list)  # (policies, v, k) a day

    def __call__(self, asked: Asked) -> Codes:
        """The lists of the policies drawn."""
        lists = np.stack([policy(asked) for policy in self.policies.values()])
        self.shown.append(lists)
        rng = np.random.default_rng([self.seed, asked.day])
        drawn = rng.integers(0, len(lists), len(asked.rows))
        return np.asarray(lists[drawn, np.arange(len(drawn))], np.int32)


def split(policies: Mapping[str, Policy], arm: Places) -> Policy:
    """Each customer served by the policy of her arm: (n,) its place among the policies."""

    def policy(asked: Asked) -> Codes:
        mine = arm[asked.rows]
        lists: Codes | None = None
        for place, one in enumerate(policies.values()):
            here = mine == place
            if here.any():
                found = one(Asked(asked.day, asked.rows[here], asked.done))
                if lists is None:
                    lists = np.full((len(mine), found.shape[1]), -1, np.int32)
                lists[here] = found
        assert lists is not None
        return lists

    return policy


def live(
    crowd: Crowd,
    policies: Mapping[str, Policy],
    *,
    days: int,
    seed: int,
    before: Floats,
    nature: Nature | None = None,
    k: int = 10,
) -> tuple[list[Effect], str]:
    """A test with one arm a policy, the first the control: effects on return, and what is chosen.

    Return is coming in the second half of the days. before: (n,) what was known of each customer.
    Chosen is the arm of the largest gain that is sure after Holm, else the control.
    """
    names = list(policies)
    n = len(crowd.rhythm)
    arm = np.random.default_rng([seed, 1]).permutation(n) % len(names)
    ran = simulate(crowd, split(policies, arm), days=days, seed=seed, k=k, nature=nature)
    units = pa.table(
        {
            "arm": [names[place] for place in arm],
            "returned": ran.returned(days // 2).astype(np.float64),
            "before": before,
        }
    )
    effects = abtest.effects(
        units, [Measure("return", "returned")], control=names[0], covariates=["before"]
    )
    sure = [one for one in effects if one.adjusted < 1 - LEVEL and one.difference > 0]
    return effects, max(sure, key=lambda one: one.difference).arm if sure else names[0]


def off_policy(
    crowd: Crowd,
    policies: Mapping[str, Policy],
    *,
    days: int,
    seed: int,
    nature: Nature | None = None,
    k: int = 10,
) -> tuple[dict[str, Replay], str]:
    """What a list of each policy would have earned in clicks, from the log of one that explores.

    By `slates`, `independent`: in this shop a click hangs on its own product and position. Chosen
    is the largest normalised value; "" where the log carries no policy's answer.
    """
    explorer = Explorer(policies, seed)
    ran = simulate(crowd, explorer, days=days, seed=seed, k=k, nature=nature)
    every = np.concatenate(explorer.shown, axis=1)  # (policies, v, k)
    chance = (every == ran.lists).mean(axis=0)  # (v, k)
    request, place = np.nonzero(ran.lists >= 0)
    exposures = pa.table(
        {
            "request_id": request,
            "position": place + 1,
            "product_id": ran.lists[request, place],
            "propensity": chance[request, place],
            "reward": ran.clicked[request, place].astype(np.float64),
            "customer_id": ran.visit_who[request],
        }
    )
    found = {}
    for name, lists in zip(policies, every, strict=True):
        target = pa.table(
            {
                "request_id": request,
                "position": place + 1,
                "product_id": lists[request, place],
                "probability": np.ones(len(request)),
            }
        )
        found[name] = slates.value(
            exposures, target, way="independent", by="customer_id", level=LEVEL
        )
    means = {name: one.values["snips"].mean for name, one in found.items() if not one.refused}
    return found, max(means, key=lambda name: means[name]) if means else ""


def truth(outcomes: Mapping[str, Outcome]) -> str:
    """The policy under which most customers are still there; of equal ones the first."""
    return max(outcomes, key=lambda name: int(outcomes[name].retained.sum()))


def over_runs(values: npt.ArrayLike) -> Interval:
    """The mean of one figure over independent runs, with Student's interval; NaN for one run."""
    each = np.asarray(values, np.float64)
    n, mean = len(each), float(each.mean())
    if n < 2:
        return Interval(mean, np.nan, np.nan, n)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2) * each.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)
