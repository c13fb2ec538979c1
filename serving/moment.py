"""A moment: visits that ask at the same time in, what the model finds for each out, by one pass.

A pass over the products is bound by the memory they come from, so visits that arrived before the
event loop's next turn share one. Nobody waits for others to come.
"""

from __future__ import annotations

import asyncio

from serving.sources import Found, score
from serving.visit import Visit

MOST = 32  # visits that share a pass; others are answered between two of them


class Moment:
    """Collects visits until the loop has begun all that arrived."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[Visit, bool, asyncio.Future[Found]]] = []

    async def score(self, visit: Visit, *, drop: bool) -> Found:
        """As `sources.score` of this one; raises what that raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._score)
        self._waiting.append((visit, drop, future))
        return await future

    def _score(self) -> None:
        some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._score)
        some = [one for one in some if not one[2].done()]  # whoever left needs nothing
        try:
            found = score([(visit, drop) for visit, drop, _ in some])
        except Exception as error:
            for _, _, future in some:
                future.set_exception(error)
            return
        for (_, _, future), one in zip(some, found, strict=True):
            future.set_result(one)
