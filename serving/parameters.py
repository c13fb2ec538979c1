"""Parameters: one name of a query string with its values in, the checked value out.

Each raises Refused (400) that names the parameter, what it was and what is wanted.
"""

from __future__ import annotations

import math
import re

from features.schemas import CHANNELS
from serving.answers import LONGEST, MOST, MOST_EXCLUDED, MOST_VALUES, Filters, Seen
from serving.problems import Refused, shown


def whole(name: str, given: list[str]) -> int:
    """A whole number of products."""
    value = _one(name, given)
    if not (re.fullmatch("[0-9]{1,4}", value) and 1 <= int(value) <= MOST):
        raise Refused(
            400, f"{name} must be a whole number from 1 to {MOST}, got {shown(value)}", name
        )
    return int(value)


def price(name: str, given: list[str]) -> float:
    """A price, 0 or more."""
    value = _one(name, given)
    try:
        number = float(value) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value, re.ASCII) else math.nan
    except ValueError:  # more digits than Python reads
        number = math.nan
    if not math.isfinite(number):
        raise Refused(400, f"{name} must be a number such as 9.99, got {shown(value)}", name)
    return number


def ordered_prices(filters: Filters, status: int) -> None:
    """Raise Refused where no price can lie between the two."""
    low, high = filters.price_min, filters.price_max
    if low is not None and high is not None and low > high:
        detail = f"price_min must not be above price_max, got {low} and {high}"
        raise Refused(status, detail, "price_min")


def seen(name: str, given: list[str]) -> Seen:
    """Drop or keep."""
    value = _one(name, given)
    if value == "drop":
        return "drop"
    if value == "keep":
        return "keep"
    raise Refused(400, f"{name} must be drop or keep, got {shown(value)}", name)


def truth(name: str, given: list[str]) -> bool:
    """True or false."""
    value = _one(name, given)
    if value not in ("true", "false"):
        raise Refused(400, f"{name} must be true or false, got {shown(value)}", name)
    return value == "true"


def surface(name: str, given: list[str], status: int = 400) -> str:
    """A surface's name."""
    value = _one(name, given)
    if not re.fullmatch("[a-z0-9_-]{1,40}", value):
        detail = f"{name} must be 1 to 40 of a-z, 0-9, _ and -, got {shown(value)}"
        raise Refused(status, detail, name)
    return value


def channel(name: str, given: list[str]) -> str:
    """One of CHANNELS."""
    value = _one(name, given)
    if value not in CHANNELS:
        raise Refused(400, f"{name} must be one of {', '.join(CHANNELS)}, got {shown(value)}", name)
    return value


def word(name: str, given: list[str]) -> str:
    """An id."""
    return checked_id(name, _one(name, given))


def values(name: str, given: list[str]) -> tuple[str, ...]:
    """Alternatives of one filter."""
    if len(given) > MOST_VALUES:
        raise Refused(400, f"{name} may stand {MOST_VALUES} times, got {len(given)}", name)
    for value in given:
        checked_id(name, value)
    return tuple(given)


def ids(name: str, given: list[str]) -> tuple[str, ...]:
    """Ids, repeated or with commas between; one that holds a comma itself counts as well."""
    found = dict.fromkeys(part for value in given for part in value.split(",") if part)
    if len(found) > MOST_EXCLUDED:
        raise Refused(400, f"{name} may name {MOST_EXCLUDED} products, got {len(found)}", name)
    return (*found, *(value for value in given if "," in value))


def checked_id(name: str, value: str) -> str:
    """An id; raises Refused (400) for none and for one too long to be one."""
    if not 1 <= len(value) <= LONGEST:
        raise Refused(400, f"{name} must have 1 to {LONGEST} characters, got {shown(value)}", name)
    return value


def _one(name: str, given: list[str]) -> str:
    if len(given) > 1:
        raise Refused(400, f"{name} must stand once, got it {len(given)} times", name)
    return given[0]
