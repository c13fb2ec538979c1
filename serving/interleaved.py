"""Interleaved: two arms' answers in, one list of both and which arm picked each product out."""

from __future__ import annotations

import msgspec

from serving.answers import Item
from serving.at_once import Ranked
from serving.trials.draft import draft
from serving.trials.plans import Serve

Teams = tuple[tuple[str, Serve], tuple[str, Serve]]


def drafted(
    one: tuple[Ranked, str],
    other: tuple[Ranked, str],
    *,
    arms: Teams | None,
    n: int,
    request_id: str,
) -> tuple[Ranked, list[str], list[str]]:
    """The list, the arm of each product and what ranked it; each side with its model's name.

    By product ids: the arms may be of two bundles.
    """
    assert arms is not None
    numbers: dict[str, int] = {}
    sides: list[dict[int, Item]] = []
    for ranked, _ in (one, other):
        sides.append({numbers.setdefault(i.product_id, len(numbers)): i for i in ranked.items})
    names = arms[0][0], arms[1][0]
    codes, teams = draft(list(sides[0]), list(sides[1]), n, request_id=request_id, arms=names)
    of = dict(zip(names, zip(sides, (one[1], other[1]), strict=True), strict=True))
    items, models = [], []
    for place, (code, team) in enumerate(zip(codes, teams, strict=True), 1):
        side, model = of[team]
        items.append(msgspec.structs.replace(side[code], rank=place))
        models.append(model)
    both = Ranked(items, one[0].fallback and other[0].fallback, one[0].warnings, [])
    return both, teams, models
