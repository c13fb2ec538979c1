"""Ranking: a visit, a surface and a question in, what stands at each place and why out.

The candidates of the surface's sources are merged, put into order by the shop's rules, and placed
by one compiled pass that sees every rule: available now, passing the filters, not hidden, not too
many alike. What the candidates leave open, the sources rank exactly among all that may be shown;
then the fallback fills, under the same rules.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.ranking.arrange import PLAIN, arrange, blend, boosted
from models.scorer import Codes, Scores
from models.surfaces import Surface
from serving.at_once import Ranked, at_once
from serving.hiding import drops, hidden
from serving.questions import Question
from serving.reasons import items
from serving.sources import Found, deeper, find
from serving.stock import substitutes
from serving.telling import explained, notes
from serving.terms import Terms
from serving.trials.explore import WIDER, draw
from serving.visit import NOTHING, Visit

MERGED = 500  # candidates of each source where several are merged
UNSCORED = ("popular", "new", "recent", "pinned")


class Listed(NamedTuple):
    """Candidates that products were placed from: names by code's place, or one for all."""

    codes: Codes
    scores: Scores
    names: Sequence[str]
    origin: Codes | None = None


def rank(
    visit: Visit,
    question: Question,
    surface: Surface,
    terms: Terms,
    *,
    rng: random.Random,
    scored: Found | None = None,
) -> Ranked:
    """The answer for one visit; scored: what the model finds for her, where that is known."""
    n = question.n or surface.slots
    if terms.simple and question.plain and visit.row >= 0 and not visit.person.version:
        shelf, row = visit.shelf, visit.row
        codes, scores = shelf.lists_products[row], shelf.lists_scores[row]
        if (found_now := at_once(visit, terms, n, codes, scores, hidden=NOTHING)) is not None:
            return found_now
    drop = drops(visit, question)
    hide = hidden(visit, question, surface, drop=drop)
    terms = terms.only(visit.bought_ever()) if surface.bought == "only" else terms
    returned, instead = terms.returned, dict[int, int]()
    found = {
        name: scored
        if scored is not None and name == "model"
        else find(name, visit, drop=drop, returned=returned)
        for name, _ in surface.sources
    }
    if terms.simple and question.plain and visit.since:
        live = found["model"]
        if (
            found_now := at_once(visit, terms, n, live.codes, live.scores, hidden=hide)
        ) is not None:
            return found_now
    listed = _reordered(_merged(surface, found), terms)
    if question.substitutes:
        codes, instead = _substituted(visit, listed.codes, terms)
        listed = listed._replace(codes=codes)
    lists: list[Listed] = []
    placed = _placed(listed, n, terms, hide, None, lists)
    if placed[0].min() < 0:  # the sources themselves, exactly, among all that may be shown
        deep = [name for name in found if not found[name].complete]
        placed = _filled(visit, placed, deep, terms, hide, drop, lists, found={})
    own = int(np.count_nonzero(placed[0] >= 0))
    if own < n:
        terms = terms.whole()
        placed = _filled(visit, placed, surface.fallback, terms, hide, drop, lists, found=found)
    chances = None
    if surface.explore and not terms.pinned:
        placed, chances = _explored(placed, lists, surface.explore, terms, hide, rng)
    places = np.flatnonzero(placed[0] >= 0)
    chosen = placed[0, places].tolist()
    sources, scores = _origins(placed[:, places], lists)
    parts = explained(chosen, placed[:, places], found, terms, visit) if question.explain else None
    answer = items(visit, chosen, scores, sources, instead=instead, explained=parts)
    told = notes(visit, terms, n, own, len(answer))
    if chances is None:
        return Ranked(answer, not own, told, chosen)
    return Ranked(answer, not own, told, chosen, *chances)


def _merged(surface: Surface, found: dict[str, Found]) -> Listed:
    """One ranked list of all sources."""
    names = [name for name, _ in surface.sources]
    if len(names) == 1:
        only = found[names[0]]
        return Listed(only.codes, only.scores, names)
    lists = [one.codes[:MERGED] for one in found.values()]
    weights = [weight for _, weight in surface.sources]
    codes, scores, origin = blend(lists, weights, sum(map(len, lists)))
    return Listed(codes, scores, names, origin)


