"""At once: a customer of whom nothing happened since in, her published list as an answer out.

The hot path: one compiled call that sees stock, filters, rules, limits and her history, and no
further step for each product but the making of its item.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, repeat
from typing import NamedTuple

from models.ranking.arrange import NOTHING
from models.ranking.listed import NO_BOOST, listed
from serving.answers import Item, Note
from serving.terms import Terms
from serving.visit import Visit


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


def published(visit: Visit, terms: Terms, n: int) -> Ranked | None:
    """The n best of the published list, by one compiled call; None where it has no n."""
    shelf, row = visit.shelf, visit.row
    seen = shelf.indices[shelf.indptr[row] : shelf.indptr[row + 1]]
    chosen, scores, why = listed(
        shelf.lists_products[row],
        shelf.lists_scores[row],
        n,
        terms.by,
        shown=terms.shown,
        stock=terms.stock,
        hidden=NOTHING,
        boost=NO_BOOST if terms.boost is None else terms.boost,
        near=shelf.near,
        seen=seen,
    )
    if chosen[-1] < 0:
        return None
    ids, because, name = shelf.product_ids, shelf.because, shelf.model.name
    reasons = why if shelf.personal else repeat(-1)
    answer = [
        Item(ids[code], place, score, name, because[reason])
        for place, code, score, reason in zip(count(1), chosen, scores, reasons)
    ]
    return Ranked(answer, False, [], chosen)
