"""Answers: the types of every request body and answer, from which OpenAPI and JSON are made."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST = 100  # products in one answer
MOST_EXCLUDED = 1000
MOST_SESSION = 200
MOST_CUSTOMERS = 100
MOST_VALUES = 100  # values of one filter
LONGEST = 256  # characters of an id or a filter's value

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST)]
Surface = Annotated[str, Meta(pattern="^[a-z0-9_-]{1,40}$")]
Seen = Literal["drop", "keep"]
N = Annotated[int, Meta(ge=1, le=MOST)]
Price = Annotated[float, Meta(ge=0)]


class Model(msgspec.Struct, frozen=True):
    """The model that ranked: its name, and the published version of it."""

    name: str
    version: str


class Item(msgspec.Struct, frozen=True):
    """One ranked product.

    `score` orders the items of one source and is null where no model scored (`source` popular);
    it means nothing across models. `source` is the model's name or `popular`.
    """

    product_id: str
    rank: int
    score: float | None
    source: str
    reason: str


class Note(msgspec.Struct, frozen=True):
    """Something the caller may want to know about a good answer."""

    code: Literal["unknown_customer", "unknown_products", "unknown_value", "filled", "too_few"]
    detail: str


class Answer(msgspec.Struct, frozen=True):
    """Ranked products; `fallback` is true where none of them is personal."""

    request_id: str
    model: Model
    surface: str
    items: list[Item]
    fallback: bool
    warnings: list[Note]


class ForCustomer(msgspec.Struct, frozen=True):
    """One customer's part of an answer for many."""

    customer_id: str
    items: list[Item]
    fallback: bool
    warnings: list[Note]


class Answers(msgspec.Struct, frozen=True):
    """Ranked products for many customers, in the order asked."""

    request_id: str
    model: Model
    surface: str
    customers: list[ForCustomer]


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which products may be shown: any value of one column, and every column that is given.

    A product whose column is empty in the catalogue never passes a filter on that column.
    """

    category: Annotated[tuple[Text, ...], Meta(max_length=MOST_VALUES)] = ()
    brand: Annotated[tuple[Text, ...], Meta(max_length=MOST_VALUES)] = ()
    supplier: Annotated[tuple[Text, ...], Meta(max_length=MOST_VALUES)] = ()
    price_min: Price | None = None
    price_max: Price | None = None


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/recommendations: exactly one of `products` and `customers`.

    `products`: what this visit looked at or put into the basket, oldest first.
    """

    products: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MOST_SESSION)] | None = None
    customers: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MOST_CUSTOMERS)] | None = (
        None
    )
    n: N = 10
    exclude: Annotated[tuple[Text, ...], Meta(max_length=MOST_EXCLUDED)] = ()
    seen: Seen | None = None
    filters: Filters = Filters()
    surface: Surface = "home"


class Ready(msgspec.Struct, frozen=True):
    """Whether the server answers, with which bundle, and what stands in the way of a newer one.

    `as_of`: nothing later is in the bundle, neither events nor stock.
    """

    ready: bool
    bundle: str | None
    as_of: str | None
    reason: str | None


class Health(msgspec.Struct, frozen=True):
    """The process is alive."""

    status: Literal["ok"] = "ok"
