"""Shelves: one opened bundle in, what answers are made from at hand in memory out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.artifact import checking
from features.columns import numbers
from models.bundle import Bundle, open_bundle
from models.bundling.resident import resident
from models.bundling.rows import RowOf
from models.rank import warm
from models.scorer import Codes, Scores
from serving.answers import Filters, Model
from serving.catalogue import Catalogue, catalogue

BLOCK = 10_000
REASONS = 20  # a product is shown because of another only where it is among its so many most alike
ALIKE = 0.1  # and not by less than this share of the best
SAID = ("you chose it before", "often chosen by customers like you", "popular in the shop")
NEW = 1000  # products that may be shown because they are new


@dataclass(frozen=True, slots=True, eq=False)  # itself, never another
class Shelf:
    """One bundle, ready to answer from. A request takes one shelf and keeps it to its end.

    row_of: row of a customer; code: code of a product, -1 where unknown.
    product_ids, titles: by code; a title is the id where the catalogue has none.
    lists_products, lists_scores: (customers, L), the same arrays as the bundle's.
    popular: codes of the available products, most popular first. newest: codes, newest first.
    published: the time that nothing in the bundle is later than, unix seconds; 0 where unknown.
    indptr, indices: histories, CSR: what customer `row` took is indices[indptr[row] : …].
    near: (products, REASONS) codes that the model finds alike, -1 ends a row: for reasons.
    because: by code, the reason that names the product; AGAIN and OTHERS of `models.ranking.listed`
        stand at its end.
    personal: whether the model looks at the customer at all.
    """

    bundle: Bundle
    model: Model
    row_of: RowOf
    code: Callable[[str], int]
    product_ids: list[str]
    titles: list[str]
    catalogue: Catalogue
    lists_products: Codes
    lists_scores: Scores
    popular: Codes
    newest: Codes
    published: float
    indptr: npt.NDArray[np.int64]
    indices: Codes
    near: Codes
    because: list[str]
    personal: bool

    @property
    def as_of(self) -> str | None:
        """The time that nothing in the bundle is later than, ISO; None where it does not say."""
        as_of = self.bundle.manifest.get("as_of")
        return None if as_of is None else str(as_of)

    def row(self, customer_id: str) -> int:
        """The customer's row, -1 for one that the bundle does not know."""
        return self.row_of.get(customer_id, -1)

    def bought(self, row: int) -> Codes:
        """Codes that customer `row` bought before, ascending."""
        bought = self.bundle.bought
        return bought.products[bought.starts[row] : bought.starts[row + 1]]

    def purchases(self, row: int) -> tuple[Codes, Codes, npt.NDArray[np.int16]]:
        """The same, with the day of the last purchase since 1970 (-1 unknown) and the orders."""
        _, products, days, orders = self.bundle.bought
        hers = slice(self.bundle.bought.starts[row], self.bundle.bought.starts[row + 1])
        return products[hers], days[hers], orders[hers]


def put_up(directory: Path) -> Shelf:
    """Open, verify and lay out a bundle; meant for a thread beside the one that answers."""
    begun = checking(directory)
    try:
        with ThreadPoolExecutor(1) as beside:
            compiled = beside.submit(warm)
            bundle = open_bundle(directory, begun)
            prepared = beside.submit(bundle.recommender.prepare)
            shelf = _laid_out(bundle)
            compiled.result()
            prepared.result()
        return shelf
    finally:
        begun.wait()  # raises where the lists are not what was published


def _laid_out(bundle: Bundle) -> Shelf:
    products = catalogue(bundle.products)
    product_ids = [id for block in _blocks(bundle.products["product_id"]) for id in block]
    named = [title for block in _blocks(bundle.products["title"]) for title in block]
    titles = [title or id for title, id in zip(named, product_ids, strict=True)]
    history = bundle.recommender.history.weights
    code = bundle.recommender.product_map.code
    code("")  # its first call is the slow one
    about = bundle.manifest.get("model") or {}
    kind = bundle.recommender.scorer.kind
    shelf = Shelf(
        bundle=bundle,
        model=Model(str(about.get("name") or kind), str(about.get("version") or bundle.id)),
        row_of=bundle.row_of,
        code=code,
        product_ids=product_ids,
        titles=titles,
        catalogue=products,
        lists_products=bundle.lists_products,
        lists_scores=bundle.lists_scores,
        popular=bundle.popular[products.available[bundle.popular]],
        newest=_newest(bundle.products),
        published=_seconds(bundle.manifest.get("as_of")),
        indptr=history.indptr,
        indices=history.indices,
        near=_near(bundle),
        because=[*(f"because you chose {title}" for title in titles), *SAID],
        personal=kind != "popularity",
    )
    products.allowed(Filters())
    resident(
        (
            shelf.lists_products,
            shelf.lists_scores,
            *(history.indptr, history.indices, history.data),
            *bundle.bought,
            bundle.similar_products,
            bundle.together_products,
        ),
        [column.combine_chunks() for column in bundle.customers.columns],
    )
    return shelf


def _near(bundle: Bundle) -> Codes:
    """Of each product its most similar ones that are alike enough to be a reason."""
    codes, scores = bundle.similar_products[:, :REASONS], bundle.similar_scores[:, :REASONS]
    near = np.full((len(codes), REASONS), -1, np.int32)
    for start in range(0, len(codes), BLOCK):
        some, worth = codes[start : start + BLOCK], scores[start : start + BLOCK]
        enough = (some >= 0) & (worth >= ALIKE * worth[:, :1])  # -1 stands beside -inf
        near[start : start + BLOCK, : some.shape[1]] = np.where(enough, some, -1)
        time.sleep(0)
    return near


def _newest(products: pa.Table) -> Codes:
    """Codes of those whose launch is known, the last launched first; of one time by code."""
    launched = products["launched_at"].cast(pa.int64()).combine_chunks()
    if launched.null_count == len(launched):
        return np.empty(0, np.int32)
    time = numbers(launched, null=-(2**62))
    order = np.argsort(-time, kind="stable")[: min(NEW, len(time) - launched.null_count)]
    return order.astype(np.int32)


def _seconds(as_of: str | None) -> float:
    if as_of is None:
        return 0.0
    time = datetime.fromisoformat(as_of)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _blocks(column: pa.ChunkedArray) -> Iterator[list[str]]:
    """A column's values, letting other threads run in between."""
    for start in range(0, len(column), BLOCK):
        yield column.slice(start, BLOCK).to_pylist()
        time.sleep(0)
