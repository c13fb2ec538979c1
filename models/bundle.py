"""Bundles: a fitted recommender and a catalogue in, one immutable folder that the server opens out.

Beside the model a bundle holds what the server needs to answer without computing: each customer's
ranked list, each product's most similar products, what goes with each in a cart, what each customer
bought and when, and the popular products as the fallback. Nothing in a bundle is code; its id is
the hash of its content.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.artifact import Checking, Damaged, checking, digest, files, staged
from models.bundling import tables
from models.bundling.files import open_array, open_table, save_array, save_table
from models.bundling.lists import save_lists, save_similar, step_back
from models.bundling.retrieval import open_retrieval, save_retrieval
from models.bundling.rows import RowOf, slots
from models.history import Codes, Scores
from models.purchases import Clock, Purchases, nothing
from models.recommender import Recommender
from models.retrieval import PRODUCTS

FORMAT = 1
Seen = Literal["drop", "keep"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One opened bundle; its arrays are read-only memory maps.

    lists_products, lists_scores: (customers, L), -1 and -inf where a list is shorter.
    similar_products, similar_scores: (products, S), the same.
    together_products, together_scores: (products, T), what is bought in the same orders; the same.
    popular: (popular,) product codes, most popular first.
    bought: what each customer bought, by row. clock: when she buys each again, None where the
    bundle does not say. row_of: row of a customer.
    """

    id: str
    manifest: dict[str, Any]
    recommender: Recommender
    products: pa.Table
    customers: pa.Table
    lists_products: Codes
    lists_scores: Scores
    similar_products: Codes
    similar_scores: Scores
    together_products: Codes
    together_scores: Scores
    popular: Codes
    bought: Purchases
    clock: Clock | None
    row_of: RowOf

    @property
    def seen(self) -> Seen:
        """Whether the lists leave out what a customer has seen."""
        seen: Seen = self.manifest["seen"]
        return seen


