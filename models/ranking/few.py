"""Few scores in, the k best of each row out, by NumPy: compiled code would take longer to begin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.history import Codes, Scores

SORTED = 64  # up to here a row's candidates are cheaper sorted than cut down first


def padding(rows: int, k: int) -> tuple[Codes, Scores]:
    """Nothing ranked yet: codes -1 and scores -inf, (rows, k)."""
    return np.full((rows, k), -1, np.int32), np.full((rows, k), -np.inf, np.float32)


def few(
    tile: Scores, k: int, seen: sp.csr_matrix | None, barred: npt.NDArray[np.bool_] | None
) -> tuple[Codes, Scores]:
    """The k best columns of each row of a tile, which it may write into."""
    if barred is not None:
        tile[:, barred] = -np.inf
    if seen is not None:
        tile[np.repeat(np.arange(len(tile)), np.diff(seen.indptr)), seen.indices] = -np.inf
    tile[np.isnan(tile)] = -np.inf
    rows, width = tile.shape
    codes, scores = padding(rows, k)
    # A bound below the k-th best of each row: the k-th best of the maxima of disjoint groups.
    group = width // max(4 * k, 128)
    if group >= 2:
        groups = width // group
        maxima = tile[:, : groups * group].reshape(rows, group, groups).max(axis=1)
        bound = np.partition(maxima, groups - k, axis=1)[:, groups - k]  # (rows,)
    else:
        bound = np.full(rows, -np.inf, dtype=np.float32)
    np.maximum(bound, np.finfo(np.float32).min, out=bound)  # -inf is never a candidate
    flat = np.flatnonzero((tile >= bound[:, None]).ravel())
    row, column = np.divmod(flat, width) if rows > 1 else (np.zeros_like(flat), flat)
    value = tile.ravel()[flat]
    ends = np.searchsorted(row, np.arange(rows + 1))
    many = np.flatnonzero(np.diff(ends) > k + SORTED)
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
    return codes, scores


def greatest(values: Scores, k: int) -> npt.NDArray[np.bool_]:
    """Which of at least k values are the k greatest; of equal ones the first."""
    least = np.partition(values, len(values) - k)[len(values) - k]
    keep: npt.NDArray[np.bool_] = values > least
    keep[np.flatnonzero(values == least)[: k - int(keep.sum())]] = True
    return keep
