"""One suite over every store."""

import asyncio
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.schemas import EVENTS
from serving.state import EMPTY, Added, Change, Embedded, Event, Redis, Store
from serving.state.exported import write
from serving.state.person import LAST, Step, reduced
from serving.state.store import KEPT_SECONDS

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START.timestamp()


def event(id: str, customer: str | None = "anna", kind: str = "view_item", **more: object) -> Event:
    return Event(event_id=id, customer_id=customer, event_type=kind, **{"product_id": "p1"} | more)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis of our own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    said = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    server = subprocess.Popen([program, *said], stdout=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(timeout=10)


Use = Callable[[Callable[[Store], Awaitable[object]]], object]


@pytest.fixture(params=["embedded", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """A store; another call opens the same one again."""
    if request.param == "embedded":
        return lambda: Embedded(tmp_path / "state")
    url = request.getfixturevalue("redis_server")
    name = tmp_path.name
    return lambda: Redis(url, name=name)


@pytest.fixture
def use(make: Callable[[], Store]) -> Use:
    """Open a store, do something with it, close it."""

    def used(what: Callable[[Store], Awaitable[object]]) -> object:
        async def run() -> object:
            store = make()
            await store.start()
            try:
                return await what(store)
            finally:
                await store.close()

        return asyncio.run(run())

    return used


def test_an_event_changes_the_very_next_person(use):
    async def what(store):
        assert await store.person("anna") == EMPTY
        assert await store.add([event("1", kind="purchase")], now=NOW) == Added(1, 0)
        bought = await store.person("anna")
        assert (bought.bought, bought.bought_at) == (("p1",), (NOW,))
        await store.add([event("2", product_id="p2")], now=NOW + 1)
        person = await store.person("anna")
        assert (person.recent, person.viewed) == (("p1", "p2"), ("p2",))
        assert person.version > bought.version > 0
        assert await store.person("bert") == EMPTY
        assert store.peek("anna") in (None, person)

    use(what)


def test_the_same_event_again_changes_nothing(use):
    async def what(store):
        twice = [event("1"), event("2"), event("1", product_id="other")]
        assert await store.add(twice, now=NOW) == Added(2, 1)
        person = await store.person("anna")
        assert await store.add([event("2", "bert"), event("3", "bert")], now=NOW) == Added(1, 1)
        assert await store.person("anna") == person
        assert person.viewed == ("p1",)
        assert await store.add([], now=NOW) == Added(0, 0)

    use(what)


def test_events_count_in_the_order_of_their_times_not_of_their_arrival(use):
    async def what(store):
        for id, minutes in (("late", 3), ("early", 1), ("middle", 2)):
            time = START + timedelta(minutes=minutes)
            await store.add([event(id, product_id=id, event_time=time)], now=NOW)
        assert (await store.person("anna")).viewed == ("early", "middle", "late")

    use(what)


def test_at_one_time_what_arrived_last_is_newest(use):
    async def what(store):
        names = [f"p{i}" for i in range(12)]
        await store.add([event(name, product_id=name, event_time=START) for name in names], now=NOW)
        await store.add([event("x", product_id="x", event_time=START)], now=NOW)
        assert (await store.person("anna")).viewed == (*names, "x")

    use(what)


def test_persons_are_what_the_slow_oracle_makes_of_everything(use):
    draw = random.Random(0)
    kinds = ["view_item", "add_to_cart", "remove_from_cart", "purchase", "add_to_wishlist"]
    events = [
        event(
            f"e{draw.randrange(500)}",
            draw.choice(["anna", "bert", None]),
            draw.choice(kinds),
            product_id=f"p{draw.randrange(30)}",
            event_time=START + timedelta(milliseconds=draw.randrange(300)),
            quantity=draw.choice([None, 1.0, 2.5]),
        )
        for _ in range(700)
    ]
    first: dict[str, Event] = {}
    for one in events:
        first.setdefault(one.event_id, one)

    def oracle(customer):
        arrived = list(enumerate(first.values(), 1))
        hers = [(one.event_time, seq, one) for seq, one in arrived if one.customer_id == customer]
        last = sorted(hers, key=lambda line: line[:2])[-LAST:]
        steps = [Step(e.event_type, e.product_id, e.event_time, e.quantity) for _, _, e in last]
        return reduced(steps, max(seq for _, seq, _ in last))

    async def what(store):
        batches = [events[i : i + 37] for i in range(0, len(events), 37)]
        done = [await store.add(batch, now=NOW) for batch in batches]
        assert sum(added.new for added in done) == len(first)
        for customer in ("anna", "bert"):
            assert await store.person(customer) == oracle(customer)

    use(what)


def test_many_callers_at_once_lose_nothing_and_count_right(use):
    async def what(store):
        ids = [f"e{i % 150}" for i in range(300)]
        done = await asyncio.gather(*(store.add([event(id)], now=NOW) for id in ids))
        assert sum(added.new for added in done) == 150
        assert sum(added.known for added in done) == 150

    use(what)


def test_any_text_is_an_id(use):
    names = ["a b", "ü/ß", "🛒", "'; DROP TABLE events; --", '"', "\\", "*", "of:anna", "a\tb\n"]

    async def what(store):
        for i, name in enumerate(names):
            await store.add([event(f"{name}{i}", name, product_id=name)], now=NOW)
        for name in names:
            assert (await store.person(name)).viewed == (name,)
        assert await store.person("\ud800") == EMPTY
        assert store.degraded is None

    use(what)


def test_the_forgotten_are_unknown_and_the_others_stay(use):
    async def what(store):
        events = [event(str(i), ["anna", "bert"][i % 2], product_id=f"p{i}") for i in range(500)]
        await store.add(events, now=NOW)
        bert = await store.person("bert")
        assert await store.forget("anna") == 250
        assert await store.forget("anna") == 0
        assert await store.person("anna") == EMPTY
        assert await store.person("bert") == bert
        assert await store.add([event("0")], now=NOW) == Added(1, 0)

    use(what)


def test_changes_of_a_topic_are_numbered_and_others_are_not_among_them(use):
    async def what(store):
        assert await store.values("rules") == (0, {})
        one = await store.change("rules", [("a", b"1"), ("b", b"\0\xff")], by="eve", now=NOW)
        await store.change("other", [("a", b"?")], by="eve", now=NOW)
        two = await store.change("rules", [("a", None)], by="max", now=NOW + 1)
        assert await store.values("rules") == (two, {"b": b"\0\xff"})
        assert await store.changes("rules", one) == [Change(two, "a", None, "max", NOW + 1)]
        assert await store.changes("rules", two) == []
        whole = await store.changes("rules", 0)
        assert [(c.key, c.value) for c in whole] == [("a", b"1"), ("b", b"\0\xff"), ("a", None)]
        assert whole[1].version == one

    use(what)


def test_of_stock_each_key_keeps_its_last_change_alone(use):
    async def what(store):
        for i in range(5):
            await store.change("stock", [("a", b"%d" % i), ("b", b"%d" % i)], by="feed", now=NOW)
        last = await store.change("stock", [("c", b"1"), ("b", None), ("c", b"2")], by="", now=NOW)
        assert await store.values("stock") == (last, {"a": b"4", "c": b"2"})
        kept = await store.changes("stock", 0)
        assert [(c.key, c.value) for c in kept] == [("a", b"4"), ("b", None), ("c", b"2")]

    use(what)


def test_no_change_keeps_the_version(use):
    async def what(store):
        version = await store.change("rules", [("a", b"1")], by="eve", now=NOW)
        assert await store.change("rules", [], by="eve", now=NOW) == version

    use(what)


def test_many_thousand_changes_come_back_in_order(use):
    async def what(store):
        entries = [(f"p{i}", b"%d" % i) for i in range(12_000)]
        version = await store.change("stock", entries, by="feed", now=NOW)
        assert await store.values("stock") == (version, dict(entries))
        found = await store.changes("stock", 0)
        assert [(change.key, change.value) for change in found] == entries

    use(what)


def test_every_event_is_exported_once(use, tmp_path):
    full = event(
        "1",
        kind="purchase",
        channel="app",
        quantity=2.0,
        unit_price=19.99,
        order_id="o",
        session_id="s",
        store_id="t",
        live_session_id="l",
        request_id="r",
        event_time=datetime(2026, 3, 1, 12, 30, 0, 123456, UTC),
    )

    async def what(store):
        await store.add([full, event("2", None)], now=NOW)
        (first,) = await store.export(tmp_path / "collected", now=NOW)
        assert await store.export(tmp_path / "collected", now=NOW) == []
        await store.add([event("3"), event("2")], now=NOW)
        (second,) = await store.export(tmp_path / "collected", now=NOW)
        return first, second

    first, second = use(what)
    table = pq.read_table(first)
    assert table.schema.equals(EVENTS)
    one, two = table.to_pylist()
    source = {"source": "server", "source_row": 1}
    assert one == {name: getattr(full, name) for name in Event.__struct_fields__} | source
    assert (two["event_time"], two["channel"], two["customer_id"]) == (START, "web", None)
    assert pq.read_table(second)["event_id"].to_pylist() == ["3"]


@pytest.mark.parametrize("dies", ["before", "after"])
def test_an_export_that_dies_is_begun_again_as_the_same_file(use, tmp_path, monkeypatch, dies):
    def dying(lines: str, path: Path) -> None:
        if dies == "after":
            write(lines, path)
        raise RuntimeError

    folder = tmp_path / "collected"

    async def first(store):
        await store.add([event("1"), event("2")], now=NOW)
        with monkeypatch.context() as patch:
            patch.setattr("serving.state.exported.write", dying)
            patch.setattr("serving.state.redis.write", dying)
            with pytest.raises(RuntimeError):
                await store.export(folder, now=NOW)
        return sorted(path.name for path in folder.glob("*.parquet"))

    async def second(store):
        await store.add([event("3")], now=NOW)
        return [path.name for path in await store.export(folder, now=NOW)]

    written, names = use(first), use(second)
    assert [name[16:] for name in names] == [
        "000000000001-000000000002.parquet",
        "000000000003-000000000003.parquet",
    ]
    assert sorted(path.name for path in folder.glob("*.parquet")) == names
    assert written == (names[:1] if dies == "after" else [])


def test_what_was_exported_and_is_old_is_removed(use, tmp_path):
    later = NOW + KEPT_SECONDS

    async def what(store):
        await store.add([event("old")], now=NOW)
        await store.add([event("new", "bert")], now=later)
        await store.person("anna")
        await store.export(tmp_path, now=later + 1)
        assert await store.person("anna") == EMPTY
        assert (await store.person("bert")).viewed == ("p1",)
        assert await store.add([event("old"), event("new")], now=later) == Added(1, 1)
        (file,) = await store.export(tmp_path, now=later + 1)
        return file

    assert pq.read_table(use(what))["source_row"].to_pylist() == [3]


def test_an_empty_store_exports_nothing(use, tmp_path):
    assert use(lambda store: store.export(tmp_path, now=NOW)) == []
    assert list(tmp_path.glob("*.parquet")) == []
