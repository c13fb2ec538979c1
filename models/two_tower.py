"""Two towers: events, traits and prices in, vectors of customers and of products out.

A product's vector comes from its id, its hashed traits (category, brand, supplier, words of the
title) and its price; a customer's from the vectors, traits and prices of what she did of late, by
learned weights for the kind of event, its place and its age. So a product launched this morning
and a customer who arrived today are scorable. Learned by `networks.lessons`; here is what the
learned weights mean, without PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp

from models.history import Catalogue, Events
from models.networks.checkpoint import Checkpoint, run_of
from models.networks.lessons import start, train
from models.networks.towers import Bearing, Plan, Weights, bucket
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
    parameters,
)

TINY = 1e-12


@dataclass
class TwoTower:
    """Vectors of length 1, whose product is the score.

    batch: targets learned at once, against each other and `negatives` products drawn evenly.
    temperature: what the score is divided by before the softmax. correction: to which power a
    product's chance to be among them is taken out; 0 leaves popular products back. viewed: weight
    of a target that she only looked at, beside one that she took. id_dropout: how often a
    product's id is left out, so that its traits learn to do without. recent: events of hers that
    count. patience: epochs without gain for the customers held out, of whom `validation` is the
    share. checkpoint: a folder that a killed fit goes on from. warm_start: `fit` goes on from what
    was learned.
    """

    kind: ClassVar[str] = "two_tower"
    needs: ClassVar[frozenset[str]] = frozenset({"events", "catalogue"})

    factors: int = 64
    hidden: int = 128
    epochs: int = 30
    batch: int = 512
    negatives: int = 1024
    learning_rate: float = 0.003
    temperature: float = 0.1
    correction: float = 1.0
    viewed: float = 1.0
    id_dropout: float = 0.2
    recent: int = 50
    patience: int = 5
    validation: float = 0.05
    checkpoint: str | None = None
    warm_start: bool = False
    seed: int = 0

    _weights: Weights | None = field(default=None, init=False, repr=False, compare=False)
    _products: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _bearing: Scores | None = field(default=None, init=False, repr=False, compare=False)
    _scale: Scores | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least(1, factors=self.factors, hidden=self.hidden, epochs=self.epochs)
        at_least(1, batch=self.batch, negatives=self.negatives, recent=self.recent)
        at_least(0, correction=self.correction, viewed=self.viewed, id_dropout=self.id_dropout)
        at_least(0, patience=self.patience, validation=self.validation, seed=self.seed)
        above(0, learning_rate=self.learning_rate, temperature=self.temperature)
        for name in ("id_dropout", "validation"):
            if getattr(self, name) >= 1:
                raise ModelError(f"{name} must be below 1, got {getattr(self, name)}")

    def fit(self, history: History) -> Self:
        """Learn both towers; the same for a seed on one kind of machine and number of threads."""
        history.check()
        scale = _scale(history.catalogue)
        bearing = _bearing(history, scale)
        weights = self._start(history.products, bearing.traits.shape[1])
        said = {name: value for name, value in parameters(self).items() if name != "checkpoint"}
        run = "" if self.checkpoint is None else run_of(history, said, *weights.values())
        plan = Plan(**{name: said[name] for name in Plan.__dataclass_fields__})
        ordered = history.events is not None or history.last_days is not None
        events = history.sequence()
        kept = Checkpoint(self.checkpoint, run)
        weights = train(weights, events, bearing, plan, kept, ordered=ordered)
        self._weights, self._scale = weights, scale
        self._products, self._bearing = self._vectors(bearing, weights["ids"])
        return self

    def update(self, history: History) -> Self:
        """Give products of new codes a vector by their traits and price; known ones keep theirs."""
        weights, known = fitted(self._weights, self), self.product_factors
        borne = fitted(self._bearing, self)
        if history.products <= len(known):
            return self
        bearing = _bearing(history, fitted(self._scale, self))
        new = slice(len(known), None)
        ids = np.zeros((history.products - len(known), known.shape[1]), np.float32)
        beyond = Bearing(bearing.traits[new], bearing.prices[new])
        vectors, bears = self._vectors(beyond, ids)
        self._weights = {**weights, "ids": np.concatenate((weights["ids"], ids))}
        self._products = np.concatenate((known, vectors))
        self._bearing = np.concatenate((borne, bears))
        return self

    def customer_factors(self, history: History) -> Scores:
        """(rows, f), of length 1; without events the same for all: what most begin with."""
        w, y = fitted(self._weights, self), self.product_factors
        events = history.sequence()
        ordered = history.events is not None or history.last_days is not None
        if history.rows == 1:
            return self._one(events, self.recent if ordered else len(events.products))
        weights, length = self._pooling(events, len(y), self.recent if ordered else None)
        pooled = np.hstack((weights @ y, weights @ fitted(self._bearing, self)))  # (rows, 2f + 2)
        count = np.log1p(length).astype(np.float32)[:, None]
        return _through("customer", w, pooled[:, : y.shape[1]], np.hstack((pooled, count)))

    @property
    def product_factors(self) -> Scores:
        """(products, f), of length 1."""
        return fitted(self._products, self)

    def score(self, history: History) -> Scores:
        """(rows, products): cosines of vectors."""
        scores: Scores = self.customer_factors(history) @ self.product_factors.T
        return scores

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): cosine of vectors."""
        return cosine(self.product_factors, products)

    def arrays(self) -> Arrays:
        """Weights, and products (products, f), bearing (products, f + 2) and scale (2,)."""
        weights = {f"weight_{name}": array for name, array in fitted(self._weights, self).items()}
        return {
            "products": self.product_factors,
            "bearing": fitted(self._bearing, self),
            "scale": fitted(self._scale, self),
            **weights,
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._products, self._bearing = arrays["products"], arrays["bearing"]
        self._scale = arrays["scale"]
        self._weights = {
            name.removeprefix("weight_"): array
            for name, array in arrays.items()
            if name.startswith("weight_")
        }
        return self

    def _start(self, products: int, traits: int) -> Weights:
        """Weights to go on from: random, or with `warm_start` what was learned."""
        size = {"factors": self.factors, "hidden": self.hidden}
        weights = start(products, traits, seed=self.seed, **size)
        for name, known in (self._weights or {}).items() if self.warm_start else ():
            if known.shape[1] != weights[name].shape[1]:
                raise ModelError(
                    f"factors and hidden must be as in what was learned to go on from, got "
                    f"{self.factors} and {self.hidden}"
                )
            rows = min(len(known), len(weights[name]))
            weights[name][:rows] = known[:rows]
        return weights

    def _vectors(self, bearing: Bearing, ids: Scores) -> tuple[Scores, Scores]:
        """Of products their vectors, (n, f), and their traits' vectors with prices, (n, f + 2)."""
        w = fitted(self._weights, self)
        share = 1 / np.sqrt(np.maximum(np.diff(bearing.traits.indptr), 1))
        if bearing.traits.shape[1] == len(w["traits"]):
            traits = (bearing.traits @ w["traits"]) * share[:, None].astype(np.float32)
        else:  # learned without a catalogue
            traits = np.zeros_like(ids)
        z = ids + traits + bearing.prices @ w["prices"]
        return _through("product", w, z, z), np.hstack((traits, bearing.prices))

    def _one(self, events: Events, recent: int) -> Scores:
        """The same for one customer, who waits for it: without what only many rows need."""
        w, last = fitted(self._weights, self), slice(max(0, len(events.products) - recent), None)
        codes, days = events.products[last], events.days[last]
        back = np.arange(len(codes))[::-1]
        share = w["types"][events.types[last] + 1] + w["places"][bucket(back)]
        share = np.exp(share + w["gaps"][bucket(24 * (days - days[-1:]))])[:, 0]
        share /= share.sum()
        straight = share @ self.product_factors[codes]
        count = np.array([np.log1p(len(codes))], np.float32)
        pooled = np.concatenate((straight, share @ fitted(self._bearing, self)[codes], count))
        return _through("customer", w, straight[None], pooled[None])

    def _pooling(
        self, events: Events, products: int, recent: int | None
    ) -> tuple[sp.csr_matrix, np.ndarray]:
        """(rows, products): each event's share in what is known of her; and how many (rows,)."""
        w = fitted(self._weights, self)
        ends = events.starts[1:]
        back = np.repeat(ends, np.diff(events.starts)) - 1 - np.arange(len(events.products))
        keep = np.ones(len(back), bool) if recent is None else back < recent
        kept = np.concatenate(([0], np.cumsum(keep)))[events.starts]
        length = np.diff(kept)
        row = np.repeat(np.arange(len(length)), length)
        newest = events.days[np.maximum(ends - 1, 0)] if len(events.days) else np.zeros(len(ends))
        gap = 24 * (events.days[keep] - newest[row])
        share = w["types"][events.types[keep] + 1] + w["places"][bucket(back[keep])]
        share = np.exp(share + w["gaps"][bucket(gap)])[:, 0].astype(np.float32)
        share /= np.bincount(row, share, len(length)).astype(np.float32)[row]
        return sp.csr_matrix((share, events.products[keep], kept), (len(length), products)), length


def _through(tower: str, w: Mapping[str, Scores], straight: Scores, given: Scores) -> Scores:
    """A tower's vectors of length 1: what goes straight and what the network adds."""
    inner = np.maximum(given @ w[f"{tower}_in"] + w[f"{tower}_in_bias"], 0)
    out = straight + inner @ w[f"{tower}_out"] + w[f"{tower}_out_bias"]
    scaled: Scores = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), TINY)
    return scaled.astype(np.float32)


def _scale(catalogue: Catalogue | None) -> Scores:
    """(2,) mean and standard deviation of log prices; 0 and 1 without any."""
    if catalogue is None or catalogue.prices is None:
        return np.array([0, 1], np.float32)
    prices = np.log(catalogue.prices[catalogue.prices > 0].astype(np.float64))
    if not len(prices):
        return np.array([0, 1], np.float32)
    return np.array([prices.mean(), prices.std() or 1], np.float32)


def _bearing(history: History, scale: Scores) -> Bearing:
    """What the catalogue says of each product; without one nothing of any."""
    catalogue, products = history.catalogue, history.products
    prices = np.zeros((products, 2), np.float32)
    prices[:, 1] = 1
    traits = sp.csr_matrix((products, 1), dtype=np.float32)
    if catalogue is not None:
        if catalogue.traits is not None:
            traits = catalogue.traits
        if catalogue.prices is not None:
            known = catalogue.prices > 0  # false for NaN
            log = np.log(catalogue.prices[known])
            prices[known, 0] = (log - scale[0]) / scale[1]
            prices[known, 1] = 0
    return Bearing(traits, prices)
