"""Recommenders: ids and Arrow tables in, ranked products out; a scorer of codes inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self, TypeAlias, cast

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from features.columns import column
from features.ids import IdMap, Ids
from models import saved
from models.histories import learn_from
from models.history import taken_today
from models.lists import RECOMMENDED, RECOMMENDED_FOR, SIMILAR, as_table
from models.rank import CELLS, Ranked, prepare, rank, rank_each, top_k
from models.retrieval import Index, Retrieval, ready
from models.scorer import (
    Codes,
    Factored,
    History,
    ModelError,
    NotFitted,
    Scorer,
    Updatable,
    needs,
)

Seen: TypeAlias = Literal["drop", "keep"]

PREPARED = 1 << 14  # products from which one customer is ranked faster by compiled code


class Recommender:
    """A scorer with the ids and histories of the customers it learned from.

    history: their rows, as trained on. product_map, customer_map: ids <-> codes and rows.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._known: tuple[IdMap, IdMap, History] | None = None
        self._scored = 0  # products that the scorer knows: the first so many codes
        self._index: Index | None = None
        self._retrieval: Retrieval | None = None  # the index, once prepared

    def __repr__(self) -> str:
        if self._known is None:
            return f"Recommender({self.scorer!r}, not fitted)"
        rows, products = len(self.customers), len(self.products)
        return f"Recommender({self.scorer!r}, {rows} customers, {products} products)"

    @property
    def customer_map(self) -> IdMap:
        """Customer ids <-> rows."""
        return self._fitted()[0]

    @property
    def product_map(self) -> IdMap:
        """Product ids <-> codes."""
        return self._fitted()[1]

    @property
    def history(self) -> History:
        """What it learned from, one row a customer."""
        return self._fitted()[2]

    @property
    def customers(self) -> pa.Array:
        """Customer ids by row."""
        return self.customer_map.ids

    @property
    def products(self) -> pa.Array:
        """Product ids by code."""
        return self.product_map.ids

    def fit(
        self,
        interactions: pa.Table,
        products: pa.Table | None = None,
        events: pa.Table | None = None,
    ) -> Self:
        """Learn from interactions; the same whatever the order of their rows.

        interactions: customer_id, product_id, weight and, where known, last_time. Weights of a
        pair that stands twice add up; a weight of 0 is no interaction. products: product_id,
        category; brand, supplier_id, price and title where the scorer needs a catalogue. events:
        customer_id, product_id and, where known, event_time, event_type, channel, order_id; read
        only where the scorer needs them. Raises ModelError for nothing to learn from and for
        impossible weights.
        """
        return self._learn(self._read(interactions, products, events))

    def refit(
        self,
        interactions: pa.Table,
        products: pa.Table | None = None,
        events: pa.Table | None = None,
    ) -> Self:
        """The same on newer tables with every known id at its old code, new ids behind them.

        A scorer with `warm_start` goes on from what it learned.
        """
        known = self._fitted()[:2]
        return self._learn(self._read(interactions, products, events, known=known))

    def update(
        self,
        interactions: pa.Table,
        products: pa.Table | None = None,
        events: pa.Table | None = None,
    ) -> Self:
        """Take in newer tables without a full fit: new customers and events, at stable codes.

        New products are ranked at once by a scorer that can be updated (`Updatable`); with others
        they have a code and stand in histories, and are ranked after the next `refit`.
        """
        known = self._read(interactions, products, events, known=self._fitted()[:2])
        known[2].check()
        self._index = self._retrieval = None
        if isinstance(self.scorer, Updatable):
            self.scorer.update(known[2])
            self._scored = known[2].products
        self._known = known
        return self

    def recommend(
        self,
        customers: Ids,
        k: int = 10,
        *,
        among: Ids | None = None,
        seen: Seen = "drop",
    ) -> pa.Table:
        """The k best products of each customer, in the customers' order: schema RECOMMENDED.

        An unknown customer gives no rows; what she gets instead is the caller's choice.
        `among`: the only products to rank, ids unknown to the model are passed over.
        """
        rows = self.customer_map.codes(customers)
        rows = rows[rows >= 0]
        best = self.rank(self.history.take(rows), k, among=self._allowed(among), seen=seen)
        return as_table(RECOMMENDED, self.customer_map.take(rows), best, self.product_map)

    def recommend_for(
        self,
        histories: Sequence[Sequence[str]],
        k: int = 10,
        *,
        among: Ids | None = None,
        seen: Seen = "drop",
    ) -> pa.Table:
        """The same for customers given by the products they took: schema RECOMMENDED_FOR.

        `row` is the place in `histories`, from 0; one without a known product gives no rows.
        """
        history = self.history_of(*histories)
        best = self.rank(history, k, among=self._allowed(among), seen=seen)
        rows = column(np.arange(history.rows, dtype=np.int32))
        return as_table(RECOMMENDED_FOR, rows, best, self.product_map)

    def similar(self, products: Ids, k: int = 10, *, among: Ids | None = None) -> pa.Table:
        """The k products most like each, itself not among them: schema SIMILAR."""
        given = self.product_map.codes(products)
        given = given[(given >= 0) & (given < self._scored)]
        allowed = self._allowed(among)
        step = max(1, CELLS // self._scored)
        blocks = [
            self.alike(given[start : start + step], k, among=allowed)
            for start in range(0, max(1, len(given)), step)
        ]
        best = Ranked(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))
        return as_table(SIMILAR, self.product_map.take(given), best, self.product_map)

    def rank(
        self,
        history: History,
        k: int = 10,
        *,
        among: Codes | None = None,
        without: Codes | None = None,
        seen: Seen = "drop",
    ) -> Ranked:
        """The k best products of any histories, all in codes: (rows, k), -1 where there are fewer.

        Exact; but one row of all products by the bundle's index where it has one (`indexed`). The
        exact k also where the index finds fewer. Products that came after the model learned are
        passed over, as are those of `without`.
        """
        if seen not in ("drop", "keep"):
            raise ModelError(f"seen must be drop or keep, got {seen!r}")
        history, without = history.narrow(self._scored), self._scorable(without)
        drop = seen == "drop"
        if self._retrieval is not None and history.rows == 1 and among is None:
            scorer = cast(Factored, self.scorer)
            found = self._retrieval.rank(scorer, history, k, drop_seen=drop, without=without)
            if found is not None:
                return found
        among = self._scorable(among)
        return rank(self.scorer, history, k, drop_seen=drop, among=among, without=without)

    def rank_each(self, histories: Sequence[History], k: int, *, seen: Seen) -> list[Ranked]:
        """As `rank` each of these, of one row, among all products; together where that is faster.

        What each gets does not depend on who is beside her.
        """
        if self._retrieval is not None or len(histories) == 1:
            return [self.rank(history, k, seen=seen) for history in histories]
        narrow = [history.narrow(self._scored) for history in histories]
        return rank_each(self.scorer, narrow, k, drop_seen=seen == "drop")

    def alike(
        self,
        products: Codes,
        k: int = 10,
        *,
        among: Codes | None = None,
        without: Codes | None = None,
        above: float = -np.inf,
    ) -> Ranked:
        """The k products most like each, more alike than `above` and not itself, all in codes.

        A product that came after the model learned is like none.
        """
        found = Ranked(
            np.full((len(products), k), -1, np.int32),
            np.full((len(products), k), -np.inf, np.float32),
        )
        known = products < self._scored
        given = products[known]
        itself = sp.csr_matrix(
            (np.ones(len(given), np.float32), given, np.arange(len(given) + 1)),
            (len(given), self._scored),
        )
        scores = self.scorer.similarity(given)
        scores[scores <= above] = -np.inf
        among, without = self._scorable(among), self._scorable(without)
        best = top_k(scores, k, seen=itself, among=among, without=without)
        found.codes[known], found.scores[known] = best
        return found

    def history_of(self, *histories: Sequence[str]) -> History:
        """Histories of customers given by the products they took: weight 1 each, of today.

        In weights a product that stands twice counts once; in events as often, in the given
        order. One unknown to the model doesn't count at all.
        """
        code = self.product_map.code
        rows = [[c for id in history if (c := code(id)) >= 0] for history in histories]
        return taken_today(rows, like=self.history)

    def indexed(self, index: Index | None) -> Self:
        """With an index over the scorer's factors: `rank` asks it from the next `prepare` on."""
        factors = None if index is None else cast(Factored, self.scorer).product_factors.shape
        if index is not None and factors != (len(index.order), index.means.shape[1]):
            raise ModelError(
                f"an index must be of the model's {factors} factors, got "
                f"{(len(index.order), index.means.shape[1])}"
            )
        self._index, self._retrieval = index, None
        return self

    def prepare(self) -> None:
        """Compile what ranks, so that the first question is as fast as the next; takes seconds."""
        if isinstance(self.scorer, Factored) and self._scored >= PREPARED:
            prepare(self.scorer.product_factors)
        if isinstance(self.scorer, Factored) and self._index is not None:
            self._retrieval = ready(self._index, self.scorer.product_factors)
        if len(self.customers):
            self.rank(self.history.take(np.zeros(1, np.int64)), 1)  # what is compiled, is now

    def save(self, directory: Path) -> None:
        """Write a new directory of .npy, Arrow and a manifest; raises FileExistsError."""
        customers, products, history = self._fitted()
        saved.write(directory, self.scorer, customers, products, history, scored=self._scored)

    @classmethod
    def load(cls, directory: Path, *, verify_files: bool = True) -> Self:
        """Open what `save` wrote, as memory maps; raises Missing or Damaged.

        Imports the one module of its model. verify_files: compare every checksum first.
        """
        found = saved.read(directory, verify_files=verify_files)
        recommender = cls(found.scorer)
        recommender._known = (found.customers, found.products, found.history)
        recommender._scored = found.scored
        return recommender

    def _read(
        self,
        interactions: pa.Table,
        products: pa.Table | None,
        events: pa.Table | None,
        *,
        known: tuple[IdMap, IdMap] | None = None,
    ) -> tuple[IdMap, IdMap, History]:
        """The tables as ids and history, and no more of them than the scorer needs."""
        wanted = needs(self.scorer)
        return learn_from(
            interactions,
            products,
            events if "events" in wanted else None,
            known=known,
            whole="catalogue" in wanted,
        )

    def _learn(self, known: tuple[IdMap, IdMap, History]) -> Self:
        self._index = self._retrieval = None
        self.scorer.fit(known[2])
        self._known, self._scored = known, known[2].products
        return self

    def _fitted(self) -> tuple[IdMap, IdMap, History]:
        if self._known is None:
            raise NotFitted(
                "a recommender must be fitted or loaded before it is asked, got neither"
            )
        return self._known

    def _allowed(self, among: Ids | None) -> Codes | None:
        if among is None:
            return None
        codes = self.product_map.codes(among)
        return codes[codes >= 0]

    def _scorable(self, codes: Codes | None) -> Codes | None:
        return None if codes is None else codes[codes < self._scored]
