"""Blend: histories in, one ranking of several sources' out.

Each customer's candidates are what she took and the best of each source. Boosted trees rank them by
the sources' scores, her own rhythm, prices and tastes (`blending.candidates`); they learn from what
was bought after a cut that no source saw beyond. Below the candidates, and alone where data are
few, stands the weighted mean of the sources' scores, each over the customer's greatest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.blending.candidates import candidates, coarse, facts, product_facts
from models.blending.holdout import hold_out
from models.blending.trees import Trees, evaluate, grow, least
from models.rank import CELLS
from models.scorer import (
    Arrays,
    Codes,
    History,
    ModelError,
    Scorer,
    Scores,
    above,
    at_least,
    fitted,
    make,
    needs,
    one_of,
)

FEW = np.float32(1e-12)  # greatest score that counts as none


def _sources() -> dict[str, dict[str, Any]]:
    return {"rebuy": {}, "neighbours": {}, "popularity": {}}


@dataclass
class Blend:
    """A second stage over models.

    sources: hyperparameters of each, by kind. weights: of sources in the mean, 1 where not said.
    candidates: of each source, besides what she took. customers: to learn the trees from, at most;
    enough: at least, or else the mean ranks, see `ranks_by`.
    """

    kind: ClassVar[str] = "blend"

    sources: dict[str, dict[str, Any]] = field(default_factory=_sources)
    method: Literal["learned", "weighted"] = "learned"
    weights: dict[str, float] = field(default_factory=dict)
    candidates: int = 50
    trees: int = 300
    leaves: int = 15
    learning_rate: float = 0.1
    customers: int = 20_000
    enough: int = 300
    seed: int = 0

    _scorers: dict[str, Scorer] | None = field(default=None, init=False, repr=False, compare=False)
    _products: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _trees: Trees | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of(("learned", "weighted"), method=self.method)
        at_least(1, candidates=self.candidates, trees=self.trees, customers=self.customers)
        at_least(2, leaves=self.leaves, enough=self.enough)
        at_least(0, seed=self.seed, **self.weights)
        above(0, learning_rate=self.learning_rate)
        if not self.sources or self.kind in self.sources:
            raise ModelError(
                f"sources must be other models, at least 1, got {', '.join(self.sources) or 'none'}"
            )
        for name in self.weights:
            one_of(tuple(self.sources), weights=name)
        for kind, values in self.sources.items():
            make(kind, values)

    @property
    def needs(self) -> frozenset[str]:
        """What its sources need, and what the trees look at."""
        of = (needs(make(kind, values)) for kind, values in self.sources.items())
        return frozenset({"events", "catalogue"}).union(*of)

    @property
    def ranks_by(self) -> str:
        """How it ranks since `fit`: learned or weighted; with too few to learn from, weighted."""
        fitted(self._scorers, self)
        return "weighted" if self._trees is None else "learned"

    def fit(self, history: History) -> Self:
        """Learn the trees from before and after a cut, then the sources from all; by the seed."""
        history.check()
        self._trees = None
        if self.method == "learned":
            past, after = hold_out(history, seed=self.seed)
            if np.count_nonzero(np.diff(after.indptr)) >= self.enough:
                self._trees = self._learn(past, after)
        self._scorers = self._fit(history)
        self._products = product_facts(history)
        return self

    def score(self, history: History) -> Scores:
        """(rows, products): candidates by the trees, all others below by the weighted mean.

        What is sold out is masked by who ranks: `among` and `without` of `models.rank`.
        """
        scores = self._of_sources(fitted(self._scorers, self), history)
        mean = self._weighted(scores)
        if self._trees is None:
            return mean
        of = candidates(history, scores, self.candidates)
        found = evaluate(self._trees, facts(history, of, scores, fitted(self._products, self)))
        mean[of.rows, of.codes] = found + (1 - least(self._trees))  # at least 1
        return mean

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): weighted mean of the sources' likenesses."""
        scorers = fitted(self._scorers, self)
        alike = {kind: scorer.similarity(products) for kind, scorer in scorers.items()}
        return self._weighted(alike)

    def arrays(self) -> Arrays:
        """Each source's by SOURCE.NAME; products, the facts about them; the trees by trees.NAME."""
        scorers = fitted(self._scorers, self)
        arrays: dict[str, npt.NDArray[Any]] = {"products": fitted(self._products, self)}
        for kind, scorer in scorers.items():
            arrays |= {f"{kind}.{name}": array for name, array in scorer.arrays().items()}
        if self._trees is not None:
            arrays |= {f"trees.{name}": array for name, array in self._trees._asdict().items()}
        return arrays

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._products = arrays["products"]
        self._scorers = {
            kind: make(kind, values).restore(_under(kind, arrays))
            for kind, values in sorted(self.sources.items())
        }
        trees = _under("trees", arrays)
        self._trees = Trees(**trees) if trees else None
        return self

    def _fit(self, history: History) -> dict[str, Scorer]:
        return {
            kind: make(kind, values).fit(history) for kind, values in sorted(self.sources.items())
        }

    def _learn(self, past: History, after: sp.csr_matrix) -> Trees | None:
        """Trees from what each customer knew before the cut and bought after it."""
        scorers, products = self._fit(past), product_facts(past)
        rows = np.flatnonzero(np.diff(after.indptr))
        if len(rows) > self.customers:
            chosen = np.random.default_rng(self.seed).choice(rows, self.customers, replace=False)
            rows = np.sort(chosen)
        step = max(1, CELLS // past.products)
        x, good, sizes = [], [], []
        for start in range(0, len(rows), step):
            of_rows = rows[start : start + step]
            block, bought = past.take(of_rows), after[of_rows].toarray()
            scores = self._of_sources(scorers, block)
            of = candidates(block, scores, self.candidates)
            hit = bought[of.rows, of.codes]
            some = np.bincount(of.rows, hit, block.rows) > 0  # others have no order to learn
            of = of.where(some[of.rows])
            x.append(facts(block, of, scores, products))
            good.append(bought[of.rows, of.codes])
            sizes.append(np.bincount(of.rows, minlength=block.rows)[some])
        groups = np.concatenate(sizes)
        if len(groups) < self.enough:
            return None
        return grow(
            np.concatenate(x),
            np.concatenate(good),
            groups,
            trees=self.trees,
            leaves=self.leaves,
            learning_rate=self.learning_rate,
            seed=self.seed,
        )

    def _of_sources(self, scorers: Mapping[str, Scorer], history: History) -> dict[str, Scores]:
        return {kind: coarse(scorer.score(history)) for kind, scorer in scorers.items()}

    def _weighted(self, scores: Mapping[str, Scores]) -> Scores:
        """(rows, products) at most 1: each source's over its row's greatest."""
        total = sum(self.weights.get(kind, 1.0) for kind in scores) or 1.0
        mean: Scores | None = None
        for kind, of in scores.items():
            greatest = np.maximum(np.abs(of).max(axis=1, keepdims=True), FEW)
            part = of * np.float32(self.weights.get(kind, 1.0) / total) / greatest
            mean = part if mean is None else mean + part
        assert mean is not None
        return mean


def _under(name: str, arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    start = f"{name}."
    return {key.removeprefix(start): of for key, of in arrays.items() if key.startswith(start)}
