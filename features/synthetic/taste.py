"""Taste: people and products in, what each would choose out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.synthetic.people import People
from features.synthetic.world import Doubles, Floats, Ints, World

DRAW = 8.0  # how strongly taste pulls
THRIFT = 0.5  # how strongly a wrong price repels
CANDIDATES = 64  # products that one person knows of
ROUNDS = 4
BLOCK = 512


def interest(taste: Floats, level: Floats, world_taste: Floats, world_level: Floats) -> Floats:
    """(people, products): taste's pull less what the price repels; add `appeal` for the whole."""
    pull = np.einsum("ik,jk->ij", taste, world_taste)
    off = level[:, None] - world_level[None, :]
    return np.asarray(DRAW * pull - THRIFT / 2 * off * off, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Repertoire:
    """The products that each person knows of and how gladly she would have them.

    products: (m, C); upto: (m * C,), each row's chances summed, plus the row's number: one
    ascending array that a single binary search draws from.
    """

    products: Ints
    upto: Doubles

    def draw(self, rng: np.random.Generator, who: npt.NDArray[np.intp]) -> Ints:
        """One product for each person named, by her taste."""
        width = self.products.shape[1]
        place = np.searchsorted(self.upto, who + rng.random(len(who)), side="right")
        drawn = self.products.ravel()[np.minimum(place, who * width + (width - 1))]
        return np.asarray(drawn, dtype=np.int64)

    def choose(
        self,
        rng: np.random.Generator,
        who: npt.NDArray[np.intp],
        possible: Callable[[Ints, npt.NDArray[np.intp]], npt.NDArray[np.bool_]],
        liked: Callable[[Ints, npt.NDArray[np.intp]], npt.NDArray[np.bool_]],
    ) -> Ints:
        """One product for each person named that is possible and, if need be not, liked; -1: none.

        Both functions take products and the places in `who` for which they were drawn.
        """
        chosen = np.full(len(who), -1, dtype=np.int64)
        open_ = np.arange(len(who))
        for _ in range(ROUNDS):
            drawn = self.draw(rng, who[open_])
            can = possible(drawn, open_)
            chosen[open_[can]] = drawn[can]
            open_ = open_[~(can & liked(drawn, open_))]
            if not len(open_):
                break
        return chosen


def repertoire(rng: np.random.Generator, world: World, people: People) -> Repertoire:
    """Draw each person's candidates and weigh them, so that choosing is a softmax of interest.

    Candidates come by category, then by popularity within it; each is weighed by what this
    proposal left out of its interest (self-normalised importance sampling), so that the chances
    estimate the softmax over the whole catalogue with C looks instead of P.
    """
    products = np.empty((people.m, CANDIDATES), dtype=np.int64)
    upto = np.empty((people.m, CANDIDATES), dtype=np.float64)
    for low in range(0, people.m, BLOCK):  # blocks that stay in the processor's cache
        some = slice(low, min(low + BLOCK, people.m))
        products[some], chance = _candidates(rng, world, people.taste[some], people.level[some])
        upto[some] = chance + np.arange(some.start, some.stop)[:, None]
    return Repertoire(products, upto.ravel())


def _candidates(
    rng: np.random.Generator, world: World, taste: Floats, level: Floats
) -> tuple[Ints, Doubles]:
    """(b, C) candidates of b people and their chances summed along each row, up to 1."""
    b, k = len(level), len(world.mass)
    rows = np.arange(b)[:, None]
    pull = DRAW * np.einsum("ik,jk->ij", taste, world.centre)  # (b, K)
    weight = np.exp(pull + (world.mass - world.mass.max()) - pull.max(axis=1, keepdims=True))
    upto = np.cumsum(weight, axis=1)
    upto = upto / upto[:, -1:] + rows  # (b, K), ascending over all rows
    even = (np.arange(CANDIDATES) + rng.random((b, CANDIDATES))) / CANDIDATES  # one in each C-th
    place = np.searchsorted(upto.ravel(), (rows + even).ravel(), side="right")
    category = np.minimum(place.reshape(b, CANDIDATES) - rows * k, k - 1)  # (b, C)

    low, high = world.low[category], world.high[category]
    place = np.searchsorted(world.standing, low + rng.random(low.shape) * (high - low), "right")
    products = world.shelf[np.minimum(place, world.products - 1)]  # (b, C)

    fit = DRAW * np.einsum("ik,ijk->ij", taste, world.taste[products])
    fit -= np.take_along_axis(pull, category, axis=1)
    off = level[:, None] - world.level[products]
    fit -= THRIFT / 2 * off * off
    chance = np.cumsum(np.exp(fit - fit.max(axis=1, keepdims=True), dtype=np.float64), axis=1)
    return products, chance / chance[:, -1:]