def _reordered(listed: Listed, terms: Terms) -> Listed:
    """With what the rules boost before, and what she was shown too often behind."""
    codes, scores, names, origin = listed
    if terms.boost is not None:
        codes, scores, order = boosted(codes, scores, terms.boost)
        origin = None if origin is None else origin[order]
    if len(terms.stale):
        late = np.isin(codes, terms.stale)
        back = np.argsort(late, kind="stable")
        least = scores[np.isfinite(scores)].min(initial=0)
        codes, scores = codes[back], np.where(late, least, scores)[back]
        origin = None if origin is None else origin[back]
        there = codes >= 0
        if not there.all():  # -1 ends a list
            codes, scores = codes[there], scores[there]
            origin = None if origin is None else origin[there]
    return Listed(codes, scores, names, origin)


def _placed(
    listed: Listed, n: int, terms: Terms, hide: Codes, chosen: Codes | None, lists: list[Listed]
) -> Codes:
    """The n places with what these candidates put into those that are empty; notes the list."""
    lists.append(listed)
    return arrange(
        listed.codes,
        listed.scores,
        n,
        terms.by,
        shown=terms.shown,
        stock=terms.stock,
        hidden=hide,
        chosen=chosen,
        source=len(lists) - 1,
    )


def _filled(
    visit: Visit,
    placed: Codes,
    names: Sequence[str],
    terms: Terms,
    hide: Codes,
    drop: bool,
    lists: list[Listed],
    *,
    found: dict[str, Found],
) -> Codes:
    """More sources, one after the other, until every place is taken."""
    n = placed.shape[1]
    for name in names:
        if placed[0].min() >= 0:
            break
        ways: list[Found] = []
        if found:  # a fallback: what it has at hand first
            ways.append(find(name, visit, drop=drop, returned=terms.returned))
        if not ways or not ways[0].complete:
            ways.append(deeper(name, visit, n, drop=drop, among=terms.free(hide)))
        for more in ways:
            placed = _placed(
                _reordered(Listed(more.codes, more.scores, (name,)), terms),
                n,
                terms,
                hide,
                placed,
                lists,
            )
    return placed


def _explored(
    placed: Codes, lists: list[Listed], share: float, terms: Terms, hide: Codes, rng: random.Random
) -> tuple[Codes, tuple[Sequence[float], Sequence[float]]]:
    """The list, or for a share of answers a random draw from the best, with the chances of both."""
    n, wide = placed.shape[1], None
    for number, listed in enumerate(lists):
        wide = arrange(
            listed.codes,
            listed.scores,
            WIDER * n,
            PLAIN,
            shown=terms.shown,
            stock=terms.stock,
            hidden=hide,
            chosen=wide,
            source=number,
        )
    assert wide is not None
    columns = {int(column[0]): column for column in (*wide.T, *placed.T) if column[0] >= 0}
    first = [code for code in placed[0].tolist() if code >= 0]
    known = frozenset(first)
    pool = [*first, *(code for code in wide[0].tolist() if code >= 0 and code not in known)]
    drawn = draw(pool[: WIDER * n], n, share, rng)
    chosen = np.full((3, n), -1, np.int32)
    for place, code in enumerate(drawn.codes):
        chosen[:, place] = columns[code]
    return chosen, (drawn.propensities, drawn.given_above)


def _origins(placed: Codes, lists: list[Listed]) -> tuple[list[str], list[float | None]]:
    """Of each place its source and its score there."""
    sources: list[str] = []
    scores: list[float | None] = []
    _, places, of = placed.tolist()
    for place, source in zip(places, of, strict=True):
        if place < 0:
            sources.append("pinned")
            scores.append(None)
            continue
        one = lists[source]
        name = one.names[0] if one.origin is None else one.names[one.origin[place]]
        sources.append(name)
        scores.append(None if name in UNSCORED else float(one.scores[place]))
    return sources, scores


def _substituted(visit: Visit, codes: Codes, terms: Terms) -> tuple[Codes, dict[int, int]]:
    """The candidates with what stands for each that passes all but is sold out."""
    may = terms.shown & terms.stock
    out = np.flatnonzero((codes >= 0) & terms.shown[codes] & ~terms.stock[codes])
    instead: dict[int, int] = {}
    if len(out):
        codes, at_hand = codes.copy(), set(codes.tolist())
        for place in out.tolist():
            other = substitutes(visit.shelf, int(codes[place]), may)
            if other is not None and other not in at_hand:
                instead[other] = int(codes[place])
                at_hand.add(other)
                codes[place] = other
    return codes, instead
