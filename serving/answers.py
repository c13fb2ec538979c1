"""Answers: the types of every request body and answer, from which OpenAPI and JSON are made."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from features.assignment import Assigned

MOST = 100  # products in one answer
MOST_EXCLUDED = 1000
MOST_SESSION = 200
MOST_CUSTOMERS = 100
MOST_BATCH = 1000
MOST_VALUES = 100  # values of one filter
MOST_WHERE = 20  # filters of the grammar
LONGEST = 256  # characters of an id or a filter's value

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST)]
Surface = Annotated[str, Meta(pattern="^[a-z0-9_-]{1,40}$")]
Seen = Literal["drop", "keep"]
Channel = Literal["web", "app", "store", "call_center", "live", "email", "marketplace", "other"]
N = Annotated[int, Meta(ge=1, le=MOST)]
Price = Annotated[float, Meta(ge=0)]


class Model(msgspec.Struct, frozen=True):
    """The model that ranked: its name, and the published version of it."""

    name: str
    version: str


class Explain(msgspec.Struct, frozen=True):
    """The parts of a score, where `explain=true` asked.

    sources: the product's place, from 1, among the candidates of each source that had it. boost:
    what the shop's rules multiplied its score with. pinned: a rule put it where it stands. since:
    whether the model looked at what the customer did since the publication. shown_before: how
    often she was shown it here without a click.
    """

    sources: dict[str, int]
    boost: float
    pinned: bool
    since: bool
    shown_before: int


class Item(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One ranked product.

    `score` orders the items of one source and is null where no model scored; it means nothing
    across models. `source` is the model's name, `session`, `alike`, `together`, `again`, `recent`,
    `new`, `popular` or `pinned`.
    """

    product_id: str
    rank: int
    score: float | None
    source: str
    reason: str
    substitute_for: str | None = None
    explain: Explain | None = None


class Note(msgspec.Struct, frozen=True, gc=False):
    """Something the caller may want to know about a good answer."""

    code: Literal[
        "unknown_customer",
        "unknown_products",
        "unknown_value",
        "unknown_surface",
        "no_context",
        "filled",
        "too_few",
        "state_unavailable",
    ]
    detail: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Ranked products; `fallback` is true where none of them is of the surface's own sources.

    `experiments`: the live tests that this unit is in, here and now, with her arm.
    """

    request_id: str
    model: Model
    surface: str
    experiments: tuple[Assigned, ...]
    items: list[Item]
    fallback: bool
    warnings: list[Note]


class ForCustomer(msgspec.Struct, frozen=True):
    """One customer's part of an answer for many."""

    customer_id: str
    experiments: tuple[Assigned, ...]
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
    """The body of POST /v1/recommendations and :batch: exactly one of `products` and `customers`.

    `products`: what this visit looked at or put into the basket, oldest first. `where`: filters
    such as `price<=30`. `among`: the only products that may be shown. `store`: its stock counts.
    `explain`: the parts of each score. `substitutes`: in place of a sold-out one its most alike.
    """

    products: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MOST_SESSION)] | None = None
    customers: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MOST_BATCH)] | None = None
    n: N | None = None
    exclude: Annotated[tuple[Text, ...], Meta(max_length=MOST_EXCLUDED)] = ()
    among: Annotated[tuple[Text, ...], Meta(max_length=MOST_EXCLUDED)] = ()
    seen: Seen | None = None
    filters: Filters = Filters()
    where: Annotated[tuple[Text, ...], Meta(max_length=MOST_WHERE)] = ()
    store: Text | None = None
    explain: bool = False
    substitutes: bool = False
    surface: Surface = "home"
    channel: Channel = "web"


class Health(msgspec.Struct, frozen=True):
    """The process is alive."""

    status: Literal["ok"] = "ok"
