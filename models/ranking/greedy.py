"""Greedy: candidates, masks and wishes in, the products at the places of a list out; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

POOL = 500  # candidates that a list is spread among
SLACK = 1e-9  # 0.29 * 100 is 28.999999999999996 in binary


def _read(kind: Any, dimensions: int = 1) -> Any:
    """An array that is only read, whether or not it could be written: one compiled version."""
    return types.Array(kind, dimensions, "C", readonly=True)


_INTS, _REALS, _TRUTHS = _read(types.int32), _read(types.float32), _read(types.bool_)
_BY = types.Tuple(
    (
        _read(types.int32, 2),
        _read(types.int64),
        _read(types.bool_, 2),
        _read(types.float64),
        _read(types.int32, 2),
        types.float64,
    )
)
_KERNEL = types.Array(types.int32, 2, "C")(
    _INTS, _REALS, types.int64, _TRUTHS, _TRUTHS, _INTS, _read(types.int32, 2), types.int64, _BY
)


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _new(code, hidden, taken):  # type: ignore[no-untyped-def]
    """Whether it is neither hidden nor chosen yet."""
    low, high = 0, len(hidden)
    while low < high:
        middle = (low + high) // 2
        if hidden[middle] < code:
            low = middle + 1
        else:
            high = middle
    new = low == len(hidden) or hidden[low] != code
    for place in range(len(taken)):
        new &= taken[place] != code
    return new


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _full(code, groups, full, counts):  # type: ignore[no-untyped-def]
    """Whether one of its groups has as many products as it may have."""
    for column in range(len(groups)):
        for i in range(counts[column]):
            if full[column, i] == groups[column, code]:
                return True
    return False


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _fill_up(code, taken, groups, caps, full, counts):  # type: ignore[no-untyped-def]
    """After a product was taken: note which of its groups are full now; bit c is column c."""
    bits = 0
    for column in range(len(groups)):
        group, held = groups[column, code], 0
        if group >= 0 and caps[column] >= 0:
            for other in taken:
                held += other >= 0 and groups[column, other] == group
            if held >= caps[column]:
                full[column, counts[column]] = group
                counts[column] += 1
                bits |= 1 << column
    return bits


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _liken(code, bits, groups, codes, own, gone, likeness):  # type: ignore[no-untyped-def]
    """After a product was taken: how alike the candidates are, and whose group is full."""
    columns = len(groups)
    for i in range(len(own)):
        same = 0
        for column in range(columns):
            group = groups[column, code]
            if group >= 0 and group == own[i, column]:
                same += 1
                gone[i] |= (bits >> column) & 1 == 1
        gone[i] |= codes[i] == code
        likeness[i] = max(likeness[i], same / max(columns, 1))


@njit(nogil=True, inline="always")  # type: ignore[misc, unused-ignore]
def _wanted(code, products, masks, wanted):  # type: ignore[no-untyped-def]
    for s in range(len(masks)):
        if wanted[s] and not (code < products and masks[s, code]):
            return False
    return True


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _pool(codes, products, shown, stock, hidden, taken, gone):  # type: ignore[no-untyped-def]
    """Where the first candidates that may stand end; the others before are gone."""
    found = 0
    for i in range(len(codes)):
        if codes[i] < 0 or found == POOL:
            return i
        code = codes[i]
        had = code < products and shown[code] and stock[code]
        gone[i] = not (had and _new(code, hidden, taken))
        found += not gone[i]
    return len(codes)


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _relevance(codes, scores, gone, groups, relevance, own):  # type: ignore[no-untyped-def]
    """The pool's scores from 0 to 1, and its groups."""
    low, high = np.inf, -np.inf
    for i in range(len(own)):
        if not gone[i]:
            for column in range(len(groups)):
                own[i, column] = groups[column, codes[i]]
            if i < len(scores) and np.isfinite(scores[i]):
                low, high = min(low, scores[i]), max(high, scores[i])
    for i in range(len(own)):
        if high > low and i < len(scores) and np.isfinite(scores[i]):
            relevance[i] = (np.float64(scores[i]) - low) / (high - low)


