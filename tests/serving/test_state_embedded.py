import asyncio
import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from serving.state import EMPTY, Added, Embedded, Event, StoreError, embedded, rows, writer

NOW = 1_772_323_200.0


def event(id: str, customer: str = "anna", product: str = "p1") -> Event:
    return Event(event_id=id, customer_id=customer, event_type="view_item", product_id=product)


def use(folder: Path, what: Callable[[Embedded], Awaitable[object]]) -> object:
    """Open the store of a folder, do something with it, close it."""

    async def run() -> object:
        store = Embedded(folder)
        await store.start()
        try:
            return await what(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def marked(store: Embedded) -> None:
    """Until everyone who has events has her mark."""
    assert store._marking is not None
    await store._marking


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path):
    use(tmp_path, lambda store: store.add([event("1")], now=NOW))

    async def again(store):
        assert store.peek("anna").viewed == ("p1",)  # before and after the marks are made
        await marked(store)
        assert store.peek("anna").viewed == ("p1",)
        assert store.peek("bert") is EMPTY
        assert await store.add([event("1")], now=NOW) == Added(0, 1)

    use(tmp_path, again)


def test_everyone_is_marked_however_many_pages_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "PAGE", 7)
    names = [f"c{i}" for i in range(50)]
    use(tmp_path, lambda s: s.add([event(f"e{name}", name) for name in names], now=NOW))

    async def again(store):
        await marked(store)
        assert all(store.peek(name).viewed for name in names)

    use(tmp_path, again)


def test_persons_that_are_remembered_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "REMEMBERED", 10)

    async def what(store):
        names = [f"c{i}" for i in range(100)]
        await store.add([event(f"e{name}", name, f"p{name}") for name in names], now=NOW)
        for name in names + names[::-1] + names[50:60] * 3:
            assert store.peek(name).viewed == (f"p{name}",)
        assert len(store._young) + len(store._old) <= 20

    use(tmp_path, what)


def test_a_full_disk_refuses_and_acknowledges_again_when_there_is_space(tmp_path):
    many = [event(f"big{i}", product="p" * 256) for i in range(1000)]

    async def what(store):
        await store.add([event("1")], now=NOW)
        with full_disk(), pytest.raises(StoreError, match=r"state.sqlite was not written: "):
            await store.add(many, now=NOW)
        assert store.degraded is not None
        assert store.peek("anna").viewed == ("p1",)
        assert await store.add([event("2"), *many], now=NOW) == Added(1001, 0)
        assert store.degraded is None

    use(tmp_path, what)
    assert use(tmp_path, lambda store: store.add([event("2"), *many], now=NOW)) == Added(0, 1001)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match=str(tmp_path)):
        use(tmp_path / "state", marked)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "state").write_text("no folder")
    with pytest.raises(StoreError, match=rf"folder cannot be used: .*{tmp_path}/state"):
        use(tmp_path / "state", marked)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "state.sqlite").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreError, match=rf"{tmp_path}/state.sqlite cannot be used: file is not"):
        use(tmp_path, marked)


def test_a_file_damaged_in_its_middle_answers_nobody_and_says_so(tmp_path):
    use(tmp_path, lambda s: s.add([event(f"e{i}", f"c{i}") for i in range(2000)], now=NOW))
    path = tmp_path / "state.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[:20_480] + b"\xff" * (len(whole) - 20_480))

    async def what(store):
        await marked(store)
        assert all(store.peek(f"c{i}").viewed in ((), ("p1",)) for i in range(2000))
        assert "state.sqlite cannot be read: " in store.degraded

    with contextlib.suppress(StoreError):  # where the start sees it, the better
        use(tmp_path, what)


def test_two_servers_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "PATIENCE", 0.2)

    async def what(_):
        with pytest.raises(StoreError, match=r"another server uses .*share a Redis"):
            await Embedded(tmp_path).start()

    use(tmp_path, what)
    use(tmp_path, marked)


def test_not_a_byte_of_the_forgotten_is_left(tmp_path):
    async def what(store):
        events = [event(f"e{i}", f"c{i % 50}", f"secret{i % 50}-{i}") for i in range(3000)]
        for start in range(0, 3000, 250):
            await store.add(events[start : start + 250], now=NOW)
        assert any(b"secret7-" in path.read_bytes() for path in tmp_path.iterdir())
        assert await store.forget("c7") == 60
        for path in tmp_path.iterdir():
            assert b"secret7-" not in path.read_bytes(), path

    use(tmp_path, what)


