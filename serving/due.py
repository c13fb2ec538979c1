"""Due: a visit in, what she may want again by her replenishment clock and what is too early out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.scorer import Codes, Scores
from serving.visit import NOTHING, Visit

DAY = 86_400  # seconds
WAIT = 28.0  # days after a purchase of what has no clock of its own


class Due(NamedTuple):
    """What she bought before the publication and is not too early, most likely first.

    early: ascending codes of the rest of what she bought: what she gave back whole is in neither.
    """

    codes: Codes
    chances: Scores
    early: Codes


def due(visit: Visit) -> Due | None:
    """By the clock as it goes now; a purchase since the publication sets it back. None without."""
    bundle = visit.shelf.bundle
    clock, bought = bundle.clock, bundle.bought
    if clock is None:
        return None
    hers = slice(bought.starts[visit.row], bought.starts[visit.row + 1])
    if visit.row < 0:
        hers = slice(0, 0)
    codes, chances, early = bought.products[hers], clock.chances[hers], clock.early[hers]
    wait = clock.waits[hers] & (early > visit.at / DAY)
    strange: list[int] = []  # bought since for the first time
    for code, day in since(visit).items():
        place = int(np.searchsorted(codes, code))
        known = place < len(codes) and codes[place] == code
        if known:
            last = int(bought.days[hers][place])
            lasts = float(early[place] - last) if early[place] > last >= 0 else WAIT
            wait[place] = day + lasts > visit.at / DAY
        elif day + WAIT > visit.at / DAY:
            strange.append(code)
    may = np.flatnonzero((chances > 0) & ~wait)
    order = may[np.argsort(-chances[may], kind="stable")]
    late = codes[wait]
    if strange:
        late = np.union1d(late, np.array(strange, np.int32))
    return Due(codes[order], chances[order], late)


def early(visit: Visit) -> Codes:
    """Ascending codes of what she is not to be shown again yet."""
    found = due(visit)
    return NOTHING if found is None else found.early


def since(visit: Visit) -> dict[int, float]:
    """The day since 1970 on which she last bought each code after the publication."""
    shelf, person = visit.shelf, visit.person
    return {
        code: at / DAY
        for id, at in zip(person.bought, person.bought_at, strict=True)
        if at > shelf.published and (code := shelf.code(id)) >= 0
    }


def said(visit: Visit, code: int) -> str | None:
    """How often she buys it, or others do, and when she last did; None where that is not sure."""
    bundle = visit.shelf.bundle
    if bundle.clock is None or visit.row < 0:
        return None
    start, end = bundle.bought.starts[visit.row : visit.row + 2]
    place = start + int(np.searchsorted(bundle.bought.products[start:end], code))
    if place >= end or bundle.bought.products[place] != code:
        return None
    lasts, day = float(bundle.clock.intervals[place]), int(bundle.bought.days[place])
    if not lasts > 0 or day < 0:
        return None
    ago = int(visit.at // DAY) - int(since(visit).get(code, day))
    if bundle.clock.hers[place]:
        return f"you usually buy this every {span(lasts)}; last time {when(ago)}"
    return f"usually bought again after {span(lasts, 'a ')}; you bought it {when(ago)}"


def when(days: int) -> str:
    """How long ago: today, yesterday, 5 days ago, a week ago, 3 months ago."""
    if days < 1:
        return "today"
    return "yesterday" if days == 1 else f"{span(days, 'a ')} ago"


def span(days: float, one: str = "") -> str:
    """Days in the unit that they are spoken of in: day, 5 days, week, 6 weeks, 3 months."""
    for length, name, until in ((1, "day", 10.5), (7, "week", 87), (30.44, "month", 700)):
        if days < until:
            n = max(1, round(days / length))
            if name == "day" and n == 7:
                n, name = 1, "week"
            break
    else:
        n, name = round(days / 365.25), "year"
    return f"{one}{name}" if n == 1 else f"{n} {name}s"
