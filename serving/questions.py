"""Questions: a query string or a JSON body in, one checked question or what is wrong out."""

from __future__ import annotations

import functools
import math
import re
from urllib.parse import parse_qsl

import msgspec

from serving.answers import (
    LONGEST,
    MOST,
    MOST_EXCLUDED,
    MOST_VALUES,
    Ask,
    Filters,
    Seen,
)
from serving.problems import Refused, shown

NO_FILTERS = Filters()
CACHED = 256  # bytes; a longer query string is not worth remembering
COLUMNS = ("category", "brand", "supplier")
PRICES = ("price_min", "price_max")


class Question(msgspec.Struct, frozen=True):
    """What is asked beside whom it is asked for."""

    n: int = 10
    exclude: tuple[str, ...] = ()
    seen: Seen | None = None
    filters: Filters = NO_FILTERS
    surface: str = "home"

    @property
    def plain(self) -> bool:
        """Nothing narrows the answer."""
        return not self.exclude and self.filters == NO_FILTERS


PLAIN = Question()
ALIKE = Question(surface="product")


def from_query(query: bytes, *, similar: bool = False) -> Question:
    """A question from a query string; of similar products nobody has seen any."""
    if not query:
        return ALIKE if similar else PLAIN
    return _cached(query, similar) if len(query) <= CACHED else _parse(query, similar)


def from_body(body: bytes) -> tuple[Ask, Question]:
    """What a POST asks, and for whom."""
    try:
        ask = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        name = path.strip("`").removeprefix("$").removeprefix(".")
        raise Refused(422, f"{name or 'the body'}: {detail}", name or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body must be JSON: {error}") from None
    if (ask.products is None) == (ask.customers is None):
        raise Refused(422, "want exactly one of products and customers", "products")
    _prices(ask.filters, 422)
    return ask, Question(ask.n, ask.exclude, ask.seen, ask.filters, ask.surface)


_DECODER = msgspec.json.Decoder(Ask)


def _parse(query: bytes, similar: bool) -> Question:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_EXCLUDED + 3 * MOST_VALUES + 10,
        )
    except ValueError as error:
        raise Refused(400, f"the query string cannot be read: {error}") from None
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    known = ("n", "exclude", *(() if similar else ("seen",)), *COLUMNS, *PRICES, "surface")
    for name in given:
        if name not in known:
            raise Refused(400, f"no parameter {shown(name)}; there are {', '.join(known)}", name)
    columns = {name: _values(name, given[name]) for name in COLUMNS if name in given}
    prices = {name: _price(name, given[name]) for name in PRICES if name in given}
    filters = msgspec.convert(columns | prices, Filters)
    _prices(filters, 400)
    default = ALIKE if similar else PLAIN
    return Question(
        n=_whole("n", given["n"]) if "n" in given else PLAIN.n,
        exclude=_excluded(given.get("exclude", [])),
        seen=_seen(given["seen"]) if "seen" in given else None,
        filters=filters,
        surface=_surface(given["surface"]) if "surface" in given else default.surface,
    )


_cached = functools.lru_cache(maxsize=1024)(_parse)


def _one(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise Refused(400, f"{name} must stand once, got it {len(values)} times", name)
    return values[0]


def _whole(name: str, values: list[str]) -> int:
    value = _one(name, values)
    if not (re.fullmatch("[0-9]{1,4}", value) and 1 <= int(value) <= MOST):
        raise Refused(
            400, f"{name} must be a whole number from 1 to {MOST}, got {shown(value)}", name
        )
    return int(value)


def _price(name: str, values: list[str]) -> float:
    value = _one(name, values)
    try:
        price = float(value) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value, re.ASCII) else math.nan
    except ValueError:  # more digits than Python reads
        price = math.nan
    if not math.isfinite(price):
        raise Refused(400, f"{name} must be a number such as 9.99, got {shown(value)}", name)
    return price


def _prices(filters: Filters, status: int) -> None:
    low, high = filters.price_min, filters.price_max
    if low is not None and high is not None and low > high:
        detail = f"price_min must not be above price_max, got {low} and {high}"
        raise Refused(status, detail, "price_min")


def _seen(values: list[str]) -> Seen:
    value = _one("seen", values)
    if value == "drop":
        return "drop"
    if value == "keep":
        return "keep"
    raise Refused(400, f"seen must be drop or keep, got {shown(value)}", "seen")


def _surface(values: list[str]) -> str:
    value = _one("surface", values)
    if not re.fullmatch("[a-z0-9_-]{1,40}", value):
        raise Refused(
            400, f"surface must be 1 to 40 of a-z, 0-9, _ and -, got {shown(value)}", "surface"
        )
    return value


def _values(name: str, values: list[str]) -> tuple[str, ...]:
    if len(values) > MOST_VALUES:
        raise Refused(400, f"{name} may stand {MOST_VALUES} times, got {len(values)}", name)
    for value in values:
        if not 1 <= len(value) <= LONGEST:
            raise Refused(
                400, f"{name} must have 1 to {LONGEST} characters, got {shown(value)}", name
            )
    return tuple(values)


def _excluded(values: list[str]) -> tuple[str, ...]:
    """Ids, repeated or with commas between; one that holds a comma itself counts as well."""
    ids = dict.fromkeys(part for value in values for part in value.split(",") if part)
    if len(ids) > MOST_EXCLUDED:
        raise Refused(400, f"exclude may name {MOST_EXCLUDED} products, got {len(ids)}", "exclude")
    return (*ids, *(value for value in values if "," in value))


def checked_id(name: str, value: str) -> str:
    """An id from a path; raises Refused (400) for none and for one too long to be one."""
    if not 1 <= len(value) <= LONGEST:
        raise Refused(400, f"{name} must have 1 to {LONGEST} characters, got {len(value)}", name)
    return value
