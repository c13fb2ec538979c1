"""Ranked lists of a bundle: a fitted recommender in, files of every row's best products out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from models.bundling.files import filled
from models.recommender import Recommender

SIMILAR = 50
BLOCK = 1 << 16  # customers ranked at once
CELLS = 1 << 22  # similarities held at once


def save_lists(
    directory: Path,
    recommender: Recommender,
    catalogue: pa.Table,
    *,
    seen: Literal["drop", "keep"],
    length: int,
) -> None:
    """Every customer's list of available products, block by block into the mapped files."""
    available = np.asarray(catalogue["available"].combine_chunks().to_numpy(zero_copy_only=False))
    among = np.flatnonzero(available).astype(np.int32)
    history = recommender.history
    shape = (history.rows, min(length, max(1, len(among))))
    with filled(directory, "lists", shape) as (codes, scores):
        for start in range(0, history.rows, BLOCK):
            rows = np.arange(start, min(start + BLOCK, history.rows))
            codes[rows], scores[rows] = recommender.rank(
                history.take(rows), shape[1], among=among, seen=seen
            )


def save_similar(directory: Path, recommender: Recommender) -> None:
    """Every product's most similar products, alike above 0, available or not, not itself."""
    products = recommender.history.products
    shape = (products, min(SIMILAR, max(1, products - 1)))
    step = max(1, CELLS // max(1, products))
    with filled(directory, "similar", shape) as (codes, scores):
        for start in range(0, products, step):
            of = np.arange(start, min(start + step, products), dtype=np.int32)
            codes[of], scores[of] = recommender.alike(of, shape[1], above=0)
