"""Watching: a folder of bundles in, the shelf that answers out, swapped while requests run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

from features.artifact import ArtifactError, pointed
from serving.metrics import Metrics
from serving.problems import Refused
from serving.settings import Settings
from serving.shelf import Shelf, put_up

log = logging.getLogger("regulars")

POINTER = "current"
PATIENCE = 1.0  # seconds that the start waits for a first bundle


class Watch:
    """Holds the one reference to the shelf in use, and looks for a newer bundle.

    shelf: None until a first bundle was taken. reason: why the pointer's bundle is not in use;
    None where it is.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.shelf: Shelf | None = None
        self.reason: str | None = f"no bundle was looked for in {settings.bundles} yet"
        self._tried: tuple[str, int] | None = None  # a refused name and its pointer's time
        self._again = 0.0
        self._looked = False

    def take(self) -> Shelf:
        """The shelf for one request, which keeps it to its end; raises Refused (503)."""
        if self.shelf is None:
            raise Refused(503, f"no bundle is loaded: {self.reason}")
        return self.shelf

    def look(self) -> None:
        """Take the pointer's bundle if it is another one; never raises for what is on disk."""
        try:
            self._look()
        finally:
            self._looked = True

    def _look(self) -> None:
        pointer = self.settings.bundles / POINTER
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
            self.reason = self._tried = None
            return
        if self._tried == (name, changed) and time.monotonic() < self._again:
            return
        self._open(self.settings.bundles, name, changed)

    def _open(self, root: Path, name: str, changed: int) -> None:
        started = time.monotonic()
        try:
            if not re.fullmatch("[0-9A-Za-z][0-9A-Za-z_-]*", name):
                raise ArtifactError(f"{root / POINTER} holds no bundle's name: {name[:80]!r}")
            shelf = put_up(root / name)
        except Exception as error:  # whatever is on disk, the bundle in use goes on answering
            self.metrics.refused += 1
            self._tried = (name, changed)
            self._again = time.monotonic() + self.settings.retry_seconds
            self.reason = f"bundle {name[:80]} was refused: {error}"
            expected = isinstance(error, ArtifactError)
            log.error("%s", self.reason, exc_info=None if expected else error)
            return
        self.shelf, self.reason, self._tried = shelf, None, None
        self.metrics.swapped(name, shelf.model.name, shelf.model.version, now=time.time())
        log.info(
            "bundle %s in use: %s %s, %d customers, %d products, opened in %.2f s",
            name,
            shelf.model.name,
            shelf.model.version,
            len(shelf.row_of),
            len(shelf.product_ids),
            time.monotonic() - started,
        )

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
