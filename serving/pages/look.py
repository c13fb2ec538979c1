"""Looks: the page's own query string in, what is being looked at out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from features.schemas import STAGES
from serving.answers import LONGEST

SIZES = (5, 10, 20, 50)


class Look(NamedTuple):
    """What is being looked at: the page's own query string."""

    customer: str = ""
    q: str = ""
    stage: str = ""
    n: int = 10
    seen: str = ""
    category: str = ""
    product: str = ""

    def href(self, **change: str | int) -> str:
        """The same view with something changed."""
        now = self._replace(**change)  # type: ignore[arg-type]
        given = {k: v for k, v in now._asdict().items() if v != Look._field_defaults[k]}
        return "/inspect?" + urlencode(given) if given else "/inspect"

    def to_products(self) -> str:
        """The start of links to what is similar to a product; its id follows."""
        base = self.href(product="")
        return base + ("&" if "?" in base else "?") + "product="


def read(query: Mapping[str, str]) -> Look:
    """A look from a query string; what a page cannot show is left at its default."""
    given = {k: v[:LONGEST] for k, v in query.items() if k in Look._fields and v}
    n = given.pop("n", "")
    if given.get("stage") not in STAGES:
        given.pop("stage", None)
    return Look(**given, n=int(n) if n in map(str, SIZES) else Look().n)
