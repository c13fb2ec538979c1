"""Hiding: a visit and a surface in, the products that this customer is not shown there out."""

from __future__ import annotations

import numpy as np

from models.scorer import Codes
from models.surfaces import Surface
from serving.due import due, early
from serving.questions import Question
from serving.visit import NOTHING, Visit, ascending, codes_of


def drops(visit: Visit, question: Question) -> bool:
    """Whether what is in her published history is ruled out."""
    return (question.seen or visit.shelf.bundle.seen) == "drop"


def hidden(visit: Visit, question: Question, surface: Surface, *, drop: bool) -> Codes:
    """Ascending codes; drop: her published history too."""
    parts = _parts(visit, question, surface, drop)
    seen = visit.seen() if drop and surface.bought not in ("keep", "only") else NOTHING
    if len(seen) and question.seen is None and any(name == "again" for name, _ in surface.sources):
        timed = due(visit)
        back = visit.shelf.bought(visit.row) if timed is None else timed.codes
        seen = np.setdiff1d(seen, back)  # else the source would be for nothing
    if not parts:
        return seen
    return ascending([seen, *parts])


def _parts(visit: Visit, question: Question, surface: Surface, drop: bool) -> list[Codes]:
    shelf, person = visit.shelf, visit.person
    parts: list[Codes] = []
    if question.exclude:
        parts.append(codes_of(shelf, question.exclude))
    if visit.shown >= 0 or (len(visit.context) and surface.cart == "drop"):
        parts.append(visit.context)
    if surface.bought == "drop":
        parts.append(visit.bought_ever())
    if surface.bought == "only":
        parts.append(early(visit))
    if visit.since and drop and surface.bought not in ("keep", "only"):
        parts.append(np.array(visit.since, np.int32))
    if not person.version:
        return parts
    if surface.cart == "drop" and person.cart:
        parts.append(codes_of(shelf, person.cart))
    if surface.viewed == "drop" and person.viewed:
        parts.append(codes_of(shelf, person.viewed))
    if surface.bought == "recent" and person.bought:
        lately = zip(person.bought, person.bought_at, strict=True)
        parts.append(codes_of(shelf, (id for id, at in lately if at > shelf.published)))
    return parts
