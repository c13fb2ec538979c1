"""Bundles: a fitted recommender and a catalogue in, one immutable folder that the server opens out.

Beside the model a bundle holds what the server needs to answer without computing: each customer's
ranked list, each product's most similar products, and the popular products as the fallback.
Nothing in a bundle is code; its id is the hash of its content.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.format import open_memmap

from features.artifact import Damaged, digest, files, staged, verify
from features.schemas import PRODUCTS
from models.recommender import Recommender
from models.scorer import Codes, Scores

FORMAT = 1
SIMILAR = 50
BLOCK = 1 << 16  # customers ranked at once
CELLS = 1 << 22  # similarities held at once
CATALOGUE = pa.schema([*PRODUCTS, pa.field("available", pa.bool_(), nullable=False)])
CUSTOMERS = pa.schema(
    [pa.field("customer_id", pa.string(), nullable=False), ("lifecycle_stage", pa.string())]
)
Seen = Literal["drop", "keep"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One opened bundle; its arrays are read-only memory maps.

    lists_products, lists_scores: (customers, L), -1 and -inf where a list is shorter.
    similar_products, similar_scores: (products, S), the same.
    popular: (popular,) product codes, most popular first.
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
    popular: Codes

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
) -> str:
    """Publish into `root/ID` and return the id; the pointer `root/current` is the caller's.

    products: `product_id`, any columns of the catalogue, `available` (absent or null: true); in
    any order. A product only the model knows keeps null attributes and counts as available, since
    nothing said otherwise; one only the catalogue knows is left out. The manifest counts both.
    customers: `customer_id`, `lifecycle_stage`. popular: product ids, most popular first.
    about: what the manifest says of the model, the snapshots and the shop; no clock, it is hashed.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if seen not in ("drop", "keep"):
        raise ValueError(f"seen must be drop or keep, got {seen!r}")
    catalogue, counts = _catalogue(recommender.products, products)
    beside = root / f".building.{uuid.uuid4().hex}"
    beside.mkdir(parents=True)
    try:
        recommender.save(beside / "model")
        _save_table(beside / "products.arrow", catalogue)
        _save_table(beside / "customers.arrow", _customers(recommender.customers, customers))
        codes = _codes(popular, recommender.products)
        np.save(beside / "popular.npy", codes[codes >= 0], allow_pickle=False)
        _save_lists(beside, recommender, catalogue, seen=seen, length=length)
        _save_similar(beside, recommender)
        manifest = {**about, "format": FORMAT, "seen": seen, "products": counts}
        id = digest({"about": manifest, "files": files(beside)})
        with staged(root / id, manifest) as directory:
            for path in beside.iterdir():
                path.rename(directory / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return id


def open_bundle(directory: Path) -> Bundle:
    """Verify and map a bundle; raises Missing or Damaged (`features.artifact`)."""
    manifest = verify(directory)
    if manifest.get("format") != FORMAT:
        raise Damaged(f"{directory} has format {manifest.get('format')!r}, want {FORMAT}")
    try:
        bundle = Bundle(
            id=directory.name,
            manifest=manifest,
            recommender=Recommender.load(directory / "model", verify_files=False),
            products=_open_table(directory / "products.arrow"),
            customers=_open_table(directory / "customers.arrow"),
            **{name: _open_array(directory / f"{name}.npy") for name in _ARRAYS},
        )
        _check(bundle)
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        says = f"{type(error).__name__}: {error}"
        raise Damaged(f"{directory} is not a bundle: {says}") from error
    return bundle


_ARRAYS = ("lists_products", "lists_scores", "similar_products", "similar_scores", "popular")


def _check(bundle: Bundle) -> None:
    """What the server takes for granted: rows and codes that agree with each other."""
    products, customers = bundle.products.num_rows, bundle.customers.num_rows
    if bundle.seen not in ("drop", "keep"):
        raise ValueError(f"seen must be drop or keep, got {bundle.seen!r}")
    for name, rows in (("lists", customers), ("similar", products)):
        codes, scores = getattr(bundle, f"{name}_products"), getattr(bundle, f"{name}_scores")
        if codes.ndim != 2 or codes.shape != scores.shape or len(codes) != rows:
            raise ValueError(f"{name} are {codes.shape} and {scores.shape} for {rows} rows")
    for name in ("lists_products", "similar_products", "popular"):
        codes, least = getattr(bundle, name), 0 if name == "popular" else -1
        if codes.dtype != np.int32:
            raise ValueError(f"{name} are {codes.dtype}, want int32")
        if codes.size and not least <= codes.min() <= codes.max() < products:
            raise ValueError(f"{name} names products beyond the {products} there are")
    if not bundle.products["product_id"].combine_chunks().equals(_plain(bundle.recommender)):
        raise ValueError("products.arrow is not in the model's order")
    if len(bundle.recommender.customers) != customers:
        raise ValueError(
            f"{customers} customers, the model has {len(bundle.recommender.customers)}"
        )


def _plain(recommender: Recommender) -> pa.Array:
    return recommender.products.cast(pa.string())


def _catalogue(known: pa.Array, products: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The catalogue in the model's order, and how the two differ."""
    ids = products["product_id"].cast(pa.string()).combine_chunks()
    if len(pc.unique(ids)) != len(ids):
        twice = next(v["values"] for v in pc.value_counts(ids).to_pylist() if v["counts"] > 1)
        raise ValueError(f"each product_id must stand once in products, got {twice!r} twice")
    place = pc.index_in(known.cast(pa.string()), value_set=ids)
    columns = [known.cast(pa.string())]
    for field in list(CATALOGUE)[1:]:
        if field.name in products.column_names:
            column = products[field.name].combine_chunks().take(place).cast(field.type)
        else:
            column = pa.nulls(len(known), field.type)
        columns.append(column.fill_null(True) if field.name == "available" else column)
    matched = len(known) - place.null_count
    return pa.Table.from_arrays(columns, schema=CATALOGUE), {
        "model": len(known),
        "not_in_catalogue": place.null_count,
        "not_in_model": len(ids) - matched,
    }


def _customers(known: pa.Array, customers: pa.Table) -> pa.Table:
    ids = known.cast(pa.string())
    place = pc.index_in(ids, value_set=customers["customer_id"].cast(pa.string()).combine_chunks())
    stage = customers["lifecycle_stage"].cast(pa.string()).combine_chunks().take(place)
    return pa.Table.from_arrays([ids, stage], schema=CUSTOMERS)


def _codes(ids: pa.Array, known: pa.Array) -> Codes:
    """Codes of ids, -1 for one the model does not know."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    found = pc.index_in(ids.cast(pa.string()), value_set=known.cast(pa.string()))
    return np.asarray(found.fill_null(-1), dtype=np.int32)


def _save_lists(
    directory: Path, recommender: Recommender, catalogue: pa.Table, *, seen: Seen, length: int
) -> None:
    """Every customer's list of available products, block by block into the mapped files."""
    available = np.asarray(catalogue["available"].combine_chunks().to_numpy(zero_copy_only=False))
    among = np.flatnonzero(available).astype(np.int32)
    history = recommender.history
    shape = (history.rows, min(length, max(1, len(among))))
    with _filled(directory, "lists", shape) as (codes, scores):
        for start in range(0, history.rows, BLOCK):
            rows = np.arange(start, min(start + BLOCK, history.rows))
            codes[rows], scores[rows] = recommender.rank(
                history.take(rows), shape[1], among=among, seen=seen
            )


def _save_similar(directory: Path, recommender: Recommender) -> None:
    """Every product's most similar products, alike above 0, available or not, not itself."""
    products = recommender.history.products
    shape = (products, min(SIMILAR, max(1, products - 1)))
    step = max(1, CELLS // max(1, products))
    with _filled(directory, "similar", shape) as (codes, scores):
        for start in range(0, products, step):
            of = np.arange(start, min(start + step, products), dtype=np.int32)
            codes[of], scores[of] = recommender.alike(of, shape[1], above=0)


@contextlib.contextmanager
def _filled(directory: Path, name: str, shape: tuple[int, int]) -> Iterator[tuple[Codes, Scores]]:
    """Two mapped files `NAME_products.npy` and `NAME_scores.npy` to fill."""
    if 0 in shape:  # an empty file cannot be mapped
        codes, scores = np.empty(shape, np.int32), np.empty(shape, np.float32)
        yield codes, scores
        np.save(directory / f"{name}_products.npy", codes, allow_pickle=False)
        np.save(directory / f"{name}_scores.npy", scores, allow_pickle=False)
        return
    codes = open_memmap(directory / f"{name}_products.npy", "w+", np.int32, shape)
    scores = open_memmap(directory / f"{name}_scores.npy", "w+", np.float32, shape)
    yield codes, scores
    codes.flush()
    scores.flush()


def _save_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def _open_table(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _open_array(path: Path) -> npt.NDArray[Any]:
    """A plain array over the mapped file: slicing np.memmap itself is several times slower."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
