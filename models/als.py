"""Alternating least squares: weighted histories in, factors of products and customers out.

Hu, Koren, Volinsky: Collaborative Filtering for Implicit Feedback Datasets, 2008. Each product has
factors y, each customer factors x; x'y should be 1 where she interacted, with confidence
α0 + α weight, and 0 elsewhere, with confidence α0. One side solves for x with y fixed, then the
other. What decides quality is α0 and a ridge that grows with how often each was seen, l2 * n^ν;
Rendle, Krichene, Zhang, Koren: Revisiting the Performance of iALS on Item Recommendation
Benchmarks, 2022. Only the products' factors are kept: hers follow from her history, known customer
or new. Weights are in units of the shop's mean weight, so that `alpha` means the same in each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.rank import cosine
from models.scorer import (
    Arrays,
    Codes,
    History,
    ModelError,
    Scores,
    above,
    at_least,
    fitted,
    one_of,
)

Doubles = npt.NDArray[np.float64]

CELLS = 1 << 20  # numbers in a batch of equations: 8 MiB
UPDATE_STEPS = 30  # from nothing to where float32 ends
START = 0.1  # length of a product's first, random factors


@dataclass
class ALS:
    """Implicit-feedback matrix factorisation.

    engine: own, conjugate gradients of `steps` on factors turned so that they need few; implicit,
    the library of that name, which knows neither `alpha0` nor `nu` nor `warm_start`.
    alpha0: confidence in what nobody took being 0; alpha: that of a mean weight, added.
    l2, nu: the ridge of a customer with n products of N is l2 * (n + alpha0 * N) ** nu, and so for
    a product. warm_start: `fit` goes on from the factors there are; codes beyond them are new.
    """

    kind: ClassVar[str] = "als"

    factors: int = 64
    iterations: int = 15
    l2: float = 10.0
    alpha: float = 2.0
    alpha0: float = 1.0
    nu: float = 0.0
    steps: int = 3
    engine: Literal["own", "implicit"] = "own"
    warm_start: bool = False
    seed: int = 0

    _products: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _spread: Doubles | None = field(default=None, init=False, repr=False, compare=False)
    _mean: Doubles | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least(1, factors=self.factors, iterations=self.iterations, steps=self.steps)
        at_least(0, seed=self.seed, nu=self.nu)
        above(0, l2=self.l2, alpha=self.alpha, alpha0=self.alpha0)
        one_of(("own", "implicit"), engine=self.engine)
        if self.engine == "implicit" and (self.alpha0, self.nu, self.warm_start) != (1, 0, False):
            raise ModelError(
                "engine implicit must have alpha0 1, nu 0 and warm_start False, "
                f"got {self.alpha0}, {self.nu} and {self.warm_start}"
            )

    def fit(self, history: History) -> Self:
        """Learn the products' factors; the same for a seed on any number of cores."""
        from threadpoolctl import threadpool_limits

        history.check()
        mean = history.weights.data.mean(dtype=np.float64, keepdims=True)  # (1,)
        extra = history.weights.copy()  # confidence above that of all
        extra.data = (self.alpha / mean * extra.data).astype(np.float32)
        with threadpool_limits(1, "blas"):
            products = self._own(extra) if self.engine == "own" else self._implicit(extra)
            exact = products.astype(np.float64)
            _, turn = np.linalg.eigh(exact.T @ exact)
        self._products = (exact @ turn).astype(np.float32)  # (products, f), Gram diagonal
        self._spread = np.square(self._products, dtype=np.float64).sum(axis=0)  # that diagonal
        self._mean = mean
        return self

    def update(self, history: History) -> Self:
        """Give new products the factors that fit who took them; known ones keep theirs."""
        from models.least_squares import improve, turned

        known = fitted(self._products, self)
        count, factors = known.shape
        x = self.customer_factors(history.narrow(count))  # (rows, f)
        taken = history.weights[:, count:].T.tocsr()  # (new, rows)
        taken.data = (taken.data * (self.alpha / fitted(self._mean, self))).astype(np.float32)
        x, turn, spread = turned(x, np.eye(factors, dtype=np.float32))
        new = np.zeros((taken.shape[0], factors), dtype=np.float32)
        ridge = self._ridge(np.diff(taken.indptr), history.rows).astype(np.float32)
        steps = min(factors, UPDATE_STEPS)
        improve(new, taken, x, spread, all=self.alpha0, ridge=ridge, steps=steps)
        self._products = np.concatenate([known, new @ turn.T])  # hers stay as against the known
        return self

    def customer_factors(self, history: History) -> Scores:
        """(rows, f): the least squares of each history against the products' factors."""
        y, spread = fitted(self._products, self), fitted(self._spread, self)
        weights, f = history.weights, len(spread)
        x = np.zeros((history.rows, f), dtype=np.float32)
        lengths = np.diff(weights.indptr)
        ridge = self._ridge(lengths, history.products)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        while len(order):
            n = int(lengths[order[0]])  # the longest of the batch; the others are padded
            rows, order = np.split(order, [max(1, CELLS // (f * max(n, min(n, f))))])
            inside = np.arange(n) < lengths[rows, None]  # (batch, n)
            places = np.where(inside, weights.indptr[rows, None] + np.arange(n), 0)
            c = weights.data[places] * (self.alpha / fitted(self._mean, self))
            hers = y[weights.indices[places]] * inside[:, :, None].astype(np.float64)  # (batch,n,f)
            d = self.alpha0 * spread + ridge[rows, None]  # α0 Y'Y + λI, (batch, f)
            x[rows] = _solve(hers, np.where(inside, c, 1), self.alpha0, d)
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
        """products, (products, f) float32; spread, (f,), and mean, (1,), float64."""
        return {
            "products": fitted(self._products, self),
            "spread": fitted(self._spread, self),
            "mean": fitted(self._mean, self),
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._products, self._spread = arrays["products"], arrays["spread"]
        self._mean = arrays["mean"]
        return self

    def _own(self, extra: sp.csr_matrix) -> Scores:
        from models.least_squares import improve, turned

        by_product = extra.T.tocsr()
        y = self._first(extra.shape[1])
        x = np.zeros((extra.shape[0], self.factors), dtype=np.float32)
        ridge = [
            self._ridge(np.diff(taken.indptr), taken.shape[1]).astype(np.float32)
            for taken in (extra, by_product)
        ]
        for _ in range(self.iterations):
            for side, taken in enumerate((extra, by_product)):
                y, x, spread = turned(y, x)  # y: the side that is fixed
                improve(x, taken, y, spread, all=self.alpha0, ridge=ridge[side], steps=self.steps)
                x, y = y, x
        return y

    def _first(self, products: int) -> Scores:
        """(products, f) factors to start from."""
        random = np.random.default_rng(self.seed)
        y = random.standard_normal((products, self.factors), dtype=np.float32)
        y *= np.float32(START / np.sqrt(self.factors))
        if self.warm_start and self._products is not None:
            known = self._products[:products]
            if known.shape[1] != self.factors:
                raise ModelError(
                    f"factors must be {known.shape[1]} to go on from, got {self.factors}"
                )
            y[: len(known)] = known
        return y

    def _implicit(self, extra: sp.csr_matrix) -> Scores:
        from implicit.cpu.als import AlternatingLeastSquares

        confidence = extra.copy()
        confidence.data += 1
        model = AlternatingLeastSquares(
            factors=self.factors,
            iterations=self.iterations,
            regularization=self.l2,
            random_state=self.seed,
        )
        model.fit(confidence, show_progress=False)
        return np.asarray(model.item_factors, dtype=np.float32)

    def _ridge(self, taken: npt.NDArray[np.integer], others: int) -> Doubles:
        """(rows,) from how many of the others each took."""
        ridge: Doubles = self.l2 * np.power(taken + self.alpha0 * others, self.nu, dtype=np.float64)
        return ridge


def _solve(hers: Doubles, c: Doubles, alpha0: float, d: Doubles) -> npt.NDArray[np.floating[Any]]:
    """(batch, f) x of (diag(d) + Y'CY) x = Y'(c + α0), Y (batch, n, f) being 0 where padded."""
    n, f = hers.shape[1:]
    if n >= f:
        a = (hers * c[:, :, None]).transpose(0, 2, 1) @ hers  # (batch, f, f)
        a[:, np.arange(f), np.arange(f)] += d
        b = (c + alpha0)[:, None, :] @ hers  # (batch, 1, f)
        return np.linalg.solve(a, b.transpose(0, 2, 1))[:, :, 0]
    # Fewer products than factors: x = D^-1 Y' v with (C^-1 + Y D^-1 Y') v = 1 + α0 / c.
    scaled = hers / d[:, None, :]
    a = scaled @ hers.transpose(0, 2, 1)  # (batch, n, n)
    a[:, np.arange(n), np.arange(n)] += 1 / c
    v = np.linalg.solve(a, (1 + alpha0 / c)[:, :, None])
    return (v.transpose(0, 2, 1) @ scaled)[:, 0]
