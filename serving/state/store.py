"""The store: events and changes in, durable; persons, changes and values out.

`Embedded` keeps one server's in a file, `Redis` shares them between several.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from serving.state.events import Event
from serving.state.person import Person

COMPACT = frozenset({"stock"})  # topics that keep each key's last change only; others keep all
KEPT_SECONDS = 30 * 86_400.0  # how long an exported event stays


class StoreError(RuntimeError):
    """The store cannot do it now; nothing of it was done, as far as the caller may rely on."""


class Added(NamedTuple):
    """What became of events: how many were new, how many were there by their event_id."""

    new: int
    known: int


class Change(NamedTuple):
    """One change of one key of a topic; `value` is None where it was removed."""

    version: int
    key: str
    value: bytes | None
    by: str
    at: float


class Store(Protocol):
    """What every store does; times (`now`, `at`) are POSIX seconds. All may raise StoreError."""

    @property
    def degraded(self) -> str | None:
        """What does not work, in words for readiness; None when all does."""

    async def start(self) -> None:
        """Open it. Raises StoreError naming what cannot be opened."""

    async def close(self) -> None:
        """Finish what was begun and close."""

    async def add(self, events: Sequence[Event], *, now: float) -> Added:
        """Take events in; durable when this returns. An event without a time happened now."""

    def peek(self, customer_id: str) -> Person | None:
        """What she did, at once; None where that needs `person`."""

    async def person(self, customer_id: str) -> Person:
        """What she did, EMPTY where nothing is known; never raises, see `degraded`."""

    async def forget(self, customer_id: str) -> int:
        """Erase her events from the store's files too; how many there were."""

    async def change(
        self, topic: str, entries: Sequence[tuple[str, bytes | None]], *, by: str, now: float
    ) -> int:
        """Set keys, or remove them (None), all or none, durably; the topic's new version."""

    async def changes(self, topic: str, after: int) -> list[Change]:
        """Changes with a greater version, oldest first; of a COMPACT topic the last of each key."""

    async def values(self, topic: str) -> tuple[int, dict[str, bytes]]:
        """The topic's version, 0 before the first change, and the value of each key."""

    async def export(self, folder: Path, *, now: float) -> list[Path]:
        """Write events not yet exported as parquet, each exactly once; drop what is old by now."""
