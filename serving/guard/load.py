"""Load: requests beginning and ending in, whether one more can be answered in time out.

Two things make answers late. Work that waits (bodies, threads, commits) is counted: more than
`most` at once are turned away. Work that does not wait runs one request after the other, and
those that have arrived stand before the event loop's next turn: they cannot be counted, but a
turn that has begun many requests and has lasted LONG already has kept the next ones waiting as
long. They are turned away for a fiftieth of what an answer costs, and the turn ends soon.

A turn that is long for another reason (the interpreter held by a bundle being opened) begins few
requests, and nothing is turned away then.
"""

from __future__ import annotations

import asyncio
import logging
import time

from serving.messages import Reply
from serving.metrics import Process
from serving.problems import MEDIA_TYPE, Refused
from serving.problems import body as problem

log = logging.getLogger("regulars")

TICK = 0.01  # seconds between two looks at the loop
LONG = 0.25  # seconds: storefronts wait for half a second to a second
MANY = 64  # requests begun in one turn
RETRY = 1  # seconds
SAID = 10.0  # seconds between two lines of the log

DETAIL = "the server has more to do than it can do in time; try again"


class Load:
    """Counts what runs. `enter` and `leave` once a request, `now` by time.perf_counter."""

    __slots__ = ("_begun", "_most", "_ticked", "process")

    def __init__(self, most: int, process: Process) -> None:
        self.process = process
        self._most, self._begun, self._ticked = most, 0, float("inf")

    def enter(self, now: float, weight: int = 1) -> bool:
        """Whether to answer; then `leave` with the same weight must follow.

        weight: as many ordinary requests as this one costs.
        """
        process = self.process
        if process.running >= self._most:
            process.shed += 1
            return False
        self._begun += 1
        if self._begun > MANY and now - self._ticked > LONG:
            process.shed += 1
            return False
        process.running += weight
        return True

    def leave(self, weight: int = 1) -> None:
        """A request that had entered is answered."""
        self.process.running -= weight

    def tick(self, now: float) -> None:
        """A turn of the loop ended."""
        self._begun, self._ticked = 0, now

    async def ticking(self) -> None:
        """Look at the loop again and again until cancelled: a task beside the server."""
        process = self.process
        shed, said = process.shed, float("-inf")
        while True:
            began = time.perf_counter()
            self.tick(began)
            await asyncio.sleep(TICK)
            process.lag = max(time.perf_counter() - began - TICK, 0.9 * process.lag)
            if process.shed > shed and began - said > SAID:
                log.warning("too much to do: %d requests turned away", process.shed - shed)
                shed, said = process.shed, began


def overloaded() -> Refused:
    """What raises where `enter` said no."""
    return Refused(503, DETAIL, headers={"retry-after": str(RETRY)})


# The same, made once: being turned away has to be cheap.
_BODY = problem(503, DETAIL)
SHED = Reply(
    503,
    [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(_BODY)).encode()),
        (b"retry-after", str(RETRY).encode()),
        (b"cache-control", b"no-store"),
    ],
    _BODY,
)
