"""Ranking: scores or factors in, the k best products of each row out; exact, ties by lower code.

No part of it ever holds more than a block of scores, whatever the numbers of rows and products.
Few scores are ranked here, by NumPy; many by compiled code on all cores, see `models.ranking.many`.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.ranking.few import few, padding
from models.scorer import Codes, Factored, History, ModelError, Scorer, Scores

if TYPE_CHECKING:
    from models.ranking.coarse import Coarse

CELLS = 1 << 20  # scores in a block: 4 MiB
MANY = 1 << 21  # from so many scores on, compiled code is worth its start
ROWS = 4096  # rows whose factors are found at once
BLOCK = 1 << 23  # scores that a model gives at once: 32 MiB


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
    check(k, (history.rows, history.products), history.products, None, among, without)
    if history.rows == 1 and among is None and history.weights.nnz:
        ready = _ready(scorer)
        if ready is not None:
            from models.ranking.one import best_of_each

            one = best_of_each(ready, cast(Factored, scorer), [history], k, drop_seen, without)
            if one is not None and not one.hard[0]:
                return Ranked(one.codes, one.scores)
    best = Ranked(*padding(history.rows, k))
    known = np.flatnonzero(np.diff(history.weights.indptr))
    if isinstance(scorer, Factored):
        right, step = _Right(scorer.product_factors, len(known), k, among, without), ROWS
    else:
        right, step = None, max(1, BLOCK // max(1, history.products))
    for start in range(0, len(known), step):
        rows = known[start : start + step]
        block = history if len(rows) == history.rows else history.take(rows)
        seen = block.weights if drop_seen else None
        if right is not None and isinstance(scorer, Factored):
            found = right.best(scorer.customer_factors(block), k, seen)
        else:
            found = top_k(scorer.score(block), k, seen=seen, among=among, without=without)
        best.codes[rows], best.scores[rows] = found
    return best


def rank_each(
    scorer: Scorer, histories: Sequence[History], k: int, *, drop_seen: bool = True
) -> list[Ranked]:
    """As `rank` each of these, of one row; products made ready are gone through once for all."""
    found: list[Ranked | None] = [None] * len(histories)
    ready = _ready(scorer)
    told = [place for place, history in enumerate(histories) if history.weights.nnz]
    if ready is not None and len(told) > 1:
        from models.ranking.one import best_of_each

        for history in histories:
            check(k, (1, history.products), history.products)
        some = [histories[place] for place in told]
        best = best_of_each(ready, cast(Factored, scorer), some, k, drop_seen)
        if best is not None:
            for row, place in enumerate(told):
                if not best.hard[row]:
                    found[place] = Ranked(best.codes[row : row + 1], best.scores[row : row + 1])
    return [
        rank(scorer, history, k, drop_seen=drop_seen) if one is None else one
        for history, one in zip(histories, found, strict=True)
    ]


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
    check(k, scores.shape, scores.shape[1], seen, among, without)
    some, barred = _narrowed(scores.shape[1], among, without)
    if some is not None:
        best = top_k(scores[:, some], k, seen=None if seen is None else seen[:, some])
        return Ranked(_back(best.codes, some), best.scores)
    if scores.size < MANY:
        return Ranked(*few(np.array(scores, dtype=np.float32, order="C"), k, seen, barred))
    from models.ranking.many import by_scores, hidden

    best = Ranked(*padding(len(scores), k))
    by_scores(scores, hidden(len(scores), barred, seen), *best)
    return best


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
    check(k, (len(left), len(right)), len(right), None, among, without)
    return _Right(right, len(left), k, among, without).best(left, k, seen)


class _Right:
    """Factors of the products that may be ranked, ready for some rows."""

    def __init__(
        self, right: Scores, rows: int, k: int, among: Codes | None, without: Codes | None
    ) -> None:
        self.products = len(right)
        self.ready = _READY.get(id(right))
        some, self.barred = _narrowed(len(right), among, without)
        self.some, self.right = some, right
        if some is not None and self.ready is None:
            self.right = right[some]
        elif some is not None:
            self.barred, self.some = np.ones(len(right), np.bool_), None
            self.barred[some] = False
        self.many = self.ready is not None or rows * len(self.right) >= MANY
        if self.many and self.ready is None:
            from models.ranking.many import ready

            self.ready = ready(self.right, rows, k)

    def best(self, left: Scores, k: int, seen: sp.csr_matrix | None) -> Ranked:
        check(k, (len(left), self.products), self.products, seen)
        if self.some is not None and seen is not None:
            seen = seen[:, self.some]
        if self.many:
            from models.ranking.many import by_factors, hidden

            best = Ranked(*padding(len(left), k))
            never = hidden(len(left), self.barred, seen)
            by_factors(left, self.right, never, *best, ready=self.ready)
        else:
            best = Ranked(*few(left @ self.right.T, k, seen, self.barred))
        return best if self.some is None else Ranked(_back(best.codes, self.some), best.scores)


_READY: dict[int, Coarse] = {}  # by the identity of the factors


def prepare(right: Scores) -> Coarse | None:
    """Make (products, f) factors ready, so that one row too is ranked by compiled code.

    For as long as that very array lives; it must not be written after. Costs a quarter of its
    memory, some 20 ms and, once a process, the start of the compiled code. None where it can't be.
    """
    from models.ranking.coarse import prepare

    coarse = _READY.get(id(right)) or prepare(right)
    if coarse is not None and id(right) not in _READY:
        _READY[id(right)] = coarse
        weakref.finalize(right, _READY.pop, id(right))
        for row in (right[:1], np.zeros_like(right[:1])):  # both ways are compiled before asked
            top_k_factors(row, right, 1)
    return coarse


def _ready(scorer: Scorer) -> Coarse | None:
    """The scorer's product factors as they were made ready, if they were."""
    if not hasattr(type(scorer), "product_factors"):  # isinstance would cost a visit 20 µs
        return None
    return _READY.get(id(cast(Factored, scorer).product_factors))


