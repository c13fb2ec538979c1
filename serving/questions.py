"""Questions: a query string or a JSON body in, one checked question or what is wrong out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

from serving import parameters as read
from serving.answers import (
    MOST_CUSTOMERS,
    MOST_EXCLUDED,
    MOST_VALUES,
    MOST_WHERE,
    Ask,
    Filters,
    Seen,
)
from serving.filters import Filter, parse
from serving.parameters import checked_id as checked_id
from serving.problems import Refused, shown

Kind = Literal["customer", "similar"]

NO_FILTERS = Filters()
CACHED = 256  # bytes; a longer query string is not worth remembering
COLUMNS = ("category", "brand", "supplier")
PRICES = ("price_min", "price_max")
MOST_FIELDS = 2 * MOST_EXCLUDED + 3 * MOST_VALUES + MOST_WHERE + 20


class Question(msgspec.Struct, frozen=True):
    """What is asked beside whom it is asked for.

    n: None as many as the surface has slots. product: the one that is shown; cart: what is in it,
    where the caller says so. among: the only products that may be shown; none: all. channel: where
    it is shown, for the log. plain: nothing narrows the answer; found out, whatever is given.
    """

    n: int | None = None
    exclude: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    seen: Seen | None = None
    filters: Filters = NO_FILTERS
    where: tuple[Filter, ...] = ()
    store: str | None = None
    product: str | None = None
    cart: tuple[str, ...] = ()
    explain: bool = False
    substitutes: bool = False
    surface: str = "home"
    channel: str = "web"
    plain: bool = False

    def __post_init__(self) -> None:
        nothing = (None, (), "", False, NO_FILTERS)
        asks = (getattr(self, name) in nothing for name in _NARROWING)
        msgspec.structs.force_setattr(self, "plain", all(asks))


_NARROWING = (
    "exclude",
    "among",
    "seen",
    "where",
    "store",
    "product",
    "cart",
    "filters",
    "explain",
    "substitutes",
)
PLAIN = Question()
ALIKE = Question(surface="product")


def from_query(query: bytes, *, similar: bool = False) -> Question:
    """A question from a query string; of similar products nobody has seen any."""
    if not query:
        return ALIKE if similar else PLAIN
    return _cached(query, similar) if len(query) <= CACHED else _parse(query, similar)


def from_body(body: bytes, *, most: int = MOST_CUSTOMERS) -> tuple[Ask, Question]:
    """What a POST asks, and for whom; most: customers."""
    ask = decoded(_DECODER, body)
    if (ask.products is None) == (ask.customers is None):
        raise Refused(422, "want exactly one of products and customers", "products")
    if ask.customers is not None and len(ask.customers) > most:
        detail = f"customers may be {most}, got {len(ask.customers)}; more by :batch"
        raise Refused(422, detail, "customers")
    read.ordered_prices(ask.filters, 422)
    read.surface("surface", [ask.surface], 422)
    return ask, Question(
        n=ask.n,
        exclude=ask.exclude,
        among=ask.among,
        seen=ask.seen,
        filters=ask.filters,
        where=_where(ask.where, 422),
        store=ask.store,
        explain=ask.explain,
        substitutes=ask.substitutes,
        surface=ask.surface,
        channel=ask.channel,
    )


_DECODER = msgspec.json.Decoder(Ask)


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """A body as its type; raises Refused (400 no JSON, 422 not what is wanted)."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        name = path.strip("`").removeprefix("$").removeprefix(".")
        raise Refused(422, f"{name or 'the body'}: {detail}", name or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body must be JSON: {error}") from None


def _parse(query: bytes, similar: bool) -> Question:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise Refused(400, f"the query string cannot be read: {error}") from None
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    known = [name for name in (*_READERS, *COLUMNS, *PRICES) if not similar or name not in _HERS]
    for name in given:
        if name not in known:
            raise Refused(400, f"no parameter {shown(name)}; there are {', '.join(known)}", name)
    columns = {name: read.values(name, given[name]) for name in COLUMNS if name in given}
    prices = {name: read.price(name, given[name]) for name in PRICES if name in given}
    filters = msgspec.convert(columns | prices, Filters)
    read.ordered_prices(filters, 400)
    default = ALIKE if similar else PLAIN
    changed = {
        ("where" if name == "filter" else name): reader(name, given[name])
        for name, reader in _READERS.items()
        if name in given
    }
    return msgspec.structs.replace(default, filters=filters, **changed)


_cached = functools.lru_cache(maxsize=1024)(_parse)


def _where(texts: tuple[str, ...] | list[str], status: int) -> tuple[Filter, ...]:
    if len(texts) > MOST_WHERE:
        raise Refused(status, f"filter may stand {MOST_WHERE} times, got {len(texts)}", "filter")
    return tuple(parse(text) for text in texts)


_READERS: dict[str, Callable[[str, list[str]], object]] = {
    "n": read.whole,
    "exclude": read.ids,
    "among": read.ids,
    "seen": read.seen,
    "filter": lambda _, texts: _where(texts, 400),
    "store": read.word,
    "product": read.word,
    "cart": read.ids,
    "explain": read.truth,
    "substitutes": read.truth,
    "surface": read.surface,
    "channel": read.channel,
}
_HERS = ("seen", "product", "cart")  # of a customer's question, not of similar products
