"""Ranking many rows: factors or scores in, the k best products of each row out, on all cores.

Each core takes a block of rows through all products, tile by tile while a tile is in its cache.
Where the CPU multiplies bytes, most products are ruled out by them, see `models.ranking.sieve`;
what that cannot rank, such as a row of which most scores are equal, is ranked from float32 tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from models.ranking import coarse, sieve
from models.ranking.best import close, gather, opened
from models.scorer import Codes, Scores

ROWS, COLUMNS = 256, 2048  # a tile of float32 scores: 2 MiB
JOB = 512  # rows that a core takes through the bytes at a time
PROBE = 64  # rows that tell whether bytes can rank the others
LONG, WIDE, SPARSE = 16, 2048, 16  # bytes pay from so many factors, products, products for each k

Places = npt.NDArray[np.int64]


class Hidden(NamedTuple):
    """What must not be ranked, in arrays as kernels read them, see `models.ranking.best.gather`."""

    barred: npt.NDArray[np.bool_]
    begins: Places
    ends: Places
    seen: Codes


def hidden(rows: int, barred: npt.NDArray[np.bool_] | None, seen: sp.csr_matrix | None) -> Hidden:
    """The same from what callers have. barred: (products,). seen: (rows, products)."""
    if barred is None or not barred.any():
        barred = np.zeros(0, np.bool_)
    if seen is None:
        nothing = np.zeros(rows, np.int64)
        return Hidden(barred, nothing, nothing, _read(np.zeros(0), np.int32))
    if not seen.has_sorted_indices:
        seen = seen.sorted_indices()
    ends = seen.indptr.astype(np.int64)
    return Hidden(barred, ends[:-1], ends[1:], _read(seen.indices, np.int32))


def ready(right: Scores, rows: int, k: int) -> coarse.Coarse | None:
    """Products prepared for so many rows, where that is worth it."""
    if rows < JOB // 2 or right.shape[1] < LONG or len(right) < max(WIDE, SPARSE * k):
        return None
    return coarse.prepare(right)


def by_factors(
    left: Scores,
    right: Scores,
    never: Hidden,
    codes: Codes,
    scores: Scores,
    *,
    ready: coarse.Coarse | None = None,
) -> None:
    """Fill codes and scores, (rows, k), of left @ right.T. ready: `right` as it was prepared."""
    rows, k = codes.shape
    left, right = _read(left, np.float32), _read(right, np.float32)
    todo = np.arange(rows)
    if ready is not None and len(right) >= SPARSE * k:
        todo = _by_bytes(left, right, never, codes, scores, ready)
    if not len(todo):
        return

    def work(some: Places) -> None:
        state = opened(len(some), len(right), k, never.begins[some])
        x, ends = left[some], never.ends[some]
        room = np.empty(len(some) * COLUMNS, np.float32)
        for start in range(0, len(right), COLUMNS):
            some_products = right[start : start + COLUMNS].T
            tile = room[: len(some) * some_products.shape[1]].reshape(len(some), -1)
            with np.errstate(over="ignore", invalid="ignore"):  # what is no number isn't ranked
                np.matmul(x, some_products, out=tile)
            gather(_read(tile, np.float32), start, never.barred, ends, never.seen, state, k)
        _closed(state, some, codes, scores)

    with threadpool_limits(1, "blas"):  # each core has a block of its own
        _each(work, todo, ROWS)


def by_scores(given: Scores, never: Hidden, codes: Codes, scores: Scores) -> None:
    """Fill codes and scores, (rows, k), of (rows, products) scores, which are only read."""

    def work(some: Places) -> None:
        state = opened(len(some), given.shape[1], codes.shape[1], never.begins[some])
        tile = _read(given[some[0] : some[-1] + 1], np.float32)
        gather(tile, 0, never.barred, never.ends[some], never.seen, state, codes.shape[1])
        _closed(state, some, codes, scores)

    step = max(1, ROWS * COLUMNS // max(1, given.shape[1]))
    _each(work, np.arange(len(codes)), step)


def _by_bytes(
    left: Scores,
    right: Scores,
    never: Hidden,
    codes: Codes,
    scores: Scores,
    ready: coarse.Coarse,
) -> Places:
    """Rank the rows that bytes can; which are left."""
    if len(never.barred):
        ready = ready.without(np.flatnonzero(never.barred).astype(np.int32))
    hard = np.zeros(len(left), np.bool_)

    def work(some: Places) -> None:
        part = slice(some[0], some[-1] + 1)
        hard[part] = sieve.best(
            ready,
            left[part],
            right,
            never.begins[part],
            never.ends[part],
            never.seen,
            codes[part],
            scores[part],
        )

    first, rest = np.split(np.arange(len(left)), [PROBE])
    work(first)
    if 2 * np.count_nonzero(hard[first]) > len(first):  # the others will hardly be better
        hard[rest] = True
    elif len(rest):
        with threadpool_limits(1, "blas"):
            _each(work, rest, JOB)
    return np.flatnonzero(hard)


def _closed(state: Any, some: Places, codes: Codes, scores: Scores) -> None:
    k = codes.shape[1]
    best = np.full((len(some), k), -1, np.int32), np.full((len(some), k), -np.inf, np.float32)
    close(state, *best)
    codes[some], scores[some] = best


def _each(work: Callable[[Places], None], rows: Places, step: int) -> None:
    """Some rows after the others, each core its own."""
    threads = numba.config.NUMBA_NUM_THREADS
    step = max(1, min(step, -(-len(rows) // threads)))
    parts = [rows[start : start + step] for start in range(0, len(rows), step)]
    if len(parts) < 2 or threads < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass


def _read(array: npt.ArrayLike, kind: Any) -> Any:
    """The same without gaps, and never written: kernels are compiled for no other sort."""
    view = np.ascontiguousarray(array, dtype=kind).view()
    view.flags.writeable = False
    return view
