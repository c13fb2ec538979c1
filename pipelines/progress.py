"""Progress: the steps a command takes in, log records that a terminal or Prefect can show out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

LOG = logging.getLogger("regulars")


def say(text: str) -> None:
    """One line on what was found or decided."""
    LOG.info(text)


@contextlib.contextmanager
def step(name: str) -> Iterator[dict[str, float]]:
    """Tell that a piece of work began and ended; what it yields holds its seconds afterwards.

    The records carry `begins` or `ended` with the name, so that a handler can draw a spinner.
    """
    LOG.info(name, extra={"begins": name})
    took: dict[str, float] = {}
    start = time.perf_counter()
    try:
        yield took
    except BaseException:
        LOG.info("%s failed", name, extra={"ended": name, "failed": True})
        raise
    took["seconds"] = round(time.perf_counter() - start, 3)
    LOG.info("%s  %.1f s", name, took["seconds"], extra={"ended": name, **took})
