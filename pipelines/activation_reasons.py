"""Reasons: how often a customer comes and when she was last seen in, a code and a sentence out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.activation_people import Floats, People

OVERDUE, REPLENISH, ONCE, ON_TIME = "overdue", "replenish", "once", "on_time"
WEEKS_FROM, MONTHS_FROM, YEARS_FROM = 14, 120, 730  # days from which the next unit is spoken of
OWN = 3  # orders from which a rhythm is hers


def reasons(
    people: People, *, titles: dict[str, str], as_of_days: float
) -> tuple[list[str], list[str]]:
    """(codes, sentences), one a customer.

    titles: of products that are due, by id. as_of_days: the moment in days since 1970.
    """
    due = _first_due(people, titles, as_of_days)
    codes, sentences = [], []
    gaps, since = _words(people.gap), _words(people.days_since)
    late = people.days_since > people.gap
    for row, orders in enumerate(people.frequency.tolist()):
        if row in due:
            code, sentence = REPLENISH, due[row]
        elif orders < 2:
            code, sentence = ONCE, f"ordered once, {since[row]} ago"
        elif orders < OWN:
            code, sentence = OVERDUE, f"ordered twice, last seen {since[row]} ago"
        else:
            code, sentence = OVERDUE, f"usually comes every {gaps[row]}, last seen {since[row]} ago"
        if code == OVERDUE and not late[row]:
            code = ON_TIME
        codes.append(code)
        sentences.append(sentence)
    return codes, sentences


def span(days: float) -> str:
    """Days as one says them: `5 weeks`."""
    for least, unit, name in (
        (YEARS_FROM, 365.25, "year"), (MONTHS_FROM, 30.44, "month"), (WEEKS_FROM, 7.0, "week"),
        (-np.inf, 1.0, "day"),
    ):  # fmt: skip
        if days >= least:
            n = max(1, round(days / unit))
            return f"{n} {name}{'' if n == 1 else 's'}"
    raise AssertionError(days)


def left_out(code: str, *, days: int, rest: int, gain: float, cost: float) -> str:
    """Why a customer is not contacted, in words."""
    words = {
        "no_consent": "has not agreed to any way of contact that the shop has",
        "beyond_hope": "is hardly a customer any more: a contact would not reach her",
        "comes_anyway": "is expected to come without a contact",
        "contacted_recently": f"was chosen {span(days)} ago and rests for {span(rest)}",
        "nothing_to_offer": "no product of her list is available",
        "not_worth_it": f"a contact is expected to bring {gain:,.2f} and costs {cost:,.2f}",
        "over_budget": "others are worth more, and the budget ends before her",
    }
    return words[code]


def _words(days: Floats) -> Sequence[str]:
    """`span` of each, said once for each whole day."""
    whole, place = np.unique(np.round(days), return_inverse=True)
    words = [span(one) for one in whole.tolist()]
    return [words[i] for i in place.tolist()]


def _first_due(people: People, titles: dict[str, str], as_of_days: float) -> dict[int, str]:
    """By customer: the sentence of the likeliest due product whose rhythm is her own."""
    own = people.due["own_interval_days"].is_valid()
    due, row = people.due.filter(own), people.row[own.to_numpy()]
    if not due.num_rows:
        return {}
    first: npt.NDArray[np.bool_] = np.append(True, row[1:] != row[:-1])
    rows = due.filter(pa.array(first))
    bought = pc.cast(rows["last_purchase_time"], pa.int64()).to_numpy() / 86_400e6
    since = _words(np.maximum(as_of_days - bought, 0))
    gap = _words(rows["own_interval_days"].to_numpy())
    ids = rows["product_id"].to_pylist()
    return {
        row: f"usually buys {titles.get(id) or id} every {every}, last {ago} ago"
        for row, id, every, ago in zip(
            row[first].tolist(), ids, gap, since, strict=True
        )
    }  # fmt: skip
