"""Persons: a customer's last events in, what an answer must know of her out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

LAST = 200  # events that a person is made of
RECENT = 100  # products in `viewed` and in `recent`
CRUMB = 1e-9  # units that are none: 0.3 - 0.2 - 0.1


class Step(msgspec.Struct, gc=False):
    """What a person needs of an event; the rest of its JSON is passed over."""

    event_type: str
    product_id: str
    event_time: datetime
    quantity: float | None = None


class Person(msgspec.Struct, frozen=True, gc=False):
    """What a customer did since, products newest last, each once.

    bought: with when, as POSIX seconds, in `bought_at`. cart: added and neither removed nor
    bought. wishlist: wished for and not bought. viewed: looked at, RECENT at most. recent: any of
    these, RECENT at most, with the last time and the last event type in `recent_at` and
    `recent_types`. version: grows with each of her events; 0 for who has none.
    """

    bought: tuple[str, ...] = ()
    bought_at: tuple[float, ...] = ()
    viewed: tuple[str, ...] = ()
    cart: tuple[str, ...] = ()
    wishlist: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    recent_at: tuple[float, ...] = ()
    recent_types: tuple[str, ...] = ()
    version: int = 0


EMPTY = Person()


def reduced(steps: Iterable[Step], version: int) -> Person:
    """The person that steps make, oldest first.

    A purchase takes the product out of cart and wishlist. Without a quantity an addition is one
    unit and a removal all of them. A refund and a list that she was shown change nothing.
    """
    bought: dict[str, float] = {}
    viewed: dict[str, None] = {}
    cart: dict[str, float] = {}
    wishlist: dict[str, None] = {}
    recent: dict[str, tuple[float, str]] = {}
    for step in steps:
        kind, product = step.event_type, step.product_id
        if kind == "view_item":
            viewed.pop(product, None)
            viewed[product] = None
        elif kind == "add_to_cart":
            cart[product] = cart.pop(product, 0.0) + (step.quantity or 1.0)
        elif kind == "remove_from_cart":
            left = cart.get(product, 0.0) - (step.quantity or cart.get(product, 0.0))
            if left > CRUMB:
                cart[product] = left
            else:
                cart.pop(product, None)
            continue
        elif kind == "purchase":
            bought.pop(product, None)
            bought[product] = step.event_time.timestamp()
            cart.pop(product, None)
            wishlist.pop(product, None)
        elif kind == "add_to_wishlist":
            wishlist.pop(product, None)
            wishlist[product] = None
        else:
            continue
        recent.pop(product, None)
        recent[product] = step.event_time.timestamp(), kind
    last = list(recent.items())[-RECENT:]
    return Person(
        tuple(bought),
        tuple(bought.values()),
        tuple(viewed)[-RECENT:],
        tuple(cart),
        tuple(wishlist),
        tuple(product for product, _ in last),
        tuple(at for _, (at, _) in last),
        tuple(kind for _, (_, kind) in last),
        version,
    )
