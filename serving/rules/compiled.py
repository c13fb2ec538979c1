"""Compiling: rules and a shelf in, the masks, factors and pins that a list is arranged by out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.scorer import Scores
from serving.answers import Filters
from serving.problems import Refused
from serving.rules.rule import Rule
from serving.shelf import Shelf

Mask = npt.NDArray[np.bool_]
_EVERY = Filters()


class Touched(NamedTuple):
    """The products of a shelf that a rule is about.

    products: how many. bits: their mask as np.packbits has it. unknown: ids that the rule names
    and the shelf does not know. skipped: why it cannot be followed here; None where it can.
    """

    products: int
    bits: npt.NDArray[np.uint8]
    unknown: tuple[str, ...] = ()
    skipped: str | None = None

    def mask(self, products: int) -> Mask:
        """A bit for each of a shelf's products."""
        return np.unpackbits(self.bits, count=products).view(np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """What the rules want of one surface on one shelf, from `since` on and before `until`.

    blocked: (products,) what is never shown, None where nothing is. boost: (products,) float32
    factors, None where none is. pins: (place from 0, code), the first of a place counts. shares:
    (share, (products,) mask), the most important first.
    """

    blocked: Mask | None = None
    boost: Scores | None = None
    pins: tuple[tuple[int, int], ...] = ()
    shares: tuple[tuple[float, Mask], ...] = ()
    since: float = -math.inf
    until: float = math.inf


NONE = Compiled()


def touched(shelf: Shelf, rule: Rule) -> Touched:
    """The products that a rule is about, in stock or not; never raises."""
    mask: Mask = np.zeros(len(shelf.product_ids), np.bool_)
    unknown: tuple[str, ...] = ()
    skipped = None
    if rule.products:
        codes = {id: shelf.code(id) for id in rule.products}
        unknown = tuple(id for id, code in codes.items() if code < 0)
        mask[[code for code in codes.values() if code >= 0]] = True
    else:
        try:
            mask = shelf.catalogue.allowed(_EVERY, rule.filters()).passes
        except Refused as error:
            skipped = error.detail
        except Exception as error:  # whatever a bundle lacks, shoppers are answered
            skipped = f"this bundle's catalogue cannot answer it: {error}"
    return Touched(int(np.count_nonzero(mask)), np.packbits(mask), unknown, skipped)


def compiled(
    rules: Mapping[str, Rule],
    found: Mapping[str, Touched],
    surface: str,
    now: float,
    *,
    products: int,
) -> Compiled:
    """The rules that hold on a surface now, put together in the order given.

    found: each rule's products. Boosts of one product multiply.
    """
    blocked, boost = np.zeros(products, np.bool_), np.ones(products, np.float64)
    pins: list[tuple[int, int]] = []
    shares: list[tuple[float, Mask]] = []
    since, until = -math.inf, math.inf
    for id, rule in rules.items():
        about = found[id]
        if rule.surfaces and surface not in rule.surfaces:
            continue
        for edge in (rule.since, rule.until):
            since, until = (max(since, edge), until) if edge <= now else (since, min(until, edge))
        if not rule.holds(surface, now) or not about.products:
            continue
        mask = about.mask(products)
        if rule.kind == "block":
            blocked |= mask
        elif rule.factor is not None:
            boost[mask] *= rule.factor
        elif rule.place is not None:
            pins.append((rule.place - 1, int(mask.argmax())))
        elif rule.share is not None:
            shares.append((rule.share, mask))
    return Compiled(
        blocked if blocked.any() else None,
        np.clip(boost, 1e-6, 1e6).astype(np.float32) if (boost != 1).any() else None,
        tuple(pins),
        tuple(shares),
        since,
        until,
    )
