"""Graph: histories in, what lies near them on the graph of customers and products out; no training.

With X who took what, C and P the diagonals of its row and column sums, and A = C^-1/2 X P^-1/2, the
graph of products is G = A'A, whose eigenvalues t lie between 0 and 1. A history s is filtered:

    scores = s P^-β h(G) P^β + α s P^-1/2 VV' P^1/2
    h(t) = t^g for the greatest t, whose eigenvectors are V, and c t for all others

h is made of c G, kept as a sparse matrix of each product's nearest, and of V diag(t^g - c t) V'.
GF-CF (Shen et al.: How Powerful is Graph Convolution for Recommendation?, 2021) is β = 0, g = 1,
c = 1 and α = 0.3. ChebyCF (Kim et al.: Graph Spectral Filtering with Chebyshev Interpolation for
Recommendation, 2025) has β and no α, and for h a polynomial, flat inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.rank import top_k
from models.scorer import Arrays, Codes, History, ModelError, Scores, at_least, fitted

OVER = 64  # random directions beyond those wanted, and
ROUNDS = 5  # multiplications with the graph: singular vectors good enough to rank by
ENOUGH = 1e-6  # least eigenvalue that is one
CELLS = 1 << 24  # numbers in a block of products: 64 MiB


@dataclass
class Graph:
    """A filter on the graph of products.

    popularity: β; the higher, the more popular products count. power: g. factors: how many t are
    the greatest. tail: c, as a share of what would go on where t^g ends. neighbours: the most
    products that each speaks for through c G. low_pass: α.
    damping: power of weights, in units of the shop's mean; 0 counts each product once.
    """

    kind: ClassVar[str] = "graph"

    popularity: float = 0.4
    power: float = 0.5
    factors: int = 256
    tail: float = 0.5
    neighbours: int = 1000
    low_pass: float = 0.0
    damping: float = 0.0
    seed: int = 0

    _linear: sp.csr_matrix | None = field(default=None, init=False, repr=False, compare=False)
    _enter: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _leave: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _mean: npt.NDArray[np.float64] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        at_least(0, popularity=self.popularity, power=self.power, tail=self.tail)
        at_least(0, low_pass=self.low_pass, damping=self.damping, seed=self.seed)
        at_least(1, neighbours=self.neighbours, factors=self.factors)
        if self.damping > 1:
            raise ModelError(f"damping must be at most 1, got {self.damping}")

    def fit(self, history: History) -> Self:
        """Read the filter off the graph; the same for a seed."""
        history.check()
        self._mean = history.weights.data.mean(dtype=np.float64, keepdims=True)  # (1,)
        x = self._damped(history.weights)
        customers = np.asarray(x.sum(axis=1), dtype=np.float64).ravel()  # C
        products = np.asarray(x.sum(axis=0), dtype=np.float64).ravel()  # P
        v, t = _eigen(_scaled(x, customers, products, 0.5), self.factors, self.seed)
        slope = self.tail * float(t[-1]) ** (self.power - 1)  # c
        linear = _two_steps(
            _scaled(x, customers, products, 0.5 + self.popularity),
            _scaled(x, customers, products, 0.5 - self.popularity),
            self.neighbours,
        )
        linear.data *= np.float32(slope)
        self._linear = linear
        enter, leave = [], []
        for gain, popularity in (
            (t**self.power - slope * t, self.popularity),
            (np.full(len(t), self.low_pass), 0.5),
        ):
            if gain.any():
                enter.append(v * _power(products, -popularity)[:, None])
                leave.append(v * gain.astype(np.float32) * _power(products, popularity)[:, None])
        self._enter, self._leave = (
            np.concatenate([v[:, :0], *parts], axis=1) for parts in (enter, leave)
        )  # (products, f), twice as many where both are at work
        return self

    def score(self, history: History) -> Scores:
        """(rows, products), higher for what more of the same customers took."""
        linear, enter = fitted(self._linear, self), fitted(self._enter, self)
        signal = self._damped(history.weights)
        scores: Scores = (signal @ enter) @ fitted(self._leave, self).T
        near = signal @ linear  # (rows, products), sparse
        rows = np.repeat(np.arange(history.rows), np.diff(near.indptr))
        scores[rows, near.indices] += near.data
        return scores

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): what each alone would score."""
        alone = np.ones(len(products), dtype=np.float32)
        shape = (len(products), fitted(self._linear, self).shape[0])
        alone *= np.float32(fitted(self._mean, self)[0])
        return self.score(History(sp.csr_matrix((alone, products, np.arange(shape[0] + 1)), shape)))

    def arrays(self) -> Arrays:
        """linear, indices, indptr: a CSR of products; enter, leave, (products, f); mean, (1,)."""
        linear = fitted(self._linear, self)
        return {
            "linear": linear.data,
            "indices": linear.indices,
            "indptr": linear.indptr,
            "enter": fitted(self._enter, self),
            "leave": fitted(self._leave, self),
            "mean": fitted(self._mean, self),
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._enter, self._leave = arrays["enter"], arrays["leave"]
        self._mean = arrays["mean"]
        parts = (arrays["linear"], arrays["indices"], arrays["indptr"])
        self._linear = sp.csr_matrix(parts, (len(self._enter), len(self._enter)))
        self._linear.has_canonical_format = True  # as fit left it; to look would read all of it
        return self

    def _damped(self, weights: sp.csr_matrix) -> sp.csr_matrix:
        """(rows, products) weights as the filters take them."""
        damped = (weights.data / fitted(self._mean, self)) ** self.damping
        return sp.csr_matrix(
            (damped.astype(np.float32), weights.indices, weights.indptr), weights.shape
        )


def _power(sums: npt.NDArray[np.float64], power: float) -> Scores:
    """(n,) sums to a power; 0 where there is nothing, whatever the power."""
    return np.power(sums, power, out=np.zeros_like(sums), where=sums > 0).astype(np.float32)


def _scaled(
    x: sp.csr_matrix,
    customers: npt.NDArray[np.float64],
    products: npt.NDArray[np.float64],
    power: float,
) -> sp.csr_matrix:
    """C^-1/2 X P^-power, (rows, products)."""
    data = x.data * np.repeat(_power(customers, -0.5), np.diff(x.indptr))
    data *= _power(products, -power)[x.indices]
    return sp.csr_matrix((data, x.indices, x.indptr), x.shape)


def _two_steps(left: sp.csr_matrix, right: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """The k greatest entries of each row of left' right, (products, products)."""
    towards = left.T.tocsr()  # (products, rows)
    n = towards.shape[0]
    parts = []
    step = max(1, CELLS // n)
    for start in range(0, n, step):
        block = (towards[start : start + step] @ right).toarray()  # (step, products)
        block[block <= 0] = -np.inf
        codes, values = top_k(block, min(k, n))
        order = np.argsort(codes, axis=1)
        codes, values = np.take_along_axis(codes, order, 1), np.take_along_axis(values, order, 1)
        kept = codes >= 0
        ends = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        parts.append(sp.csr_matrix((values[kept], codes[kept], ends), block.shape))
    return sp.vstack(parts, format="csr", dtype=np.float32)


def _eigen(x: sp.csr_matrix, k: int, seed: int) -> tuple[Scores, npt.NDArray[np.float64]]:
    """(columns, k) eigenvectors of x'x and (k,) eigenvalues, greatest first.

    Halko, Martinsson, Tropp: Finding Structure with Randomness, 2011, algorithm 4.4.
    """
    wide = min(k + OVER, *x.shape)
    back = x.T.tocsr()
    q = np.random.default_rng(seed).standard_normal((x.shape[1], wide), dtype=np.float32)
    for _ in range(ROUNDS):
        q, _ = np.linalg.qr(back @ (x @ q))  # (columns, wide)
    image = (x @ q).astype(np.float64)
    values, turn = np.linalg.eigh(image.T @ image)  # ascending
    values, turn = values[::-1][:k], turn[:, ::-1][:, :k]
    kept = values > ENOUGH
    return q @ turn[:, kept].astype(np.float32), values[kept]
