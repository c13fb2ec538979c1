"""EASE: histories in, weights between products out, by one matrix inverse or many small ones.

Steck: Embarrassingly Shallow Autoencoders for Sparse Data, 2019. Each product is regressed on all
others over the customers, with one ridge; no product may speak for itself. With X the histories,

    P = (X'X + λI)^-1    B = I - P / diag(P)    scores = X B

The inverse is products x products. With fewer customers than products the same B comes from a
matrix of customers x customers: with K = XX' + λI and Q = X'K^-1 X, P = (I - Q) / λ. Where neither
fits the stated memory, each product is regressed on those nearest to it only: as many as fit.
Weights are in units of the shop's mean weight, so that `l2` means the same in each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack

from models.rank import top_k
from models.scorer import (
    Arrays,
    Codes,
    History,
    ModelError,
    Scores,
    above,
    at_least,
    fitted,
)

GB = 10**9
BLOCK = 256  # products at a time
PANEL = 1024  # and in a step of the inversion
DENSE = 4  # bytes of a weight
SPARSE = 8  # bytes of a weight and its code
PRIOR = np.float32(1e-6)  # weight of popularity, which only orders what nothing else does


@dataclass
class EASE:
    """Linear autoencoder without self-similarity; `l2` is the paper's λ.

    memory_gb: what the weights and the inverse may take, in 10^9 bytes; decides how they are found.
    neighbours: the most products that each is regressed on where not all fit.
    damping: power of a history's weights; 0 counts each product once.
    """

    kind: ClassVar[str] = "ease"

    l2: float = 200.0
    memory_gb: float = 8.0
    neighbours: int = 300
    damping: float = 0.5

    _weights: Scores | sp.csr_matrix | None = field(
        default=None, init=False, repr=False, compare=False
    )
    _popular: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _mean: npt.NDArray[np.float64] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        above(0, l2=self.l2, memory_gb=self.memory_gb)
        at_least(1, neighbours=self.neighbours)
        at_least(0, damping=self.damping)
        if self.damping > 1:
            raise ModelError(f"damping must be at most 1, got {self.damping}")

    def fit(self, history: History) -> Self:
        """Learn the weights between products; raises ModelError where no neighbour fits."""
        history.check()
        self._mean = history.weights.data.mean(dtype=np.float64, keepdims=True)  # (1,)
        x = self._damped(history.weights)
        rows, products = x.shape
        room = self.memory_gb * GB
        whole = DENSE * products**2
        if rows < products and whole + DENSE * rows**2 <= room:
            self._weights = _by_customers(x, self.l2)
        elif whole <= room:
            self._weights = _by_products(x, self.l2)
        else:
            near = min(self.neighbours, int(room / (2 * SPARSE * products)))  # parts, then whole
            if near < 1:
                least = 2 * SPARSE * products / GB
                raise ModelError(
                    f"memory_gb must be at least {least:.2g} for {products} products, "
                    f"got {self.memory_gb}"
                )
            self._weights = _by_neighbours(x, self.l2, near)
        sums = np.bincount(x.indices, minlength=products)
        self._popular = (sums / sums.max()).astype(np.float32)
        return self

    def score(self, history: History) -> Scores:
        """(rows, products); a product that nothing speaks for ranks below, by popularity."""
        weights, popular = fitted(self._weights, self), fitted(self._popular, self)
        scores = self._damped(history.weights) @ weights
        dense: Scores = scores.toarray() if sp.issparse(scores) else scores
        dense += PRIOR * popular
        return dense

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): what each adds to a score of the others; 0 for itself."""
        rows = fitted(self._weights, self)[products]
        return np.array(rows.toarray() if sp.issparse(rows) else rows)

    def arrays(self) -> Arrays:
        """weights, (products, products) or with indices and indptr their CSR; popular; mean."""
        weights, popular = fitted(self._weights, self), fitted(self._popular, self)
        arrays: dict[str, npt.NDArray[Any]] = {"popular": popular, "mean": fitted(self._mean, self)}
        if not sp.issparse(weights):
            return arrays | {"weights": weights}
        parts = {"indices": weights.indices, "indptr": weights.indptr}
        return arrays | {"weights": weights.data} | parts

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._popular, self._mean = arrays["popular"], arrays["mean"]
        if "indptr" not in arrays:
            self._weights = arrays["weights"]
            return self
        parts = (arrays["weights"], arrays["indices"], arrays["indptr"])
        weights = sp.csr_matrix(parts, (len(self._popular), len(self._popular)))
        weights.has_canonical_format = True  # as fit left it; to look would read all of it
        self._weights = weights
        return self

    def _damped(self, weights: sp.csr_matrix) -> sp.csr_matrix:
        """(rows, products) weights as learned from: in units of the mean, then damped."""
        damped = (weights.data / fitted(self._mean, self)) ** self.damping
        return sp.csr_matrix(
            (damped.astype(np.float32), weights.indices, weights.indptr), weights.shape
        )


