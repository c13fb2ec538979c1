"""Interleaving: two ranked lists in, one list that both may call theirs out, and who won.

Team draft (Radlinski, Kurup and Joachims 2008): like captains, the two rankers pick their best
product still free, in turns; a coin says who picks first in each round. A purchase or click counts
for the team that picked the product. Far fewer customers than a test of two arms needs tell which
ranker is preferred, but not by how much it sells.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import column
from models.evaluation.intervals import Interval, mean_interval, numbers

Product = TypeVar("Product", bound=Hashable)
Team = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class Preference:
    """Which ranker customers preferred.

    share: of the customers with a winner, those that b won, with its bootstrap interval; 0.5 is no
    preference. a, b, ties: customers. p_value: two-sided sign test, exact.
    """

    a: int
    b: int
    ties: int
    share: Interval
    p_value: float

    @property
    def winner(self) -> Team | None:
        """The ranker that is preferred beyond chance."""
        if not self.p_value < 0.05:
            return None
        return "b" if self.b > self.a else "a"


def team_draft(
    a: Sequence[Product], b: Sequence[Product], k: int, *, seed: int
) -> list[tuple[Product, Team]]:
    """Up to k products, each with the team that picked it; a product stands once.

    seed: the coin's, such as a hash of the request's id, so that an answer can be told again.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    coin = np.random.default_rng(seed)
    lists: dict[Team, Sequence[Product]] = {"a": a, "b": b}
    at: dict[Team, int] = {"a": 0, "b": 0}
    taken: set[Product] = set()
    drafted: list[tuple[Product, Team]] = []
    while len(drafted) < k:
        order: tuple[Team, Team] = ("a", "b") if coin.random() < 0.5 else ("b", "a")
        before = len(drafted)
        for team in order:
            one = lists[team]
            while at[team] < len(one) and one[at[team]] in taken:
                at[team] += 1
            if at[team] < len(one) and len(drafted) < k:
                product = one[at[team]]
                taken.add(product)
                drafted.append((product, team))
        if len(drafted) == before:
            break
    return drafted


def preference(credits: pa.Table, *, seed: int, resamples: int = 1000) -> Preference:
    """Who won: `customer_id, team, credit`, a row for each product that was clicked or bought.

    A customer is one vote, however much she clicks: the team with more credit has it.
    """
    from scipy.stats import binomtest

    team = column(credits, "team", of="credits").cast(pa.string())
    strange = set(team.unique().to_pylist()) - {"a", "b"}
    if strange:
        raise ValueError(f"team must be a or b, got {sorted(strange)[0]!r}")
    signs = numbers(pc.equal(team, "b")) * 2 - 1
    signed = pa.table(
        {
            "customer_id": column(credits, "customer_id", of="credits"),
            "for_b": numbers(column(credits, "credit", of="credits")) * signs,
        }
    )
    sums = numbers(signed.group_by("customer_id").aggregate([("for_b", "sum")])["for_b_sum"])
    votes = np.sign(np.round(sums, 9))
    a, b = int((votes < 0).sum()), int((votes > 0).sum())
    share = mean_interval(votes[votes != 0] > 0, seed=seed, resamples=resamples)
    p_value = float(binomtest(b, a + b).pvalue) if a + b else 1.0
    return Preference(a, b, len(votes) - a - b, share, p_value)
