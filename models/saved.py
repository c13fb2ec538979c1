"""Saved models: a scorer with its ids and history in, plain arrays in a folder out, and back.

Nothing in the folder is code; arrays come back as read-only memory maps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from features.artifact import MANIFEST, Damaged, Missing, staged, verify
from features.ids import IdMap
from models.scorer import Catalogue, Events, History, Scorer, make, parameters
from models.traits import TRAITS

FORMAT = 2

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


class Saved(NamedTuple):
    """What a folder holds; scored: how many products the scorer knows, the first so many codes."""

    scorer: Scorer
    customers: IdMap
    products: IdMap
    history: History
    scored: int


def write(
    directory: Path,
    scorer: Scorer,
    customers: IdMap,
    products: IdMap,
    history: History,
    *,
    scored: int,
) -> None:
    """Write a new directory of .npy, Arrow and a manifest; raises FileExistsError."""
    if directory.exists():
        raise FileExistsError(f"{directory} must not exist yet, a saved model is never changed")
    arrays = _arrays(history)
    arrays |= {f"model.{name}": array for name, array in scorer.arrays().items()}
    manifest = {
        "format": FORMAT,
        "kind": scorer.kind,
        "parameters": parameters(scorer),
        "customers": len(customers),
        "products": len(products),
        "scored": scored,
        "arrays": sorted(arrays),
    }
    with staged(directory, manifest) as beside:
        customers.save(beside / "customers.arrow")
        products.save(beside / "products.arrow")
        for name, array in arrays.items():
            np.save(beside / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def read(directory: Path, *, verify_files: bool = True) -> Saved:
    """What `write` wrote; raises Missing or Damaged. Imports the one module of its model.

    verify_files: compare every checksum first; else the caller did.
    """
    manifest = verify(directory) if verify_files else _manifest(directory)
    if manifest.get("format") != FORMAT:
        raise Damaged(f"{directory} has format {manifest.get('format')!r}, want {FORMAT}")
    customers = IdMap.load(directory / "customers.arrow", verified=True)
    products = IdMap.load(directory / "products.arrow", verified=True)
    arrays = {name: _open(directory / f"{name}.npy") for name in manifest["arrays"]}
    try:
        history = _history(arrays, (len(customers), len(products)))
    except ValueError as error:
        raise Damaged(f"{directory} holds no history: {error}") from error
    scorer = make(manifest["kind"], manifest["parameters"])
    learned = {n.removeprefix("model."): a for n, a in arrays.items() if n.startswith("model.")}
    return Saved(scorer.restore(learned), customers, products, history, manifest["scored"])


def _arrays(history: History) -> Arrays:
    """Every array of a history, by its name in a saved model."""
    arrays: Arrays = {
        "history.weights": history.weights.data,
        "history.indices": history.weights.indices,
        "history.indptr": history.weights.indptr,
    }
    if history.last_days is not None:
        arrays["history.last_days"] = history.last_days
    if history.catalogue is not None:
        arrays["catalogue.categories"] = history.catalogue.categories
        if history.catalogue.prices is not None:
            arrays["catalogue.prices"] = history.catalogue.prices
        if history.catalogue.traits is not None:
            arrays["catalogue.traits.indices"] = history.catalogue.traits.indices
            arrays["catalogue.traits.indptr"] = history.catalogue.traits.indptr
    if history.events is not None:
        for field in fields(Events):
            arrays[f"events.{field.name}"] = getattr(history.events, field.name)
    return arrays


def _history(arrays: Mapping[str, npt.NDArray[Any]], shape: tuple[int, int]) -> History:
    """The history again, of (customers, products); raises ValueError where the parts disagree."""
    parts = tuple(arrays[f"history.{part}"] for part in ("weights", "indices", "indptr"))
    weights = sp.csr_matrix(parts, shape)
    weights.has_canonical_format = True  # as written; to look would read all of it
    events = None
    if "events.starts" in arrays:
        events = Events(*(arrays[f"events.{field.name}"] for field in fields(Events)))
    return History(weights, arrays.get("history.last_days"), _catalogue(arrays, shape[1]), events)


def _catalogue(arrays: Mapping[str, npt.NDArray[Any]], products: int) -> Catalogue | None:
    if "catalogue.categories" not in arrays:
        return None
    traits = None
    if "catalogue.traits.indptr" in arrays:
        indices, indptr = (arrays[f"catalogue.traits.{part}"] for part in ("indices", "indptr"))
        traits = sp.csr_matrix(
            (np.ones(len(indices), np.float32), indices, indptr), (products, TRAITS)
        )
    return Catalogue(arrays["catalogue.categories"], arrays.get("catalogue.prices"), traits)


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Missing(f"{directory} has no {MANIFEST}") from error
    return manifest


def _open(path: Path) -> npt.NDArray[Any]:
    """A plain read-only array over the mapped file: np.memmap itself is slower to slice."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
