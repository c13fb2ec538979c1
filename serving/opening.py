"""Opening: a shop's place and the settings in, its desk with every part running out, and closed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from serving.desk import Desk
from serving.feed import Feed
from serving.metrics import Metrics, Process
from serving.place import Place
from serving.readiness import Parts, seconds
from serving.rules.board import Board
from serving.settings import Settings
from serving.shelf import Shelf
from serving.shopfile import ShopFile
from serving.state import Embedded, Redis, Store
from serving.state.store import StoreError
from serving.stock import Stock
from serving.trials.exposures import Exposures
from serving.watch import Watch

log = logging.getLogger("regulars")

EXPORT_SECONDS = 3600.0  # between two times that collected events are written for the next training


def desk(place: Place, settings: Settings, process: Process) -> Desk:
    """A desk whose parts do not run yet; touches no file."""
    metrics = Metrics(place.name, process)
    shopfile = ShopFile(place.shop_file)
    store: Store = Embedded(place.state) if not settings.redis else _shared(place, settings)
    stock, board = Stock(store), Board(store)

    def wanted() -> frozenset[str]:
        shopfile.look()
        return shopfile.plans.bundles

    def prepare(shelf: Shelf) -> None:
        stock.mask(shelf)
        board.found(shelf)
        gc.freeze()  # a shelf lives long: the collector need not walk it

    watch = Watch(place.bundles, settings, metrics, wanted=wanted, prepare=prepare)
    return Desk(
        place=place,
        watch=watch,
        shopfile=shopfile,
        store=store,
        stock=stock,
        board=board,
        log=Exposures(place.exposures),
        metrics=metrics,
        rng=random.Random(),  # noqa: S311
    )


def _shared(place: Place, settings: Settings) -> Store:
    return Redis(settings.redis, name=place.name)


@contextlib.asynccontextmanager
async def running(desk: Desk, settings: Settings) -> AsyncIterator[None]:
    """Everything of a desk runs inside; what was taken is durable after it."""
    await desk.store.start()
    desk.shopfile.look()
    try:
        with contextlib.suppress(StoreError):  # the stock's follower says so, and tries again
            await desk.stock.look(now=time.time())
        await desk.board.start()
        assert desk.log is not None
        desk.log.start()
        async with desk.watch.watching():
            desk.refresh()
            feed = Feed(desk.place.feed, desk.stock)
            jobs: list[Coroutine[Any, Any, None]] = [
                desk.stock.follow(time.time),
                desk.board.follow(),
                feed.follow(time.time),
                _refreshing(desk, settings.poll_seconds),
                _exporting(desk),
            ]
            tasks = [asyncio.create_task(job) for job in jobs]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        if desk.log is not None:
            await asyncio.to_thread(desk.log.close)
        await _export(desk)
        await desk.store.close()


def parts(desk: Desk, *, keys: str | None, leaving: bool) -> Parts:
    """What readiness asks of a desk."""
    shelf = desk.watch.shelf
    rules = f"{desk.board.troubles} rules are skipped" if desk.board.troubles else None
    return Parts(
        bundle=None if shelf is None else shelf.bundle.id,
        reason=desk.watch.reason,
        as_of=None if shelf is None else shelf.as_of,
        stock_as_of=desk.stock.as_of,
        degraded=desk.store.degraded,
        exposures=None if desk.log is None else desk.log.reason,
        keys=keys,
        rules=desk.board.reason or rules,
        shop=desk.shopfile.reason,
        stock=desk.stock.trouble or desk.stock.feed_error,
        leaving=leaving,
    )


def count(desk: Desk) -> None:
    """Bring the desk's metrics up to date; what is counted elsewhere is read here."""
    metrics, shelf = desk.metrics, desk.watch.shelf
    if desk.log is not None:
        metrics.exposures_written = desk.log.written
        metrics.exposures_dropped = desk.log.dropped
    metrics.stock_version, metrics.stock_as_of = desk.stock.version, desk.stock.as_of
    metrics.rules_version, metrics.rules_troubles = desk.board.version, desk.board.troubles
    metrics.degraded = desk.store.degraded is not None
    metrics.as_of = None if shelf is None else seconds(shelf.as_of)


async def _refreshing(desk: Desk, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        desk.refresh()


async def _exporting(desk: Desk) -> None:
    while True:
        await asyncio.sleep(EXPORT_SECONDS)
        await _export(desk)


async def _export(desk: Desk) -> None:
    """Events to parquet for the next training; what cannot be written now is tried again."""
    try:
        await desk.store.export(desk.place.collected, now=time.time())
    except (StoreError, OSError) as error:
        log.error("events were not exported: %s", error)
