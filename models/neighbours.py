"""Neighbours: histories in, the products most often taken by the same customers out.

Each product keeps its k most similar products and itself; a customer's score for a product is the
sum, over her history, of weight times similarity. Products are compared by weights in units of the
shop's mean weight, so that `k1` and `shrink` mean the same in every shop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.rank import CELLS
from models.ranking.few import greatest
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

PRIOR = np.float32(1e-6)  # weight of popularity, which only orders what nothing else does


@dataclass
class Neighbours:
    """Item-based collaborative filtering.

    weighting: how two products' columns of weights are compared. cosine: as they are. tfidf: their
    square roots, a customer of few products counting more, by cosine. bm25: by inner product, each
    weight levelling off at `k1` and, to the degree `b`, less in a product of much weight
    (Robertson and Zaragoza, 2009).
    shrink: added to the cosine's norm, so that two products are not alike by a chance customer.
    popularity: β, turns that norm |i||j|, of hers i and another j, into |i|^(1+2β) |j|^(1-2β): the
    higher, the more popular products count, as in `models.graph`; not for bm25, which has no norm.
    """

    kind: ClassVar[str] = "neighbours"

    weighting: Literal["cosine", "tfidf", "bm25"] = "bm25"
    k: int = 200
    shrink: float = 10.0
    k1: float = 2.0
    b: float = 0.5
    popularity: float = 0.0

    _similar: sp.csr_matrix | None = field(default=None, init=False, repr=False, compare=False)
    _popular: Scores | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of(("cosine", "tfidf", "bm25"), weighting=self.weighting)
        at_least(1, k=self.k)
        at_least(0, shrink=self.shrink, b=self.b, popularity=self.popularity)
        above(0, k1=self.k1)
        if self.b > 1:
            raise ModelError(f"b must be at most 1, got {self.b}")

    def fit(self, history: History) -> Self:
        """Compare each product with all, in blocks of products."""
        history.check()
        by_customer = self._weighted(history.weights)  # (rows, products)
        by_product = by_customer.T.tocsr()  # (products, rows)
        products = history.products
        norms = np.sqrt(np.asarray(by_product.multiply(by_product).sum(axis=1)).ravel())
        hers, others = (norms**to for to in (1 + 2 * self.popularity, 1 - 2 * self.popularity))
        parts = []
        step = max(1, CELLS // products)
        for start in range(0, products, step):
            of = np.arange(start, min(start + step, products), dtype=np.int32)
            alike = by_product[of] @ by_customer  # (step, products)
            alike.sort_indices()
            row = np.repeat(np.arange(len(of)), np.diff(alike.indptr))
            if self.weighting != "bm25":
                alike.data /= hers[of][row] * others[alike.indices] + np.float32(self.shrink)
            parts.append(self._nearest(alike, itself=alike.indices == of[row]))
        self._similar = sp.vstack(parts, format="csr", dtype=np.float32)
        sums = np.bincount(history.weights.indices, minlength=products)
        self._popular = (sums / sums.max()).astype(np.float32)
        return self

    def score(self, history: History) -> Scores:
        """(rows, products); a product that no neighbour speaks for ranks below, by popularity."""
        similar, popular = fitted(self._similar, self), fitted(self._popular, self)
        scores: Scores = (history.weights @ similar).toarray()
        scores += PRIOR * popular
        return scores

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): 0 for who is no neighbour."""
        scores: Scores = fitted(self._similar, self)[products].toarray()
        return scores

    def arrays(self) -> Arrays:
        """similar, indices, indptr: a CSR of (products, products); popular, (products,)."""
        similar = fitted(self._similar, self)
        return {
            "similar": similar.data,
            "indices": similar.indices,
            "indptr": similar.indptr,
            "popular": fitted(self._popular, self),
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        parts = (arrays["similar"], arrays["indices"], arrays["indptr"])
        self._popular = arrays["popular"]
        self._similar = sp.csr_matrix(parts, (len(self._popular), len(self._popular)))
        self._similar.has_canonical_format = True  # as fit left it; to look would read all of it
        return self

    def _weighted(self, weights: sp.csr_matrix) -> sp.csr_matrix:
        """(rows, products) weights as the weighting compares them, float32."""
        data = weights.data / weights.data.mean(dtype=np.float64)
        taken = np.diff(weights.indptr)  # products of each customer
        rarity = np.log1p(weights.shape[1] / np.maximum(taken, 1))
        idf = np.repeat(rarity, taken)
        if self.weighting == "tfidf":
            data = np.sqrt(data) * idf
        elif self.weighting == "bm25":
            length = np.bincount(weights.indices, data, weights.shape[1])
            length = 1 - self.b + self.b * length / length[length > 0].mean()
            data = data * (self.k1 + 1) / (self.k1 * length[weights.indices] + data) * idf
        return sp.csr_matrix(
            (data.astype(np.float32), weights.indices, weights.indptr), weights.shape
        )

    def _nearest(self, alike: sp.csr_matrix, itself: npt.NDArray[np.bool_]) -> sp.csr_matrix:
        """Rows of sorted indices cut down to the k most similar products and the row's own."""
        values = np.where(itself, np.inf, alike.data)
        kept = values > 0
        for row in np.flatnonzero(np.diff(alike.indptr) > self.k + 1):
            part = slice(alike.indptr[row], alike.indptr[row + 1])
            kept[part] &= greatest(values[part], self.k + 1)
        ends = np.concatenate([[0], np.cumsum(kept)])[alike.indptr]
        return sp.csr_matrix((alike.data[kept], alike.indices[kept], ends), alike.shape)
