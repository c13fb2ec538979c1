"""Telling: how an answer came about in, the parts of its scores and its warnings out."""

from __future__ import annotations

import numpy as np

from models.scorer import Codes
from serving.answers import Explain, Note
from serving.problems import shown
from serving.sources import Found
from serving.terms import Terms
from serving.visit import Visit


def explained(
    chosen: list[int], placed: Codes, found: dict[str, Found], terms: Terms, visit: Visit
) -> dict[int, Explain]:
    """The parts of each score."""
    explained = {}
    for column, code in enumerate(chosen):
        ranks = {
            name: int(places[0]) + 1
            for name, one in found.items()
            if len(places := np.flatnonzero(one.codes == code))
        }
        explained[code] = Explain(
            sources=ranks,
            boost=1.0 if terms.boost is None else float(terms.boost[code]),
            pinned=bool(placed[1, column] < 0),
            since=bool(visit.since),
            shown_before=terms.times.get(code, 0),
        )
    return explained


def notes(visit: Visit, terms: Terms, n: int, own: int, found: int) -> list[Note]:
    """What narrowed the answer more than the caller may have meant."""
    notes = [
        Note("unknown_value", f"no product has the {name} {shown(value)}")
        for name, value in terms.allowed.unknown
    ]
    if 0 < own < found:
        detail = f"{found - own} of {n} are of the fallback, the surface's sources had no more"
        notes.append(Note("filled", detail))
    if found < n:
        detail = f"{found} of {n}: no other product is available and passes the rest"
        notes.append(Note("too_few", detail))
    return notes
