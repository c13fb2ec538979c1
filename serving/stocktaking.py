"""Stocktaking: a shop's counts over HTTP in, durable and shown before they are acknowledged."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from serving.answers import Text
from serving.counts import Count
from serving.problems import MEDIA_TYPE, Refused, shown
from serving.questions import decoded
from serving.shelf import Shelf
from serving.state.store import StoreError
from serving.stock import Record, Stock

MOST = 10_000  # counts of one request
NAMED = 20  # unknown products that the answer names
AHEAD = 300.0  # seconds that a caller's clock may be ahead of ours

Quantity = Annotated[float, Meta(ge=0, le=1e12)]
Time = Annotated[datetime, Meta(tz=True)]


class StockItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One count. `store_id`: where; absent: the whole shop. `observed_at`: when; absent: now."""

    product_id: Text
    quantity: Quantity
    store_id: Text | None = None
    observed_at: Time | None = None


class StockItems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT /v1/stock: all of it is taken or nothing."""

    items: Annotated[tuple[StockItem, ...], Meta(min_length=1, max_length=MOST)]


class StockTaken(msgspec.Struct, frozen=True):
    """What became of counts.

    `stale`: older than what was known of the same product and place, and left out. `unknown`: the
    first products that the published model does not know; they count once it does. `version`: of
    the shop's log of stock.
    """

    accepted: int
    stale: int
    unknown: tuple[str, ...]
    version: int


class StockCount(msgspec.Struct, frozen=True):
    """The newest count of a product, in a store or (null) in the whole shop."""

    store_id: str | None
    quantity: float
    observed_at: datetime


class StockOf(msgspec.Struct, frozen=True):
    """What is known of a product's stock; `shown`: whether answers may hold it, shop-wide."""

    product_id: str
    shown: bool
    counts: tuple[StockCount, ...]


class Watching(Protocol):
    """What knows the bundle that serves now."""

    def take(self) -> Shelf:
        """It; raises Refused (503)."""


class Desk(Protocol):
    """What stocktaking needs of a shop's desk."""

    @property
    def stock(self) -> Stock:
        """What counts are for."""

    @property
    def watch(self) -> Watching:
        """Which products there are."""


class Caller(Protocol):
    """Who counts."""

    @property
    def key_id(self) -> str:
        """By what key."""

    @property
    def supplier(self) -> str | None:
        """Whose products alone she may change; None: all."""


async def put(desk: Desk, caller: Caller, scope: Any, body: bytes) -> bytes:
    """PUT /v1/stock; raises Refused: nothing was taken then."""
    del scope
    now = time.time()
    items = decoded(_DECODER, body).items
    shelf = desk.watch.take()
    if caller.supplier is not None:
        _own(shelf, items, caller.supplier)
    records = [record(item, now=now, at=now, name=f"items[{i}]") for i, item in enumerate(items)]
    try:
        taken = await desk.stock.take(records, by=caller.key_id or "open", now=now)
    except StoreError as error:
        raise Refused(503, f"the counts were not taken: {error}") from error
    unknown = dict.fromkeys(it.product_id for it in items if shelf.code(it.product_id) < 0)
    some = tuple(unknown)[:NAMED]
    return msgspec.json.encode(StockTaken(taken.accepted, taken.stale, some, taken.version))


async def get(desk: Desk, caller: object, scope: Any, body: bytes) -> bytes:
    """GET /v1/stock/{product_id}; raises Refused (404) for what neither shop nor model knows."""
    del caller, body
    product_id = scope["path_params"]["product_id"]
    shelf = desk.watch.take()
    code, counts = shelf.code(product_id), desk.stock.counts.of(product_id)
    if code < 0 and not counts:
        raise Refused(404, f"there is no product {shown(product_id)}", "product_id")
    is_shown = code >= 0 and bool(desk.stock.mask(shelf)[code])
    return msgspec.json.encode(StockOf(product_id, is_shown, tuple(_told(counts.items()))))


def record(item: StockItem, *, now: float, at: float, name: str) -> Record:
    """A count as stock takes it; `at`: when it was observed if it does not say so itself.

    Raises Refused (422) that names the field after what `name` says the item is.
    """
    if item.observed_at is not None:
        at = item.observed_at.timestamp()
        if not 0 <= at <= now + AHEAD:
            field = f"{name}.observed_at"
            want = "must lie between 1970 and now"
            raise Refused(422, f"{field} {want}, got {item.observed_at.isoformat()}", field)
    return Record(item.product_id, item.store_id, item.quantity, min(at, now))


_DECODER = msgspec.json.Decoder(StockItems)


def _told(counts: Iterable[tuple[str | None, Count]]) -> Iterable[StockCount]:
    for store_id, count in counts:
        at = datetime.fromtimestamp(count.at, UTC)
        yield StockCount(store_id, count.quantity, at)


def _own(shelf: Shelf, items: tuple[StockItem, ...], supplier: str) -> None:
    """Raise Refused (403) for a product that is not the supplier's."""
    groups, known = shelf.catalogue.columns["supplier"]
    own = known.get(supplier, -2)
    for item in items:
        code = shelf.code(item.product_id)
        if code < 0 or groups[code] != own:
            detail = f"{shown(item.product_id)} is no product of supplier {shown(supplier)}"
            raise Refused(403, detail, "product_id")


TYPES = (StockItems, StockTaken, StockOf)


def paths() -> dict[str, Any]:
    """What the OpenAPI document says of it; its schemas are those of TYPES."""
    id = {"type": "string", "minLength": 1, "maxLength": 256}
    product_id = {"name": "product_id", "in": "path", "required": True, "schema": id}
    return {
        "/v1/stock": {
            "put": {
                "operationId": "putStock",
                "summary": "How many there are",
                "description": f"1 to {MOST} counts, all taken or none. The answer comes when they "
                "are durable; the very next recommendations know them. A count older than the one "
                "known of the same product and store is left out. A supplier's key may count its "
                "own products alone.",
                "tags": ["stock"],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _ref("StockItems")}},
                },
                "responses": _answers("StockTaken", 400, 403, 413, 422, 503),
            }
        },
        "/v1/stock/{product_id}": {
            "get": {
                "operationId": "stock",
                "summary": "What is known of a product's stock",
                "tags": ["stock"],
                "parameters": [product_id],
                "responses": _answers("StockOf", 404, 503),
            }
        },
    }


def _answers(schema: str, *statuses: int) -> dict[str, Any]:
    said = {
        400: "the body is no JSON",
        403: "a product is not the supplier's",
        404: "neither the shop's stock nor the published model knows the product",
        413: "the body is too large",
        422: "a value cannot be meant; `parameter` names it, as in items[3].observed_at",
        503: "no bundle is loaded yet, or the counts cannot be kept now; send them again",
    }
    problem = {MEDIA_TYPE: {"schema": _ref("Problem")}}
    ok = {"description": "yes", "content": {"application/json": {"schema": _ref(schema)}}}
    return {
        "200": ok,
        **{str(s): {"description": said[s], "content": problem} for s in statuses},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
