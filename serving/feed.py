"""The feed: files of counts dropped into a folder in, counts in stock out; files done or refused.

A file `NAME.csv`, `.jsonl`, `.ndjson` or `.parquet` is complete: the shop writes it beside, under
another ending or a name that begins with a dot, and renames it. It is taken whole and moved to
`done/`, or not at all and moved to `refused/`, with `NAME.txt` that says the line and what is
wanted. Both folders keep their newest files only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from serving.feedfile import READERS, BadFile, read
from serving.state.store import StoreError
from serving.stock import Record, Stock

log = logging.getLogger("regulars")

EVERY = 0.3  # seconds between two looks
AGAIN = 2.0  # after a look that failed
SETTLED = 0.2  # seconds that a file must be as it is: for those that are written in place
KEPT = 100  # files of each of the two folders
BATCH = 10_000  # counts taken at once


class Feed:
    """Takes files in from a folder, where there is one; says in `stock.feed_error` what fails."""

    def __init__(self, folder: Path, stock: Stock) -> None:
        self.folder, self.stock = folder, stock
        self._left: dict[Path, tuple[int, int]] = {}  # files that could not be moved, as they were

    async def follow(self, clock: Callable[[], float] = time.time) -> None:
        """Look again and again until cancelled, whatever lies there."""
        failed = False
        while True:
            try:
                await self.look(now=clock())
                if failed:
                    self.stock.feed_error, failed = None, False
            except (OSError, StoreError) as error:
                self._says(f"{self.folder}: {error}")
                failed = True
            await asyncio.sleep(AGAIN if failed else EVERY)

    async def look(self, *, now: float) -> None:
        """Take in the files that are there, by name; raises OSError and StoreError."""
        for path in await asyncio.to_thread(self._files, now):
            await self._take(path, now)

    async def _take(self, path: Path, now: float) -> None:
        before = _state(path)
        if before is None or self._left.get(path) == before:
            return
        try:
            records = await asyncio.to_thread(read, path, now)
        except FileNotFoundError:  # another server of the shop was faster
            return
        except BadFile as error:
            if _state(path) == before:
                self._says(f"{path.name} was refused: {error}")
                await self._move(path, "refused", before, why=str(error))
            return
        if _state(path) != before:  # it grew while it was read: at the next look
            return
        accepted, stale = await self._give(records, path.name, now)
        self.stock.feed_error = None
        log.info("feed: %s: %d counts, %d older than known", path.name, accepted, stale)
        await self._move(path, "done", before)

    async def _give(self, records: list[Record], name: str, now: float) -> tuple[int, int]:
        accepted = stale = 0
        for start in range(0, len(records), BATCH):
            some = records[start : start + BATCH]
            taken = await self.stock.take(some, by=f"feed:{name}", now=now)
            accepted, stale = accepted + taken.accepted, stale + taken.stale
        return accepted, stale

    async def _move(
        self, path: Path, into: str, state: tuple[int, int], *, why: str | None = None
    ) -> None:
        self._left = {left: was for left, was in self._left.items() if left.exists()}
        try:
            await asyncio.to_thread(_moved, path, self.folder / into, why)
        except FileNotFoundError:  # another server of the shop did
            return
        except OSError as error:
            self._left[path] = state
            self._says(f"{path.name} cannot be moved to {into}/: {error}")

    def _files(self, now: float) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                named = Path(entry.name).suffix in READERS and not entry.name.startswith(".")
                with contextlib.suppress(FileNotFoundError):  # another server was faster
                    if named and entry.is_file(follow_symlinks=False):
                        age = now - entry.stat().st_mtime
                        found += [] if 0 <= age < SETTLED else [Path(entry.path)]
        return sorted(found)

    def _says(self, error: str) -> None:
        if self.stock.feed_error != error:
            log.error("feed: %s", error)
        self.stock.feed_error = error


def _state(path: Path) -> tuple[int, int] | None:
    """A file's size and time; None where it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _moved(path: Path, folder: Path, why: str | None) -> None:
    """Move a file, the reason beside it, and forget the oldest there."""
    folder.mkdir(exist_ok=True)
    if why is not None:
        (folder / f"{path.name}.txt").write_text(f"{why}\n", encoding="utf-8")
    path.replace(folder / path.name)
    there = sorted(folder.iterdir(), key=lambda file: file.stat().st_ctime_ns, reverse=True)
    for old in there[2 * KEPT if why is not None else KEPT :]:
        old.unlink(missing_ok=True)
