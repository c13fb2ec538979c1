"""What counts make of a shelf, against a slow oracle that looks at every rule for every product."""

import asyncio
import gc
import random
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import PRODUCTS, TIME
from serving import masks
from serving import stock as stock_module
from serving.catalogue import catalogue
from serving.state.store import Change, StoreError
from serving.stock import Record, Stock, substitutes

SCHEMA = pa.schema([*PRODUCTS, pa.field("available", pa.bool_(), nullable=False)])
IDS = ("a", "b", "c", "d")
STORES = (None, "north", "south")


class Log:
    """A store that keeps its log of stock in memory: of each key the last change."""

    def __init__(self) -> None:
        self.version, self.last = 0, dict[str, Change]()

    async def change(self, topic: str, entries: Any, *, by: str, now: float) -> int:
        assert topic == "stock"
        for key, value in entries:
            self.version += 1
            self.last[key] = Change(self.version, key, value, by, now)
        return self.version

    async def changes(self, topic: str, after: int) -> list[Change]:
        assert topic == "stock"
        found = [change for change in self.last.values() if change.version > after]
        return sorted(found)

    async def values(self, topic: str) -> tuple[int, dict[str, bytes]]:
        assert topic == "stock"
        return self.version, {key: it.value for key, it in self.last.items() if it.value}


class Shelf:
    """As much of a shelf as stock looks at. counted: when the bundle counted a product."""

    def __init__(self, available: dict[str, bool], counted: dict[str, int] | None = None) -> None:
        self.product_ids = list(available)
        codes = {id: code for code, id in enumerate(available)}
        self.code = lambda product_id: codes.get(product_id, -1)
        self.counted = counted or {}
        rows = [{"product_id": id, "available": it} for id, it in available.items()]
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        if counted is not None:
            times = [None if id not in counted else counted[id] * 1_000_000 for id in available]
            table = table.append_column("counted_at", pa.array(times, pa.int64()).cast(TIME))
        self.catalogue = catalogue(table)


def oracle(records: list[Record], shelf: Shelf, store_id: str | None) -> list[bool]:
    """Each product from all that was ever sent, one rule after the other."""
    shown = []
    for code, id in enumerate(shelf.product_ids):
        newest: dict[str | None, Record] = {}
        for one in records:
            if one.product_id == id and (
                one.store_id not in newest or one.at >= newest[one.store_id].at
            ):
                newest[one.store_id] = one
        last = max((it.at for it in newest.values()), default=None)
        if last is None or last < shelf.counted.get(id, -1):
            shown.append(bool(shelf.catalogue.available[code]))
        elif store_id in newest:
            shown.append(newest[store_id].quantity > 0)
        elif None in newest:
            shown.append(newest[None].quantity > 0)
        else:
            shown.append(any(it.quantity > 0 for it in newest.values()))
    return shown


def agrees(stock: Stock, shelves: list[Shelf], records: list[Record]) -> None:
    for shelf in shelves:
        for store_id in (*STORES, "a store without counts"):
            mask = stock.mask(shelf, store_id)  # type: ignore[arg-type]
            assert mask.tolist() == oracle(records, shelf, store_id), (store_id, records)


RECORDS = st.builds(
    Record,
    st.sampled_from((*IDS, "not yet on a shelf")),
    st.sampled_from(STORES),
    st.sampled_from((0.0, 0.5, 3.0)),
    st.integers(0, 5).map(float),
)
SHELVES = st.builds(
    Shelf,
    st.permutations(IDS).flatmap(
        lambda ids: st.fixed_dictionaries(dict.fromkeys(ids[:3], st.booleans()))
    ),
    st.none() | st.dictionaries(st.sampled_from(IDS), st.integers(0, 6), max_size=3),
)
STEPS = st.lists(st.one_of(SHELVES, st.lists(RECORDS, min_size=1, max_size=4)), max_size=10)


@settings(deadline=None, max_examples=200)
@given(STEPS)
def test_after_any_counts_and_shelves_masks_are_what_the_oracle_says(steps: list[Any]) -> None:
    """Shelves come and go between counts; a mask that is there changes in place."""

    async def run() -> None:
        log = Log()
        stock, other, records, shelves = Stock(log), Stock(log), [], []  # type: ignore[var-annotated]
        for step in steps:
            if isinstance(step, Shelf):
                shelves = [*shelves[-1:], step]
            else:
                held = [stock.mask(shelf) for shelf in shelves]
                await stock.take(step, by="test", now=9.0)
                records += step
                for shelf, mask in zip(shelves, held, strict=True):
                    assert stock.mask(shelf) is mask
            agrees(stock, shelves, records)
        await other.look(now=9.0)
        # that a bundle counted between two equal counts of an hour is the first server's knowledge
        agrees(other, [shelf for shelf in shelves if not shelf.counted], records)

    asyncio.run(run())


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.lists(RECORDS, min_size=1, max_size=3)), max_size=8))
def test_two_servers_of_one_shop_end_with_the_same_counts(
    sent: list[tuple[bool, list[Record]]],
) -> None:
    """Whoever took them, and whatever each had seen of the other by then."""

    async def run() -> None:
        log = Log()
        both = [Stock(log), Stock(log)]
        for first, records in sent:
            await both[first].take(records, by="test", now=9.0)
            if len(records) == 1:
                await both[0].look(now=9.0)
        for _ in range(3):
            for stock in both:
                await stock.look(now=9.0)
        both.append(Stock(log))
        await both[2].look(now=9.0)
        shelf = Shelf(dict.fromkeys(IDS, True))
        for store_id in STORES:
            one, two, new = (stock.mask(shelf, store_id).tolist() for stock in both)  # type: ignore[arg-type]
            assert one == two == new

    asyncio.run(run())


