"""Sources: a visit and a source's name in, its ranked candidates in codes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from models.bundling.lists import later
from models.scorer import Codes, History, Scores
from serving.due import due, early
from serving.shelf import Shelf
from serving.visit import NOTHING, Visit, codes_of

MANY = 100  # candidates of a source
LIVE = 30  # of one that is scored now: what is more costs more
LATEST = 3  # products that `alike` goes out from where neither a page nor a cart is given
MONTH = 28.0  # days after which what was bought is due again, as long as nothing better is known


class Found(NamedTuple):
    """Candidates, best first; `complete` where nothing stands behind their end."""

    codes: Codes
    scores: Scores
    complete: bool = True


NONE = Found(NOTHING, np.empty(0, np.float32))


def find(name: str, visit: Visit, *, drop: bool, returned: Codes) -> Found:
    """The candidates of one source; drop: whether her published history is ruled out anyway.

    returned: codes that can be had again, but could not when the lists were made.
    """
    if name == "model":
        return _model(visit, drop, returned)
    return _SOURCES[name](visit)


def deeper(name: str, visit: Visit, n: int, *, drop: bool, among: Codes) -> Found:
    """The n best of exactly these products, scored now; of a source that can score any."""
    if not len(among):
        return NONE
    recommender = visit.shelf.bundle.recommender
    if name == "alike" and len(visit.context):
        found = recommender.alike(visit.context[-1:], n, among=among, above=0)
        return _known(found.codes[0], found.scores[0])
    history = visit.history() if name == "model" and visit.known else None
    history = visit.session() if name == "session" else history
    return NONE if history is None else _scored(visit.shelf, history, n, drop, among)


def unlisted(visit: Visit, drop: bool) -> bool:
    """Whether the model must score now: what is published does not know it or drops too much."""
    return bool(visit.since) or (visit.known and not (drop or visit.shelf.bundle.seen == "keep"))


def score(visits: Sequence[tuple[Visit, bool]]) -> list[Found]:
    """What the model finds for those who are `unlisted`, each with its `drop`; together."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for place, (visit, drop) in enumerate(visits):
        groups.setdefault((id(visit.shelf), drop), []).append(place)
    found = [NONE] * len(visits)
    for (_, drop), places in groups.items():
        some = [visits[place][0] for place in places]
        histories = [visit.history() for visit in some]
        rank = some[0].shelf.bundle.recommender.rank_each
        best = rank(histories, LIVE, seen="drop" if drop else "keep")
        for place, visit, (codes, scores) in zip(places, some, best, strict=True):
            found[place] = _later(_known(codes[0], scores[0]), early(visit))
    return found


def _model(visit: Visit, drop: bool, returned: Codes) -> Found:
    """The published list; scored anew for one who did something since."""
    shelf = visit.shelf
    if not visit.known:
        return NONE
    if unlisted(visit, drop):
        return score([(visit, drop)])[0]
    codes, scores = shelf.lists_products[visit.row], shelf.lists_scores[visit.row]
    complete = bool(codes.size and codes[-1] < 0)
    if not len(returned):
        return Found(codes, scores, complete)
    more = _scored(shelf, visit.history(), min(MANY, len(returned)), drop, returned)
    both = np.concatenate([scores, more.scores])
    order = np.argsort(-both, kind="stable")
    return Found(np.concatenate([codes, more.codes])[order], both[order], complete)


def _session(visit: Visit) -> Found:
    history = visit.session()
    return NONE if history is None else _scored(visit.shelf, history, LIVE, True, None)


def _alike(visit: Visit) -> Found:
    bundle = visit.shelf.bundle
    origin = visit.context if len(visit.context) else _latest(visit)
    found = _around(origin, bundle.similar_products, bundle.similar_scores)
    return found._replace(
        complete=len(origin) != 1 or not len(found.codes) or bool(found.codes[-1] < 0)
    )


def _together(visit: Visit) -> Found:
    bundle = visit.shelf.bundle
    origin = visit.context if len(visit.context) else _latest(visit)
    return _around(origin, bundle.together_products, bundle.together_scores)


