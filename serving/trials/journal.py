"""The journal: what was shown in, lines that survive a kill out; left ones are found again.

A journal is a file `NAME.jsonl`, one answer a line, that its writer keeps locked: an unlocked one
was left behind by a process that is no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from features.artifact import sync

ENDING = ".jsonl"


class Test(msgspec.Struct, frozen=True):
    """One test that a unit is in; arm: None where `teams` say it for each product."""

    experiment: str
    arm: str | None


class Line(msgspec.Struct, omit_defaults=True):
    """One answer. at: microseconds since 1970, UTC. The rest as `Exposures.add` has it."""

    request_id: str
    at: int
    customer_id: str | None = None
    unit: str | None = None
    surface: str | None = None
    channel: str | None = None
    tests: Sequence[Any] = ()  # what has `experiment` and `arm`, such as a Test
    products: Sequence[str] = ()
    propensities: Sequence[float] | None = None
    given_above: Sequence[float] | None = None
    model: str | None = None
    models: Sequence[str] | None = None
    teams: Sequence[str] | None = None


class Journal:
    """An open journal: what `write` returned from is on the disk."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines, self.bytes = path, 0, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")  # nobody may find it before it is locked
        self._file = os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        beside.replace(path)
        sync(path.parent)

    def write(self, text: bytes) -> int:
        """All lines or none of them; gives how many. Raises OSError, such as on a full disk."""
        try:
            done = 0
            while done < len(text):
                done += os.pwrite(self._file, text[done:], self.bytes + done)
            os.fdatasync(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.bytes)
            raise
        lines = text.count(b"\n")
        self.bytes += len(text)
        self.lines += lines
        return lines

    @property
    def gone(self) -> bool:
        """Whether somebody removed it."""
        return not os.fstat(self._file).st_nlink

    def close(self) -> None:
        """Let go of it: anybody may now turn it into a table."""
        os.close(self._file)


def left(folder: Path) -> Iterator[Path]:
    """Journals that nobody writes any more, each locked while the caller is at it."""
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:
            continue  # another process was quicker
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                yield path
        except BlockingIOError:
            continue
        finally:
            os.close(file)
