"""Bayesian personalised ranking: histories in, factors that order taken above untaken products out.

Rendle et al.: BPR: Bayesian Personalized Ranking from Implicit Feedback, 2009. *implicit* learns
factors x of customers, y and bias b of products by stochastic gradient over pairs (taken, not
taken), so that x'y + b is greater for the taken. It sees who took what, not how much.

A customer is her history, known or new: her factors are not those of the gradient but a linear
map of the weighted mean of her products' factors. The map is fitted to the learned x of all
customers by ridge regression, shrunk towards a multiple of the identity, so that in a small shop
her factors point where her products' do. In Online Retail II it ranks better than the learned x:
the weights enter, and many customers' fits are less noisy than one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from models.rank import cosine
from models.scorer import Arrays, Codes, History, Scores, above, at_least, fitted

RIDGE = 1.0  # of the mean eigenvalue


@dataclass
class BPR:
    """Pairwise matrix factorisation; `l2` is the paper's regularisation of every factor."""

    kind: ClassVar[str] = "bpr"

    factors: int = 64
    iterations: int = 30
    learning_rate: float = 0.05
    l2: float = 0.003
    seed: int = 0

    _products: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _map: Scores | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least(1, factors=self.factors, iterations=self.iterations)
        at_least(0, seed=self.seed, l2=self.l2)
        above(0, learning_rate=self.learning_rate)

    def fit(self, history: History) -> Self:
        """Learn on one thread, which alone gives the same factors for a seed."""
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from threadpoolctl import threadpool_limits

        history.check()
        taken = history.weights.copy()
        taken.data = np.ones_like(taken.data)
        with threadpool_limits(1, "blas"):
            model = BayesianPersonalizedRanking(
                factors=self.factors,
                iterations=self.iterations,
                learning_rate=self.learning_rate,
                regularization=self.l2,
                num_threads=1,
                random_state=self.seed,
            )
            model.fit(taken, show_progress=False)
            self._products = np.ascontiguousarray(model.item_factors, dtype=np.float32)
            self._map = _map(self._means(history), np.asarray(model.user_factors[:, :-1]))
        return self

    def customer_factors(self, history: History) -> Scores:
        """(rows, f + 1): the mapped mean of each history, and 1 for the products' bias."""
        x = np.ones((history.rows, self.product_factors.shape[1]), dtype=np.float32)
        x[:, :-1] = self._means(history) @ fitted(self._map, self)
        return x

    @property
    def product_factors(self) -> Scores:
        """(products, f + 1), the bias last."""
        return fitted(self._products, self)

    def score(self, history: History) -> Scores:
        """(rows, products): log odds are differences of scores."""
        scores: Scores = self.customer_factors(history) @ self.product_factors.T
        return scores

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): cosine of factors without bias."""
        return cosine(self.product_factors[:, :-1], products)

    def arrays(self) -> Arrays:
        """products, (products, f + 1) float32; map, (f + 1, f) float32."""
        return {"products": self.product_factors, "map": fitted(self._map, self)}

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._products, self._map = arrays["products"], arrays["map"]
        return self

    def _means(self, history: History) -> Scores:
        """(rows, f + 1): mean of each history's product factors by weight, and 1; 0 without any."""
        weights = history.weights
        y = self.product_factors[:, :-1]
        total = np.asarray(weights.sum(axis=1), dtype=np.float32)  # (rows, 1)
        means = np.zeros((history.rows, y.shape[1] + 1), dtype=np.float32)
        np.divide(weights @ y, total, out=means[:, :-1], where=total > 0)
        means[:, -1:] = total > 0
        return means


def _map(means: Scores, learned: Scores) -> Scores:
    """(f + 1, f): A that makes means @ A near the learned factors, both float32 by customer."""
    m, x = means.astype(np.float64), learned * means[:, -1:].astype(np.float64)  # 0: no history
    f = x.shape[1]
    square = m[:, :f].T @ m[:, :f]
    near = np.zeros((f + 1, f))  # A₀ = sI, s the least squares of x = s m
    near[:f] = np.eye(f) * np.vdot(m[:, :f], x) / max(np.trace(square), np.finfo(float).tiny)
    ridge = np.full(f + 1, RIDGE * np.trace(square) / f + np.finfo(float).tiny)
    ridge[f] = 1e-3 * len(m)  # the constant's: hardly any
    # (M'M + ρ)(A - A₀) = M'(X - M A₀)
    far = np.linalg.solve(m.T @ m + np.diag(ridge), m.T @ (x - m @ near))
    return (near + far).astype(np.float32)
