"""At once: a visit and its model's candidates in, the whole answer out.

The hot path, of her published list or of what was scored just now: one compiled call that sees
stock, filters, rules, limits and her history, and no further step for each product but the making
of its item.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, repeat
from typing import NamedTuple

import numpy as np

from models.ranking.listed import NO_BOOST, listed
from models.scorer import Codes, Scores
from serving.answers import Item, Note
from serving.terms import Terms
from serving.visit import Visit, ascending


class Ranked(NamedTuple):
    """The part of an answer that depends on whom it is for.

    codes: of the items. propensities, given_above: the chance of each place; None where certain.
    """

    items: list[Item]
    fallback: bool
    warnings: list[Note]
    codes: list[int]
    propensities: Sequence[float] | None = None
    given_above: Sequence[float] | None = None


def at_once(
    visit: Visit, terms: Terms, n: int, codes: Codes, scores: Scores, *, hidden: Codes
) -> Ranked | None:
    """The n best of these candidates of the model, by one compiled call; None where not n stand.

    codes, scores: best first, as the bundle's lists. hidden: ascending codes.
    """
    shelf = visit.shelf
    known = visit.seen()
    if visit.since:
        known = ascending([known, np.array(visit.since, np.int32)])
    chosen, worth, why = listed(
        codes,
        scores,
        n,
        terms.by,
        shown=terms.shown,
        stock=terms.stock,
        hidden=hidden,
        boost=NO_BOOST if terms.boost is None else terms.boost,
        near=shelf.near,
        seen=known,
    )
    if chosen[-1] < 0:
        return None
    ids, because, name = shelf.product_ids, shelf.because, shelf.model.name
    reasons = why if shelf.personal else repeat(-1)
    answer = [
        Item(ids[code], place, score, name, because[reason])
        for place, code, score, reason in zip(count(1), chosen, worth, reasons)
    ]
    return Ranked(answer, False, [], chosen)
