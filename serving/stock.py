"""Stock: counts of products in, durable; which of a shelf's products can be shown out, at once.

What a count means for a product is said in `serving.masks`. Counts stand in the store's change
log: a restart finds them there, and other servers of the shop take them from there.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from serving.catalogue import Catalogue, Mask
from serving.counts import Count, Counts
from serving.masks import Masks
from serving.masks import substitutes as substitutes
from serving.state.store import Store, StoreError

if TYPE_CHECKING:
    from serving.shelf import Shelf

log = logging.getLogger("regulars")

T = TypeVar("T")

TOPIC = "stock"
SLICE = 200  # counts looked at in one go; then others may run
REPEATED = 3600.0  # seconds: the first count of each such time is written down in any case
EVERY = 0.25  # seconds between two looks at what other servers took in


class Record(NamedTuple):
    """One count as it came in; `at` in POSIX seconds, no store: of the whole shop."""

    product_id: str
    store_id: str | None
    quantity: float
    at: float


class Taken(NamedTuple):
    """What became of records: accepted, or older than what was known. version: the log's."""

    accepted: int
    stale: int
    version: int


class Stock:
    """What is known of a shop's stock, and the masks of each shelf in use.

    version: grows with all that changes a mask. as_of: the newest count's time, POSIX seconds.
    trouble: why the store could not be asked, feed_error: what was wrong with the last bad file
    of the feed; None where nothing is.
    """

    def __init__(self, store: Store) -> None:
        self.version = 0
        self.as_of: float | None = None
        self.trouble: str | None = None
        self.feed_error: str | None = None
        self.counts = Counts()
        self._store = store
        self._log: int | None = None  # how far the log was read; None: not yet
        self._newest = 0  # the newest version that was read or written
        self._masks: WeakKeyDictionary[Catalogue, Masks] = WeakKeyDictionary()
        self._growing: list[Masks] = []
        self._writing = asyncio.Lock()
        self._building = threading.Lock()
        self._lock = threading.Lock()  # held where counts or masks change, briefly

    def mask(self, shelf: Shelf, store_id: str | None = None) -> Mask:
        """(products,) bool: what can be shown, in a store if one is asked. Changes as stock does.

        Not to be written to. The first of a shelf is made here, which takes a microsecond for each
        product that has counts: best before the shelf is in use, in the thread that put it up.
        """
        masks = self._masks.get(shelf.catalogue) or self._masks_of(shelf)
        found = masks.of.get(store_id)
        if found is None:
            with self._lock:
                found = masks.add(self.counts, store_id or "")
        return found

    async def take(self, records: Sequence[Record], *, by: str, now: float) -> Taken:
        """Take counts in; durable and shown when this returns. Raises StoreError.

        A quantity that did not change is written down again in another hour only: until then its
        newer time is what this process knows.
        """
        async with self._writing:
            newest: dict[tuple[str, str | None], Record] = {}
            stale = 0
            async for some in _slices(records):
                for record in some:
                    key = record.product_id, record.store_id
                    before = newest.get(key) or self.counts.get(*key)
                    if before is not None and record.at < before.at:
                        stale += 1
                    else:
                        newest[key] = record
            news = [record for record in newest.values() if self._is_news(record)]
            if news:
                self._newest = max(self._newest, await self._write(news, by=by, now=now))
            version = self._newest
            await self._know(
                (*key, Count(record.quantity, record.at, version)) for key, record in newest.items()
            )
        return Taken(len(records) - stale, stale, version)

    async def look(self, *, now: float) -> None:
        """Take in what the store's log has and this process does not. Raises StoreError."""
        if self._log is None:
            version, values = await self._store.values(TOPIC)
            entries = [(key, value, version) for key, value in values.items()]
        else:
            changes = await self._store.changes(TOPIC, self._log)
            version = changes[-1].version if changes else self._log
            entries = [(it.key, it.value, it.version) for it in changes if it.value is not None]
        older = await self._know(_read(*entry) for entry in entries)
        if older:  # two servers wrote at once: the log must end with the newer count
            async with self._writing:
                known = [(*key, self.counts.get(*key)) for key in older]
                again = [Record(id, store, it.quantity, it.at) for id, store, it in known if it]
                await self._write(again, by="stock", now=now)
        self._log = version
        self._newest = max(self._newest, version)

    async def follow(self, clock: Callable[[], float]) -> None:
        """Look again and again until cancelled, whatever the store does."""
        while True:
            try:
                await self.look(now=clock())
                self.trouble = None
            except StoreError as error:
                if self.trouble is None:
                    log.error("stock stays as it was: %s", error)
                self.trouble = str(error)
            await asyncio.sleep(EVERY)

    def _is_news(self, record: Record) -> bool:
        """Whether a record says what the log does not."""
        known = self.counts.get(record.product_id, record.store_id)
        if known is None or known.quantity != record.quantity:
            return True
        return record.at // REPEATED > known.at // REPEATED

    async def _write(self, records: Sequence[Record], *, by: str, now: float) -> int:
        entries = [
            (
                msgspec.json.encode((record.product_id, record.store_id)).decode(),
                msgspec.json.encode((record.quantity, record.at)),
            )
            async for some in _slices(records)
            for record in some
        ]
        return await self._store.change(TOPIC, entries, by=by, now=now)

    async def _know(
        self, counts: Iterable[tuple[str, str | None, Count]]
    ) -> list[tuple[str, str | None]]:
        """Know the counts that are newer; where a count is older than what is known is told."""
        older = []
        async for some in _slices(counts):
            with self._lock:
                news = []
                for product_id, store_id, count in some:
                    known = self.counts.get(product_id, store_id)
                    if known is not None and count.at < known.at:
                        older.append((product_id, store_id))
                    elif known is None or (known.at, known.version) < (count.at, count.version):
                        news.append((product_id, store_id, self.counts.last(product_id)))
                        self.counts.put(product_id, store_id, count)
                        self.version += known is None or known.quantity != count.quantity
                        self.as_of = count.at if self.as_of is None else max(self.as_of, count.at)
                for masks in (*self._masks.values(), *self._growing):
                    self.version += masks.show(self.counts, news)
        return older

    def _masks_of(self, shelf: Shelf) -> Masks:
        """The masks of a shelf that had none; while they grow, what comes in reaches them too."""
        with self._building:
            if (found := self._masks.get(shelf.catalogue)) is not None:
                return found
            masks = Masks(shelf)
            with self._lock:
                self._growing.append(masks)
                ids = list(self.counts.products)
            for start in range(0, len(ids), SLICE):
                with self._lock:
                    news = [(id, None, math.inf) for id in ids[start : start + SLICE]]
                    masks.show(self.counts, news)
            with self._lock:
                self._growing.remove(masks)
                self._masks[shelf.catalogue] = masks
            return masks


async def _slices(items: Iterable[T]) -> AsyncIterator[list[T]]:
    """A few at a time, so that requests are answered in between."""
    items = iter(items)
    while some := list(itertools.islice(items, SLICE)):
        yield some
        await asyncio.sleep(0)


_KEY = msgspec.json.Decoder(tuple[str, str | None])
_VALUE = msgspec.json.Decoder(tuple[float, float])


def _read(key: str, value: bytes, version: int) -> tuple[str, str | None, Count]:
    """An entry of the log."""
    return *_KEY.decode(key), Count(*_VALUE.decode(value), version)
