"""Ranking: a shelf and a question in, ranked items with their reasons and warnings out.

A known customer is answered from the list that was ranked when the bundle was published; what the
list cannot answer is ranked now, exactly. Both see the same rule: available, not excluded, passing
the filters and, with seen=drop, not in the history. What the model leaves open is filled with
popular products under that very rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.scorer import Codes, History
from serving.answers import Item, Note
from serving.catalogue import Allowed
from serving.problems import Refused, shown
from serving.questions import PLAIN, Question
from serving.shelf import Shelf

POPULAR = "popular"
POPULAR_REASON = "popular in the shop"
AGAIN_REASON = "you chose it before"
OTHERS_REASON = "often chosen by customers like you"


class Ranked(NamedTuple):
    """The part of an answer that depends on whom it is for."""

    items: list[Item]
    fallback: bool
    warnings: list[Note]


def for_customer(shelf: Shelf, customer_id: str, question: Question) -> Ranked:
    """Products for a customer; an unknown one gets popular products and a warning."""
    row = shelf.row_of.get(customer_id)
    if row is None:
        unknown = Note("unknown_customer", f"the model does not know {shown(customer_id)}")
        return _finish(shelf, question, [], [], _NOTHING, warnings=[unknown])
    seen = shelf.indices[shelf.indptr[row] : shelf.indptr[row + 1]]
    if question is PLAIN or (question.plain and question.seen in (None, shelf.bundle.seen)):
        codes = shelf.lists_products[row, : question.n].tolist()
        if len(codes) == question.n and codes[-1] >= 0:
            scores = shelf.lists_scores[row, : question.n].tolist()
            return Ranked(_items(shelf, codes, scores, seen.tolist()), False, [])
    return _narrowed(shelf, row, seen, question)


def for_session(shelf: Shelf, products: Sequence[str], question: Question) -> Ranked:
    """Products for a visit of which only the products are known; ranked now, by fold-in."""
    missing = [id for id in dict.fromkeys(products) if shelf.code(id) < 0]
    warnings = []
    if missing:
        some = ", ".join(shown(id) for id in missing[:5]) + (" …" if len(missing) > 5 else "")
        warnings.append(Note("unknown_products", f"left out of the session: {some}"))
    history = shelf.bundle.recommender.history_of(products)
    seen = history.weights.indices
    if not len(seen):
        return _finish(shelf, question, [], [], _NOTHING, warnings=warnings)
    best, scores = _live(shelf, history, question, shelf.catalogue.allowed(question.filters))
    return _finish(shelf, question, best, scores, seen, warnings=warnings)


def similar(shelf: Shelf, product_id: str, question: Question) -> Ranked:
    """Products alike; never filled with others. Raises Refused (404) for an unknown product."""
    code = shelf.code(product_id)
    if code < 0:
        raise Refused(404, f"the model does not know the product {shown(product_id)}", "product_id")
    allowed = shelf.catalogue.allowed(question.filters)
    hidden = _hidden(shelf, question, _NOTHING)
    codes, scores = shelf.bundle.similar_products[code], shelf.bundle.similar_scores[code]
    best, worth = _walk(codes, scores, allowed, hidden, question.n)
    if len(best) < question.n and (codes >= 0).all():
        without = np.append(hidden, np.int32(code))
        of = np.array([code], np.int32)
        found = shelf.bundle.recommender.alike(
            of, question.n, among=allowed.codes, without=without, above=0
        )
        best, worth = _known(found.codes[0], found.scores[0])
    reason = f"similar to {shelf.titles[code]}"
    items = [
        Item(shelf.product_ids[c], place, score, shelf.model.name, reason)
        for place, (c, score) in enumerate(zip(best, worth, strict=True), 1)
    ]
    return Ranked(items, False, _warnings(shelf, question, allowed, len(items)))


_NOTHING: Codes = np.empty(0, np.int32)


def _narrowed(shelf: Shelf, row: int, seen: Codes, question: Question) -> Ranked:
    """The general way: walk the list; rank now where the list ends before n are found."""
    allowed = shelf.catalogue.allowed(question.filters)
    best: list[int] = []
    scores: list[float] = []
    drop = (question.seen or shelf.bundle.seen) == "drop"
    complete = False
    if drop or shelf.bundle.seen == "keep":  # a list without the seen cannot answer seen=keep
        codes = shelf.lists_products[row]
        complete = bool(codes.size and codes[-1] < 0)  # nothing stands behind its end
        hidden = _hidden(shelf, question, seen)
        best, scores = _walk(codes, shelf.lists_scores[row], allowed, hidden, question.n)
    if len(best) < question.n and not complete:
        history = shelf.bundle.recommender.history.take(np.array([row]))
        best, scores = _live(shelf, history, question, allowed)
    return _finish(shelf, question, best, scores, seen, warnings=[])


def _walk(
    codes: Codes, scores: npt.NDArray[np.float32], allowed: Allowed, hidden: Codes, n: int
) -> tuple[list[int], list[float]]:
    """The first n of a ranked list that may be shown."""
    keep = (codes >= 0) & allowed.mask[codes]
    if len(hidden):
        keep &= ~np.isin(codes, hidden)
    places = np.flatnonzero(keep)[:n]
    return codes[places].tolist(), scores[places].tolist()


def _live(
    shelf: Shelf, history: History, question: Question, allowed: Allowed
) -> tuple[list[int], list[float]]:
    """The n best of all products that may be shown, scored now."""
    if not len(allowed.codes):
        return [], []
    found = shelf.bundle.recommender.rank(
        history,
        question.n,
        seen=question.seen or shelf.bundle.seen,
        among=allowed.codes,
        without=_hidden(shelf, question, _NOTHING),
    )
    return _known(found.codes[0], found.scores[0])


def _known(codes: Codes, scores: npt.NDArray[np.float32]) -> tuple[list[int], list[float]]:
    kept = codes >= 0
    return codes[kept].tolist(), scores[kept].tolist()


def _hidden(shelf: Shelf, question: Question, seen: Codes) -> Codes:
    """Codes that this question rules out: excluded ones and, where they drop, the seen."""
    codes = {shelf.code(id) for id in question.exclude} - {-1}
    excluded = np.array(sorted(codes), np.int32)
    if (question.seen or shelf.bundle.seen) == "drop":
        return np.concatenate([excluded, seen])
    return excluded


def _finish(
    shelf: Shelf,
    question: Question,
    codes: list[int],
    scores: list[float],
    seen: Codes,
    *,
    warnings: list[Note],
) -> Ranked:
    """Items of the model's codes, filled with popular products, and what there is to say."""
    items = _items(shelf, codes, scores, seen.tolist())
    allowed = shelf.catalogue.allowed(question.filters)
    if len(items) < question.n:
        hidden = np.concatenate([_hidden(shelf, question, seen), np.array(codes, np.int32)])
        places = allowed.mask[shelf.popular] & ~np.isin(shelf.popular, hidden)
        fill = shelf.popular[np.flatnonzero(places)[: question.n - len(items)]].tolist()
        if fill and items:
            detail = f"{len(fill)} of {question.n} are popular products, the model had no more"
            warnings.append(Note("filled", detail))
        for code in fill:
            items.append(
                Item(shelf.product_ids[code], len(items) + 1, None, POPULAR, POPULAR_REASON)
            )
    warnings += _warnings(shelf, question, allowed, len(items))
    return Ranked(items, not codes, warnings)


def _warnings(shelf: Shelf, question: Question, allowed: Allowed, found: int) -> list[Note]:
    """What narrowed the answer more than the caller may have meant."""
    del shelf
    warnings = [
        Note("unknown_value", f"no product has the {name} {shown(value)}")
        for name, value in allowed.unknown
    ]
    if found < question.n:
        detail = f"{found} of {question.n}: no other product is available and passes the rest"
        warnings.append(Note("too_few", detail))
    return warnings


def _items(shelf: Shelf, codes: list[int], scores: list[float], seen: list[int]) -> list[Item]:
    """Items of the model, each with the reason that is true of it and cheap to find."""
    ids, source, neighbours = shelf.product_ids, shelf.model.name, shelf.neighbours
    known = frozenset(seen)
    items: list[Item] = []
    for place, (code, score) in enumerate(zip(codes, scores, strict=True), 1):
        if not shelf.personal:
            reason = POPULAR_REASON
        elif code in known:
            reason = AGAIN_REASON
        elif known.isdisjoint(near := neighbours[code]):
            reason = OTHERS_REASON
        else:
            for other in near:
                if other in known:
                    reason = shelf.because[other]
                    break
        items.append(Item(ids[code], place, score, source, reason))
    return items
