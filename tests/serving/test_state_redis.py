import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.state import EMPTY, Added, Event, Redis, StoreError
from serving.state import redis as store_module

NOW = 1_772_323_200.0


def event(id: str, product: str = "p1") -> Event:
    return Event(event_id=id, customer_id="anna", event_type="view_item", product_id=product)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


@pytest.fixture
def start(port: int, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a Redis at the port; it keeps what it has over a stop."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    running: list[subprocess.Popen[bytes]] = []

    def started() -> subprocess.Popen[bytes]:
        said = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        running.append(subprocess.Popen([program, *said, *kept], stdout=subprocess.DEVNULL))
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return running[-1]
            time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    yield started
    for server in running:
        server.kill()
        server.wait(timeout=10)


def test_replicas_see_each_others_writes_at_once(start, port):
    async def run():
        one, other = (Redis(f"redis://127.0.0.1:{port}/0") for _ in range(2))
        await one.start()
        await other.start()
        for i in range(20):
            writer, reader = (one, other) if i % 2 else (other, one)
            await writer.add([event(str(i), f"p{i}")], now=NOW + i)
            assert (await reader.person("anna")).viewed[-1] == f"p{i}"
            version = await writer.change("stock", [("p1", b"%d" % i)], by="", now=NOW)
            assert await reader.values("stock") == (version, {"p1": b"%d" % i})
        done = await asyncio.gather(
            *((one, other)[i % 2].add([event(f"x{i // 4}")], now=NOW) for i in range(80))
        )
        assert sum(added.new for added in done) == 20
        await one.close()
        await other.close()

    start()
    asyncio.run(run())


def test_shops_share_a_redis_and_nothing_else(start, port):
    async def run():
        shops = [Redis(f"redis://127.0.0.1:{port}/0", name=name) for name in ("north", "south")]
        for shop in shops:
            await shop.start()
        await shops[0].add([event("1")], now=NOW)
        assert await shops[1].person("anna") == EMPTY
        assert await shops[1].add([event("1")], now=NOW) == Added(1, 0)
        for shop in shops:
            await shop.close()

    start()
    asyncio.run(run())


def test_with_redis_gone_answers_go_on_without_her_and_writes_are_refused(start, port, monkeypatch):
    monkeypatch.setattr(store_module, "REST_SECONDS", 0.1)

    async def run():
        server = start()
        store = Redis(f"redis://eve:secret@127.0.0.1:{port}/0".replace("eve:secret@", ""))
        await store.start()
        await store.add([event("1")], now=NOW)
        server.kill()
        server.wait()
        assert await store.person("anna") == EMPTY
        assert f"redis://127.0.0.1:{port}/0 does not answer" in store.degraded
        with pytest.raises(StoreError, match="does not answer"):
            await store.add([event("2")], now=NOW)
        start()
        await asyncio.sleep(0.15)
        for _ in range(50):  # while Redis reads its file
            if (await store.person("anna")).viewed:
                break
            await asyncio.sleep(0.12)
        assert (await store.person("anna")).viewed == ("p1",)
        assert store.degraded is None
        assert await store.add([event("1"), event("2")], now=NOW) == Added(1, 1)
        await store.close()

    asyncio.run(run())


def test_a_redis_that_never_answers_is_asked_once_in_a_while(monkeypatch):
    asked = []

    async def run():
        async def silent(reader, writer):
            asked.append(1)
            await reader.read()  # nothing is answered
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            monkeypatch.setattr(store_module, "WRITE_SECONDS", 0.1)
            store = Redis(f"redis://127.0.0.1:{port}/0")
            await store.start()
            assert store.degraded is not None
            store._rests_until = 0.0
            assert {(await store.person("anna")).version for _ in range(500)} == {0}
            assert "does not answer" in store.degraded
            await store.close()

    asyncio.run(run())
    assert len(asked) < 10


def test_a_server_starts_without_its_redis_and_says_so(port):
    async def run():
        store = Redis(f"redis://eve:secret@127.0.0.1:{port}/0")
        await store.start()
        assert f"redis://127.0.0.1:{port}/0 does not answer" in store.degraded
        assert "secret" not in store.degraded
        assert await store.person("anna") == EMPTY
        await store.close()

    asyncio.run(run())


def test_an_address_that_is_none_is_named():
    with pytest.raises(StoreError, match="htp://x is no address of a Redis"):
        asyncio.run(Redis("htp://x").start())
