"""Ranking what is likely: one row and lists of alike products in, the best of the first lists out.

The lists stand tile after tile; those that the row likes most are looked at first, so that the
floor is high at once and nearly nothing else is scored. Of what is looked at, exact.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.ranking.best import keep_best
from models.ranking.dots import TALL, WIDTH, lowest
from models.ranking.sieve import _cut, _exact, _score


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def probe(  # type: ignore[no-untyped-def]
    left, right, row_in_bytes, products_in_bytes, route, tiles_of, sizes, reach, never, codes,
    scores,
):  # fmt: skip
    """Fill codes and scores, (1, k); False where too many are equal to tell.

    left: (1, f). route: lists, the likeliest first. tiles_of: (lists + 1,) where each list's tiles
    begin. sizes: (lists,) products of each. reach: products that are looked at, at least. never:
    codes that must not be ranked.
    """
    octets, starts, steps, lengths = row_in_bytes
    order, place, tiles, scales, errors, norms = products_in_bytes
    k = codes.shape[1]
    room = max(4 * k, 512)
    values = np.empty((TALL, WIDTH), np.float32)
    masks = np.empty(TALL, np.uint64)
    floors = np.full(1, -np.inf, np.float32)
    known = np.zeros(len(tiles), np.uint64)
    places, found = np.empty(room, np.int32), np.empty(room, np.float32)
    counts = np.zeros(1, np.int64)
    spare, keys = np.empty(room, np.float32), np.empty(room, np.uint64)
    at = (
        octets.ctypes.data,
        starts.ctypes.data,
        lengths.ctypes.data,
        tiles.ctypes.data,
        scales.ctypes.data,
        errors.ctypes.data,
        floors.ctypes.data,
        values.ctypes.data,
        masks.ctypes.data,
    )
    for code in never:
        known[place[code] // WIDTH] |= np.uint64(1) << np.uint64(place[code] % WIDTH)
    looked = 0
    for one in route:
        if looked >= reach:
            break
        looked += sizes[one]
        for t in range(tiles_of[one], tiles_of[one + 1]):
            if norms[t * WIDTH] * np.float32(1.001) * lengths[0] <= floors[0]:
                break  # the longest of a list stand first
            _score(at, 1, octets.shape[1], 0, t, 0)
            bits = masks[0] & ~known[t]
            if not bits:
                continue
            held = counts[0]
            if held > room - WIDTH:
                _cut(places, found, counts, 0, errors, lengths[0], floors, spare, k)
                held = counts[0]
                if held > room - 2 * WIDTH:
                    return False
            while bits:
                j = lowest(bits)
                bits &= bits - np.uint64(1)
                places[held], found[held] = t * WIDTH + j, values[0, j]
                held += 1
            counts[0] = held
    _cut(places, found, counts, 0, errors, lengths[0], floors, spare, k)
    kept = _exact(
        left[0], right, right.ctypes.data, places, found, counts[0], order, errors, lengths[0],
        steps[0], spare, keys, k,
    )  # fmt: skip
    keep_best(keys[:kept], codes[0], scores[0])
    return True
