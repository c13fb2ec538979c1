"""What was shown is on the disk, each answer once, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import EXPOSURES
from serving.trials import exposures
from serving.trials.exposures import Exposures
from serving.trials.journal import Journal
from serving.trials.plans import INTERLEAVED, Assigned, Serve

Answer = tuple[Any, ...]  # what `add` takes, in its order
AT = 1_772_000_000.25
HOME = Assigned("home", "new", Serve(bundle="candidate"))
CART = Assigned("cart", "old")
BOTH = Assigned("both", INTERLEAVED)


def answer(id: str = "r1", **change: Any) -> Answer:
    """One answer's arguments, changed as said."""
    given = {
        "request_id": id, "at": AT, "customer_id": "ann", "unit": None, "surface": "home",
        "channel": "web", "assigned": (), "product_ids": ["a", "b"], "propensities": None,
        "given_above": None, "model": "als", "teams": None,
    }  # fmt: skip
    return tuple({**given, **change}.values())


def slow(
    request_id: str, at: float, customer_id: str | None, unit: str | None, surface: str,
    channel: str, assigned: Any, product_ids: Any, propensities: Any, given_above: Any,
    model: Any, teams: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """The oracle: a row for each product, once for each test."""
    rows = []
    for test in assigned or [None]:
        for place, product in enumerate(product_ids or [None]):
            arm = test.arm if test else None
            if arm == INTERLEAVED and teams and product:
                arm = teams[place]
            rows.append(
                {
                    "request_id": request_id, "event_time": round(at * 1e6),
                    "customer_id": customer_id, "unit": unit, "surface": surface,
                    "channel": channel, "experiment": test.experiment if test else None,
                    "arm": arm, "product_id": product,
                    "position": place + 1 if product else None,
                    "propensity": propensities[place] if propensities and product else None,
                    "propensity_given_above": given_above[place] if given_above and product
                    else None,
                    "model": model if isinstance(model, str) else (model or [None])[place],
                }
            )  # fmt: skip
    return rows


def told(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with the time in microseconds."""
    place = EXPOSURES.names.index("event_time")
    return table.set_column(place, "event_time", table["event_time"].cast(pa.int64())).to_pylist()


def logged(folder: Path) -> pa.Table:
    """All that lies there as parquet."""
    return pq.read_table(folder, schema=EXPOSURES)


def wait(until: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if until():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within 10 s")


@pytest.fixture
def log(tmp_path: Path) -> Exposures:
    return Exposures(tmp_path / "exposures", every=0.01)


SOME = [
    answer("plain"),
    answer("two tests", assigned=(HOME, CART), propensities=[0.5, 0.25], given_above=[0.5, 0.1]),
    answer("nothing to show", assigned=(CART,), product_ids=[]),
    answer("unknown", customer_id=None, unit="cookie:7", model=["als", "popular"]),
    answer("drafted", assigned=(BOTH, HOME), teams=["old", "new"], model=["als", "bpr"]),
    answer("drafted nothing", assigned=(BOTH,), product_ids=[], teams=[]),
]


def test_a_row_for_each_product_once_for_each_test(log: Exposures) -> None:
    log.start()
    for one in SOME:
        log.add(*one)
    log.close()
    found = logged(log.folder)
    assert found.schema.equals(EXPOSURES)
    assert told(found) == [row for one in SOME for row in slow(*one)]
    assert (log.written, log.dropped, log.torn, log.reason, log.waiting) == (6, 0, 0, None, 0)
    assert [path.suffix for path in log.folder.iterdir()] == [".parquet"]


CHANCE = st.floats(0.001, 1)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    products = draw(st.lists(st.text(min_size=1, max_size=4), max_size=4))
    per = st.lists(CHANCE, min_size=len(products), max_size=len(products))
    names = st.lists(st.sampled_from("xy"), min_size=len(products), max_size=len(products))
    return answer(
        draw(st.text(min_size=1, max_size=5)),
        customer_id=draw(st.none() | st.text(max_size=3)),
        assigned=draw(st.lists(st.sampled_from([HOME, CART, BOTH]), unique=True)),
        product_ids=products,
        propensities=draw(st.none() | per),
        given_above=draw(st.none() | per),
        model=draw(names) if products else "als",
        teams=draw(st.none() | names),
    )


@settings(max_examples=50, deadline=None)  # each writes to the disk
@given(st.lists(answers(), min_size=1, max_size=6))
def test_columns_made_at_once_are_those_of_a_plain_loop(some: list[Answer]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        log = Exposures(Path(folder))
        for one in some:
            log.add(*one)
        log.close()
        assert log.reason is None
        assert told(logged(log.folder)) == [row for one in some for row in slow(*one)]


def test_what_is_flushed_is_on_the_disk_within_a_moment_and_turned_now_and_then(
    tmp_path: Path,
) -> None:
    log = Exposures(tmp_path, every=0.01, answers=50)
    log.start()
    for n in range(200):
        log.add(*answer(f"r{n}"))
        if n % 50 == 49:
            wait(lambda n=n: log.written == n + 1)  # type: ignore[misc]
            wait(lambda n=n: len(list(tmp_path.glob("*.parquet"))) == n // 50 + 1)  # type: ignore[misc]
    log.close()
    assert Counter(logged(tmp_path)["request_id"].to_pylist()) == {f"r{n}": 2 for n in range(200)}
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_journal_is_turned_later_where_much_is_asked_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposures, "BUSY", 0.0)  # busy even where nothing is asked
    log = Exposures(tmp_path, every=0.01, answers=10)
    log.start()
    for n in range(10 * exposures.MUCH):
        assert not list(tmp_path.glob("*.parquet"))
        log.add(*answer(f"r{n}"))
        wait(lambda n=n: log.written == n + 1)  # type: ignore[misc]
    wait(lambda: bool(list(tmp_path.glob("*.parquet"))))
    log.close()
    assert logged(tmp_path).num_rows == 2 * 10 * exposures.MUCH


def test_a_journal_is_turned_after_so_many_seconds(tmp_path: Path) -> None:
    log = Exposures(tmp_path, every=0.01, seconds=0.05)
    log.start()
    log.add(*answer())
    wait(lambda: bool(list(tmp_path.glob("*.parquet"))))
    log.close()
    assert logged(tmp_path).num_rows == 2


def left_behind(folder: Path, *more: bytes) -> Path:
    """A journal of three answers that a process left, and what stands behind them."""
    log = Exposures(folder)
    for n in range(3):
        log.add(*answer(f"r{n}"))
    log._flush()
    log._close()
    (path,) = folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b"".join(more))
    return path


@pytest.mark.parametrize(
    ("more", "torn"),
    [
        ([], 0),
        ([b'{"request_id":"r3","at":17'], 1),
        ([b'{"request_id":"r3","at":17\n', b"\x00" * 9 + b"\n", b'{"requ'], 3),
    ],
)
def test_what_a_kill_left_is_turned_at_the_next_start_but_for_torn_lines(
    more: list[bytes], torn: int, log: Exposures
) -> None:
    left_behind(log.folder, *more)
    log.start()
    wait(lambda: not list(log.folder.glob("*.jsonl")))
    log.close()
    assert logged(log.folder)["request_id"].to_pylist() == ["r0", "r0", "r1", "r1", "r2", "r2"]
    assert log.torn == torn
    assert log.reason is None


def test_turning_again_what_was_turned_before_a_kill_changes_nothing(log: Exposures) -> None:
    path = left_behind(log.folder)
    text = path.read_bytes()
    log.close()
    path.write_bytes(text)  # as if killed after the rename, before the journal's end
    Exposures(log.folder).close()
    assert logged(log.folder).num_rows == 6


def test_an_empty_journal_leaves_nothing(log: Exposures) -> None:
    Journal(log.folder / "x.jsonl").close()
    log.close()
    assert list(log.folder.iterdir()) == []


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    one, other = Exposures(tmp_path), Exposures(tmp_path)
    one.add(*answer("mine"))
    one._flush()
    other.close()
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    one.close()
    assert logged(tmp_path).num_rows == 2


WRITER = """
import sys
from pathlib import Path
from serving.trials.exposures import Exposures
log = Exposures(Path(sys.argv[1]), every=0.002, answers=2_000)
log.start()
n = 0
while True:
    for _ in range(100):
        log.add(f"r{n}", 1e9, "ann", None, "home", "web", (), ["a", "b"], None, None, "als")
        n += 1
    while log.waiting:
        pass
    print(log.written, flush=True)
"""


def test_no_written_answer_is_lost_or_doubled_by_a_kill(tmp_path: Path) -> None:
    for seconds in (0.3, 0.5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        written = int(process.stdout.read().split("\n")[-2])
        process.wait()
        process.stdout.close()
        Exposures(tmp_path).close()
        found = Counter(logged(tmp_path)["request_id"].to_pylist())
        assert len(found) >= written > 0
        assert set(found.values()) == {2}  # two products
        for path in tmp_path.iterdir():
            assert path.suffix == ".parquet" or path.name.startswith(".")
            path.unlink()


def test_under_pressure_the_newest_are_dropped_and_counted(tmp_path: Path) -> None:
    log = Exposures(tmp_path, most=5)
    for n in range(8):
        log.add(*answer(f"r{n}"))
    assert log.dropped == 3
    log.close()
    assert set(logged(tmp_path)["request_id"].to_pylist()) == {f"r{n}" for n in range(5)}
    assert (log.written, log.dropped) == (5, 3)


def test_on_a_full_disk_answers_wait_and_none_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Exposures(tmp_path, most=100, every=0.01)
    log.add(*answer("before"))
    log._flush()
    pwrite, full = os.pwrite, [True]

    def half(file: int, text: bytes, place: int) -> int:
        if full and place > 400:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(file, text[:300] if full else text, place)

    monkeypatch.setattr(os, "pwrite", half)
    for n in range(120):
        log.add(*answer(f"r{n}"))
    log.start()
    wait(lambda: log.reason is not None)
    assert "No space left" in str(log.reason)
    assert (log.written, log.dropped, log.waiting) == (1, 20, 100)
    full.clear()
    wait(lambda: log.waiting == 0)
    log.close()
    assert (log.written, log.dropped, log.reason) == (101, 20, None)
    found = Counter(logged(tmp_path)["request_id"].to_pylist())
    assert found == dict.fromkeys(("before", *(f"r{n}" for n in range(100))), 2)


def test_a_disk_that_stays_full_costs_answers_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Exposures(tmp_path)
    log.add(*answer())

    def never(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", never)
    log.close()
    assert (log.written, log.dropped, log.waiting) == (0, 1, 0)


def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "exposures").write_text("in the way")
    log = Exposures(tmp_path / "exposures", every=0.01)
    log.start()
    log.add(*answer())
    wait(lambda: log.reason is not None)
    (tmp_path / "exposures").unlink()
    wait(lambda: log.written == 1)
    log.close()
    assert log.reason is None
    assert logged(log.folder).num_rows == 2


def test_a_folder_that_is_removed_is_made_again(log: Exposures) -> None:
    log.add(*answer("gone"))
    log._flush()
    (path,) = log.folder.iterdir()
    path.unlink()
    log.folder.rmdir()
    log.add(*answer("here"))
    log.close()
    assert set(logged(log.folder)["request_id"].to_pylist()) == {"here"}


def test_what_is_no_text_is_refused_alone(log: Exposures) -> None:
    log.add(*answer("good"))
    log.add(*answer("bad", customer_id="\ud800"))
    log.add(*answer("no time", at=float("nan")))
    log.add(*answer('ünïcode "quoted"\n\u2028'))
    log.close()
    assert (log.written, log.dropped) == (2, 2)
    assert set(logged(log.folder)["request_id"].to_pylist()) == {
        "good",
        'ünïcode "quoted"\n\u2028',
    }


def test_the_server_does_not_import_pandas_to_write_parquet(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from serving.trials.exposures import Exposures\n"
        "from serving.trials.plans import Assigned\n"
        "log = Exposures(Path(sys.argv[1]))\n"
        "for ids, some in (([], None), (['a', 'b'], [0.5, 0.5])):\n"
        "    log.add('r', 1.0, None, 'u:1', 'home', 'web', (Assigned('t', 'interleaved'),), ids,\n"
        "            some, some, 'als', ['x' for _ in ids])\n"
        "log.close(); assert log.reason is None, log.reason\n"
        "print(log.written, 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "False"]
