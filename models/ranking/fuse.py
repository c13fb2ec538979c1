"""Fusing: several ranked lists in, one ranked list out; and one list in, the same boosted out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from models.ranking.best import keep_best, key_of
from models.scorer import Codes, Scores

SMOOTHING = 60  # k of reciprocal rank fusion, as published
DEEP = 1000  # places of a list that count: what stands behind them adds next to nothing


class Blended(NamedTuple):
    """One list of several, best first; -1, -inf and -1 behind its end.

    As long as asked, or as all lists together where that is less.
    """

    codes: Codes
    scores: Scores
    sources: Codes  # which list gave the most of the score


class Boosted(NamedTuple):
    """A list in its new order; as long as the given one, -1, -inf and -1 behind its end."""

    codes: Codes
    scores: Scores
    order: Codes  # where in the given list each stood


def blend(lists: Sequence[Codes], weights: Sequence[float], n: int) -> Blended:
    """Reciprocal rank fusion (Cormack, Clarke & Buettcher 2009) with weights; ties by lower code.

    A product's score is the sum of weight / (60 + its place from 1) over the lists that hold it.
    lists: int32, best first, -1 ends one; of a product that stands twice in a list the first
    counts. A list of weight 0 or less counts nothing, nor does what stands behind place DEEP.
    """
    if len(lists) != len(weights):
        raise ValueError(f"want a weight for each of {len(lists)} lists, got {len(weights)}")
    firsts = [codes[:DEEP] for codes in lists]
    codes = np.concatenate(firsts) if firsts else np.empty(0, np.int32)
    lengths = np.array([len(first) for first in firsts], np.int64)
    most = min(n, len(codes))
    return Blended(*_blend(codes, lengths, np.array(weights, np.float64), most))


def boosted(codes: Codes, scores: Scores, boost: Scores) -> Boosted:
    """Scores times their products' factors, negative ones divided; what ties keeps its order.

    codes: best first, -1 ends them. boost: (products,) float32 above 0, 1 for no change.
    """
    return Boosted(*_boosted(codes, scores, boost))


def _read(kind: Any) -> Any:
    return types.Array(kind, 1, "C", readonly=True)


_CODES, _SCORES = types.Array(types.int32, 1, "C"), types.Array(types.float32, 1, "C")
_BLEND = types.Tuple((_CODES, _SCORES, _CODES))(
    _read(types.int32), _read(types.int64), _read(types.float64), types.int64
)
_BOOST = types.Tuple((_CODES, _SCORES, _CODES))(
    _read(types.int32), _read(types.float32), _read(types.float32)
)


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _entry(code, entry, found):  # type: ignore[no-untyped-def]
    mask = np.uint32(len(entry) - 1)
    at = np.uint32(np.uint32(code) * np.uint32(2654435761) >> np.uint32(7)) & mask
    while entry[at] >= 0 and found[entry[at]] != code:
        at = np.uint32(at + np.uint32(1)) & mask
    return at


@njit(_BLEND, nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _blend(codes, lengths, weights, n):  # type: ignore[no-untyped-def]
    room = 16
    while room < 2 * len(codes):
        room *= 2
    # An open table: a product's entry is the first free one from where its code points to.
    entry, count = np.full(room, -1, np.int32), 0
    found, last = np.empty(len(codes), np.int32), np.empty(len(codes), np.int32)
    total, most = np.zeros(len(codes)), np.zeros(len(codes))
    best = np.empty(len(codes), np.int32)
    start = 0
    for s in range(len(lengths)):
        for rank in range(lengths[s]):
            code = codes[start + rank]
            if code < 0 or not weights[s] > 0:
                break
            at = _entry(code, entry, found)
            if entry[at] < 0:
                entry[at] = count
                found[count], last[count] = code, -1
                count += 1
            e = entry[at]
            if last[e] != s:
                part = weights[s] / (SMOOTHING + rank + 1)
                last[e] = s
                total[e] += part
                if part > most[e]:
                    most[e], best[e] = part, s
        start += lengths[s]
    keys = np.empty(count, np.uint64)
    for e in range(count):
        keys[e] = key_of(np.float32(total[e]), found[e])
    out, scores = np.full(n, -1, np.int32), np.full(n, -np.inf, np.float32)
    keep_best(keys, out, scores)
    sources = np.full(n, -1, np.int32)
    for i in range(min(n, count)):
        sources[i] = best[entry[_entry(out[i], entry, found)]]
    return out, scores, sources


@njit(_BOOST, nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _boosted(codes, scores, boost):  # type: ignore[no-untyped-def]
    size, end = len(codes), 0
    while end < size and codes[end] >= 0:
        end += 1
    worth = np.empty(end, np.float32)
    for i in range(end):
        factor = boost[codes[i]] if codes[i] < len(boost) else np.float32(1)
        score = scores[i]
        worth[i] = score * factor if score > 0 else score / factor
        if np.isnan(worth[i]):
            worth[i] = -np.inf
    out, values = np.full(size, -1, np.int32), np.full(size, -np.inf, np.float32)
    order = np.full(size, -1, np.int32)
    places = np.argsort(-worth, kind="mergesort")
    for i in range(end):
        out[i], values[i], order[i] = codes[places[i]], worth[places[i]], places[i]
    return out, values, order
