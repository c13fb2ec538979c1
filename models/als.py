"""Alternating least squares: weighted histories in, factors of products and customers out.

Hu, Koren, Volinsky: Collaborative Filtering for Implicit Feedback Datasets, 2008. Each product has
factors y, each customer factors x; x'y should be 1 where she interacted, with confidence
c = 1 + alpha * weight, and 0 elsewhere, with confidence 1. *implicit* alternates between the two.
Only the products' factors are kept: hers follow from her history, known customer or new. Weights
are taken in units of the shop's mean weight, so that `alpha` means the same in every shop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.rank import cosine
from models.scorer import Arrays, Codes, History, Scores, above, at_least, fitted

CELLS = 1 << 20  # equations solved at once: 8 MiB


@dataclass
class ALS:
    """Implicit-feedback matrix factorisation; `l2` is the paper's λ."""

    kind: ClassVar[str] = "als"

    factors: int = 64
    iterations: int = 15
    l2: float = 10.0
    alpha: float = 2.0
    seed: int = 0

    _products: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _gram: npt.NDArray[np.float64] | None = field(
        default=None, init=False, repr=False, compare=False
    )
    _mean: npt.NDArray[np.float64] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        at_least(1, factors=self.factors, iterations=self.iterations)
        at_least(0, seed=self.seed)
        above(0, l2=self.l2, alpha=self.alpha)

    def fit(self, history: History) -> Self:
        """Learn the products' factors; the same for a seed on any number of cores."""
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        history.check()
        mean = history.weights.data.mean(dtype=np.float64, keepdims=True)  # (1,)
        confidence = history.weights.copy()
        confidence.data = (1 + self.alpha / mean * confidence.data).astype(np.float32)
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=self.factors,
                iterations=self.iterations,
                regularization=self.l2,
                random_state=self.seed,
            )
            model.fit(confidence, show_progress=False)
        factors = np.ascontiguousarray(model.item_factors, dtype=np.float32)
        self._products = factors  # (products, f)
        exact = factors.astype(np.float64)
        self._gram, self._mean = exact.T @ exact, mean  # Y'Y, (f, f)
        return self

    def customer_factors(self, history: History) -> Scores:
        """(rows, f): the least squares of each history against the products' factors."""
        y, gram = fitted(self._products, self), fitted(self._gram, self)
        alpha = self.alpha / fitted(self._mean, self)[0]
        weights, ends = history.weights, history.weights.indptr
        f = y.shape[1]
        x = np.zeros((history.rows, f), dtype=np.float32)
        known = np.flatnonzero(np.diff(ends))
        step = max(1, CELLS // (f * f))
        for start in range(0, len(known), step):
            rows = known[start : start + step]
            a = np.repeat((gram + self.l2 * np.eye(f))[None], len(rows), axis=0)  # Y'Y + λI
            b = np.empty((len(rows), f, 1))
            for i, row in enumerate(rows):
                part = slice(ends[row], ends[row + 1])
                hers = y[weights.indices[part]].astype(np.float64)  # (n, f)
                extra = alpha * weights.data[part].astype(np.float64)  # c - 1
                a[i] += (hers * extra[:, None]).T @ hers  # Y'(C - I)Y
                b[i, :, 0] = (1 + extra) @ hers  # Y'Cp
            x[rows] = np.linalg.solve(a, b)[:, :, 0]
        return x

    @property
    def product_factors(self) -> Scores:
        """(products, f)."""
        return fitted(self._products, self)

    def score(self, history: History) -> Scores:
        """(rows, products): near 1 for a product as good as those she took, near 0 for others."""
        scores: Scores = self.customer_factors(history) @ self.product_factors.T
        return scores

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): cosine of factors."""
        return cosine(self.product_factors, products)

    def arrays(self) -> Arrays:
        """products, (products, f) float32; gram, (f, f), and mean, (1,), float64."""
        return {
            "products": fitted(self._products, self),
            "gram": fitted(self._gram, self),
            "mean": fitted(self._mean, self),
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._products, self._gram = arrays["products"], arrays["gram"]
        self._mean = arrays["mean"]
        return self