def write(
    root: Path,
    recommender: Recommender,
    *,
    products: pa.Table,
    customers: pa.Table,
    popular: pa.Array,
    seen: Seen,
    about: dict[str, Any],
    length: int = 100,
    together: tuple[Codes, Scores] | None = None,
    bought: Purchases | None = None,
    clock: Clock | None = None,
    index_from: int = PRODUCTS,
) -> str:
    """Publish into `root/ID` and return the id; the pointer `root/current` is the caller's.

    products: `product_id`, any columns of the catalogue, `available` (absent or null: true); in
    any order. A product only the model knows keeps null attributes and counts as available, since
    nothing said otherwise; one only the catalogue knows is left out. The manifest counts both.
    customers: `customer_id`, `lifecycle_stage`. popular: product ids, most popular first.
    about: what the manifest says of the model, the snapshots and the shop; no clock, it is hashed.
    together: of `models.together`. bought, clock: of `models.purchases`. None: the bundle does not
    say. index_from: products from which an index is tried (`models.retrieval`), for the ranking of
    visits; the lists are exact. The manifest's `retrieval` says what came of it.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if seen not in ("drop", "keep"):
        raise ValueError(f"seen must be drop or keep, got {seen!r}")
    catalogue, counts = tables.catalogue(recommender.products, products)
    beside = root / f".building.{uuid.uuid4().hex}"
    beside.mkdir(parents=True)
    try:
        recommender.save(beside / "model")
        save_table(beside / "products.arrow", catalogue)
        people = tables.customers(recommender.customers, customers)
        save_table(beside / "customers.arrow", people)
        save_array(beside / _SLOTS, slots(people["customer_id"].combine_chunks()))
        codes = tables.codes(popular, recommender.products)
        save_array(beside / "popular.npy", codes[codes >= 0])
        save_lists(beside, recommender, catalogue, seen=seen, length=length)
        if bought is not None and clock is not None:
            step_back(beside, bought, clock)
        save_similar(beside, recommender)
        retrieval = save_retrieval(beside, recommender, least=index_from)
        said: tuple[npt.NDArray[Any], ...] = (*(together or ()), *(bought or ()))
        names = (*(_TOGETHER if together else ()), *(_BOUGHT if bought else ()))
        for name, array in zip(names, said, strict=True):
            save_array(beside / f"{name}.npy", array)
        for name, array in zip(_CLOCK, clock or (), strict=False):
            save_array(beside / f"{name}.npy", array)
        manifest = {**about, "format": FORMAT, "seen": seen, "products": counts}
        manifest["retrieval"] = retrieval
        id = digest({"about": manifest, "files": files(beside)})
        with staged(root / id, manifest) as directory:
            for path in beside.iterdir():
                path.rename(directory / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return id


def open_bundle(directory: Path, begun: Checking | None = None) -> Bundle:
    """Verify and map a bundle; raises Missing or Damaged (`features.artifact`).

    begun: of this directory; then its lists may still be being compared with their checksums when
    this returns: until `begun.wait()` does, nothing is to be answered from the bundle.
    """
    found = checking(directory) if begun is None else begun
    manifest = found.wait(but=LATE if begun else ())
    if manifest.get("format") != FORMAT:
        raise Damaged(f"{directory} has format {manifest.get('format')!r}, want {FORMAT}")
    try:
        products = open_table(directory / "products.arrow")
        customers = open_table(directory / "customers.arrow")
        bundle = Bundle(
            id=directory.name,
            manifest=manifest,
            recommender=_recommender(directory, manifest.get("retrieval")),
            products=products,
            customers=customers,
            **{name: open_array(directory / f"{name}.npy") for name in _ARRAYS},
            **_together(directory, products.num_rows, named=manifest["files"]),
            bought=_bought(directory, customers.num_rows, named=manifest["files"]),
            clock=_clock(directory, named=manifest["files"]),
            row_of=_rows(directory, customers["customer_id"], named=manifest["files"]),
        )
        _check(bundle)
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        found.wait()  # what is damaged says that better
        says = f"{type(error).__name__}: {error}"
        raise Damaged(f"{directory} is not a bundle: {says}") from error
    return bundle


BLOCK = 1 << 11  # rows of lists whose codes are looked at at once
_ARRAYS = ("lists_products", "lists_scores", "similar_products", "similar_scores", "popular")
_TOGETHER = ("together_products", "together_scores")
_SLOTS = "customers_slots.npy"
_BOUGHT = ("bought_starts", "bought_products", "bought_days", "bought_orders")
LATE = frozenset(  # large, and only looked up in: whatever stands in them does no harm till then
    f"{name}.npy" for name in (*_ARRAYS, *_TOGETHER, *_BOUGHT) if name != "popular"
)
_CLOCK = tuple(f"clock_{name}" for name in Clock._fields)


def _recommender(directory: Path, retrieval: dict[str, Any] | None) -> Recommender:
    recommender = Recommender.load(directory / "model", verify_files=False)
    return recommender.indexed(open_retrieval(directory, retrieval))


def _together(directory: Path, products: int, *, named: Any) -> dict[str, npt.NDArray[Any]]:
    """What goes together; no columns where the bundle does not say."""
    if f"{_TOGETHER[0]}.npy" not in named:
        absent = np.empty((products, 0), np.int32), np.empty((products, 0), np.float32)
        return dict(zip(_TOGETHER, absent, strict=True))
    return {name: open_array(directory / f"{name}.npy") for name in _TOGETHER}


def _bought(directory: Path, customers: int, *, named: Any) -> Purchases:
    if f"{_BOUGHT[0]}.npy" not in named:
        return nothing(customers)
    return Purchases(*(open_array(directory / f"{name}.npy") for name in _BOUGHT))


def _clock(directory: Path, *, named: Any) -> Clock | None:
    if f"{_CLOCK[0]}.npy" not in named:
        return None
    return Clock(*(open_array(directory / f"{name}.npy") for name in _CLOCK))


def _rows(directory: Path, ids: pa.ChunkedArray, *, named: Any) -> RowOf:
    plain = ids.chunk(0) if ids.num_chunks == 1 else ids.combine_chunks()
    found = open_array(directory / _SLOTS) if _SLOTS in named else slots(plain)
    return RowOf(found, plain)


def _check(bundle: Bundle) -> None:
    """What the server takes for granted: rows and codes that agree with each other."""
    products, customers = bundle.products.num_rows, bundle.customers.num_rows
    if bundle.seen not in ("drop", "keep"):
        raise ValueError(f"seen must be drop or keep, got {bundle.seen!r}")
    rows = (("lists", customers), ("similar", products), ("together", products))
    for name, count in rows:
        codes, scores = getattr(bundle, f"{name}_products"), getattr(bundle, f"{name}_scores")
        if codes.ndim != 2 or codes.shape != scores.shape or len(codes) != count:
            raise ValueError(f"{name} are {codes.shape} and {scores.shape} for {count} rows")
        _check_codes(f"{name}_products", codes, -1, products)
    _check_codes("popular", bundle.popular, 0, products)
    _check_codes("bought_products", bundle.bought.products, 0, products)
    starts = bundle.bought.starts
    if len(starts) != customers + 1 or starts[0] != 0 or (np.diff(starts) < 0).any():
        raise ValueError(f"bought_starts must be of {customers} customers, in order")
    if {len(array) for array in bundle.bought[1:]} != {int(starts[-1])}:
        raise ValueError("bought_products, bought_days and bought_orders must be as many")
    if {len(array) for array in bundle.clock or ()} - {int(starts[-1])}:
        raise ValueError("the clock's arrays must be as many as bought_products")
    if not bundle.products["product_id"].combine_chunks().equals(_plain(bundle.recommender)):
        raise ValueError("products.arrow is not in the model's order")
    if len(bundle.recommender.customers) != customers:
        raise ValueError(
            f"{customers} customers, the model has {len(bundle.recommender.customers)}"
        )


def _check_codes(name: str, codes: Codes, least: int, products: int) -> None:
    if codes.dtype != np.int32:
        raise ValueError(f"{name} are {codes.dtype}, want int32")
    for start in range(0, len(codes), BLOCK):  # each block is read from memory once
        some = codes[start : start + BLOCK]
        if some.size and not least <= int(some.min()) <= int(some.max()) < products:
            raise ValueError(f"{name} names products beyond the {products} there are")


def _plain(recommender: Recommender) -> pa.Array:
    return recommender.products.cast(pa.string())
