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
from models.scorer import Codes, History, ModelError, NotFitted, Scorer, make, parameters

Seen: TypeAlias = Literal["drop", "keep"]

FORMAT = 1

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

    def fit(self, interactions: pa.Table, products: pa.Table | None = None) -> Self:
        """Learn from interactions; the same whatever the order of their rows.

        interactions: customer_id, product_id, weight and, where known, last_time. Weights of a
        pair that stands twice add up; a weight of 0 is no interaction. products: product_id,
        category. Raises ModelError for nothing to learn from and for impossible weights.
        """
        known = learn_from(interactions, products)
        self.scorer.fit(known[2])
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
        given = given[given >= 0]
        allowed = self._allowed(among)
        step = max(1, CELLS // len(self.product_map))
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
        allowed = self._allowed(among)
        return rank(self.scorer, history, k, drop_seen=seen == "drop", among=allowed)

    def history_of(self, *histories: Sequence[str]) -> History:
        """Histories of customers given by the products they took: weight 1 each, of today.

        A product that stands twice counts once; one unknown to the model not at all.
        """
        code = self.product_map.code
        rows = [sorted({code(id) for id in history} - {-1}) for history in histories]
        indices = np.fromiter((c for row in rows for c in row), np.int32)
        indptr = np.cumsum([0, *map(len, rows)], dtype=np.int32)
        weights = sp.csr_matrix(
            (np.ones(len(indices), np.float32), indices, indptr), (len(rows), self.history.products)
        )
        timed = self.history.last_days is not None
        days = np.zeros(len(indices), np.float32) if timed else None
        return History(weights, days, self.history.categories)

    def save(self, directory: Path) -> None:
        """Write a new directory of .npy, Arrow and a manifest; raises FileExistsError."""
        customers, products, history = self._fitted()
        if directory.exists():
            raise FileExistsError(f"{directory} must not exist yet, a saved model is never changed")
        arrays: dict[str, npt.NDArray[Any]] = {
            "history.weights": history.weights.data,
            "history.indices": history.weights.indices,
            "history.indptr": history.weights.indptr,
        }
        if history.last_days is not None:
            arrays["history.last_days"] = history.last_days
        if history.categories is not None:
            arrays["history.categories"] = history.categories
        arrays |= {f"model.{name}": array for name, array in self.scorer.arrays().items()}
        manifest = {
            "format": FORMAT,
            "kind": self.scorer.kind,
            "parameters": parameters(self.scorer),
            "customers": len(customers),
            "products": len(products),
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
        shape = (len(customers), len(products))
        parts = tuple(arrays[f"history.{part}"] for part in ("weights", "indices", "indptr"))
        try:
            weights = sp.csr_matrix(parts, shape)
        except ValueError as error:
            raise Damaged(f"{directory} holds no history of shape {shape}: {error}") from error
        weights.has_canonical_format = True  # as written; to look would read all of it
        history = History(
            weights, arrays.get("history.last_days"), arrays.get("history.categories")
        )
        scorer = make(manifest["kind"], manifest["parameters"])
        learned = {n.removeprefix("model."): a for n, a in arrays.items() if n.startswith("model.")}
        recommender = cls(scorer.restore(learned))
        recommender._known = (customers, products, history)
        return recommender

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

    def _similar(self, given: Codes, k: int, allowed: Codes | None) -> Ranked:
        itself = sp.csr_matrix(
            (np.ones(len(given), np.float32), given, np.arange(len(given) + 1)),
            (len(given), len(self.product_map)),
        )
        return top_k(self.scorer.similarity(given), k, seen=itself, among=allowed)


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
