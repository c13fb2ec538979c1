"""The closed loop: a policy and customers who react in, who stays, buys and is shown what out.

How they react, and every assumption: `reactions`. Policies run on the same chance: a customer comes
on the same days, looks as deep and bears as much whatever she is shown, so that the difference of
two runs is that of the policies (common random numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from models.evaluation.catalogue import gini
from models.evaluation.codes import Codes, Floats, Places
from models.evaluation.reactions import Bools, Chance, Crowd, Minds, Nature

TOP = 0.1  # the share of suppliers that are called the top


class Done(NamedTuple):
    """What the shop saw since the first day, oldest first: e acts.

    who, product, day: (e,). bought: (e,) a purchase, else a product looked at more closely. visit:
    (e,) a number that acts of one visit share.
    """

    who: Places
    product: Places
    bought: Bools
    day: Places
    visit: Places

    def then(self, later: Done) -> Done:
        """These acts, then those."""
        return Done(
            np.concatenate([self.who, later.who]),
            np.concatenate([self.product, later.product]),
            np.concatenate([self.bought, later.bought]),
            np.concatenate([self.day, later.day]),
            np.concatenate([self.visit, later.visit]),
        )

    def those(self, chosen: Bools) -> Done:
        """Some of them."""
        return Done(
            self.who[chosen],
            self.product[chosen],
            self.bought[chosen],
            self.day[chosen],
            self.visit[chosen],
        )


class Asked(NamedTuple):
    """What a policy is asked: lists for customers `rows`, each once, on a day, knowing `done`."""

    day: int
    rows: Places
    done: Done


Policy: TypeAlias = Callable[[Asked], Codes]  # (v, k) product codes, best first, -1 nothing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a policy for n customers and v visits.

    stayed: (n,) days; as many as were simulated for who is still there. revenue: (n,). visit_day,
    visit_who: (v,). lists, clicked, bought: (v, k). done: all that the shop saw.
    """

    days: int
    stayed: Places
    revenue: Floats
    visit_day: Places
    visit_who: Places
    lists: Codes
    clicked: Bools
    bought: Bools
    done: Done

    @property
    def retained(self) -> Bools:
        """(n,) who is still a customer at the end: the truth, which no shop sees."""
        return self.stayed >= self.days

    def returned(self, since: int) -> Bools:
        """(n,) who came on that day or later: as much of it as a shop can see."""
        came = np.zeros(len(self.stayed), np.bool_)
        came[self.visit_who[self.visit_day >= since]] = True
        return came

    def suppliers(self, crowd: Crowd) -> Places:
        """(suppliers,) how often a product of each was shown."""
        shown = self.lists[self.lists >= 0]
        return np.bincount(crowd.supplier[shown], minlength=int(crowd.supplier.max()) + 1)

    def figures(self, crowd: Crowd) -> dict[str, float]:
        """Of customers, lists and suppliers, by name.

        retained, revenue: a customer's. clicked, bought: the share of lists. supplier_gini, and
        supplier_top, the share of all that is shown which the top tenth of suppliers has.
        """
        shown = np.sort(self.suppliers(crowd))[::-1]
        top = max(1, round(TOP * len(shown)))
        visits = max(1, len(self.visit_day))
        return {
            "retained": float(self.retained.mean()),
            "revenue": float(self.revenue.mean()),
            "clicked": float(self.clicked.any(axis=1).sum() / visits),
            "bought": float(self.bought.any(axis=1).sum() / visits),
            "supplier_gini": gini(shown),
            "supplier_top": float(shown[:top].sum() / shown.sum()) if shown.sum() else float("nan"),
        }


