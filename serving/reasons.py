"""Reasons: the codes of an answer and where each came from in, items with true words out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.ranking.listed import AGAIN, OTHERS
from serving.answers import Explain, Item
from serving.due import said
from serving.visit import Visit

POPULAR = "popular"
WORDS = {
    "popular": "popular in the shop",
    "new": "new in the shop",
    "recent": "you looked at it",
    "again": "you bought it before",
    "pinned": "chosen by the shop",
}


def items(
    visit: Visit,
    codes: Sequence[int],
    scores: Sequence[float | None],
    sources: Sequence[str],
    *,
    instead: Mapping[int, int] | None = None,
    explained: Mapping[int, Explain] | None = None,
) -> list[Item]:
    """One item a code; sources beside, `model` is named by the model's name.

    instead: code -> the sold-out one in whose place it stands. explained: by code.
    """
    shelf = visit.shelf
    ids, name = shelf.product_ids, shelf.model.name
    known = frozenset((*visit.seen().tolist(), *visit.since))
    found: list[Item] = []
    for place, (code, score, source) in enumerate(zip(codes, scores, sources, strict=True), 1):
        if source == "model" or source == "session":
            reason = because(visit, code, known)
            source = name if source == "model" else source
        elif source == "alike" or source == "together":
            reason = beside(visit, code, source)
        elif source == "again":
            reason = said(visit, code) or WORDS[source]
        else:
            reason = WORDS[source]
        found.append(Item(ids[code], place, score, source, reason))
    if instead or explained:
        for place, code in enumerate(codes):
            item = found[place]
            stands_for = (instead or {}).get(code)
            found[place] = Item(
                item.product_id,
                item.rank,
                item.score,
                item.source,
                item.reason,
                None if stands_for is None else ids[stands_for],
                (explained or {}).get(code),
            )
    return found


def because(visit: Visit, code: int, known: frozenset[int]) -> str:
    """Why the model may have ranked it: what is true and cheap to find."""
    shelf = visit.shelf
    if not shelf.personal:
        return WORDS[POPULAR]
    if code in known:
        return shelf.because[AGAIN]
    near = shelf.near[code].tolist()
    return next((shelf.because[other] for other in near if other in known), shelf.because[OTHERS])


def beside(visit: Visit, code: int, source: str) -> str:
    """With which product of the page, the cart or this visit it goes."""
    shelf = visit.shelf
    origin = visit.context.tolist() or list(visit.since[-3:])
    word = "similar to" if source == "alike" else "often bought with"
    arrays = shelf.bundle.similar_products if source == "alike" else shelf.bundle.together_products
    for other in reversed(origin):
        if len(origin) == 1 or code in arrays[other]:
            return f"{word} {shelf.titles[other]}"
    return f"{word} what you chose"