def taken(stock: Stock, *records: tuple[Any, ...], now: float = 100.0) -> Any:
    return asyncio.run(stock.take([Record(*it) for it in records], by="test", now=now))


def mask(stock: Stock, shelf: Shelf, store_id: str | None = None) -> list[bool]:
    return stock.mask(shelf, store_id).tolist()  # type: ignore[arg-type]


def test_what_runs_out_is_hidden_and_what_comes_back_is_shown_by_the_same_array() -> None:
    stock, shelf = Stock(Log()), Shelf({"a": True, "b": False})  # type: ignore[arg-type]
    held = stock.mask(shelf)  # type: ignore[arg-type]
    assert held.tolist() == [True, False]
    taken(stock, ("a", None, 0.0, 1.0), ("b", None, 2.0, 1.0))
    assert held.tolist() == [False, True]
    taken(stock, ("a", None, 1.0, 2.0))
    assert held.tolist() == [True, True]


def test_an_older_count_is_stale_and_one_of_the_same_moment_is_not() -> None:
    stock, shelf = Stock(Log()), Shelf({"a": True})  # type: ignore[arg-type]
    assert taken(stock, ("a", None, 0.0, 5.0), ("a", None, 9.0, 4.0))[:2] == (1, 1)
    assert mask(stock, shelf) == [False]
    assert taken(stock, ("a", None, 9.0, 4.9))[:2] == (0, 1)
    assert taken(stock, ("a", "north", 9.0, 4.9))[:2] == (1, 0)
    assert taken(stock, ("a", None, 9.0, 5.0))[:2] == (1, 0)
    assert mask(stock, shelf) == [True]


def test_a_store_goes_by_its_own_count_and_else_by_the_shops() -> None:
    stock, shelf = Stock(Log()), Shelf({"a": True, "b": True, "c": True})  # type: ignore[arg-type]
    taken(stock, ("a", None, 5.0, 1.0), ("a", "north", 0.0, 1.0), ("b", "north", 0.0, 1.0))
    taken(stock, ("b", "south", 2.0, 1.0), ("c", "north", 0.0, 1.0))
    assert mask(stock, shelf) == [True, True, False]  # b: in the south; c: nowhere
    assert mask(stock, shelf, "north") == [False, False, False]
    assert mask(stock, shelf, "south") == [True, True, False]
    assert mask(stock, shelf, "east") == [True, True, False]


def test_the_newer_of_a_count_and_the_bundles_own_tells() -> None:
    shelf = Shelf({"a": True, "b": True, "c": False}, {"a": 10, "c": 10})
    stock = Stock(Log())  # type: ignore[arg-type]
    taken(stock, *((id, None, 0.0 if id < "c" else 3.0, 9.0) for id in "abc"))
    assert mask(stock, shelf) == [True, False, False]  # b was never counted by the bundle
    taken(stock, ("a", None, 0.0, 10.0), ("c", None, 3.0, 10.0))
    assert mask(stock, shelf) == [False, False, True]


def test_an_older_count_of_one_store_counts_again_once_another_is_newer_than_the_bundles() -> None:
    stock, shelf = Stock(Log()), Shelf({"a": True}, {"a": 10})  # type: ignore[arg-type]
    taken(stock, ("a", "north", 0.0, 9.0))
    assert mask(stock, shelf, "north") == [True]
    taken(stock, ("a", "south", 3.0, 10.0))
    assert mask(stock, shelf, "north") == [False]


def test_the_version_grows_with_what_changes_a_mask_and_only_then() -> None:
    stock = Stock(Log())  # type: ignore[arg-type]
    taken(stock, ("a", None, 5.0, 1.0))
    assert (stock.version, stock.as_of) == (1, 1.0)
    taken(stock, ("a", None, 5.0, 2.0), ("a", None, 0.0, 1.5))
    assert (stock.version, stock.as_of) == (1, 2.0)
    taken(stock, ("a", None, 4.0, 3.0))
    assert stock.version == 2


def test_a_count_that_says_nothing_new_is_written_down_once_an_hour() -> None:
    log = Log()
    stock = Stock(log)  # type: ignore[arg-type]
    for minute in range(150):
        taken(stock, ("a", None, 5.0, 60.0 * minute))
    assert log.version == 3
    assert stock.counts.of("a")[None].at == 60.0 * 149


