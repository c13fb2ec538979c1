"""Contradictions: rules and what they touch in, what their operator may not have meant out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import msgspec

from serving.problems import shown
from serving.rules.compiled import Touched
from serving.rules.rule import Rule

MOST_SHOWN = 5  # ids that a warning repeats


class RuleWarning(msgspec.Struct, frozen=True):
    """Something about a rule that is stored all the same.

    `skipped`: it cannot be followed and counts for nothing. `no_products`: no product of the shop
    passes it. `unknown_products`: some ids that it names are no products. `over`: its end has
    passed. `same_place`: another pin comes first there. `pin_blocked`: what it pins is blocked.
    `shares_over_one`: more than every place is promised.
    """

    code: Literal[
        "skipped",
        "no_products",
        "unknown_products",
        "over",
        "same_place",
        "pin_blocked",
        "shares_over_one",
    ]
    detail: str


def warnings(
    rules: Mapping[str, Rule], found: Mapping[str, Touched], *, now: float
) -> dict[str, list[RuleWarning]]:
    """By rule. found: empty where no bundle is loaded, then nothing is said of products."""
    said: dict[str, list[RuleWarning]] = {id: [] for id in rules}
    for id, rule in rules.items():
        if rule.until <= now:
            said[id].append(RuleWarning("over", f"it ended at {rule.end}"))
        if id in found:
            said[id] += _products(found[id])
    live = {id: rule for id, rule in sorted(rules.items()) if rule.until > now}
    pins = {id: rule for id, rule in live.items() if rule.kind == "pin"}
    for (first, a), (second, b) in combinations(pins.items(), 2):
        if a.place == b.place and _meet(a, b):
            _both(said, first, second, "same_place", f"also stands at place {a.place}")
    for blocker, rule in live.items():
        if rule.kind == "block" and blocker in found:
            for id, pin in pins.items():
                if _meet(rule, pin) and (found[blocker].bits & found[id].bits).any():
                    _both(said, blocker, id, "pin_blocked", "one pins what the other blocks:")
    _shares(said, {id: rule for id, rule in live.items() if rule.kind == "share"})
    return said


def _products(touched: Touched) -> list[RuleWarning]:
    if touched.skipped is not None:
        return [RuleWarning("skipped", touched.skipped)]
    said = []
    if touched.unknown:
        some = ", ".join(map(shown, touched.unknown[:MOST_SHOWN]))
        more = " …" if len(touched.unknown) > MOST_SHOWN else ""
        said.append(RuleWarning("unknown_products", f"the shop has no product {some}{more}"))
    if not touched.products:
        said.append(RuleWarning("no_products", "no product of the shop is touched by it"))
    return said


def _shares(said: dict[str, list[RuleWarning]], shares: Mapping[str, Rule]) -> None:
    """The first moment, surface by surface, at which too much is promised."""
    surfaces = {name for rule in shares.values() for name in rule.surfaces}
    told: set[str] = set()
    for surface in [*sorted(surfaces), ""]:
        for moment in sorted({rule.since for rule in shares.values()}):
            together = [id for id, rule in shares.items() if rule.holds(surface, moment)]
            total = sum(shares[id].share or 0 for id in together)
            if total > 1 + 1e-9 and not told.issuperset(together):
                told.update(together)
                names = ", ".join(map(shown, together))
                detail = f"{names} together promise {total:g} of the places; the first come first"
                for id in together:
                    said[id].append(RuleWarning("shares_over_one", detail))


def _both(
    said: dict[str, list[RuleWarning]],
    first: str,
    second: str,
    code: Literal["same_place", "pin_blocked"],
    detail: str,
) -> None:
    for id, other in ((first, second), (second, first)):
        text = f"{shown(other)} {detail}" if code == "same_place" else f"{detail} {shown(other)}"
        said[id].append(RuleWarning(code, text))


def _meet(a: Rule, b: Rule) -> bool:
    """Whether there is a surface and a moment where both hold."""
    somewhere = not a.surfaces or not b.surfaces or not set(a.surfaces).isdisjoint(b.surfaces)
    return somewhere and max(a.since, b.since) < min(a.until, b.until)
