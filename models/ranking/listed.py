"""A published list in, what stands at the n places of an answer and why out; one compiled call.

What most requests want: no new event, one source. It is `boosted`, then `arrange`, then the reason
that the ranking gives for each product, without a step back into Python.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types

from models.ranking.arrange import Arrangement
from models.ranking.greedy import _KERNEL, fill
from models.scorer import Codes, Scores

Mask = npt.NDArray[np.bool_]

MARKS = 512
AGAIN, OTHERS = -3, -2  # reasons that name no product
NO_BOOST: Scores = np.empty(0, np.float32)


class Listed(NamedTuple):
    """By place: the product, its score, and why: a code of her history, AGAIN or OTHERS."""

    codes: list[int]  # -1 where nothing may stand
    scores: list[float]
    why: list[int]


def listed(
    codes: Codes,
    scores: Scores,
    n: int,
    by: Arrangement,
    *,
    shown: Mask,
    stock: Mask,
    hidden: Codes,
    boost: Scores,
    near: Codes,
    seen: Codes,
) -> Listed:
    """As `arrange` with these; near: (products, r) what each is alike to, -1 ends a row.

    boost: (products,) factors or NO_BOOST. seen: ascending codes of her history. A product's reason
    is that she has it (AGAIN), or the most alike that she has, or OTHERS.
    """
    places, values = np.empty((2, n), np.int32), np.empty(n, np.float32)  # cheaper than returned
    _listed(codes, scores, shown, stock, hidden, boost, near, seen, by.packed, places, values)
    stand, why = places.tolist()
    return Listed(stand, values.tolist(), why)


def _read(kind: Any, dimensions: int = 1) -> Any:
    return types.Array(kind, dimensions, "C", readonly=True)


_INTS, _REALS, _TRUTHS = _read(types.int32), _read(types.float32), _read(types.bool_)
_LISTED = types.void(
    _INTS,
    _REALS,
    _TRUTHS,
    _TRUTHS,
    _INTS,
    _REALS,
    _read(types.int32, 2),
    _INTS,
    _KERNEL.args[-1],
    types.Array(types.int32, 2, "C"),
    types.Array(types.float32, 1, "C"),
)


@njit(nogil=True, inline="always")  # type: ignore[misc, unused-ignore]
def _among(code, ascending):  # type: ignore[no-untyped-def]
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < code:
            low = middle + 1
        else:
            high = middle
    return low < len(ascending) and ascending[low] == code


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _boost(codes, scores, boost):  # type: ignore[no-untyped-def]
    """`boosted` for a list that is nearly in order already: by insertion, in place."""
    for i in range(len(codes)):
        code = codes[i]
        if code < 0:
            break
        factor = boost[code] if code < len(boost) else np.float32(1)
        worth = scores[i] * factor if scores[i] > 0 else scores[i] / factor
        at = i
        while at > 0 and scores[at - 1] < worth:
            codes[at], scores[at] = codes[at - 1], scores[at - 1]
            at -= 1
        codes[at], scores[at] = code, worth


@njit(_LISTED, nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _listed(  # type: ignore[no-untyped-def]
    codes, scores, shown, stock, hidden, boost, near, seen, by, places, values
):
    n = len(values)
    if len(boost):
        ranked, worth = codes.copy(), scores.copy()
        _boost(ranked, worth, boost)
        placed = fill(ranked, worth, n, shown, stock, hidden, np.empty((3, 0), np.int32), 0, by)
    else:
        ranked, worth = codes, scores
        placed = fill(codes, scores, n, shown, stock, hidden, np.empty((3, 0), np.int32), 0, by)
    marks = np.zeros(MARKS, np.bool_)  # most of what she has not is told by one look
    for code in seen:
        marks[code & (MARKS - 1)] = True
    for place in range(n):
        code, at = placed[0, place], placed[1, place]
        places[0, place], places[1, place] = code, OTHERS
        values[place] = -np.inf
        if code < 0:
            continue
        if at >= 0:
            values[place] = worth[at]
        if marks[code & (MARKS - 1)] and _among(code, seen):
            places[1, place] = AGAIN
            continue
        for other in near[code]:
            if other < 0:
                break
            if marks[other & (MARKS - 1)] and _among(other, seen):
                places[1, place] = other
                break
