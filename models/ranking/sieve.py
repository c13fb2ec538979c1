"""Ranking through bytes: factors in, the k best products of each row out, exactly.

Products of bytes rule out for sure all but some hundred products of a row; those left are scored in
float32. What comes out is what scoring everything in float32 gives, at a fraction of the work:
where products differ in length, as in learned factors they do, most are never looked at.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from models.ranking.best import keep_best, key_of, least_of_best, score_of
from models.ranking.coarse import Coarse, rounded
from models.ranking.dots import TALL, WIDTH, fetch, line, lowest, tile
from models.scorer import Codes, Scores

BLOCK = 64  # rows that share one pass over the products
LINE = 64  # bytes of a cache line
CHECK = 8  # tiles after which it is asked whether any row needs more
AHEAD = 3  # candidates fetched from memory before they are scored


def best(
    coarse: Coarse,
    left: Scores,
    right: Scores,
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    seen: Codes,
    codes: Codes,
    scores: Scores,
) -> npt.NDArray[np.bool_]:
    """Fill codes and scores, (rows, k); says of each row whether it could not be ranked so.

    right: the factors that were prepared. Row r must not get seen[begins[r] : ends[r]].
    """
    in_bytes, hard = rounded(coarse, left)
    _best(left, right, in_bytes, coarse.read(), begins, ends, seen, codes, scores, hard)
    return hard


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[misc, unused-ignore]
def _dot(x, y):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _best(  # type: ignore[no-untyped-def]
    left,
    right,
    rows_in_bytes,
    products_in_bytes,
    begins,
    ends,
    seen,
    codes,
    scores,
    hard,
):
    octets, starts, steps, lengths = rows_in_bytes
    order, place, tiles, scales, errors, norms = products_in_bytes
    rows, k = codes.shape
    long, count = octets.shape[1], len(tiles)
    tall, block = (TALL, BLOCK) if rows > 1 else (1, 1)
    room = max(4 * k, 512)
    values = np.empty((TALL, WIDTH), np.float32)
    masks = np.empty(TALL, np.uint64)
    floors = np.empty(block, np.float32)
    known = np.zeros((count, block), np.uint64)  # bits of what each row has seen
    places = np.empty((block, room), np.int32)
    found = np.empty((block, room), np.float32)
    counts = np.empty(block, np.int64)
    spare = np.empty(room, np.float32)
    keys = np.empty(room, np.uint64)
    waiting = np.empty(block, np.int64)
    start = right.ctypes.data
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
    # Groups of products, of whose greatest lower bounds the k-th is a first floor.
    groups = -(-4 * k // WIDTH)
    sample = min(5 * groups, count)
    maxima = np.empty((block, groups * WIDTH), np.float32)
    for top in range(0, rows, block):
        n = min(block, rows - top)
        floors[:] = np.inf
        for r in range(n):
            floors[r] = np.inf if hard[top + r] else -np.inf
            counts[r] = 0
            for entry in range(begins[top + r], ends[top + r]):
                p = place[seen[entry]]
                known[p // WIDTH, r] |= np.uint64(1) << np.uint64(p % WIDTH)
        if 4 * sample <= count:
            maxima[:] = -np.inf
            for t in range(sample):
                first = (t % groups) * WIDTH
                for base in range(0, n, tall):
                    _score(at, tall, long, top + base, t, base)
                    for r in range(base, min(base + tall, n)):
                        taken = known[t, r]
                        while taken:
                            values[r - base, lowest(taken)] = -np.inf
                            taken &= taken - np.uint64(1)
                        length = lengths[top + r]
                        for j in range(WIDTH):
                            error = errors[t * WIDTH + j]
                            low = values[r - base, j] - error * length
                            low = low if error >= 0 else np.float32(-np.inf)  # below 0: never
                            most = maxima[r, first + j]
                            maxima[r, first + j] = low if low > most else most
            for r in range(n):
                if not hard[top + r]:
                    floors[r] = least_of_best(maxima[r], k)
        still = 0
        for t in range(count):
            if t % CHECK == 0:  # products grow shorter: whom can those from here on still reach?
                reach, still = norms[t * WIDTH] * np.float32(1.001), 0
                for base in range(0, n, tall):
                    reached = False
                    for r in range(base, min(base + tall, n)):
                        reached |= reach * lengths[top + r] > floors[r]
                    if reached:
                        waiting[still] = base
                        still += 1
                if not still:
                    break
            for turn in range(still):
                base = waiting[turn]
                _score(at, tall, long, top + base, t, base)
                for r in range(base, min(base + tall, n)):
                    bits = masks[r - base] & ~known[t, r]
                    if not bits:
                        continue
                    held = counts[r]
                    if held > room - WIDTH:
                        _cut(places[r], found[r], counts, r, errors, lengths[top + r],
                             floors, spare, k)  # fmt: skip
                        held = counts[r]
                        if held > room - 2 * WIDTH:
                            hard[top + r], floors[r], counts[r] = True, np.inf, 0
                            continue
                    while bits:
                        j = lowest(bits)
                        bits &= bits - np.uint64(1)
                        places[r, held] = t * WIDTH + j
                        found[r, held] = values[r - base, j]
                        held += 1
                    counts[r] = held
        for r in range(n):
            for entry in range(begins[top + r], ends[top + r]):
                known[place[seen[entry]] // WIDTH, r] = 0
            if not hard[top + r]:
                length = lengths[top + r]
                _cut(places[r], found[r], counts, r, errors, length, floors, spare, k)
                kept = _exact(
                    left[top + r], right, start, places[r], found[r], counts[r], order, errors,
                    length, steps[top + r], spare, keys, k,
                )  # fmt: skip
                keep_best(keys[:kept], codes[top + r], scores[top + r])


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _score(at, tall, long, row, t, base):  # type: ignore[no-untyped-def]
    """The bounds of some rows and one tile of products."""
    octets, starts, lengths, tiles, scales, errors, floors, values, masks = at
    given = (
        octets + row * long,
        tiles + t * long * WIDTH,
        long // 4,
        starts + 4 * row,
        scales + 4 * WIDTH * t,
        errors + 4 * WIDTH * t,
        lengths + 4 * row,
        floors + 4 * base,
        values,
        masks,
    )
    if tall == 1:
        line(*given)
    else:
        tile(*given)


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _cut(places, found, counts, r, errors, length, floors, spare, k):  # type: ignore[no-untyped-def]
    """Raise the floor of a row to the k-th greatest lower bound and drop what is below."""
    n = counts[r]
    if n < k:
        return
    for i in range(n):
        spare[i] = found[i] - errors[places[i]] * length
    floor = max(floors[r], least_of_best(spare[:n], k))
    floors[r] = floor
    kept = 0
    for i in range(n):
        places[kept], found[kept] = places[i], found[i]
        kept += found[i] + errors[places[i]] * length > floor
    counts[r] = kept


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _exact(x, right, start, places, found, n, order, errors, length, step, spare, keys, k):  # type: ignore[no-untyped-def]
    """Score what is left: first the likely, then what their k-th best does not rule out."""
    likely = least_of_best(found[:n], k) if n > k else np.float32(-np.inf)
    floor = np.float32(-np.inf)
    kept = 0
    for turn in range(2):
        some = 0
        for i in range(n):  # bring those of this turn together
            now = found[i] >= likely
            if turn:
                now = not now and found[i] + errors[places[i]] * length > floor
            spare[some] = i
            some += now
        for i in range(some + AHEAD):
            if i < some:
                y = start + 4 * len(x) * order[places[int(spare[i])]]
                for at in range(0, 4 * len(x), LINE):
                    fetch(y + at)
            if i >= AHEAD:
                code = order[places[int(spare[i - AHEAD])]]
                keys[kept] = key_of(_dot(x, right[code]), code)
                kept += 1
        if not turn and n > some:
            worst = keys[0]
            for i in range(1, kept):
                worst = max(worst, keys[i])
            floor = score_of(worst) / step
    return kept
