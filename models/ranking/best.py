"""Selecting: tiles of scores in, the k best of each row out, ties by lower code.

A row keeps a floor that k of its products reach already. Nearly every score fails the one compare
with it, sixty-four at a time; what passes is gathered, and cut back to k when there is much of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from models.ranking.dots import above, lowest
from models.scorer import Codes, Scores

HALVINGS = 12  # until a floor is near enough
FEW = 256  # keys that are counted rather than sorted
WORD = 64  # scores compared at once
LEAST = np.float32(np.finfo(np.float32).min)


class Open(NamedTuple):
    """Rows whose best are being gathered, tile after tile, codes ascending."""

    floors: Scores  # (rows,)
    counts: npt.NDArray[np.int64]  # (rows,) gathered so far
    codes: Codes  # (rows, room)
    scores: Scores  # (rows, room)
    read: npt.NDArray[np.int64]  # (rows,) where in the row's seen products the next code stands


def opened(rows: int, products: int, k: int, begins: npt.NDArray[np.int64]) -> Open:
    """Nothing gathered yet. begins: (rows,) as `gather` takes them."""
    room = min(max(4 * k, 512), max(products, 1))
    return Open(
        np.full(rows, -np.inf, np.float32),
        np.zeros(rows, np.int64),
        np.empty((rows, room), np.int32),
        np.empty((rows, room), np.float32),
        begins.copy(),
    )


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def gather(tile, offset, barred, ends, seen, rows, k):  # type: ignore[no-untyped-def]
    """Take in a tile of scores, (rows, columns) without gaps; its first column is code `offset`.

    barred: (products,) bool, or (0,). Row r's seen products stand, ascending, in `seen` from
    begins[r], see `opened`, to ends[r]. rows: as `opened` gave it.
    """
    floors, counts, codes, scores, read = rows
    columns, room = tile.shape[1], codes.shape[1]
    groups = min(max(4 * k, 256) // WORD * WORD, columns // 4 // WORD * WORD)
    maxima = np.empty(max(groups, 1), np.float32)
    spare, keys = np.empty(room, np.float32), np.empty(room, np.uint64)
    hidden = 0
    if len(barred):
        for column in range(offset, offset + columns):
            hidden += barred[column]
    top = tile.ctypes.data
    for r in range(len(tile)):
        last = ends[r]
        if floors[r] == -np.inf and groups >= 2 * k:
            # The k-th greatest of the maxima of groups; what must not be taken may be k of them.
            spoilt = hidden
            for at in range(read[r], last):
                spoilt += seen[at] < offset + columns
            if k + spoilt <= groups // 2:
                _maxima(tile, r, maxima, groups)
                floor = least_of_best(maxima, k + spoilt)
                floors[r] = np.nextafter(floor, np.float32(-np.inf))
        start = top + 4 * columns * r
        for first in range(0, columns, WORD):
            if first + WORD <= columns:
                bits = above(start + 4 * first, floors[r])
            else:
                bits = np.uint64(0)
                for column in range(first, columns):
                    if tile[r, column] > floors[r]:
                        bits |= np.uint64(1) << np.uint64(column - first)
            while bits:
                column = first + lowest(bits)
                bits &= bits - np.uint64(1)
                score, code = tile[r, column], offset + column
                if len(barred) and barred[code]:
                    continue
                while read[r] < last and seen[read[r]] < code:
                    read[r] += 1
                if read[r] < last and seen[read[r]] == code:
                    continue
                if counts[r] == room:
                    _cut(codes[r], scores[r], counts, floors, r, k, spare, keys)
                if score > floors[r]:
                    codes[r, counts[r]], scores[r, counts[r]] = code, score
                    counts[r] += 1


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def close(rows, codes, scores):  # type: ignore[no-untyped-def]
    """Write the k best of all that was gathered into (rows, k) codes and scores."""
    floors, counts, gathered, values, _ = rows
    k = codes.shape[1]
    spare = np.empty(gathered.shape[1], np.float32)
    keys = np.empty(gathered.shape[1], np.uint64)
    for r in range(len(codes)):
        if counts[r] > k:
            _cut(gathered[r], values[r], counts, floors, r, k, spare, keys)
        n = counts[r]
        for i in range(n):
            keys[i] = key_of(values[r, i], gathered[r, i])
        keep_best(keys[:n], codes[r], scores[r])


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _maxima(tile, r, maxima, n):  # type: ignore[no-untyped-def]
    """The greatest of a row's columns i, i + n, i + 2 n ..., n of them; NaN is none."""
    maxima[:] = -np.inf
    for first in range(0, tile.shape[1] - n + 1, n):
        for i in range(n):
            score = tile[r, first + i]
            maxima[i] = score if score > maxima[i] else maxima[i]


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _cut(codes, scores, counts, floors, r, k, spare, keys):  # type: ignore[no-untyped-def]
    """Keep the k best of a row and few more, in their order; raise its floor."""
    n = counts[r]
    spare[:n] = scores[:n]
    floor = least_of_best(spare[:n], k)
    kept = 0
    for i in range(n):
        codes[kept], scores[kept] = codes[i], scores[i]
        kept += scores[i] >= floor
    if kept > len(codes) // 2:  # most are equal
        for i in range(kept):
            keys[i] = key_of(scores[i], codes[i])
        keys[:kept].sort()
        worst, n, kept = keys[k - 1], kept, 0
        for i in range(n):
            key = key_of(scores[i], codes[i])
            codes[kept], scores[kept] = codes[i], scores[i]
            kept += key <= worst
        floor = score_of(worst)
    counts[r], floors[r] = kept, max(floor, floors[r])


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def least_of_best(values, k):  # type: ignore[no-untyped-def]
    """A number that at least k values reach and few more do; -inf where there is none."""
    least, most = np.int32(2**31 - 1), np.int32(-(2**31))
    for i in range(len(values)):  # as whole numbers in the same order: compared many at once
        rank = _ordered(values[i])
        least = rank if rank < least else least
        most = rank if rank > most else most
    low = max(_float(_ordered_bits(least)), LEAST)
    high = min(_float(_ordered_bits(most)), -LEAST)
    half = low
    for turn in range(HALVINGS):
        count = np.int32(0)
        for i in range(len(values)):
            count = np.int32(count + np.int32(values[i] >= half))
        if count >= k:
            low = half
            if count <= k + k // 16:
                break
        elif not turn:
            return np.float32(-np.inf)
        else:
            high = half
        half = low / np.float32(2) + high / np.float32(2)
    return low


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _ordered(value):  # type: ignore[no-untyped-def]
    bits = np.int32(_bits(value))
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _ordered_bits(rank):  # type: ignore[no-untyped-def]
    return np.uint32(rank ^ ((rank >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def keep_best(keys, codes, scores):  # type: ignore[no-untyped-def]
    """Write what the first of the keys stand for; may sort them."""
    n, k = len(keys), len(codes)
    if n <= FEW:  # without a branch in sight, counting is faster than sorting
        heads, places = np.empty(n, np.uint32), np.empty(n, np.int32)
        taken = np.zeros(n, np.bool_)
        for i in range(n):
            heads[i] = np.uint32(keys[i] >> np.uint64(32))
        for i in range(n):
            head, place = heads[i], np.int32(0)
            for j in range(n):
                place = np.int32(place + np.int32(heads[j] < head))
            places[i] = place
            taken[place] = True
        if taken.all():  # no two are equal
            for i in range(n):
                if places[i] < k:
                    codes[places[i]] = np.int32(keys[i] & np.uint64(0xFFFFFFFF))
                    scores[places[i]] = score_of(keys[i])
            return
    keys.sort()
    for i in range(min(n, k)):
        codes[i] = np.int32(keys[i] & np.uint64(0xFFFFFFFF))
        scores[i] = score_of(keys[i])


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def key_of(score, code):  # type: ignore[no-untyped-def]
    """A whole number that is lower for a greater score and, of equal ones, for a lower code."""
    bits = _bits(score + np.float32(0))  # -0 is 0
    bits = bits if bits >> np.uint32(31) else ~bits & np.uint32(0x7FFFFFFF)
    return np.uint64(bits) << np.uint64(32) | np.uint64(code)


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def score_of(key):  # type: ignore[no-untyped-def]
    """The score of a key."""
    bits = np.uint32(key >> np.uint64(32))
    return _float(bits if bits >> np.uint32(31) else ~bits & np.uint32(0x7FFFFFFF))


@intrinsic  # type: ignore[misc, unused-ignore]
def _bits(context, value):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        return builder.bitcast(given[0], ir.IntType(32))

    return types.uint32(types.float32), code


@intrinsic  # type: ignore[misc, unused-ignore]
def _float(context, bits):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        return builder.bitcast(given[0], ir.FloatType())

    return types.float32(types.uint32), code