def warm() -> None:
    """Load what `prepare` and its ranking are compiled to; once a process, half a second."""
    prepare(np.random.default_rng(0).standard_normal((64, 16), dtype=np.float32))


def cosine(factors: Scores, products: Codes) -> Scores:
    """(len(products), products) cosines between rows of factors; 0 where a row is all zeros."""
    lengths = np.linalg.norm(factors, axis=1)
    unit = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    scores: Scores = (factors[products] * unit[products, None]) @ factors.T * unit
    return scores


def check(
    k: int,
    shape: tuple[int, ...],
    products: int,
    seen: sp.csr_matrix | None = None,
    *codes: Any,
) -> None:
    """Raise ModelError for a k, `seen` or codes that cannot be ranked with."""
    if k < 1:
        raise ModelError(f"k must be at least 1, got {k}")
    if seen is not None and seen.shape != shape:
        raise ModelError(f"seen must have the shape of the scores {shape}, got {seen.shape}")
    for some in codes:
        if some is not None and len(some) and (np.min(some) < 0 or np.max(some) >= products):
            raise ModelError(
                f"codes must be from 0 to {products - 1}, got {np.min(some)} to {np.max(some)}"
            )


def _narrowed(
    products: int, among: Codes | None, without: Codes | None
) -> tuple[Codes | None, npt.NDArray[np.bool_] | None]:
    """The allowed codes where they are few, else which codes are barred; None where none is."""
    if among is None and without is None:
        return None, None
    barred = np.full(products, among is not None)
    if among is not None:
        barred[among] = False
    if without is not None:
        barred[without] = True
    if 2 * np.count_nonzero(barred) > products:
        return np.flatnonzero(~barred).astype(np.int32), None
    return None, barred


def _back(codes: Codes, allowed: Codes) -> Codes:
    """Codes from places among the allowed."""
    if not len(allowed):
        return codes
    return np.where(codes >= 0, allowed[codes], np.int32(-1))
