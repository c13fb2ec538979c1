"""The embedded store: events in, one SQLite file out that survives the process and the power."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from serving.state import rows
from serving.state.events import Event
from serving.state.exported import export
from serving.state.person import EMPTY, Person
from serving.state.store import Added, Change, StoreError
from serving.state.writer import Writer

FILE = "state.sqlite"
REMEMBERED = 50_000  # persons kept; up to twice as many between two clearings
SLOTS = 1 << 24  # marks, a byte each, of who may have events
PATIENCE = 5.0  # seconds that a server waits for the one before it to let go


class Embedded:
    """Customer state of one server.

    A person asked for again is a lookup in a dict; who surely has no events is a look at one mark,
    put there by the hash of her id. Writes are gathered: many callers share one fsync.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / FILE
        self._young: dict[str, Person] = {}
        self._old: dict[str, Person] = {}
        self._marks = bytearray(SLOTS)
        self._marked = False  # whether all marks are there
        self._guard = threading.Lock()  # of the reader and of what is remembered
        self._reader: sqlite3.Connection | None = None
        self._writer: Writer | None = None
        self._marking: asyncio.Task[None] | None = None
        self._holding: TextIO | None = None
        self._stopping = False
        self._unread: str | None = None
        self._versions: dict[str, int] = {}

    @property
    def degraded(self) -> str | None:
        """What does not work."""
        return self._unread or (None if self._writer is None else self._writer.reason)

    async def start(self) -> None:
        """Open the file, or make it. Raises StoreError naming it where that cannot be."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._holding = (self._folder / "lock").open("a")
            await self._hold()
            with self._speaking():
                self._reader = rows.connect(self._path)
                rows.prepare(self._reader)
                rows.person(self._reader, "")
                self._writer = Writer(self._path, self._written)
        except (OSError, StoreError) as error:
            await self.close()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"the state's folder cannot be used: {error}") from error
        self._marking = asyncio.create_task(asyncio.to_thread(self._mark))

    async def close(self) -> None:
        """Write what waits and close."""
        self._stopping = True
        if self._writer is not None:
            await self._writer.close()
        if self._marking is not None:
            await self._marking
        if self._reader is not None:
            self._reader.close()
        if self._holding is not None:
            self._holding.close()
        self._reader = self._holding = None

    async def add(self, events: Sequence[Event], *, now: float) -> Added:
        """Take events in; on the disk when this returns."""
        if not events:
            return Added(0, 0)
        return await self._writing().add([rows.row(event, now) for event in events])

    def peek(self, customer_id: str) -> Person:
        """What she did, at once."""
        person = self._young.get(customer_id)
        if person is not None:
            return person
        if self._marked and not self._marks[hash(customer_id) & (SLOTS - 1)]:
            return EMPTY
        return self._find(customer_id)

    async def person(self, customer_id: str) -> Person:
        """The same."""
        return self.peek(customer_id)

    async def forget(self, customer_id: str) -> int:
        """Erase her; not a byte of her events is left in the store's files."""
        gone: int = await self._writing().run(
            lambda database: rows.forget(database, customer_id), of=customer_id, after=_truncate
        )
        return gone

    async def change(
        self, topic: str, entries: Sequence[tuple[str, bytes | None]], *, by: str, now: float
    ) -> int:
        """Set or remove keys, all or none; the topic's new version."""

        def changed(database: sqlite3.Connection) -> int:
            version = rows.change(database, topic, entries, by, now)
            self._versions[topic] = max(version, self._versions.get(topic, 0))
            return version

        version: int = await self._writing().run(changed)
        return version

    async def changes(self, topic: str, after: int) -> list[Change]:
        """Changes since; without a look at the file where there are none."""
        if self._versions.get(topic, after + 1) <= after:
            return []
        found: list[Change] = await self._ask(
            lambda database: [c for page in rows.changes(database, topic, after) for c in page]
        )
        self._versions[topic] = max(
            found[-1].version if found else after, self._versions.get(topic, 0)
        )
        return found

    async def values(self, topic: str) -> tuple[int, dict[str, bytes]]:
        """The version and each key's value."""
        last = {change.key: change for change in await self.changes(topic, 0)}
        version = max((change.version for change in last.values()), default=0)
        return version, {key: c.value for key, c in last.items() if c.value is not None}

    async def export(self, folder: Path, *, now: float) -> list[Path]:
        """Write what was not yet exported beside and rename; remove what is old."""
        writing = self._writing()
        files = await export(writing.run, self._ask, folder, now)
        with self._guard:  # some of what is remembered may be made of what went
            self._young, self._old = {}, {}
        return files

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"{self._path} is not open")
        return self._writer

    async def _ask(self, question: Callable[[sqlite3.Connection], Any]) -> Any:
        """The answer to a long question, in a thread and on a connection of its own."""

        def asked() -> Any:
            with self._speaking(), contextlib.closing(rows.connect(self._path)) as database:
                return question(database)

        return await asyncio.to_thread(asked)

    def _find(self, customer_id: str) -> Person:
        """A person from among the old ones or from the file, to be remembered."""
        with self._guard:
            person = self._old.get(customer_id)
            if person is None:
                if self._reader is None:
                    return EMPTY
                try:
                    person = rows.person(self._reader, customer_id)
                except UnicodeEncodeError:  # no text that could have come with an event
                    return EMPTY
                except (sqlite3.Error, ValueError) as error:
                    self._unread = f"{self._path} cannot be read: {error}"
                    return EMPTY
                self._unread = None
            if len(self._young) >= REMEMBERED:
                self._young, self._old = {}, self._young
            self._young[customer_id] = person
            return person

    def _written(self, customers: Iterable[str | None]) -> None:
        """Events of these may have changed; called before anyone is told so."""
        with self._guard:
            for customer_id in customers:
                if customer_id is None:
                    continue
                self._marks[hash(customer_id) & (SLOTS - 1)] = 1
                self._young.pop(customer_id, None)
                self._old.pop(customer_id, None)

    def _mark(self) -> None:
        """Put a mark for everyone who has events; until then each is looked up."""
        try:
            with contextlib.closing(rows.connect(self._path)) as database:
                for names in rows.customers(database):
                    if self._stopping:
                        return
                    for name in names:
                        self._marks[hash(name) & (SLOTS - 1)] = 1
            self._marked = True
        except sqlite3.Error as error:
            self._unread = f"{self._path} cannot be read: {error}"

    async def _hold(self) -> None:
        """Hold the folder alone: what another server writes would not be seen here."""
        assert self._holding is not None
        for _ in range(round(PATIENCE / 0.1)):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._holding, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            await asyncio.sleep(0.1)
        raise StoreError(
            f"another server uses {self._folder}: stop it, or let several servers share a Redis"
        )

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """What the database says, as a StoreError that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be used: {error}") from error


def _truncate(database: sqlite3.Connection) -> None:
    """Empty the write-ahead log, in which deleted pages still stand."""
    busy, *_ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("a reader holds what was deleted; it goes when asked again")
