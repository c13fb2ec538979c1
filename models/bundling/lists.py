"""Ranked lists of a bundle: a fitted recommender in, files of every row's best products out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit, prange

from models.bundling.files import filled
from models.history import Codes, Scores
from models.purchases import Clock, Purchases
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


def step_back(directory: Path, bought: Purchases, clock: Clock) -> None:
    """Put what is too early for each customer behind the rest of her saved list."""
    names = ("lists_products", "lists_scores")
    lists = [np.load(directory / f"{name}.npy", mmap_mode="r+") for name in names]
    _step_back(*map(np.asarray, lists), bought.starts, bought.products, clock.waits)
    for array in lists:
        array.flush()


@njit(parallel=True, cache=True)  # type: ignore[misc, unused-ignore]
def _step_back(codes, scores, starts, products, waits):  # type: ignore[no-untyped-def]
    """`later` for every row, in place."""
    for row in prange(len(codes)):
        begin, end = starts[row], starts[row + 1]
        if not waits[begin:end].any():
            continue
        n, late = 0, np.zeros(codes.shape[1], np.bool_)
        while n < codes.shape[1] and codes[row, n] >= 0:
            at = begin + np.searchsorted(products[begin:end], codes[row, n])
            late[n] = at < end and products[at] == codes[row, n] and waits[at]
            n += 1
        if not late.any():
            continue
        ranked, worth, least = codes[row, :n].copy(), scores[row, :n].copy(), scores[row, :n].min()
        place = 0
        for behind in (False, True):
            for i in range(n):
                if late[i] == behind:
                    codes[row, place] = ranked[i]
                    scores[row, place] = least if behind else worth[i]
                    place += 1


def later(codes: Codes, scores: Scores, late: npt.NDArray[np.bool_]) -> tuple[Codes, Scores]:
    """A ranked list with some of it behind the rest, at the least score; -1 still ends it."""
    least = scores[codes >= 0].min(initial=np.inf)
    order = np.argsort(late + 2 * (codes < 0), kind="stable")
    return codes[order], np.where(late, least, scores)[order].astype(np.float32)


def save_similar(directory: Path, recommender: Recommender) -> None:
    """Every product's most similar products, alike above 0, available or not, not itself."""
    products = recommender.history.products
    shape = (products, min(SIMILAR, max(1, products - 1)))
    step = max(1, CELLS // max(1, products))
    with filled(directory, "similar", shape) as (codes, scores):
        for start in range(0, products, step):
            of = np.arange(start, min(start + step, products), dtype=np.int32)
            codes[of], scores[of] = recommender.alike(of, shape[1], above=0)
