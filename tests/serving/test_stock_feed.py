"""The feed: files dropped into a folder, taken whole or refused with the line."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from serving import feed
from serving.feed import Feed
from serving.feedfile import COLUMNS, LARGEST
from serving.state import Embedded
from serving.stock import Stock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
HEAD = "product_id,quantity,store_id,observed_at\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "feed"
    made.mkdir()
    return made


def dropped(path: Path, content: str | bytes, *, at: float = NOON - 60) -> Path:
    """A file that the shop wrote a minute before noon, renamed when it was complete."""
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(beside, (at, at))
    return beside.rename(path)


def looked(folder: Path, *, times: int = 1) -> Stock:
    """The stock after the feed looked, at noon."""

    async def run() -> Stock:
        store = Embedded(folder.parent / "state")
        await store.start()
        try:
            stock = Stock(store)
            await stock.look(now=NOON)
            taking = Feed(folder, stock)
            for _ in range(times):
                await taking.look(now=NOON)
        finally:
            await store.close()
        return stock

    return asyncio.run(run())


def known(stock: Stock) -> dict[tuple[str, str | None], tuple[float, float]]:
    return {
        (id, store): (count.quantity, count.at - NOON)
        for id in stock.counts.products
        for store, count in stock.counts.of(id).items()
    }


WANTED = {("a", None): (3.0, -60.0), ("b", "north"): (0.0, -3600.0), ("c;d", None): (1.5, -60.0)}


def test_csv_is_taken_and_moved_to_done(folder: Path) -> None:
    rows = "a,3,,\nb, 0 ,north,2026-03-01T12:00:00+01:00\n\nc;d,1.5,\t,\n"
    dropped(folder / "night.csv", "\ufeff" + HEAD + rows)
    stock = looked(folder)
    assert known(stock) == WANTED
    assert stock.feed_error is None
    assert [path.name for path in folder.iterdir()] == ["done"]
    assert (folder / "done" / "night.csv").is_file()


def test_csv_of_a_spreadsheet_has_semicolons_and_quotes(folder: Path) -> None:
    dropped(folder / "a.csv", 'quantity;product_id\r\n3;"a, ""b""\nc"\r\n')
    assert known(looked(folder)) == {('a, "b"\nc', None): (3.0, -60.0)}


def test_json_lines_are_taken(folder: Path) -> None:
    lines = [
        '{"product_id": "a", "quantity": 3}',
        "",
        '{"product_id": "b", "quantity": 0, "store_id": "north", "observed_at": "2026-03-01T11:00:00Z"}',  # noqa: E501
        '{"product_id": "c;d", "quantity": 1.5, "store_id": null}',
    ]
    dropped(folder / "night.jsonl", "\n".join(lines))
    assert known(looked(folder)) == WANTED


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_parquet_is_taken(folder: Path, unit: str) -> None:
    eleven = datetime(2026, 3, 1, 11, tzinfo=UTC)
    columns = {
        "product_id": pa.array(["a", "b", "c;d"]).dictionary_encode(),
        "quantity": pa.array([3, 0, 1.5], pa.float32()),
        "store_id": pa.array([None, "north", None], pa.large_string()),
        "observed_at": pa.array([None, eleven, None], pa.timestamp(unit, "Europe/Helsinki")),
    }
    pq.write_table(pa.table(columns), folder / ".beside")
    dropped(folder / "night.parquet", (folder / ".beside").read_bytes())
    (folder / ".beside").unlink()
    stock = looked(folder)
    assert stock.feed_error is None
    assert known(stock) == WANTED


def parquet(**columns: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


LINE = "a,1,,\n"
ALL = ", ".join(COLUMNS)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", "", f"line 1: no column product_id; want {ALL}, got []"),
        ("x.csv", "sku,quantity\n", f"line 1: no column product_id; want {ALL}, got ['sku', 'qu"),
        ("x.csv", "product_id,quantity,store\n", "line 1: column 'store' is none of them; want"),
        ("x.csv", "product_id,quantity,quantity\n", "line 1: column 'quantity' stands twice"),
        ("x.csv", HEAD + LINE + "a,1\n", "line 3: 2 values, want 4"),
        ("x.csv", HEAD + LINE + "a,few,,\n", "line 3: quantity must be a number from 0 to 1e12"),
        ("x.csv", HEAD + LINE + "a,-1,,\n", "line 3: quantity must be a number from 0 to 1e12"),
        ("x.csv", HEAD + LINE + "a,nan,,\n", "line 3: quantity must be a number from 0 to 1e12"),
        ("x.csv", HEAD + LINE + "a,,,\n", "line 3: quantity must be a number from 0 to 1e12, got"),
        ("x.csv", HEAD + LINE + ",1,,\n", "line 3: Object missing required field `product_id`"),
        ("x.csv", HEAD + LINE + f"{'a' * 257},1,,\n", "line 3: product_id must be a text of 1 to"),
        ("x.csv", HEAD + LINE + "a,1,,2026-03-01 11:00\n", "line 3: observed_at must be an RFC"),
        ("x.csv", HEAD + LINE + "a,1,,2026-03-01T11:00:00\n", "line 3: observed_at must be an R"),
        ("x.csv", HEAD + LINE + "a,1,,2027-03-01T11:00:00Z\n", "line 3.observed_at must lie bet"),
        ("x.csv", HEAD + LINE + 'a,1,"north,\n', "line 3: unexpected end of data"),
        ("x.csv", (HEAD + LINE).encode() + b"\xff,1,,\n", "the file must be UTF-8"),
        ("x.jsonl", '{"product_id": "a", "quantity": 1}\n{"pro', "line 2: want a JSON object"),
        ("x.jsonl", '\n\n{"product_id": "a", "quantity": "1"}', "line 3: quantity must be a numb"),
        ("x.jsonl", "[1]", "line 1: Expected `object`, got `array`; want product_id, quantity"),
        ("x.ndjson", '{"product_id": "a", "quantity": 1, "s": 1}', "line 1: Object contains unk"),
        ("x.parquet", b"PAR1", "the file cannot be read as Parquet"),
        ("x.parquet", parquet(product_id=pa.array(["a"])), "line 1: no column quantity; want"),
        (
            "x.parquet",
            parquet(product_id=pa.array(["a", None]), quantity=pa.array([1.0, 2.0])),
            "row 2: Object missing required field `product_id`",
        ),
        (
            "x.parquet",
            parquet(
                product_id=pa.array(["a"]),
                quantity=pa.array([1.0]),
                observed_at=pa.array([datetime(2026, 1, 1)], pa.timestamp("us")),
            ),
            "observed_at is timestamp[us], want a timestamp with a time zone",
        ),
        (
            "x.parquet",
            parquet(product_id=pa.array([["a"]]), quantity=pa.array([1.0])),
            "the file cannot be read as Parquet",
        ),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_nothing_of_it_is_taken(
    folder: Path, name: str, content: str | bytes, says: str
) -> None:
    dropped(folder / name, content)
    stock = looked(folder)
    why = (folder / "refused" / f"{name}.txt").read_text()
    assert why.startswith(says)
    assert stock.feed_error == f"{name} was refused: {why.strip()}"
    assert (folder / "refused" / name).is_file()
    assert known(stock) == {}


def test_a_bad_file_does_not_hold_up_the_next(folder: Path) -> None:
    dropped(folder / "1.csv", "nothing")
    dropped(folder / "2.csv", HEAD + LINE)
    stock = looked(folder)
    assert known(stock) == {("a", None): (1.0, -60.0)}
    assert stock.feed_error is None


def test_what_is_not_complete_or_no_file_of_counts_is_left_alone(folder: Path) -> None:
    for name in (".x.csv", "x.csv.part", "x.xlsx", "x.CSV~"):
        dropped(folder / name, HEAD + LINE)
    (folder / "folder.csv").mkdir()
    (folder / "elsewhere.csv").symlink_to(folder / ".x.csv")
    before = sorted(folder.iterdir())
    stock = looked(folder)
    assert sorted(folder.iterdir()) == before
    assert (known(stock), stock.feed_error) == ({}, None)


def test_a_file_that_is_being_written_in_place_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped(folder / "fresh.csv", HEAD + LINE, at=NOON - 0.1)
    path = dropped(folder / "grows.csv", HEAD + LINE)
    read = feed.read

    def slow(file: Path, now: float) -> object:
        found = read(file, now)
        with path.open("a") as more:
            more.write("b,")
        return found

    monkeypatch.setattr(feed, "read", slow)
    assert known(looked(folder)) == {}
    assert sorted(it.name for it in folder.iterdir()) == ["fresh.csv", "grows.csv"]


def test_a_file_too_large_to_be_meant_is_refused_unread(folder: Path) -> None:
    path = dropped(folder / "x.csv", HEAD)
    os.truncate(path, LARGEST + 1)
    os.utime(path, (NOON - 60, NOON - 60))
    assert "want at most 67,108,864: split it" in (looked(folder).feed_error or "")


def test_a_file_taken_twice_changes_nothing(folder: Path) -> None:
    """As after a kill between the taking and the moving: the file's time is the counts'."""
    dropped(folder / "x.csv", HEAD + LINE)
    looked(folder)
    dropped(folder / "y.csv", HEAD + "a,0,,2026-03-01T11:59:30Z\n")
    looked(folder)
    (folder / "done" / "x.csv").rename(folder / "x.csv")
    assert known(looked(folder)) == {("a", None): (0.0, -30.0)}


def test_a_file_that_cannot_be_moved_is_said_and_not_taken_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped(folder / "x.csv", HEAD + LINE)
    reads = []

    def stuck(*_: object) -> None:
        reads.append(1)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(feed, "_moved", stuck)
    stock = looked(folder, times=3)
    assert known(stock) == {("a", None): (1.0, -60.0)}
    assert "x.csv cannot be moved to done/" in (stock.feed_error or "")
    assert len(reads) == 1


def test_a_store_that_fails_leaves_the_file_for_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "AGAIN", 0.01)
    path = dropped(folder / "x.csv", HEAD + LINE)

    async def run() -> None:
        store = Embedded(folder.parent / "state")
        stock = Stock(store)  # the store is not open yet
        following = asyncio.create_task(Feed(folder, stock).follow(lambda: NOON))
        while stock.feed_error is None:
            await asyncio.sleep(0.01)
        assert path.is_file()
        assert known(stock) == {}
        await store.start()
        while stock.feed_error is not None:
            await asyncio.sleep(0.01)
        assert known(stock) == {("a", None): (1.0, -60.0)}
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await store.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_done_and_refused_keep_their_newest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "KEPT", 2)
    for number in range(5):
        dropped(folder / f"good {number}.csv", HEAD + LINE)
        dropped(folder / f"bad {number}.csv", "")
        looked(folder)
    assert {it.name for it in (folder / "done").iterdir()} == {"good 3.csv", "good 4.csv"}
    kept = {it.name for it in (folder / "refused").iterdir()}
    assert kept == {f"bad {n}.csv{end}" for n in (3, 4) for end in ("", ".txt")}


def test_without_the_folder_nothing_happens(tmp_path: Path) -> None:
    assert known(looked(tmp_path / "feed")) == {}
    assert not (tmp_path / "feed").exists()


def test_the_server_takes_a_dropped_file_in(shop: Callable[..., TestClient], bundles: Path) -> None:
    folder = bundles.parent / "feed"
    folder.mkdir()
    client = shop()
    dropped(folder / "night.csv", "product_id,quantity\np2,0\n", at=time.time() - 60)
    for _ in range(200):
        if (folder / "done" / "night.csv").exists():
            break
        time.sleep(0.05)
    assert client.get("/v1/stock/p2").json()["shown"] is False


def test_the_feed_leaves_pandas_alone(folder: Path) -> None:
    """A server has no use for it: 0.4 s and 60 MB."""
    content = parquet(
        product_id=pa.array(["a"]),
        quantity=pa.array([1.0]),
        observed_at=pa.array([datetime(2026, 1, 1, tzinfo=UTC)]),
    )
    dropped(folder / "x.parquet", content)
    script = (
        "import sys, pathlib; from serving.feedfile import read;"
        f"print(len(read(pathlib.Path({str(folder / 'x.parquet')!r}), {NOON})));"
        "assert 'pandas' not in sys.modules, 'pandas was imported'"
    )
    assert asyncio.run(_output(script)) == "1\n"


async def _output(script: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