def _again(visit: Visit) -> Found:
    """What she bought and is not too early, the likeliest first; without a clock, due first.

    Without: often bought, and not just now.
    """
    timed = due(visit)
    if timed is not None:
        return Found(timed.codes[:MANY], timed.chances[:MANY])
    shelf, person = visit.shelf, visit.person
    codes, worth = NONE.codes, NONE.scores
    if visit.row >= 0:
        codes, days, orders = shelf.purchases(visit.row)
        age = np.maximum(visit.at / 86_400 - days, 0)
        worth = (orders * (1 - 0.5 ** (age / MONTH))).astype(np.float32)
    if person.bought:
        lately = zip(person.bought, person.bought_at, strict=True)
        since = codes_of(shelf, (id for id, at in lately if at > shelf.published))
        worth = np.where(np.isin(codes, since), np.float32(0), worth)
        more = np.setdiff1d(since, codes)
        codes = np.concatenate([codes, more])
        worth = np.concatenate([worth, np.zeros(len(more), np.float32)])
    order = np.lexsort((codes, -worth))[:MANY]
    return Found(codes[order], worth[order])


def _recent(visit: Visit) -> Found:
    viewed = [visit.shelf.code(id) for id in reversed(visit.person.viewed)]
    codes = np.array([code for code in viewed if code >= 0][:MANY], np.int32)
    return Found(codes, _falling(len(codes)))


def _new(visit: Visit) -> Found:
    """The newest products, those of the categories that she knows first."""
    codes = visit.shelf.newest
    seen = np.concatenate([visit.seen(), np.array(visit.since, np.int32)])
    if len(seen):
        category = visit.shelf.catalogue.groups("category")
        hers = category[seen]
        strange = ~np.isin(category[codes], hers[hers >= 0])
        codes = codes[np.argsort(strange, kind="stable")]
    return Found(codes, _falling(len(codes)))


def _popular(visit: Visit) -> Found:
    codes = visit.shelf.popular
    return Found(codes, _falling(len(codes)))


_SOURCES: dict[str, Callable[[Visit], Found]] = {
    "session": _session,
    "alike": _alike,
    "together": _together,
    "again": _again,
    "recent": _recent,
    "new": _new,
    "popular": _popular,
}


def _latest(visit: Visit) -> Codes:
    return np.array(list(dict.fromkeys(reversed(visit.since)))[:LATEST], np.int32)


def _around(origin: Codes, near: Codes, worth: Scores) -> Found:
    """Neighbours of one product, or of several: each counts by its part of the greatest there."""
    if not len(origin) or not near.shape[1]:
        return NONE
    if len(origin) == 1:
        return Found(near[origin[0]], worth[origin[0]])
    codes, scores = near[origin], worth[origin]
    best = np.maximum(scores[:, :1], np.float32(1e-9))
    keep = (codes >= 0) & ~np.isin(codes, origin)
    parts = np.where(keep, scores / best, 0)[keep]
    found, place = np.unique(codes[keep], return_inverse=True)
    total = np.bincount(place, parts, len(found)).astype(np.float32)
    order = np.lexsort((found, -total))[:MANY]
    return Found(found[order].astype(np.int32), total[order])


def _scored(shelf: Shelf, history: History, n: int, drop: bool, among: Codes | None) -> Found:
    """The n best of all products, or of some, scored now."""
    found = shelf.bundle.recommender.rank(history, n, seen="drop" if drop else "keep", among=among)
    return _known(found.codes[0], found.scores[0])


def _later(found: Found, late: Codes) -> Found:
    """With what is too early behind the rest, as a published list has it."""
    if not len(late):
        return found
    codes, scores = later(found.codes, found.scores, np.isin(found.codes, late))
    return found._replace(codes=codes, scores=scores)


def _known(codes: Codes, scores: Scores) -> Found:
    return Found(codes, scores, bool(len(codes) and codes[-1] < 0))


def _falling(n: int) -> Scores:
    """Scores that say no more than the order."""
    return _FALLING[:n] if n <= len(_FALLING) else np.arange(n, 0, -1, dtype=np.float32)


_FALLING = np.arange(4096, 0, -1, dtype=np.float32)
