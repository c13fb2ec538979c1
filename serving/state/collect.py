"""Collecting: a storefront's events in, durable before they are acknowledged."""

from __future__ import annotations

import time
from typing import Any, Literal, Protocol

import msgspec

from serving.metrics import Metrics
from serving.problems import MEDIA_TYPE, Refused, shown
from serving.shelf import Shelf
from serving.state.events import MOST_EVENTS, Batch, Event, read
from serving.state.store import Store, StoreError
from serving.trials.shown import Shown

TAKEN_UP = frozenset({"view_item", "add_to_cart", "add_to_wishlist", "purchase"})
NAMED = 5  # unknown products that a warning names
_encode = msgspec.json.Encoder().encode


class Watching(Protocol):
    """What knows the bundle that serves now."""

    @property
    def shelf(self) -> Shelf | None:
        """It, or None before the first."""


class Desk(Protocol):
    """What collecting needs of a shop's desk."""

    @property
    def store(self) -> Store:
        """Where events go."""

    @property
    def watch(self) -> Watching:
        """Which products are known."""

    @property
    def shown(self) -> Shown:
        """What customers keep passing by."""

    @property
    def metrics(self) -> Metrics:
        """The shop's numbers."""


class CollectedNote(msgspec.Struct, frozen=True):
    """Something the sender may want to know about events that were taken."""

    code: Literal["unknown_products"]
    detail: str
    count: int


class Collected(msgspec.Struct, frozen=True):
    """What became of a batch: `accepted` are new and durable, `known` were there by event_id."""

    accepted: int
    known: int
    warnings: tuple[CollectedNote, ...] = ()


async def collect(desk: Desk, caller: object, scope: Any, body: bytes) -> bytes:
    """POST /v1/events; raises Refused: 422 and nothing taken, or 503 and nothing acknowledged."""
    del caller, scope
    now = time.time()
    events = read(body, now)
    try:
        new, known = await desk.store.add(events, now=now)
    except StoreError as error:
        desk.metrics.events["refused"] += len(events)
        raise Refused(503, f"the events were not taken: {error}") from error
    desk.metrics.events["taken"] += new
    desk.metrics.events["repeated"] += known
    for event in events:
        if event.customer_id is not None and event.event_type in TAKEN_UP:
            desk.shown.clicked(event.customer_id, event.product_id)
    return _encode(Collected(new, known, _unknown(desk.watch.shelf, events)))


def _unknown(shelf: Shelf | None, events: tuple[Event, ...]) -> tuple[CollectedNote, ...]:
    """The products that the published model has not learned; they were taken all the same."""
    if shelf is None:
        return ()
    new = list(dict.fromkeys(e.product_id for e in events if shelf.code(e.product_id) < 0))
    if not new:
        return ()
    some = ", ".join(map(shown, new[:NAMED])) + (" …" if len(new) > NAMED else "")
    return (CollectedNote("unknown_products", f"not in the published model yet: {some}", len(new)),)


TYPES = (Batch, Collected)


def paths() -> dict[str, Any]:
    """What the OpenAPI document says of it; its schemas are those of TYPES."""
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    said = {
        400: "the body is no JSON",
        413: "the body is too large",
        422: "a value cannot be meant; `parameter` names it, as in events[3].event_type, and "
        "nothing of the batch was taken",
        503: "the events cannot be kept now; none was acknowledged, send them again",
    }
    return {
        "/v1/events": {
            "post": {
                "operationId": "collect",
                "summary": "What customers did",
                "description": f"1 to {MOST_EVENTS} events, all taken or none. The answer comes "
                "when they are durable; the very next recommendations know them. An event_id "
                "that was there changes nothing, so that a batch may be sent again.",
                "tags": ["events"],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Batch"}}
                    },
                },
                "responses": {
                    "200": {
                        "description": "taken and durable",
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/Collected"}
                            }
                        },
                    },
                    **{
                        str(s): {"description": about, "content": problem}
                        for s, about in said.items()
                    },
                },
            }
        }
    }
