"""Recommenders: ids and Arrow tables in, ranked products out; a scorer of codes inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from features.artifact import MANIFEST, Damaged, Missing, staged, verify
from features.columns import column
from features.ids import IdMap, Ids
from models.histories import learn_from
from models.rank import CELLS, Ranked, rank, top_k
from models.saved import history_arrays, saved_history
from models.scorer import (
    Codes,
    Events,
    History,
    ModelError,
    NotFitted,
    Scorer,
    Updatable,
    make,
    needs,
    parameters,
)

Seen: TypeAlias = Literal["drop", "keep"]

FORMAT = 2

RANKED = [("rank", pa.int32()), ("product_id", pa.string()), ("score", pa.float32())]
RECOMMENDED = pa.schema([("customer_id", pa.string()), *RANKED])
RECOMMENDED_FOR = pa.schema([("row", pa.int32()), *RANKED])
SIMILAR = pa.schema(
    [
        ("product_id", pa.string()),
        ("rank", pa.int32()),
        ("similar_id", pa.string()),
        ("score", pa.float32()),
    ]
)


class Recommender:
    """A scorer with the ids and histories of the customers it learned from.

    history: their rows, as trained on. product_map, customer_map: ids <-> codes and rows.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._known: tuple[IdMap, IdMap, History] | None = None
        self._scored = 0  # products that the scorer knows: the first so many codes

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
        return self._learn(interactions, products, events, known=None)

    def refit(
        self,
        interactions: pa.Table,
        products: pa.Table | None = None,
        events: pa.Table | None = None,
    ) -> Self:
        """The same on newer tables with every known id at its old code, new ids behind them.

        A scorer with `warm_start` goes on from what it learned.
        """
        return self._learn(interactions, products, events, known=self._fitted()[:2])

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
        wanted = needs(self.scorer)
        known = learn_from(
            interactions,
            products,
            events if "events" in wanted else None,
            known=self._fitted()[:2],
            whole="catalogue" in wanted,
        )
        known[2].check()
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
        best = self.rank(self.history.take(rows), k, among=among, seen=seen)
        return _table(RECOMMENDED, self.customer_map.take(rows), best, self.product_map)

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
        best = self.rank(history, k, among=among, seen=seen)
        rows = column(np.arange(history.rows, dtype=np.int32))
        return _table(RECOMMENDED_FOR, rows, best, self.product_map)

    def similar(self, products: Ids, k: int = 10, *, among: Ids | None = None) -> pa.Table:
        """The k products most like each, itself not among them: schema SIMILAR."""
        given = self.product_map.codes(products)
        given = given[(given >= 0) & (given < self._scored)]
        allowed = self._allowed(among)
        step = max(1, CELLS // self._scored)
        blocks = [
            self._similar(given[start : start + step], k, allowed)
            for start in range(0, max(1, len(given)), step)
        ]
        best = Ranked(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))
        return _table(SIMILAR, self.product_map.take(given), best, self.product_map)

    def rank(
        self,
        history: History,
        k: int = 10,
        *,
        among: Ids | None = None,
        seen: Seen = "drop",
    ) -> Ranked:
        """The same in codes for any histories, (rows, k), -1 where there are fewer."""
        if seen not in ("drop", "keep"):
            raise ModelError(f"seen must be drop or keep, got {seen!r}")
        allowed, known = self._allowed(among), history.narrow(self._scored)
        return rank(self.scorer, known, k, drop_seen=seen == "drop", among=allowed)

    def history_of(self, *histories: Sequence[str]) -> History:
        """Histories of customers given by the products they took: weight 1 each, of today.

        In weights a product that stands twice counts once; in events as often, in the given
        order. One unknown to the model doesn't count at all.
        """
        code = self.product_map.code
        taken = [[c for id in history if (c := code(id)) >= 0] for history in histories]
        rows = [sorted(set(row)) for row in taken]
        indices = np.fromiter((c for row in rows for c in row), np.int32)
        indptr = np.cumsum([0, *map(len, rows)], dtype=np.int32)
        weights = sp.csr_matrix(
            (np.ones(len(indices), np.float32), indices, indptr), (len(rows), self.history.products)
        )
        timed = self.history.last_days is not None
        days = np.zeros(len(indices), np.float32) if timed else None
        events = _events_of(taken) if self.history.events is not None else None
        return History(weights, days, self.history.catalogue, events)

    def save(self, directory: Path) -> None:
        """Write a new directory of .npy, Arrow and a manifest; raises FileExistsError."""
        customers, products, history = self._fitted()
        if directory.exists():
            raise FileExistsError(f"{directory} must not exist yet, a saved model is never changed")
        arrays = history_arrays(history)
        arrays |= {f"model.{name}": array for name, array in self.scorer.arrays().items()}
        manifest = {
            "format": FORMAT,
            "kind": self.scorer.kind,
            "parameters": parameters(self.scorer),
            "customers": len(customers),
            "products": len(products),
            "scored": self._scored,
            "arrays": sorted(arrays),
        }
        with staged(directory, manifest) as beside:
            customers.save(beside / "customers.arrow")
            products.save(beside / "products.arrow")
            for name, array in arrays.items():
                np.save(beside / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)

    @classmethod
    def load(cls, directory: Path, *, verify_files: bool = True) -> Self:
        """Open what `save` wrote, as memory maps; raises Missing or Damaged.

        Imports the one module of its model. verify_files: compare every checksum first.
        """
        manifest = verify(directory) if verify_files else _manifest(directory)
        if manifest.get("format") != FORMAT:
            raise Damaged(f"{directory} has format {manifest.get('format')!r}, want {FORMAT}")
        customers = IdMap.load(directory / "customers.arrow")
        products = IdMap.load(directory / "products.arrow")
        arrays = {name: _open(directory / f"{name}.npy") for name in manifest["arrays"]}
        try:
            history = saved_history(arrays, (len(customers), len(products)))
        except ValueError as error:
            raise Damaged(f"{directory} holds no history: {error}") from error
        scorer = make(manifest["kind"], manifest["parameters"])
        learned = {n.removeprefix("model."): a for n, a in arrays.items() if n.startswith("model.")}
        recommender = cls(scorer.restore(learned))
        recommender._known = (customers, products, history)
        recommender._scored = manifest["scored"]
        return recommender

    def _learn(
        self,
        interactions: pa.Table,
        products: pa.Table | None,
        events: pa.Table | None,
        *,
        known: tuple[IdMap, IdMap] | None,
    ) -> Self:
        wanted = needs(self.scorer)
        learned = learn_from(
            interactions,
            products,
            events if "events" in wanted else None,
            known=known,
            whole="catalogue" in wanted,
        )
        self.scorer.fit(learned[2])
        self._known, self._scored = learned, learned[2].products
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
        return codes[(codes >= 0) & (codes < self._scored)]

    def _similar(self, given: Codes, k: int, allowed: Codes | None) -> Ranked:
        itself = sp.csr_matrix(
            (np.ones(len(given), np.float32), given, np.arange(len(given) + 1)),
            (len(given), self._scored),
        )
        return top_k(self.scorer.similarity(given), k, seen=itself, among=allowed)


def _events_of(histories: Sequence[Sequence[int]]) -> Events:
    """Events of which only the products are known, all of today."""
    starts = np.cumsum([0, *map(len, histories)], dtype=np.int64)
    codes = np.fromiter((c for history in histories for c in history), np.int32)
    unknown = np.full(len(codes), -1, np.int8)
    days = np.zeros(len(codes), np.float32)
    return Events(starts, codes, unknown, unknown, unknown.astype(np.int32), days)


def _table(schema: pa.Schema, asked: pa.Array, best: Ranked, products: IdMap) -> pa.Table:
    """One row for each ranked product of each asked."""
    row, place = np.nonzero(best.codes >= 0)
    found = {
        schema.names[0]: asked.take(column(row)),
        "rank": column(place.astype(np.int32) + np.int32(1)),
        "score": column(best.scores[row, place]),
    }
    product = products.take(best.codes[row, place])
    return pa.Table.from_arrays([found.get(n, product) for n in schema.names], schema=schema)


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Missing(f"{directory} has no {MANIFEST}") from error
    return manifest


def _open(path: Path) -> npt.NDArray[Any]:
    """A plain read-only array over the mapped file: np.memmap itself is slower to slice."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
