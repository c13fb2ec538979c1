"""Rebuy: histories in, what each customer buys again out, and what those who buy alike buy.

A customer's vector is each product's share of her baskets, later ones counting more; her score for
a product is

    alpha * hers * due + (1 - alpha) * mean of the vectors of the customers most like her

after TIFU-KNN (Hu et al.: Modeling Personalized Item Frequency Information for Next-basket
Recommendation, 2020) and UP-CF (Faggioli et al.: Recency Aware Collaborative Filtering for Next
Basket Recommendation, 2020). `due` goes by how likely she buys it again within 14 days
(`models.renewals`): low for what she has just bought, and for what she no longer buys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numba import njit, prange

from models.baskets import Bought, bought
from models.least_squares import ONE
from models.renewals import Renewals, chances, learned, restored
from models.scorer import Arrays, Codes, History, ModelError, Scores, above, at_least, fitted

USUAL = 0.01  # chance of 14 days that leaves her share as it is
PRIOR = np.float32(1e-6)  # weight of popularity, which only orders what nothing else does


@dataclass
class Rebuy:
    """Personal frequency, the product's rhythm and customers alike.

    decay: what a basket counts for each after it. alpha: weight of her own against those alike.
    neighbours: how many are alike. peers: customers among whom they are sought, drawn by `seed`
    where there are more. rhythm: power of `due`; 0 forgets when each was bought.
    """

    kind: ClassVar[str] = "rebuy"
    needs: ClassVar[frozenset[str]] = frozenset({"events"})

    decay: float = 0.9
    alpha: float = 0.3
    neighbours: int = 300
    peers: int = 20_000
    rhythm: float = 0.0
    seed: int = 0

    _peers: sp.csr_matrix | None = field(default=None, init=False, repr=False, compare=False)
    _popular: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _renewals: Renewals | None = field(default=None, init=False, repr=False, compare=False)
    _ready: tuple[sp.csr_matrix, Scores] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        above(0, decay=self.decay)
        at_least(0, alpha=self.alpha, rhythm=self.rhythm, seed=self.seed)
        at_least(1, neighbours=self.neighbours, peers=self.peers)
        for name in ("decay", "alpha", "rhythm"):
            if getattr(self, name) > 1:
                raise ModelError(f"{name} must be at most 1, got {getattr(self, name)}")

    def fit(self, history: History) -> Self:
        """Keep the peers' vectors, learn how long each product lasts."""
        history.check()
        rows = np.flatnonzero(np.diff(history.weights.indptr))
        if len(rows) > self.peers:
            chosen = np.random.default_rng(self.seed).choice(rows, self.peers, replace=False)
            rows = np.sort(chosen)
        some = history.take(rows)
        peers = bought(some, decay=self.decay)
        self._peers = peers.matrix(peers.share, history.products)
        self._renewals = learned(history) if self.rhythm else None
        sums = np.bincount(history.weights.indices, minlength=history.products)
        self._popular = (sums / sums.max()).astype(np.float32)
        self._ready = None
        return self

    def update(self, history: History) -> Self:
        """Learn anew, which costs little."""
        return self.fit(history)

    def score(self, history: History) -> Scores:
        """(rows, products); what nobody alike bought ranks below, by popularity."""
        peers, popular = fitted(self._peers, self), fitted(self._popular, self)
        takers, length = self._index(peers)
        hers = bought(history, decay=self.decay)
        scores = np.empty((history.rows, history.products), np.float32)
        scores[:] = PRIOR * popular
        with ONE:
            _alike(
                scores,
                hers.starts,
                hers.products,
                hers.share,
                (peers.indptr, peers.indices, peers.data),
                (takers.indptr, takers.indices, takers.data),
                length,
                self.neighbours,
                np.float32(1 - self.alpha),
            )
        own = np.float32(self.alpha) * hers.share * self._due(history, hers)
        row = np.repeat(np.arange(history.rows), np.diff(hers.starts))
        scores[row, hers.products] += own
        return scores

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): cosine of the peers' shares, then popularity."""
        peers, popular = fitted(self._peers, self), fitted(self._popular, self)
        takers, _ = self._index(peers)
        square = np.asarray(peers.multiply(peers).sum(axis=0)).ravel()  # (products,)
        norm = np.sqrt(np.where(square > 0, square, 1)).astype(np.float32)
        alike: Scores = (takers[products] @ peers).toarray() / norm[products, None] / norm
        alike += PRIOR * popular
        return alike

    def arrays(self) -> Arrays:
        """A CSR of peers' vectors; popular, (products,); of `Renewals.arrays`, if any."""
        peers = fitted(self._peers, self)
        return {
            "peers": peers.data,
            "indices": peers.indices,
            "indptr": peers.indptr,
            "popular": fitted(self._popular, self),
            **({} if self._renewals is None else self._renewals.arrays()),
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._popular, self._renewals = arrays["popular"], restored(arrays)
        parts = (arrays["peers"], arrays["indices"], arrays["indptr"])
        self._peers = sp.csr_matrix(parts, (len(parts[2]) - 1, len(self._popular)))
        self._ready = None
        return self

    def _index(self, peers: sp.csr_matrix) -> tuple[sp.csr_matrix, Scores]:
        """Peers by product, and the length of each one's vector; made once."""
        if self._ready is None:
            square = np.asarray(peers.multiply(peers).sum(axis=1)).ravel()
            self._ready = peers.T.tocsr(), np.sqrt(square).astype(np.float32)
        return self._ready

    def _due(self, history: History, hers: Bought) -> Scores:
        """(pairs,) the chance of each over USUAL, to the power of `rhythm`; 1 where unknown."""
        found = None if self._renewals is None else chances(history, self._renewals)
        if found is None:
            return np.ones(len(hers.products), np.float32)
        return ((found / USUAL) ** self.rhythm).astype(np.float32)


@njit(parallel=True, cache=True)  # type: ignore[misc, unused-ignore]
def _alike(scores, starts, products, share, peers, takers, length, k, weight):  # type: ignore[no-untyped-def]
    """Add to each row `weight` times the mean vector of the k peers of the greatest cosine."""
    pointers, codes, values = peers
    begins, who, held = takers
    for row in prange(len(starts) - 1):
        cosine = np.zeros(len(length), np.float32)
        for i in range(starts[row], starts[row + 1]):
            for j in range(begins[products[i]], begins[products[i] + 1]):
                cosine[who[j]] += share[i] * held[j]
        near = np.flatnonzero(cosine)
        if not len(near):
            continue
        for p in near:
            cosine[p] /= length[p]
        least = np.float32(0)
        ties = len(near)  # of peers just as like as the last of the k, so many are taken
        if len(near) > k:
            some = cosine[near]
            least = np.partition(some, len(some) - k)[len(some) - k]
            ties = k - (some > least).sum()
        mean = weight / np.float32(k)
        for p in near:
            if cosine[p] < least:
                continue
            if cosine[p] == least:
                if not ties:
                    continue
                ties -= 1
            for j in range(pointers[p], pointers[p + 1]):
                scores[row, codes[j]] += mean * values[j]
