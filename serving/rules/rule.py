"""Rules: an operator's JSON in, one checked rule out; and the change log's bytes, both ways."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from serving.answers import MOST, Surface, Text
from serving.filters import Filter, parse
from serving.problems import Refused, shown

MOST_RULES = 200  # of a shop
MOST_SHARES = 20
MOST_PRODUCTS = 1000  # named in one rule
MOST_CONDITIONS = 20
MOST_SURFACES = 40
STRONGEST = 1000.0  # factor of a boost; the weakest is one of this

Id = Annotated[str, Meta(pattern="^(?!log$)[A-Za-z0-9_.-]{1,64}$")]
Kind = Literal["pin", "block", "boost", "share"]
Line = Annotated[str, Meta(min_length=1, max_length=4096)]
Moment = Annotated[datetime, Meta(tz=True)]
Factor = Annotated[float, Meta(ge=1 / STRONGEST, le=STRONGEST)]
Part = Annotated[float, Meta(gt=0, le=1)]

_WANTS = {"pin": "place", "boost": "factor", "share": "share"}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an operator wants of some products, on some surfaces, for some time.

    `block`: they are never shown. `pin`: the one product stands at `place`. `boost`: their scores
    count `factor` times. `share`: of the first k places at least floor(share * k) are theirs.

    Which products: `products` names them, or each passes every filter of `where`, such as
    `["category=Tea", "price<=30"]`; exactly one of the two. surfaces: none means all. start, end:
    with a zone; from start on, before end.
    """

    kind: Kind
    where: Annotated[tuple[Line, ...], Meta(max_length=MOST_CONDITIONS)] = ()
    products: Annotated[tuple[Text, ...], Meta(max_length=MOST_PRODUCTS)] = ()
    place: Annotated[int, Meta(ge=1, le=MOST)] | None = None
    factor: Factor | None = None
    share: Part | None = None
    surfaces: Annotated[tuple[Surface, ...], Meta(max_length=MOST_SURFACES)] = ()
    start: Moment | None = None
    end: Moment | None = None
    note: Annotated[str, Meta(max_length=1000)] = ""

    @property
    def since(self) -> float:
        """When it begins to hold, unix seconds."""
        return -math.inf if self.start is None else self.start.timestamp()

    @property
    def until(self) -> float:
        """When it ends."""
        return math.inf if self.end is None else self.end.timestamp()

    def holds(self, surface: str, now: float) -> bool:
        """Whether it counts there and then."""
        return self.since <= now < self.until and (not self.surfaces or surface in self.surfaces)

    def filters(self) -> tuple[Filter, ...]:
        """The conditions, read; raises Refused where one cannot be."""
        return tuple(map(parse, self.where))


def checked(rule: Rule) -> Rule:
    """The same rule where it can be meant; raises Refused (422) that names the field."""
    if bool(rule.where) == bool(rule.products):
        raise Refused(422, "want exactly one of where and products", "products")
    want = _WANTS.get(rule.kind)
    for name in _WANTS.values():
        value = getattr(rule, name)
        if name == want and value is None:
            raise Refused(422, f"a {rule.kind} must have a {name}", name)
        if name != want and value is not None:
            raise Refused(422, f"a {rule.kind} has no {name}, got {value}", name)
    if rule.kind == "pin" and len(rule.products) != 1:
        got = len(rule.products)
        raise Refused(422, f"a pin must name one product, got {got}", "products")
    if rule.since >= rule.until:
        raise Refused(422, f"end must be later than start, got {rule.start} and {rule.end}", "end")
    try:
        rule.filters()
    except Refused as error:
        raise Refused(422, error.detail, "where") from None
    return rule


def checked_id(id: str) -> str:
    """A rule's id from a path; raises Refused (400)."""
    if not re.fullmatch("[A-Za-z0-9_.-]{1,64}", id) or id == "log":
        want = "1 to 64 of letters, digits, _, . and -, and not log"
        raise Refused(400, f"rule_id must be {want}, got {shown(id)}", "rule_id")
    return id


def read(value: bytes) -> Rule:
    """A rule as the change log keeps it; raises ValueError where this server cannot read it."""
    try:
        return checked(_DECODER.decode(value))
    except Refused as error:
        raise ValueError(error.detail) from None


written = msgspec.json.Encoder().encode
_DECODER = msgspec.json.Decoder(Rule)
