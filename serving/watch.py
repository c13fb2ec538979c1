"""Watching: a folder of bundles in, the shelves that answer out, swapped while requests run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from features.artifact import ArtifactError, pointed
from serving.metrics import Metrics
from serving.problems import Refused
from serving.settings import Settings
from serving.shelf import Shelf, put_up

log = logging.getLogger("regulars")

POINTER = "current"
PATIENCE = 1.0  # seconds that the start waits for a first bundle
NAME = re.compile("[0-9A-Za-z][0-9A-Za-z_-]*")


class Watch:
    """Holds the shelves in use, and looks for newer bundles.

    shelf: what `current` points at; None until a first bundle was taken. reason: why the pointer's
    bundle is not in use; None where it is. wanted: names of further bundles that arms of live
    tests are served from, pointers beside `current` or bundles' ids; those that open stand in
    `others`. prepare: what else is to be made of a shelf before it answers.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        metrics: Metrics,
        *,
        wanted: Callable[[], Iterable[str]] = tuple,
        prepare: Callable[[Shelf], None] | None = None,
    ) -> None:
        self.root, self.settings, self.metrics = root, settings, metrics
        self.wanted, self.prepare = wanted, prepare
        self.shelf: Shelf | None = None
        self.others: dict[str, Shelf] = {}
        self.reason: str | None = f"no bundle was looked for in {root} yet"
        self._tried: dict[str, tuple[str, int, float]] = {}  # refused: bundle, its pointer's time
        self._looked = False

    def take(self) -> Shelf:
        """The shelf for one request, which keeps it to its end; raises Refused (503)."""
        if self.shelf is None:
            raise Refused(503, f"no bundle is loaded: {self.reason}")
        return self.shelf

    def look(self) -> None:
        """Take the pointers' bundles where they are others; never raises for what is on disk."""
        try:
            self._look()
            wanted = set(self.wanted())
            for name in wanted:
                self._look_for(name)
            self.others = {name: it for name, it in self.others.items() if name in wanted}
        finally:
            self._looked = True

    def _look(self) -> None:
        pointer = self.root / POINTER
        try:
            name, changed = pointed(pointer), pointer.stat().st_mtime_ns
        except (OSError, UnicodeDecodeError) as error:
            name, changed = None, 0
            if not isinstance(error, FileNotFoundError):
                self.reason = f"{pointer} cannot be read: {error}"
                return
        if name is None:
            self.reason = f"there is no bundle at {pointer}; publish one"
            return
        if self.shelf is not None and self.shelf.bundle.id == name:
            self.reason = None
            self._tried.pop(POINTER, None)
            return
        shelf = self._open(POINTER, name, changed)
        if isinstance(shelf, Shelf):
            self.shelf, self.reason = shelf, None
            self.metrics.swapped(name, shelf.model.name, shelf.model.version, now=time.time())
        elif shelf is not None:
            self.reason = shelf

    def _look_for(self, name: str) -> None:
        """Take an arm's bundle; until it is there, its customers are answered by `current`."""
        id, changed = name, 0
        pointer = self.root / name
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if NAME.fullmatch(name) and pointer.is_file():
                id, changed = pointed(pointer) or name, pointer.stat().st_mtime_ns
        if name in self.others and self.others[name].bundle.id == id:
            return
        if self.shelf is not None and self.shelf.bundle.id == id:
            self.others[name] = self.shelf
            return
        shelf = self._open(name, id, changed)
        if isinstance(shelf, Shelf):
            self.others[name] = shelf

    def _open(self, place: str, name: str, changed: int) -> Shelf | str | None:
        """The shelf, why it was refused, or None where that was so a moment ago."""
        tried = self._tried.get(place)
        if tried is not None and tried[:2] == (name, changed) and time.monotonic() < tried[2]:
            return None
        started = time.monotonic()
        try:
            if not NAME.fullmatch(name):
                raise ArtifactError(f"{self.root / place} holds no bundle's name: {name[:80]!r}")
            shelf = put_up(self.root / name)
            if self.prepare is not None:
                self.prepare(shelf)
        except Exception as error:  # whatever is on disk, the bundle in use goes on answering
            self.metrics.refused += 1
            again = time.monotonic() + self.settings.retry_seconds
            self._tried[place] = (name, changed, again)
            reason = f"bundle {name[:80]} was refused: {error}"
            expected = isinstance(error, ArtifactError)
            log.error("%s", reason, exc_info=None if expected else error)
            return reason
        self._tried.pop(place, None)
        log.info(
            "bundle %s in use: %s %s, %d customers, %d products, opened in %.2f s",
            name,
            shelf.model.name,
            shelf.model.version,
            shelf.bundle.customers.num_rows,
            len(shelf.product_ids),
            time.monotonic() - started,
        )
        return shelf

    async def follow(self) -> None:
        """Look again and again, in a thread, until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(self.settings.poll_seconds)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Follow while the server runs; a first bundle that opens quickly is there at once."""
        task = asyncio.create_task(self.follow())
        try:
            async with asyncio.timeout(PATIENCE):
                while self.shelf is None and not self._looked:
                    await asyncio.sleep(0.005)
        except TimeoutError:
            log.info("the first bundle is still being opened; /readyz says when it is there")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
