"""Surfaces: `[surfaces.NAME]` of a shop in, where the products of each place come from out.

A surface names its sources with weights, what happens to what the customer has already bought,
viewed or put into the cart, how mixed the list is, and what stands in when its sources run dry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Bought = Literal["recent", "drop", "keep", "only"]
Keep = Literal["keep", "drop"]
SOURCES = ("model", "session", "alike", "together", "again", "recent", "new", "popular")
GROUPS = ("category", "brand", "supplier")
NAME = re.compile("[a-z0-9_-]{1,40}")
MOST = 100  # slots
_MODEL_ALONE = (("model", 1.0),)


@dataclass(frozen=True, slots=True)
class Surface:
    """One place that shows products.

    sources: name -> weight. `model` is the published list, scored anew for who did something
        since; `session` the same from this visit alone; `alike` and `together` (bought in one
        order) go out from the product shown or the cart; `again` is what she bought, due first;
        `recent` what she looked at; `new` the newest products; `popular`. Several are merged by
        weighted reciprocal rank (Cormack et al. 2009).
    bought: `recent` leaves out what she bought since the publication, `drop` all she ever bought,
        `only` all else, as long as there is any. viewed, cart: whether what she looked at since,
        or has in the cart, stays.
    limits: column of GROUPS -> the most products of one value in a list. spread: 0 ranks by worth
        alone, towards 1 the list gets more mixed (MMR, Carbonell and Goldstein 1998).
    rules: whether the shop's rules hold here. fallback: sources in the order in which they fill.
    slots: how many products where the caller does not say. explore: the share of answers drawn at
        random among the best, with logged chances. rotate: a product shown so often without a
        click steps behind the others; 0 never.
    """

    sources: tuple[tuple[str, float], ...] = _MODEL_ALONE
    bought: Bought = "recent"
    viewed: Keep = "keep"
    cart: Keep = "drop"
    limits: tuple[tuple[str, int], ...] = ()
    spread: float = 0.0
    rules: bool = True
    fallback: tuple[str, ...] = ("popular",)
    slots: int = 10
    explore: float = 0.0
    rotate: int = 0

    @property
    def simple(self) -> bool:
        """Whether a published list is its whole answer, for whom nothing happened since."""
        return (
            self.sources == _MODEL_ALONE
            and self.bought in ("recent", "keep")
            and not self.explore
            and not self.rotate
        )


READY: dict[str, Surface] = {
    "home": Surface(),
    "product": Surface((("alike", 1.0), ("together", 0.5)), viewed="drop"),
    "cart": Surface((("together", 1.0), ("alike", 0.3)), fallback=("model", "popular")),
    "buy_again": Surface((("again", 1.0),), bought="only", fallback=("model", "popular")),
    "win_back": Surface((("model", 1.0), ("again", 1.0), ("new", 0.5)), limits=(("category", 3),)),
    "search_empty": Surface((("model", 1.0), ("popular", 0.5)), limits=(("category", 3),)),
    "live": Surface((("session", 1.0), ("model", 0.5)), fallback=("model", "popular")),
}


def read(given: Mapping[str, Any]) -> dict[str, Surface]:
    """Every surface by name: the ready ones, changed or joined by those given.

    Raises ValueError that names the path, what it was and what is wanted.
    """
    surfaces = dict(READY)
    for name, values in given.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"surfaces.{name}: a name is 1 to 40 of a-z, 0-9, _ and -")
        if not isinstance(values, Mapping):
            raise ValueError(f"surfaces.{name} must be a section, got {values!r}")
        changed = {key: _value(f"surfaces.{name}.{key}", key, v) for key, v in values.items()}
        surfaces[name] = replace(surfaces.get(name, Surface()), **changed)
    return surfaces


def _value(path: str, key: str, value: Any) -> Any:
    """One checked value."""
    known = [field.name for field in fields(Surface)]
    if key not in known:
        raise ValueError(f"{path} is no setting; there are {', '.join(known)}")
    if key == "sources":
        weights = _section(path, value, SOURCES)
        if not weights:
            raise ValueError(f"{path} must name at least one of {', '.join(SOURCES)}, got none")
        return tuple((name, _number(f"{path}.{name}", w, 0, 1000)) for name, w in weights.items())
    if key == "limits":
        limits = _section(path, value, GROUPS)
        return tuple((name, _whole(f"{path}.{name}", w, 1, MOST)) for name, w in limits.items())
    if key == "fallback":
        if not isinstance(value, list) or not all(name in SOURCES for name in value):
            raise ValueError(f"{path} must be a list of {', '.join(SOURCES)}, got {value!r}")
        return tuple(value)
    if key in ("bought", "viewed", "cart"):
        choices = get_args(Bought if key == "bought" else Keep)
        if value not in choices:
            raise ValueError(f"{path} must be one of {', '.join(choices)}, got {value!r}")
        return value
    if key == "rules":
        if not isinstance(value, bool):
            raise ValueError(f"{path} must be true or false, got {value!r}")
        return value
    if key == "spread":
        return _number(path, value, 0, 0.99)
    if key == "explore":
        return _number(path, value, 0, 1)
    return _whole(path, value, 1 if key == "slots" else 0, MOST)


def _section(path: str, value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path} must be a section such as {{ {known[0]} = 1 }}, got {value!r}")
    for name in value:
        if name not in known:
            raise ValueError(f"{path}.{name} is unknown; there are {', '.join(known)}")
    return value


def _number(path: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{path} must be a number from {low} to {high}, got {value!r}")
    return float(value)


def _whole(path: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{path} must be a whole number from {low} to {high}, got {value!r}")
    return value
