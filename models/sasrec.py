"""Customers' events in, in their order; for each customer the products that come next out.

Kang, McAuley: Self-Attentive Sequential Recommendation, ICDM 2018: a causal self-attention network
reads a customer's last events and is taught, after each of them, the next. Here it is taught with
a softmax over all products or a corrected sample of them instead of one negative a positive, which
decides quality (Klenitskiy, Vasilev: Turning Dross Into Gold Loss, RecSys 2023); event type,
channel and the time since the event before are inputs where events say them. Events of one time,
such as a basket's, have no order: they are foretold together, from what came before them. PyTorch
learns, NumPy answers: the state after her last event times the products' embeddings is the score.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.networks.attention import CELLS, first, last_states
from models.networks.packed import SIZES, Sequences, sequences
from models.rank import cosine
from models.scorer import (
    Arrays,
    Codes,
    Events,
    History,
    ModelError,
    Scores,
    above,
    at_least,
    fitted,
    parameters,
)

FEWEST = 100  # held-out customers below whom stopping by them would be chance


@dataclass
class SASRec:
    """Self-attention over the last `length` events of a customer.

    temperature: by what the cosine of a customer's state and a product is divided to be a score.
    negatives: products drawn a step for a sampled softmax, shared by its customers; 0: the softmax
    is over all products. batch: customers a step. rate, decay: of AdamW. epochs: at most; fewer
    where `patience` of them in a row (0: never) were no better at telling the last basket of a
    share `held_out` of the customers, which is not learned from; the best epoch's arrays stay.
    warm_start: `fit` goes on from what was learned; codes beyond are new. checkpoint: a directory,
    written after each epoch, from which the same fit goes on after it was killed.
    """

    kind: ClassVar[str] = "sasrec"
    needs: ClassVar[frozenset[str]] = frozenset({"events"})

    factors: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 50
    temperature: float = 0.07
    dropout: float = 0.5
    negatives: int = 512
    rate: float = 0.002
    decay: float = 0.0
    batch: int = 128
    epochs: int = 30
    patience: int = 3
    held_out: float = 0.05
    warm_start: bool = False
    checkpoint: str | None = None
    seed: int = 0

    _learned: dict[str, npt.NDArray[Any]] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        at_least(1, factors=self.factors, layers=self.layers, heads=self.heads)
        at_least(1, length=self.length, batch=self.batch, epochs=self.epochs)
        at_least(0, negatives=self.negatives, decay=self.decay, patience=self.patience)
        at_least(0, dropout=self.dropout, held_out=self.held_out, seed=self.seed)
        above(0, rate=self.rate, temperature=self.temperature)
        if self.factors % self.heads:
            raise ModelError(
                f"factors must be a multiple of heads, got {self.factors} and {self.heads}"
            )
        for name, share, bound in (("dropout", self.dropout, 0.95), ("held_out", self.held_out, 1)):
            if share > bound:
                raise ModelError(f"{name} must be at most {bound}, got {share}")

    @property
    def learned_epochs(self) -> int:
        """Epochs that the arrays come from: what to give `epochs` where none are held out."""
        return int(fitted(self._learned, self)["epochs"][0])

    def fit(self, history: History) -> Self:
        """Learn; the same for a seed on one machine and number of threads."""
        from models.networks.checkpoint import Checkpoint, run_of
        from models.networks.epochs import learn

        history.check()
        given = sequences(history, 2 * self.length + 1)  # inputs, and a basket held out
        if not given.ordered:
            given = given.shuffled(np.random.default_rng(self.seed))
        held = self._held(given)
        start = self._first(history, given)
        said = {name: value for name, value in parameters(self).items() if name != "checkpoint"}
        run = "" if self.checkpoint is None else run_of(history, said, *start.values())
        saved = Checkpoint(self.checkpoint, run)
        learned, epochs = learn(start, given, held, self, saved)
        self._learned = {**learned, "epochs": np.array([epochs])}
        return self

    def customer_factors(self, history: History) -> Scores:
        """(rows, f): the state after her last event, over temperature; 0 without events."""
        learned = fitted(self._learned, self)
        if history.rows == 1:
            return self._one(learned, history.sequence())
        given = sequences(history, self.length)
        lengths, f = given.lengths, self.factors
        told = np.zeros((history.rows, f), np.float32)
        order = np.argsort(lengths, kind="stable")
        bounds = np.searchsorted(lengths[order], np.arange(1, self.length + 2))
        for n, (begin, end) in enumerate(pairwise(bounds.tolist()), start=1):
            step = max(1, CELLS // (n * max(4 * f, n * self.heads)))
            for at in range(begin, end, step):
                rows = order[at : min(at + step, end)]  # all of n events
                places = given.starts[rows, None] + np.arange(n)
                codes = {"products": given.products, **given.traits}
                inputs = {name: codes[name][places] for name in codes if name in learned}
                told[rows] = last_states(learned, inputs) / np.float32(self.temperature)
        return told

    def _one(self, learned: Arrays, events: Events) -> Scores:
        """The same for one customer, compiled: she waits for it."""
        from models.networks.one import last_state

        if not len(events.products):
            return np.zeros((1, self.factors), np.float32)
        last = slice(-self.length, None)
        codes, types = events.products[last], events.types[last]
        state = last_state(learned, codes, types, events.channels[last], events.days[last])
        return state[None] / np.float32(self.temperature)

    @property
    def product_factors(self) -> Scores:
        """(products, f): their embeddings, of length 1."""
        return fitted(self._learned, self)["products"]

    def score(self, history: History) -> Scores:
        """(rows, products): the log of how likely each is next, but for a constant a row."""
        scores: Scores = self.customer_factors(history) @ self.product_factors.T
        return scores

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products): cosine of embeddings."""
        return cosine(self.product_factors, products)

    def arrays(self) -> Arrays:
        """The network's arrays, see `models.networks.attention`, and epochs, (1,) int64."""
        return fitted(self._learned, self)

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave."""
        self._learned = dict(arrays)
        return self

    def _held(self, given: Sequences) -> npt.NDArray[np.int64]:
        """(rows,) events held out: the last, with all of its time, of some customers.

        Of those who have two others to learn from.
        """
        newest = given.newest
        could = np.flatnonzero((given.lengths - newest > 1) & (newest > 0))
        held = np.zeros(len(given.lengths), np.int64)
        count = round(self.held_out * len(could)) if self.patience else 0
        if count >= FEWEST:
            random = np.random.default_rng(self.seed)
            chosen = random.choice(could, count, replace=False)
            held[chosen] = newest[chosen]
        return held

    def _first(self, history: History, given: Sequences) -> dict[str, Scores]:
        """Arrays to start from: drawn, or those there are with new products behind them."""
        sizes = {"products": history.products}
        for name, trait in given.traits.items():
            if len(trait) and trait.min() < trait.max():  # what is always the same says nothing
                sizes[name] = SIZES[name]
        start = first(sizes, self.factors, self.layers, self.heads, self.length, self.seed)
        if not self.warm_start or self._learned is None:
            return start
        learned = self._learned
        for name in ("products", "distances"):
            had, want = learned[name].shape[1:], start[name].shape[1:]
            if had != want:
                raise ModelError(
                    "factors, heads and length must be as learned to go on from, got "
                    f"{name} of {want} where {had} were learned"
                )
        start["products"][: len(learned["products"])] = learned["products"][: history.products]
        fresh = ("products", "epochs")
        return start | {n: np.array(array) for n, array in learned.items() if n not in fresh}