def simulate(
    crowd: Crowd, policy: Policy, *, days: int, seed: int, k: int = 10, nature: Nature | None = None
) -> Outcome:
    """Let a policy serve the customers for so many days; the same seed is the same chance.

    Raises ValueError for lists of another shape than (visitors, k) or codes that do not exist.
    """
    for name, value in (("days", days), ("k", k)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    nature = nature or Nature()
    chance = Chance.draw(crowd, nature, days=days, k=k, seed=seed)
    minds, n = Minds(crowd, nature), len(crowd.rhythm)
    there, stayed, revenue = np.ones(n, np.bool_), np.full(n, days), np.zeros(n)
    starts = np.searchsorted(chance.day, np.arange(days + 1))
    seen, visits = _nothing_done(), [_Visit.none(k)]
    for day in range(days):
        whole = np.arange(starts[day], starts[day + 1])
        whole = whole[there[chance.who[whole]]]
        if len(whole):
            rows = chance.who[whole]
            lists = _checked(policy(Asked(day, rows, seen)), len(rows), k, len(crowd.price))
            did = minds.react(day, rows, lists, chance.of(whole))
            which, place = np.nonzero(did.clicked & ~did.bought)
            sold, where = np.nonzero(did.bought)
            alone = np.flatnonzero(did.own >= 0)
            new = Done(
                rows[np.concatenate([which, sold, alone])],
                np.concatenate([lists[which, place], lists[sold, where], did.own[alone]]).astype(
                    np.int64
                ),
                np.repeat([False, True], [len(which), len(sold) + len(alone)]),
                np.full(len(which) + len(sold) + len(alone), day),
                whole[np.concatenate([which, sold, alone])],
            )
            np.add.at(revenue, new.who[new.bought], crowd.price[new.product[new.bought]])
            seen = seen.then(new)
            visits.append(_Visit(np.full(len(rows), day), rows, lists, did.clicked, did.bought))
        minds.night()
        gone = there & (minds.hazard > chance.endurance)
        stayed[gone], there = day, there & ~gone
    day_, who, lists, clicked, bought = (np.concatenate(part) for part in zip(*visits, strict=True))
    return Outcome(days, stayed, revenue, day_, who, lists, clicked, bought, seen)


def nothing(k: int = 10) -> Policy:
    """Show nothing: the floor."""
    return lambda asked: np.full((len(asked.rows), k), -1, np.int32)


def at_random(crowd: Crowd, *, seed: int, k: int = 10) -> Policy:
    """Show any products on sale to anybody, each once a list."""
    products = np.flatnonzero(np.isfinite(crowd.interest).any(axis=0)).astype(np.int32)

    def policy(asked: Asked) -> Codes:
        rng = np.random.default_rng([seed, asked.day])
        keys = rng.random((len(asked.rows), len(products)))
        return _full(products[np.argsort(keys, axis=1)[:, :k]], k)

    return policy


def oracle(crowd: Crowd, k: int = 10) -> Policy:
    """Show what she truly wants most, knowing neither what she has nor what she is tired of."""
    best = np.argsort(-crowd.interest, axis=1, kind="stable")[:, :k].astype(np.int32)
    lists = _full(np.where(np.isfinite(np.take_along_axis(crowd.interest, best, 1)), best, -1), k)
    return lambda asked: lists[asked.rows]


class _Visit(NamedTuple):
    """A day's visits, as columns of an Outcome."""

    day: Places
    who: Places
    lists: Codes
    clicked: Bools
    bought: Bools

    @classmethod
    def none(cls, k: int) -> _Visit:
        """Of no day."""
        whole, row, act = np.empty(0, np.int64), np.empty((0, k), np.int32), np.empty((0, k), bool)
        return cls(whole, whole, row, act, act)


def _nothing_done() -> Done:
    none = np.empty(0, np.int64)
    return Done(none, none, np.empty(0, np.bool_), none, none)


def _full(lists: Codes, k: int) -> Codes:
    """Lists of k places, the last ones empty where there is less to show."""
    missing = k - lists.shape[1]
    return np.pad(lists, ((0, 0), (0, missing)), constant_values=-1).astype(np.int32)


def _checked(lists: Codes, visitors: int, k: int, products: int) -> Codes:
    if lists.shape != (visitors, k):
        raise ValueError(f"lists must have the shape {(visitors, k)}, got {lists.shape}")
    if lists.size and (lists.min() < -1 or lists.max() >= products):
        raise ValueError(
            f"lists must hold codes from -1 to {products - 1}, got {lists.min()} to {lists.max()}"
        )
    return lists
