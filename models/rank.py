"""Ranking: scores or factors in, the k best products of each row out; exact, ties by lower code.

No part of it ever holds more than a tile of scores, whatever the numbers of rows and products.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.scorer import Codes, Factored, History, ModelError, Scorer, Scores

CELLS = 1 << 20  # scores in a tile: 4 MiB, what a core's cache holds beside the factors
TILE = 8192  # products in a tile of factors
FEW = 64  # up to here a row's candidates are cheaper sorted than cut down first


class Ranked(NamedTuple):
    """The best products of each row, best first; -1 and -inf where a row has fewer than k."""

    codes: Codes  # (rows, k)
    scores: Scores  # (rows, k)


def rank(
    scorer: Scorer,
    history: History,
    k: int,
    *,
    drop_seen: bool = True,
    among: Codes | None = None,
    without: Codes | None = None,
) -> Ranked:
    """The k best products of each customer; who has no history gets none.

    `among`: the only codes allowed; `without`: codes never allowed, such as sold-out products.
    """
    _check(k, (history.rows, history.products), history.products)
    codes = np.full((history.rows, k), -1, dtype=np.int32)
    scores = np.full((history.rows, k), -np.inf, dtype=np.float32)
    factored = isinstance(scorer, Factored)
    step = 4096 if factored else max(1, CELLS // max(1, history.products))
    known = np.flatnonzero(np.diff(history.weights.indptr))
    for start in range(0, len(known), step):
        rows = known[start : start + step]
        block = history if len(rows) == history.rows else history.take(rows)
        seen = block.weights if drop_seen else None
        if isinstance(scorer, Factored):
            left, right = scorer.customer_factors(block), scorer.product_factors
            best = top_k_factors(left, right, k, seen=seen, among=among, without=without)
        else:
            best = top_k(scorer.score(block), k, seen=seen, among=among, without=without)
        codes[rows], scores[rows] = best
    return Ranked(codes, scores)


def top_k(
    scores: Scores,
    k: int,
    *,
    seen: sp.csr_matrix | None = None,
    among: Codes | None = None,
    without: Codes | None = None,
) -> Ranked:
    """The k best columns of each row of (rows, products) scores; NaN and -inf are never among them.

    `seen`: CSR of the same shape, its entries are not allowed.
    """
    _check(k, scores.shape, scores.shape[1], seen, among, without)
    if among is None and without is None:
        tile, places = np.array(scores, dtype=np.float32, order="C"), None
    else:
        allowed = _allowed(scores.shape[1], among, without)
        tile, places = scores[:, allowed].astype(np.float32), _places(allowed, scores.shape[1])
    if seen is not None:
        _hide(tile, seen, places, start=0)
    best = _best(tile, k)
    return best if places is None else Ranked(_back(best.codes, allowed), best.scores)


def top_k_factors(
    left: Scores,
    right: Scores,
    k: int,
    *,
    seen: sp.csr_matrix | None = None,
    among: Codes | None = None,
    without: Codes | None = None,
) -> Ranked:
    """The same for scores `left @ right.T`, (rows, f) by (products, f), tile by tile."""
    products = right.shape[0]
    _check(k, (left.shape[0], products), products, seen, among, without)
    few = places = hidden = None
    if among is None:
        hidden = None if without is None else np.unique(without)
    elif 2 * len(allowed := _allowed(products, among, without)) < products:
        few, places = allowed, _places(allowed, products)
        right = right[few]  # gather them, and rank in their places
    else:
        hidden = _others(allowed, products)
    codes = np.full((left.shape[0], k), -1, dtype=np.int32)
    scores = np.full((left.shape[0], k), -np.inf, dtype=np.float32)
    tall = max(1, CELLS // max(1, min(TILE, right.shape[0])))
    wide = max(TILE, CELLS // max(1, left.shape[0]))  # one row: one pass over all products
    for row in range(0, left.shape[0], tall):
        rows = slice(row, row + tall)
        best: Ranked | None = None
        for start in range(0, right.shape[0], wide):
            tile = left[rows] @ right[start : start + wide].T  # (tall, wide)
            if hidden is not None:
                tile[
                    :, hidden[slice(*np.searchsorted(hidden, (start, start + wide)))] - start
                ] = -np.inf
            if seen is not None:
                _hide(tile, seen[rows] if tall < seen.shape[0] else seen, places, start=start)
            found = _best(tile, k, None if best is None else best.scores[:, -1])
            found.codes[found.codes >= 0] += np.int32(start)
            best = found if best is None else _merge(best, found)
        if best is not None:
            codes[rows], scores[rows] = best
    return Ranked(codes if few is None else _back(codes, few), scores)


def greatest(values: Scores, k: int) -> npt.NDArray[np.bool_]:
    """Which of at least k values are the k greatest; of equal ones the first."""
    least = np.partition(values, len(values) - k)[len(values) - k]
    keep: npt.NDArray[np.bool_] = values > least
    keep[np.flatnonzero(values == least)[: k - int(keep.sum())]] = True
    return keep


def cosine(factors: Scores, products: Codes) -> Scores:
    """(len(products), products) cosines between rows of factors; 0 where a row is all zeros."""
    lengths = np.linalg.norm(factors, axis=1)
    unit = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    scores: Scores = (factors[products] * unit[products, None]) @ factors.T * unit
    return scores


def _best(tile: Scores, k: int, floor: Scores | None = None) -> Ranked:
    """The k best columns of each row of a tile, which it may write into.

    floor: (rows,) scores that other tiles reach k times already; lower ones may be left out.
    """
    rows, width = tile.shape
    tile[np.isnan(tile)] = -np.inf
    codes = np.full((rows, k), -1, dtype=np.int32)
    scores = np.full((rows, k), -np.inf, dtype=np.float32)
    # A bound below the k-th best of each row: the k-th best of the maxima of disjoint groups.
    group = width // max(4 * k, 128)
    if group >= 2:
        groups = width // group
        maxima = tile[:, : groups * group].reshape(rows, group, groups).max(axis=1)
        bound = np.partition(maxima, groups - k, axis=1)[:, groups - k]  # (rows,)
    else:
        bound = np.full(rows, -np.inf, dtype=np.float32)
    least = np.finfo(np.float32).min  # -inf is never a candidate
    np.maximum(bound, least if floor is None else np.maximum(floor, least), out=bound)
    flat = np.flatnonzero((tile >= bound[:, None]).ravel())
    row, column = np.divmod(flat, width) if rows > 1 else (np.zeros_like(flat), flat)
    value = tile.ravel()[flat]
    ends = np.searchsorted(row, np.arange(rows + 1))
    many = np.flatnonzero(np.diff(ends) > k + FEW)
    if len(many):  # many candidates, as where most scores are equal: cut each such row down
        keep = np.ones(len(flat), dtype=bool)
        for r in many:
            part = slice(ends[r], ends[r + 1])
            keep[part] = greatest(value[part], k)
        row, column, value = row[keep], column[keep], value[keep]
        ends = np.searchsorted(row, np.arange(rows + 1))
    order = np.lexsort((column, -value, row))
    place = np.arange(len(row)) - ends[row]  # rank in its row, after sorting
    kept = place < k
    row, order, place = row[kept], order[kept], place[kept]
    codes[row, place] = column[order]
    scores[row, place] = value[order]
    return Ranked(codes, scores)


def _merge(one: Ranked, two: Ranked) -> Ranked:
    """The best of two rankings of the same rows, all codes of the first below the second's."""
    codes = np.concatenate([one.codes, two.codes], axis=1)
    scores = np.concatenate([one.scores, two.scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : one.codes.shape[1]]
    return Ranked(np.take_along_axis(codes, order, 1), np.take_along_axis(scores, order, 1))


def _hide(tile: Scores, seen: sp.csr_matrix, places: Codes | None, *, start: int) -> None:
    """Write -inf where a tile, whose first column is `start`, has entries of `seen`."""
    column = (seen.indices if places is None else places[seen.indices]) - start
    row = np.repeat(np.arange(tile.shape[0]), np.diff(seen.indptr))
    inside = (column >= 0) & (column < tile.shape[1])
    tile[row[inside], column[inside]] = -np.inf


def _allowed(products: int, among: Codes | None, without: Codes | None) -> Codes:
    """The allowed codes, ascending."""
    mask = np.full(products, among is None)
    if among is not None:
        mask[among] = True
    if without is not None:
        mask[without] = False
    return np.flatnonzero(mask).astype(np.int32)


def _others(allowed: Codes, products: int) -> Codes:
    """The codes that are not allowed, ascending."""
    mask = np.ones(products, dtype=bool)
    mask[allowed] = False
    return np.flatnonzero(mask).astype(np.int32)


def _places(allowed: Codes, products: int) -> Codes:
    """The place of each code among the allowed, -1 where it isn't one."""
    places = np.full(products, -1, dtype=np.int32)
    places[allowed] = np.arange(len(allowed), dtype=np.int32)
    return places


def _back(codes: Codes, allowed: Codes) -> Codes:
    """Codes from places among the allowed."""
    if not len(allowed):
        return codes
    return np.where(codes >= 0, allowed[codes], np.int32(-1))


def _check(
    k: int,
    shape: tuple[int, ...],
    products: int,
    seen: sp.csr_matrix | None = None,
    *codes: Any,
) -> None:
    if k < 1:
        raise ModelError(f"k must be at least 1, got {k}")
    if seen is not None and seen.shape != shape:
        raise ModelError(f"seen must have the shape of the scores {shape}, got {seen.shape}")
    for some in codes:
        if some is not None and len(some) and (np.min(some) < 0 or np.max(some) >= products):
            raise ModelError(
                f"codes must be from 0 to {products - 1}, got {np.min(some)} to {np.max(some)}"
            )
