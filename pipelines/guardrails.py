"""Guardrails: a candidate and what serves in, what it must not make worse, kept or broken, out.

A loss is weighed as the gate weighs a gain: it breaks a guardrail when it is sure (the interval
lies below zero, and chance alone would not do so much, after Holm's correction over all that is
tested here) and larger than the shop tolerates. To ask instead for proof that nothing is lost
would hold every candidate for ever: the small kinds of customers, which the guardrails are for,
cannot prove it. What a guardrail could not have seen stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.abtest import holm
from models.evaluation.compare import Difference, aligned, paired
from models.evaluation.signs import chance
from models.evaluation.slices import HISTORY, SMALL
from pipelines.settings import Gate, Judge

if TYPE_CHECKING:
    from pipelines.gate import Entry

SURE = 0.05


@dataclass(frozen=True, slots=True)
class Rail:
    """One guardrail of one candidate.

    holds: None where nothing was measured, or of too few customers. value: the relative change, of
    suppliers the rise, else the figure itself; tolerated: how much of it may be. low, high: of the
    relative change. chance: that it is chance alone, corrected. n: customers.
    """

    name: str
    holds: bool | None
    said: str
    tolerated: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    n: int | None = None


def check(entry: Entry, rival: Entry | None, *, gate: Gate, judge: Judge) -> list[Rail]:
    """All declared guardrails; a tolerance of 1 declares none.

    rival: what serves; None for what serves itself, which is asked only how it serves.
    """
    found = [] if rival is None else [*_tested(entry, rival, gate, judge)]
    if rival is not None:
        found += _catalogue(entry, rival, gate, judge.k)
    share = entry.figures.get(f"fallback_share_at_{judge.k}")
    if gate.fallback_share < 1:
        found.append(_most("fallback", share, gate.fallback_share, "of the lists needed it", "%"))
    if gate.milliseconds_per_list is not None:
        took, most = entry.costs.get("milliseconds_per_list"), gate.milliseconds_per_list
        found.append(_most("time a list takes", took, most, "ms", "ms"))
    return found


def _tested(entry: Entry, rival: Entry, gate: Gate, judge: Judge) -> list[Rail]:
    """Kinds of customers, those who came back, and revenue: what differs customer by customer.

    Who came back had drifted away: their figure bears the tolerance of the lifecycle stages.
    """
    asked = [
        (f"{_words(slice_)} {_words(value)}", judge.metric, members, tolerated)
        for slice_, tolerated in gate.slices.model_dump().items()
        if tolerated < 1
        for value, members in _values(rival.kinds, entry.kinds, slice_)
    ]
    whole = {"return_hit_rate": gate.slices.lifecycle_stage, "revenue": gate.revenue}
    for kind, tolerated in whole.items():
        metric = f"{kind}_at_{judge.k}"
        both = all(metric in one.per_customer.column_names for one in (entry, rival))
        if tolerated < 1 and both:
            asked.append((f"{kind}@{judge.k}", metric, None, tolerated))
    weighed: list[tuple[str, float, Difference, float]] = []
    for name, metric, members, tolerated in asked:
        ours, theirs = _some(entry.per_customer, members), _some(rival.per_customer, members)
        one = paired(ours, theirs, metric, seed=judge.seed, resamples=judge.resamples)
        new, old = aligned(ours, theirs, metric)
        by_luck = chance(new - old, seed=judge.seed) if one.n >= SMALL else float("nan")
        weighed.append((name, tolerated, one, by_luck))
    adjusted = holm([by_luck for *_, by_luck in weighed])
    return [
        _loss(name, tolerated, one, sure)
        for (name, tolerated, one, _), sure in zip(weighed, adjusted, strict=True)
    ]


def _loss(name: str, tolerated: float, one: Difference, adjusted: float) -> Rail:
    """Whether a paired difference is a sure loss of more than is tolerated."""
    if one.n < SMALL or one.relative != one.relative:
        few = f"{one.n} customers, too few to tell" if one.n < SMALL else "nothing to lose"
        return Rail(name, None, f"{name}: {few}", tolerated, n=one.n)
    before = one.mean / one.relative if one.mean else None
    low, high = (end / before if before else 0.0 for end in (one.low, one.high))
    broken = one.high < 0 and adjusted < SURE and one.relative < -tolerated
    said = f"{name}: {one.relative:+.1%} ({low:+.1%} to {high:+.1%}), {one.n:,} customers"
    if broken:
        said += f"; may lose {tolerated:.0%}"
    elif low < -tolerated:
        said += f"; a loss of more than {tolerated:.0%} cannot be ruled out"
    return Rail(name, not broken, said, tolerated, one.relative, low, high, adjusted, one.n)


def _catalogue(entry: Entry, rival: Entry, gate: Gate, k: int) -> list[Rail]:
    """How much of the catalogue is shown, and how evenly among suppliers."""
    found = []
    new, old = (one.figures.get(f"coverage_at_{k}") for one in (entry, rival))
    if gate.coverage < 1:
        name, most = f"coverage@{k}", gate.coverage
        if new is None or not old:
            found.append(Rail(name, None, f"{name}: was not measured", most))
        else:
            change = new / old - 1
            said = f"{name}: {change:+.0%}, {old:.1%} of the catalogue before and {new:.1%} now"
            holds = change >= -most
            found.append(Rail(name, holds, said + _may(holds, f"lose {most:.0%}"), most, change))
    new, old = (one.figures.get(f"supplier_gini_at_{k}") for one in (entry, rival))
    if gate.suppliers < 1:
        name, most = "suppliers", gate.suppliers
        if new is None or old is None:
            found.append(Rail(name, None, "suppliers: none are known", most))
        else:
            said = f"suppliers: gini of their places {old:.2f} before and {new:.2f} now"
            holds = new - old <= most
            found.append(Rail(name, holds, said + _may(holds, f"rise {most:g}"), most, new - old))
    return found


def _most(name: str, value: float | None, most: float, unit: str, form: str) -> Rail:
    """A figure that may not be above its bound, whatever serves."""
    if value is None:
        return Rail(name, None, f"{name}: was not measured", most)
    amount, bound = (f"{one:.1%}" if form == "%" else f"{one:.3g}" for one in (value, most))
    holds = value <= most
    return Rail(name, holds, f"{name}: {amount} {unit}" + _may(holds, f"be {bound}"), most, value)


def _may(holds: bool, what: str) -> str:
    return "" if holds else f"; may {what}"


def _values(
    base: pa.Table | None, other: pa.Table | None, slice_: str
) -> list[tuple[str, pa.Array]]:
    """A slice's values with their customers; none where the run kept no kinds."""
    kinds = base if base is not None else other
    if kinds is None or slice_ not in kinds.column_names:
        return []
    words = sorted(set(kinds[slice_].drop_null().to_pylist()), key=_order)
    ids = kinds["customer_id"]
    return [(w, ids.filter(pc.equal(kinds[slice_], w)).combine_chunks()) for w in words]


def _order(word: str) -> tuple[int, str]:
    return (HISTORY.index(word) if word in HISTORY else -1, word)


def _some(table: pa.Table, customers: pa.Array | None) -> pa.Table:
    if customers is None:
        return table
    return table.filter(pc.is_in(table["customer_id"], value_set=customers))


def _words(text: str) -> str:
    return text.replace("_", " ")


def counted(rails: Sequence[Rail]) -> dict[str, int]:
    """How many guardrails were kept, broken and left open."""
    names = {"guardrails_kept": True, "guardrails_broken": False, "guardrails_open": None}
    return {name: sum(rail.holds is holds for rail in rails) for name, holds in names.items()}
