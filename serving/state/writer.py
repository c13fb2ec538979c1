"""The writer: what many callers want written in, one transaction and one fsync for them all out."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.state import rows
from serving.state.rows import Row
from serving.state.store import Added, StoreError

MOST_WAITING = 100_000  # events; more are refused until the disk has caught up
GROUP = 5_000  # events of one transaction

Job = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True, eq=False)
class Waiting:
    """One caller's wish: events to add, or a job to run inside the transaction.

    touched: whose events may be others then. after: runs when the transaction stands.
    """

    future: asyncio.Future[Any]
    touched: frozenset[str | None]
    rows: Sequence[Row] = ()
    job: Job | None = None
    after: Job | None = None
    result: Any = None


class Writer:
    """One thread, the only one that writes.

    path: the database. written: called in the loop's thread with the customers whose events may
    have changed, also where that failed, before any of their callers goes on.
    """

    def __init__(self, path: Path, written: Callable[[Iterable[str | None]], None]) -> None:
        self.reason: str | None = None  # why the last transaction failed
        self._path, self._written = path, written
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._database = rows.connect(path)
        self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)
        self._thread.start()

    async def add(self, lines: Sequence[Row]) -> Added:
        """Add events; durable when this returns."""
        if self._waiting + len(lines) > MOST_WAITING:
            raise StoreError(f"{self._waiting} events wait for {self._path} to take them")
        waiting = Waiting(self._future(), frozenset(line[1] for line in lines), lines)
        self._waiting += len(lines)
        self._queue.put(waiting)
        try:
            added: Added = await waiting.future
        finally:
            self._waiting -= len(lines)
        return added

    async def run(self, job: Job, *, of: str | None = None, after: Job | None = None) -> Any:
        """What a job, of one customer's events or none, gives; durable when this returns."""
        waiting = Waiting(self._future(), frozenset((of,)), job=job, after=after)
        self._queue.put(waiting)
        return await waiting.future

    async def close(self) -> None:
        """Write what waits and end."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _future(self) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError(f"{self._path} is closed")
        return self._loop.create_future()

    def _run(self) -> None:
        database = self._database
        last = False
        while not last:
            group, last = self._gather()
            error: Exception | None = None
            try:
                _commit(database, group)
            except Exception as problem:  # the thread must live: others wait for it
                error = problem
                if database.in_transaction:
                    database.rollback()
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it who waits
                self._loop.call_soon_threadsafe(self._settle, group, error)
        database.close()

    def _gather(self) -> tuple[list[Waiting], bool]:
        """All that waits, at least one; and whether the end was asked for."""
        group: list[Waiting] = []
        size = 0
        one = self._queue.get()
        while one is not None:
            group.append(one)
            size += len(one.rows)
            if size >= GROUP or self._queue.empty():
                return group, False
            one = self._queue.get()
        return group, True

    def _settle(self, group: list[Waiting], error: Exception | None) -> None:
        """In the loop's thread: forget what is outdated, then let the callers go on."""
        self.reason = None if error is None else f"{self._path} was not written: {error}"
        for one in group:
            self._written(one.touched)
        for one in group:
            if one.future.done():  # its caller went away
                continue
            if error is None:
                one.future.set_result(one.result)
            elif isinstance(error, sqlite3.Error):
                one.future.set_exception(StoreError(self.reason))
            else:
                one.future.set_exception(error)


def _commit(database: sqlite3.Connection, group: list[Waiting]) -> None:
    """Do what a group wants in one transaction; mostly that is one statement."""
    first: dict[str, Row] = {}
    for one in group:
        for line in one.rows:
            first.setdefault(line[0], line)
    seen: set[str] = set()
    if any(one.job is not None for one in group):
        seen = _transaction(database, group, first)
    elif first:
        try:
            rows.insert(database, list(first.values()))
        except sqlite3.IntegrityError:
            seen = _transaction(database, group, first)
    for one in group:
        if one.job is None:
            before = len(seen)
            seen.update(line[0] for line in one.rows)
            new = len(seen) - before
            one.result = Added(new, len(one.rows) - new)
        elif one.after is not None:
            one.after(database)


def _transaction(
    database: sqlite3.Connection, group: list[Waiting], first: dict[str, Row]
) -> set[str]:
    """Add what is not there and run the jobs; the event_ids that were there."""
    database.execute("BEGIN IMMEDIATE")
    known = rows.known(database, first)
    if new := [line for id, line in first.items() if id not in known]:
        rows.insert(database, new)
    for one in group:
        if one.job is not None:
            one.result = one.job(database)
    database.execute("COMMIT")
    return known