@njit(_KERNEL, nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def fill(codes, scores, n, shown, stock, hidden, before, source, by):  # type: ignore[no-untyped-def]
    """See `models.ranking.arrange.arrange`; by: an Arrangement's arrays."""
    groups, caps, masks, shares, pins, spread = by
    products = min(len(shown), len(stock))
    products = min(products, groups.shape[1]) if len(groups) else products
    products = min(products, masks.shape[1]) if len(masks) else products
    out = np.full((3, n), -1, np.int32)
    if before.shape[1] == n:
        out[:] = before
    taken = out[0]
    for p in range(len(pins)):
        place, code = pins[p]
        had = 0 <= code < products and shown[code] and stock[code]
        if had and place < n and taken[place] < 0 and _new(code, hidden, taken):
            taken[place] = code

    # A candidate that can't stand never can again; where none is passed over, none is marked.
    gone = np.zeros(len(codes) if len(masks) or spread > 0 else 0, np.bool_)
    end = len(codes)
    if spread > 0:
        end = _pool(codes, products, shown, stock, hidden, taken, gone)
    spreads = end if spread > 0 else 0
    relevance, likeness = np.zeros(spreads), np.zeros(spreads)
    own = np.full((spreads, len(groups)), -1, np.int32)
    if spread > 0:
        _relevance(codes, scores, gone, groups, relevance, own)
    full, counts = np.empty((len(groups), n), np.int32), np.zeros(len(groups), np.int64)
    for code in taken:
        if code >= 0:
            bits = _fill_up(code, taken, groups, caps, full, counts)
            if spread > 0:
                _liken(code, bits, groups, codes, own, gone, likeness)

    held = np.zeros(len(masks), np.int64)  # of the places before this one
    wanted, over = np.zeros(len(masks), np.bool_), np.zeros(len(masks), np.bool_)
    first = place = 0
    while place < n:
        if taken[place] < 0:
            while first < len(gone) and gone[first]:
                first += 1
            wanted[:] = False
            alone, best = True, -1
            # First by no share; then by the due shares that some candidate has together.
            for s in range(-1, len(masks)):
                if s >= 0:
                    if over[s] or held[s] >= np.floor(shares[s] * (place + 1) + SLACK):
                        continue
                    wanted[s] = True
                found, most = -1, -np.inf
                for i in range(first, end):
                    code = codes[i]
                    if code < 0:
                        break
                    if len(gone) and (gone[i] or not _wanted(code, products, masks, wanted)):
                        continue
                    if spread > 0:
                        value = (1 - spread) * relevance[i] - spread * likeness[i]
                        if value > most:
                            found, most = i, value
                    elif (
                        code < products  # not in a function: a call costs more than the answer
                        and shown[code]
                        and stock[code]
                        and _new(code, hidden, taken)
                        and not _full(code, groups, full, counts)
                    ):
                        found = i
                        break
                    elif len(gone):
                        gone[i] = True
                if found >= 0:
                    best = found
                    alone = alone and s < 0
                elif s >= 0:
                    wanted[s], over[s] = False, alone
                else:
                    break
            if best < 0 and spread > 0:  # behind the pool the others stand in their order
                spread, first, end = 0.0, end, len(codes)
                over[:] = False
                continue
            if best < 0:
                break
            out[0, place], out[1, place], out[2, place] = codes[best], best, source
            if len(gone):
                gone[best] = True
            else:
                first = best + 1
            bits = _fill_up(codes[best], taken, groups, caps, full, counts)
            if spread > 0:
                _liken(codes[best], bits, groups, codes, own, gone, likeness)
        for s in range(len(masks)):
            held[s] += masks[s, taken[place]]
        place += 1
    return out