def _by_products(x: sp.csr_matrix, l2: float) -> Scores:
    """(products, products) weights from the inverse of X'X + λI, in its place."""
    weights = _inverse(x.T.tocsr(), l2)  # P
    scale = -1 / np.diagonal(weights)
    for block in _blocks(len(weights)):
        weights[block] *= scale
    np.fill_diagonal(weights, 0)
    return weights


def _by_customers(x: sp.csr_matrix, l2: float) -> Scores:
    """The same from the inverse of XX' + λI."""
    inverse = _inverse(x, l2)  # K^-1
    by_product = x.T.tocsr()
    products = x.shape[1]
    weights = np.empty((products, products), dtype=np.float32)
    for block in _blocks(products):
        half = by_product[block] @ inverse  # X'K^-1, (block, rows)
        weights[block] = (by_product @ half.T).T  # Q
    scale = 1 / (1 - np.diagonal(weights))
    for block in _blocks(products):
        weights[block] *= scale
    np.fill_diagonal(weights, 0)
    return weights


def _inverse(x: sp.csr_matrix, l2: float) -> Scores:
    """(n, n) inverse of XX' + λI for X of n rows, in the memory of the result.

    Block Gauss-Jordan, the sweep of Beaton 1964, on the upper triangle only: as many operations as
    by Cholesky, nearly all in products of matrices. LAPACK's fails beyond 2^31 bytes here.
    """
    n = x.shape[0]
    a = np.empty((n, n), dtype=np.float32)
    across = x.T.tocsr()
    for block in _blocks(n):
        a[block] = (x[block] @ across).toarray()
    a[np.arange(n), np.arange(n)] += np.float32(l2)
    for k in _blocks(n, PANEL):
        pivot = a[k, k].astype(np.float64)
        pivot = np.linalg.inv(np.triu(pivot) + np.triu(pivot, 1).T).astype(np.float32)
        strip = np.concatenate([a[: k.start, k], a[k].T[k.start :]])  # column k, (n, panel)
        strip[k] = 0
        swept = strip @ pivot
        for i in _blocks(n):
            a[i, i.start :] -= swept[i] @ strip[i.start :].T
        a[: k.start, k], a[k, k.stop :] = swept[: k.start], swept[k.stop :].T
        a[k, k] = -pivot
    for block in _blocks(n):  # it is minus the inverse: turn it, and mirror it downwards
        corner = np.triu(a[block, block])
        a[block, block] = corner + np.triu(corner, 1).T
        np.negative(a[block, block.start :], out=a[block, block.start :])
        a[block.stop :, block] = a[block, block.stop :].T
    return a


def _by_neighbours(x: sp.csr_matrix, l2: float, near: int) -> sp.csr_matrix:
    """(products, products) CSR: each product regressed on at most `near` others."""
    by_product = x.T.tocsr()  # (products, rows)
    products = by_product.shape[0]
    lengths = np.sqrt(np.asarray(by_product.multiply(by_product).sum(axis=1)).ravel())
    unit = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    codes: list[Codes] = []
    values: list[Scores] = []
    for block in _blocks(products):
        together = (by_product[block] @ x).toarray()  # X'X, (block, products)
        together[np.arange(len(together)), np.arange(block.start, block.stop)] = 0
        alike = together * unit  # the cosine but for its own length
        alike[alike <= 0] = -np.inf
        for row, nearest in enumerate(top_k(alike, min(near, products)).codes):
            of = np.sort(nearest[nearest >= 0])
            some = by_product[of]
            gram = (some @ some.T).toarray()
            gram[np.arange(len(of)), np.arange(len(of))] += np.float32(l2)
            codes.append(of)
            if len(of):
                values.append(lapack.sposv(gram, together[row, of], overwrite_a=1)[1])
    ends = np.cumsum([0, *map(len, codes)])
    parts = (np.concatenate([np.zeros(0, np.float32), *values]), np.concatenate(codes), ends)
    towards: Any = sp.csr_matrix(parts, (products, products))
    return towards.T.tocsr()


def _blocks(n: int, step: int = BLOCK) -> Iterator[slice]:
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
