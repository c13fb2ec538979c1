"""State: events as they happen in, what each customer did since the bundle was made out."""

from __future__ import annotations

from serving.state.embedded import Embedded
from serving.state.events import Event
from serving.state.person import EMPTY, Person
from serving.state.redis import Redis
from serving.state.store import Added, Change, Store, StoreError

__all__ = [
    "EMPTY",
    "Added",
    "Change",
    "Embedded",
    "Event",
    "Person",
    "Redis",
    "Store",
    "StoreError",
]
