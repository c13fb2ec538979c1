"""A moment: visits that ask at the same time in, what the model finds for each out, by one pass.

A pass over the products is bound by the memory they come from, so visits that arrived before the
event loop's next turn share one. Nobody waits for others to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from serving.asked import Asked
from serving.sources import Found, score

MOST = 32  # visits that share a pass; others are answered between two of them


class Moment:
    """Collects visits until the loop has begun all that arrived."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[Asked, asyncio.Future[Found]]] = []

    async def scored(self, asked: Asked) -> Found | None:
        """What the model finds for her now; None where it need not look. Raises what it raises."""
        if not asked.scores:
            return None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._score)
        self._waiting.append((asked, future))
        return await future

    def _score(self) -> None:
        some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._score)
        some = [one for one in some if not one[1].done()]  # whoever left needs nothing
        try:
            found = score([(asked.visit, asked.drop) for asked, _ in some])
        except Exception as error:
            for _, future in some:
                future.set_exception(error)
            return
        for (_, future), one in zip(some, found, strict=True):
            future.set_result(one)


def scored(every: Sequence[Asked]) -> list[Found | None]:
    """The same of many that need not be waited for."""
    found: list[Found | None] = [None] * len(every)
    places = [place for place, asked in enumerate(every) if asked.scores]
    best = score([(every[place].visit, every[place].drop) for place in places])
    for place, one in zip(places, best, strict=True):
        found[place] = one
    return found
