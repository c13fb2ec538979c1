"""Lists: a bundle in, every customer's products as parquet out, for e-mail and warehouses."""

from __future__ import annotations

import shutil
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.artifact import MANIFEST, staged
from features.columns import column
from features.schemas import TIME
from models.bundle import Bundle, open_bundle
from pipelines.folds import available
from pipelines.progress import step
from pipelines.workspace import Workspace

PART = 1 << 17  # customers in a file
LENGTH = 20
LISTS = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("product_id", pa.string(), nullable=False),
        ("score", pa.float32()),  # null: not the model's choice
        pa.field("fallback", pa.bool_(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        ("as_of", TIME),
    ]
)


class ListsError(RuntimeError):
    """A folder that lists cannot be written to."""


def run(workspace: Workspace, bundle_id: str, folder: Path, *, at: datetime) -> dict[str, Any]:
    """Write the lists of a bundle, of what is in stock at a moment; gives the manifest."""
    with step("publish: lists"):
        bundle = open_bundle(workspace.bundles / bundle_id)
        at_hand = available(workspace.tables, bundle.recommender.products, at=at)
        return write(bundle, folder, at_hand=at_hand)


def write(
    bundle: Bundle, folder: Path, *, n: int = LENGTH, at_hand: pa.Array | None = None
) -> dict[str, Any]:
    """Each customer's n best available products, in parts of `folder`, which is replaced whole.

    at_hand: the ids that may be shown, of those available at publication; None: all of them. Who
    has no list gets the popular products, marked `fallback`. Gives `bundle, model, version, as_of,
    customers, fallback, rows` and `files`; the same stands in the folder as a manifest.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise ListsError(f"{folder} must not exist or hold lists written before, got other files")
    ids = bundle.products["product_id"].combine_chunks()
    shown = bundle.products["available"].combine_chunks()
    if at_hand is not None:
        shown = pc.and_(shown, pc.is_in(ids, value_set=at_hand))
    mask = np.asarray(shown.to_numpy(zero_copy_only=False))
    popular = bundle.popular[mask[bundle.popular]][:n]
    about = bundle.manifest.get("model") or {}
    as_of = bundle.manifest.get("as_of")
    manifest: dict[str, Any] = {
        "bundle": bundle.id,
        "model": str(about.get("name") or bundle.recommender.scorer.kind),
        "version": str(about.get("version") or bundle.id),
        "as_of": as_of,
        "customers": bundle.customers.num_rows,
        "fallback": 0,
        "rows": 0,
    }
    new = folder.with_name(f".{folder.name}.new.{uuid.uuid4().hex}")
    with staged(new, manifest) as beside:
        for part, start in enumerate(range(0, bundle.customers.num_rows, PART)):
            table, alone = _part(bundle, start, mask, popular, n, ids, manifest)
            pq.write_table(
                table,
                beside / f"part-{part:05d}.parquet",
                compression="zstd",
                store_schema=False,  # dictionaries of a part are read as plain strings
            )
            manifest["rows"] += table.num_rows
            manifest["fallback"] += alone
    _replace(folder, new)
    return manifest


def _part(
    bundle: Bundle,
    start: int,
    mask: npt.NDArray[np.bool_],
    popular: npt.NDArray[np.int32],
    n: int,
    ids: pa.Array,
    about: dict[str, Any],
) -> tuple[pa.Table, int]:
    """The rows of some customers, and how many of them get popular products."""
    codes = bundle.lists_products[start : start + PART]
    keep = (codes >= 0) & mask[codes]
    rank = np.cumsum(keep, axis=1, dtype=np.int32)
    keep &= rank <= n
    alone = np.flatnonzero(~keep.any(axis=1))
    row = np.concatenate([np.nonzero(keep)[0], np.repeat(alone, len(popular))])
    order = np.argsort(row, kind="stable")
    fallen = np.repeat([False, True], [int(keep.sum()), len(alone) * len(popular)])
    ranks = np.concatenate([rank[keep], np.tile(np.arange(1, len(popular) + 1), len(alone))])
    held = np.concatenate([codes[keep], np.tile(popular, len(alone))])
    given = bundle.lists_scores[start : start + PART][keep]
    scores = np.concatenate([given, np.full(len(alone) * len(popular), np.nan, np.float32)])
    people = bundle.customers["customer_id"].combine_chunks().slice(start, PART)
    score = column(scores[order].astype(np.float32))
    same = column(np.zeros(len(row), np.int32))
    as_of = None if about["as_of"] is None else datetime.fromisoformat(about["as_of"])
    columns = [
        pa.DictionaryArray.from_arrays(column(row[order].astype(np.int32)), people),
        column(ranks[order].astype(np.int32)),
        pa.DictionaryArray.from_arrays(column(held[order].astype(np.int32)), ids),
        pc.if_else(pc.is_nan(score), None, score),
        pc.equal(column(fallen[order].astype(np.int8)), 1),
        *(pa.DictionaryArray.from_arrays(same, [about[name]]) for name in ("model", "version")),
        pa.repeat(pa.scalar(as_of, TIME), len(row)),
    ]
    return pa.Table.from_arrays(columns, LISTS.names), len(alone)


def _replace(folder: Path, new: Path) -> None:
    """Put a finished folder in the place of the one before."""
    old = folder.with_name(f".{folder.name}.old.{uuid.uuid4().hex}")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
