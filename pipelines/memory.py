"""Memory: a piece of work in, the most that the process held meanwhile out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psutil

EVERY = 0.02  # seconds between two looks


@contextlib.contextmanager
def watched() -> Iterator[dict[str, float]]:
    """What it yields holds `peak_mb` afterwards, the resident set in megabytes at its highest.

    Looked at every 20 ms, so that each piece has its own: the system's high-water mark is the
    process's, and a small model trained after a large one would bear the large one's.
    """
    process, done = psutil.Process(), threading.Event()
    held: dict[str, float] = {"peak_mb": process.memory_info().rss / 1e6}

    def look() -> None:
        while not done.wait(EVERY):
            held["peak_mb"] = max(held["peak_mb"], process.memory_info().rss / 1e6)

    looker = threading.Thread(target=look, name="memory", daemon=True)
    looker.start()
    try:
        yield held
    finally:
        done.set()
        looker.join()
        held["peak_mb"] = max(held["peak_mb"], process.memory_info().rss / 1e6)