def test_too_many_waiting_events_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MOST_WAITING", 100)

    async def what(store):
        batches = [[event(f"{i}-{j}") for j in range(30)] for i in range(10)]
        adding = (store.add(batch, now=NOW) for batch in batches)
        done = await asyncio.gather(*adding, return_exceptions=True)
        assert done[:3] == [Added(30, 0)] * 3
        assert [str(one).split(" /")[0] for one in done[3:]] == ["90 events wait for"] * 7
        assert await store.add([event("after")], now=NOW) == Added(1, 0)

    use(tmp_path, what)


def test_a_caller_that_went_away_stops_nobody(tmp_path):
    async def what(store):
        gone = asyncio.create_task(store.add([event("1")], now=NOW))
        await asyncio.sleep(0)
        gone.cancel()
        assert await store.add([event("2")], now=NOW) == Added(1, 0)

    use(tmp_path, what)


def test_a_change_whose_caller_went_away_is_seen(tmp_path):
    async def what(store):
        version = await store.change("stock", [("p1", b"1")], by="feed", now=NOW)
        assert await store.changes("stock", version) == []
        gone = asyncio.create_task(store.change("stock", [("p1", b"2")], by="feed", now=NOW))
        await asyncio.sleep(0)
        gone.cancel()
        await store.add([event("1")], now=NOW)  # is written after it
        assert [change.value for change in await store.changes("stock", version)] == [b"2"]

    use(tmp_path, what)


def test_events_that_stand_though_they_were_refused_are_known_of_her(tmp_path, monkeypatch):
    def committed_and_lost(database, group, commit=writer._commit):
        commit(database, group)
        raise sqlite3.OperationalError("lost")

    async def what(store):
        assert store.peek("anna") == EMPTY
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_commit", committed_and_lost)
            with pytest.raises(StoreError, match="lost"):
                await store.add([event("1")], now=NOW)
        assert store.peek("anna").viewed == ("p1",)
        assert await store.add([event("1")], now=NOW) == Added(0, 1)

    use(tmp_path, what)


def test_after_closing_nothing_is_taken(tmp_path):
    async def run():
        store = Embedded(tmp_path)
        with pytest.raises(StoreError, match="is not open"):
            await store.add([event("1")], now=NOW)
        await store.start()
        await store.close()
        with pytest.raises(StoreError, match="is closed"):
            await store.add([event("1")], now=NOW)
        assert store.peek("anna") == EMPTY

    asyncio.run(run())


def test_changes_are_read_from_the_file_after_a_restart(tmp_path):
    version = use(tmp_path, lambda s: s.change("stock", [("p1", b"3")], by="feed", now=NOW))

    async def again(store):
        assert await store.changes("stock", version) == []
        assert await store.values("stock") == (version, {"p1": b"3"})
        assert await store.change("stock", [("p1", b"4")], by="feed", now=NOW) > version
        assert [change.value for change in await store.changes("stock", version)] == [b"4"]

    use(tmp_path, again)


EXPORTER = """
import asyncio, sys
from pathlib import Path
from serving.state import Embedded, Event

async def main(folder):
    store = Embedded(folder / "state")
    await store.start()
    await store.add([Event(event_id="1", event_type="refund", product_id="p")], now=0.0)
    await store.person("anna")
    assert await store.export(folder, now=0.0)
    await store.close()

asyncio.run(main(Path(sys.argv[1])))
print(*sorted({"pandas", "redis", "duckdb"} & set(sys.modules)))
"""


def test_a_server_that_exports_imports_nothing_heavy(tmp_path):
    command = [sys.executable, "-c", EXPORTER, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "\n"


WORKER = """
import asyncio, itertools, sys, time
from pathlib import Path
from serving.state import Embedded, Event

async def main(folder, run):
    store = Embedded(folder)
    await store.start()
    numbers = itertools.count()
    async def caller():
        for i in numbers:
            ids = [f"{run}-{i}-{j}" for j in range(3)]
            await store.add([Event(event_id=id, customer_id=f"c{i % 5}", event_type="view_item",
                                   product_id="p") for id in ids], now=time.time())
            print(*ids, flush=True)
    await asyncio.gather(*(caller() for _ in range(16)))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def test_what_was_acknowledged_survives_kill_9_at_any_moment(tmp_path):
    acknowledged: list[str] = []
    draw = random.Random(0)
    for run in range(3):
        command = [sys.executable, "-c", WORKER, str(tmp_path), str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            head = worker.stdout.readline()
            time.sleep(draw.uniform(0, 0.4))
            worker.send_signal(signal.SIGKILL)
            lines = (head + worker.stdout.read()).decode().split("\n")
        acknowledged += [id for line in lines[:-1] for id in line.split()]  # the last may be cut
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as database:
        kept = [id for (id,) in database.execute("SELECT event_id FROM events")]
    assert len(acknowledged) > 100
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    sent_again = [event(id) for id in acknowledged[:500]]
    assert use(tmp_path, lambda store: store.add(sent_again, now=NOW)) == Added(0, len(sent_again))