def test_another_server_of_the_shop_follows_also_after_a_store_that_failed() -> None:
    class Failing(Log):
        fails = False

        async def changes(self, topic: str, after: int) -> list[Change]:
            if self.fails:
                raise StoreError("the store does not answer")
            return await super().changes(topic, after)

    async def run() -> None:
        log, shelf = Failing(), Shelf({"a": True, "b": True})
        one, other = Stock(log), Stock(log)  # type: ignore[arg-type]
        following = asyncio.create_task(other.follow(lambda: 100.0))
        await one.take([Record("a", None, 0.0, 1.0)], by="test", now=1.0)
        await until(lambda: mask(other, shelf) == [False, True])
        log.fails = True
        await until(lambda: other.trouble == "the store does not answer")
        await one.take([Record("b", None, 0.0, 1.0)], by="test", now=1.0)
        assert mask(other, shelf) == [False, True]
        log.fails = False
        await until(lambda: mask(other, shelf) == [False, False])
        await until(lambda: other.trouble is None)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


def test_masks_of_many_stores_are_bounded_and_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "STORE_BYTES", 3 * 2)
    stock, shelf = Stock(Log()), Shelf({"a": True, "b": True})  # type: ignore[arg-type]
    draw, records = random.Random(0), []
    for step in range(60):
        store = f"store {draw.randrange(8)}"
        records.append(Record("ab"[draw.randrange(2)], store, float(draw.randrange(2)), step))
        taken(stock, records[-1])
        for number in draw.sample(range(8), 3):
            assert mask(stock, shelf, f"store {number}") == oracle(
                records, shelf, f"store {number}"
            )
    kept = next(iter(stock._masks.values()))
    assert len(kept.of) == 1 + 4


def test_a_shelf_that_nobody_holds_is_forgotten() -> None:
    stock, shelf = Stock(Log()), Shelf({"a": True})  # type: ignore[arg-type]
    mask(stock, shelf, "north")
    held = weakref.ref(shelf.catalogue)
    del shelf
    gc.collect()
    assert held() is None
    taken(stock, ("a", None, 0.0, 1.0))
    assert not len(stock._masks)


def test_counts_that_come_in_while_a_thread_puts_a_shelf_up_are_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread has looked at a and not yet at b when both run out."""
    monkeypatch.setattr(stock_module, "SLICE", 1)
    stock, shelf = Stock(Log()), Shelf({"a": True, "b": True})  # type: ignore[arg-type]
    taken(stock, ("a", None, 5.0, 1.0), ("b", None, 5.0, 1.0))
    looked, run_out, lock = threading.Event(), threading.Event(), stock._lock
    uses = 0

    class Pausing:
        def __enter__(self) -> None:
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            nonlocal uses
            lock.release()
            uses += threading.current_thread() is thread
            if uses == 2 and not looked.is_set():  # it made itself known, and looked at a
                looked.set()
                assert run_out.wait(10)

    stock._lock = Pausing()  # type: ignore[assignment]
    thread = threading.Thread(target=stock.mask, args=(shelf,))
    thread.start()
    assert looked.wait(10)
    taken(stock, ("a", None, 0.0, 2.0), ("b", None, 0.0, 2.0))
    run_out.set()
    thread.join()
    assert mask(stock, shelf) == [False, False]


@pytest.mark.parametrize(
    ("sold_out", "shown", "stands_in"),
    [
        (0, [0, 1, 1, 1], 2),  # 1 is more alike, 2 is of the same category
        (0, [0, 1, 0, 1], 1),
        (0, [0, 0, 0, 1], None),  # 3 is not alike
        (3, [1, 1, 1, 0], 1),  # it has no category
    ],
)
def test_the_most_alike_stands_in_and_one_of_the_same_category_first(
    sold_out: int, shown: list[int], stands_in: int | None
) -> None:
    rows = [{"category": "Tea"}, {"category": "Cups"}, {"category": "Tea"}, {}]
    full = [{"product_id": f"p{i}", "available": True} | row for i, row in enumerate(rows)]
    alike = np.array([[1, 2, -1], [0, 2, 3], [0, 1, -1], [1, 0, -1]], np.int32)
    shelf = SimpleNamespace(
        catalogue=catalogue(pa.Table.from_pylist(full, schema=SCHEMA)),
        bundle=SimpleNamespace(similar_products=alike),
    )
    found = substitutes(shelf, sold_out, np.array(shown, bool))  # type: ignore[arg-type]
    assert found == stands_in


def test_times_are_compared_as_the_bundle_writes_them() -> None:
    moment = datetime(2026, 3, 1, 9, 30, 0, 123457, UTC)
    shelf = Shelf({"a": True}, {})
    rows = shelf.catalogue.table.drop_columns(["counted_at"])
    rows = rows.append_column("counted_at", pa.array([moment], TIME))
    shelf.catalogue = catalogue(rows)
    stock = Stock(Log())  # type: ignore[arg-type]
    taken(stock, ("a", None, 0.0, moment.timestamp()))
    assert mask(stock, shelf) == [False]
