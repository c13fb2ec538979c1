"""Arranging: ranked candidates in, the products that stand at the n places of a list out.

One greedy pass fills the places from the first to the last. A product may stand if it is shown, in
stock, not hidden and not chosen yet; then pins, caps, shares and the spread decide, in this order.
What is left empty is filled by the next source: the list so far is handed in again, so that caps
and shares hold over all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.ranking.fuse import blend, boosted
from models.ranking.greedy import fill
from models.scorer import Codes, Scores

__all__ = ["NOTHING", "PLAIN", "Arrangement", "arrange", "arrangement", "blend", "boosted"]

NOTHING: Codes = np.empty(0, np.int32)
_NEW = np.empty((3, 0), np.int32)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """What a surface and the rules want of a list, as the kernel takes it; see `arrangement`."""

    packed: tuple[Any, ...]


def arrangement(
    *,
    groups: Sequence[Codes] = (),
    caps: Sequence[int | None] = (),
    pins: Sequence[tuple[int, int]] = (),
    shares: Sequence[tuple[float, Mask]] = (),
    spread: float = 0.0,
) -> Arrangement:
    """Made once for a surface, a version of the rules and a bundle.

    groups: columns such as category, brand and supplier, each (products,) the code of a product's
    group or -1, which is none. caps: of each column, how many products of one group a list may
    hold; None is any number. pins: (place from 0, code), the first of a place counts. shares:
    (share, (products,) mask), the most important first. spread: in [0, 1), see `arrange`.
    """
    if len(caps) not in (0, len(groups)):
        raise ValueError(f"caps must be one for each of {len(groups)} groups, got {len(caps)}")
    for cap in caps:
        if cap is not None and cap < 1:
            raise ValueError(f"a cap must be at least 1, got {cap}")
    if not 0 <= spread < 1:
        raise ValueError(f"spread must be at least 0 and below 1, got {spread}")
    for part, _ in shares:
        if not 0 <= part <= 1:
            raise ValueError(f"a share must be from 0 to 1, got {part}")
    limits = [-1 if cap is None else cap for cap in caps or [None] * len(groups)]
    return Arrangement(
        (
            np.ascontiguousarray(groups, np.int32) if groups else np.empty((0, 0), np.int32),
            np.array(limits, np.int64),
            np.array([mask for _, mask in shares], np.bool_).reshape(len(shares), -1)
            if shares
            else np.empty((0, 0), np.bool_),
            np.array([part for part, _ in shares], np.float64),
            np.array(pins, np.int32).reshape(-1, 2),
            float(spread),
        )
    )


PLAIN = arrangement()


def arrange(
    codes: Codes,
    scores: Scores,
    n: int,
    by: Arrangement = PLAIN,
    *,
    shown: Mask,
    stock: Mask,
    hidden: Codes = NOTHING,
    chosen: Codes | None = None,
    source: int = 0,
) -> Codes:
    """(3, n) int32: the code at each place, where in `codes` it stood, and `source`.

    codes: best first, -1 ends them; scores as long. shown, stock: (products,). hidden: ascending.
    chosen: what an earlier call with this n gave; its empty places are filled. An empty place is
    -1 throughout, a pinned product's second and third rows are -1. Arrays must have no gaps.

    Pins stand at their places if they may stand and pass over caps. At most `cap` products of a
    group stand in a list. Of the first k places, at least floor(share * k) are of a share's mask,
    as long as such candidates are left; where two shares are due at one place the first decides
    and the other one comes a place late. With a spread the next product is the one with the
    greatest (1 - spread) * relevance - spread * likeness (MMR, Carbonell & Goldstein 1998):
    relevance is the score, from 0 for the least candidate that may stand to 1 for the best;
    likeness is the greatest share of group columns that it has in common with a chosen product.
    The first 500 candidates that may stand are looked at; others fill up behind, in their order.
    """
    before = _NEW if chosen is None else chosen
    found: Codes = fill(codes, scores, n, shown, stock, hidden, before, source, by.packed)
    return found
