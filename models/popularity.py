"""Popularity: histories in, the same products for all out, or for all of one taste in categories.

Decay is in the weights already: an interaction's weight halves with its age.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from models.scorer import Arrays, Codes, History, Scores, above, fitted, one_of


@dataclass
class Popularity:
    """Shares of weight, over the shop or within categories.

    per="category": a product's score is its share of its category times the category's share in
    the customer's history, to which `prior` interactions of mean weight are added that follow the
    shop's own shares: a customer without history gets the shop's popularity.
    """

    kind: ClassVar[str] = "popularity"

    per: Literal["shop", "category"] = "shop"
    prior: float = 5.0

    _share: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _category: Codes | None = field(default=None, init=False, repr=False, compare=False)

    _mean: npt.NDArray[np.float64] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        one_of(("shop", "category"), per=self.per)
        above(0, prior=self.prior)

    def fit(self, history: History) -> Self:
        """Learn each product's share of all weight, and remember its category."""
        history.check()
        sums = np.bincount(
            history.weights.indices, history.weights.data.astype(np.float64), history.products
        )
        self._share = (sums / sums.sum()).astype(np.float32)  # (products,)
        self._mean = history.weights.data.mean(dtype=np.float64, keepdims=True)  # (1,)
        known = history.catalogue if self.per == "category" else None
        category = np.full(history.products, -1) if known is None else known.categories
        # Products of no known category are a category together.
        self._category = np.unique(category, return_inverse=True)[1].astype(np.int32)
        return self

    def update(self, history: History) -> Self:
        """Count anew: as cheap as taking in what is new."""
        return self.fit(history)

    def score(self, history: History) -> Scores:
        """(rows, products) shares, each row adding up to 1."""
        share, category = fitted(self._share, self), fitted(self._category, self)
        if self.per == "shop":
            return np.repeat(share[None], history.rows, axis=0)
        shop = np.bincount(category, share).astype(np.float32)  # (categories,)
        weights = history.weights
        row = np.repeat(np.arange(history.rows), np.diff(weights.indptr))
        cell = row * len(shop) + category[weights.indices]
        hers = np.bincount(cell, weights.data, history.rows * len(shop))
        hers = hers.reshape(history.rows, len(shop))  # (rows, categories)
        prior = self.prior * fitted(self._mean, self)[0]
        total = hers.sum(axis=1, keepdims=True)
        taste: Scores = ((hers + prior * shop) / (total + prior)).astype(np.float32)
        return taste[:, category] * _within(share, category)

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): popularity, the same category's products first."""
        share, category = fitted(self._share, self), fitted(self._category, self)
        alike: Scores = (category[products][:, None] == category).astype(np.float32)
        return share + alike

    def arrays(self) -> Arrays:
        """share, (products,) float32; category, (products,) int32; mean, (1,) float64."""
        return {
            "share": fitted(self._share, self),
            "category": fitted(self._category, self),
            "mean": fitted(self._mean, self),
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._share, self._category = arrays["share"], arrays["category"]
        self._mean = arrays["mean"]
        return self


def _within(share: Scores, category: Codes) -> Scores:
    """Each product's share of its category."""
    total = np.bincount(category, share)[category]
    within: Scores = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    return within
