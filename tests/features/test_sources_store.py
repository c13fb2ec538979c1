"""The events store: the same again, overlapping, late, corrected and interrupted files."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.sources import Ingested, Mapping, NotAccounted, ingest, reading, store
from features.tables import Tables

MAPPING = Mapping.model_validate(
    {
        "columns": {"event_time": "time", "product_id": "sku"},
        "constants": {"event_type": "view", "channel": "web"},
    }
)
WITH_ID = MAPPING.model_copy(update={"columns": {**MAPPING.columns, "event_id": "id"}})
WITH_TITLE = MAPPING.model_copy(update={"attributes": {"title": "title"}})


def write(path: Path, skus: Sequence[object], day: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("time,sku\n" + "".join(f"2024-03-{day:02}T10:00:00,{sku}\n" for sku in skus))
    return path


def take(root: Path, path: Path, mapping: Mapping = MAPPING) -> Ingested:
    return ingest(Tables(root), str(path), mapping)


def column(root: Path, table: str, name: str = "product_id") -> list[Any]:
    return sorted(row[name] for row in Tables(root).need(table).read([name]).to_pylist())


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["p1", "p2", "p2", ""])
    first = take(tmp_path / "t", path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "t").rglob("*.*") if p.suffix != ".lock"}
    again = take(tmp_path / "t", path)
    assert first.changed
    assert not again.changed
    assert (again.rows, again.reasons, again.snapshot) == (
        first.rows,
        first.reasons,
        first.snapshot,
    )
    assert first.rows == {"input": 4, "events": 2, "quarantined": 1, "duplicates": 1}
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "t").rglob("*.*") if p.suffix != ".lock"}
    assert after == before


def test_a_file_from_another_place_is_the_same_file(tmp_path: Path) -> None:
    take(tmp_path / "t", write(tmp_path / "x" / "a.csv", ["p1"]))
    assert not take(tmp_path / "t", write(tmp_path / "y" / "a.csv", ["p1"])).changed


def test_a_second_file_that_overlaps_adds_only_what_is_new(tmp_path: Path) -> None:
    take(tmp_path / "t", write(tmp_path / "a.csv", ["p1", "p2"]))
    done = take(tmp_path / "t", write(tmp_path / "b.csv", ["p2", "p3"]))
    assert done.rows == {"input": 2, "events": 1, "quarantined": 0, "duplicates": 1}
    assert column(tmp_path / "t", "events") == ["p1", "p2", "p3"]
    [twin] = Tables(tmp_path / "t").need("duplicates").read().to_pylist()
    assert (twin["source"], twin["source_row"], twin["reason"]) == ("b.csv", 1, "same_content")
    assert len(Tables(tmp_path / "t").need("events").parts) == 2


def test_the_order_of_files_does_not_matter_for_the_events(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.csv", ["p1", "p2"]),
        write(tmp_path / "b.csv", ["p2", "p3"], day=1),
        write(tmp_path / "c.csv", ["p3", "p1"], day=2),
    ]
    seen = set()
    for n, order in enumerate(itertools.permutations(files)):
        root = tmp_path / f"t{n}"
        for path in order:
            last = take(root, path)
        seen.add((last.snapshot, *column(root, "events", "event_id")))
    assert len(seen) == 1


def test_a_folder_is_its_files_and_a_new_one_in_it_is_all_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in" / "01.csv", ["p1", "p2"])
    write(tmp_path / "in" / "02.csv", ["p2", "p3"])
    first = take(tmp_path / "t", tmp_path / "in")
    assert first.rows == {"input": 4, "events": 3, "quarantined": 0, "duplicates": 1}
    write(tmp_path / "in" / "sub" / "03.csv", ["p4"], day=3)
    read: list[str] = []
    chunks = reading.chunks
    monkeypatch.setattr(
        reading,
        "chunks",
        lambda files, *rest: chunks([read.append(f.name) or f for f in files], *rest),  # type: ignore[func-returns-value]
    )
    done = take(tmp_path / "t", tmp_path / "in")
    assert read == ["sub/03.csv"]
    assert done.rows == {"input": 5, "events": 4, "quarantined": 0, "duplicates": 1}
    parts = Tables(tmp_path / "t").need("events").parts
    assert [part.about["source"] for part in parts] == ["01.csv", "02.csv", "sub/03.csv"]


def test_a_late_file_adds_its_older_times(tmp_path: Path) -> None:
    take(tmp_path / "t", write(tmp_path / "b.csv", ["p1"], day=9))
    take(tmp_path / "t", write(tmp_path / "a.csv", ["p1"], day=2))
    snapshot = Tables(tmp_path / "t").need("events")
    assert snapshot.rows == 2
    assert snapshot.manifest["min_time"] == "2024-03-02T10:00:00+00:00"
    assert snapshot.manifest["max_time"] == "2024-03-09T10:00:00+00:00"


def test_a_corrected_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    first = take(tmp_path / "t", write(tmp_path / "a.csv", ["p1", "p2", ""]))
    take(tmp_path / "t", write(tmp_path / "b.csv", ["p2", "p3", "p2"]))
    done = take(tmp_path / "t", write(tmp_path / "a.csv", ["p1", "p4"]))
    assert done.replaced == ("a.csv",)
    assert done.rows == {"input": 2, "events": 2, "quarantined": 0, "duplicates": 0}
    # p2 of b.csv, once dropped for a.csv's, is an event again; its second row still is not
    assert column(tmp_path / "t", "events") == ["p1", "p2", "p3", "p4"]
    [twin] = Tables(tmp_path / "t").need("duplicates").read().to_pylist()
    assert (twin["source"], twin["source_row"]) == ("b.csv", 3)
    assert column(tmp_path / "t", "quarantine", "source") == []
    b = take(tmp_path / "t", tmp_path / "b.csv")
    assert not b.changed
    assert b.rows == {"input": 3, "events": 2, "quarantined": 0, "duplicates": 1}
    # and back: the snapshot of then is not the one of before b.csv came
    back = take(tmp_path / "t", write(tmp_path / "a.csv", ["p1", "p2", ""]))
    assert back.snapshot != first.snapshot
    assert column(tmp_path / "t", "events") == ["p1", "p2", "p3"]
    assert back.rows == {"input": 3, "events": 2, "quarantined": 1, "duplicates": 0}
    assert column(tmp_path / "t", "quarantine", "source") == ["a.csv"]


def test_an_event_that_comes_back_is_what_it_was(tmp_path: Path) -> None:
    mapping = Mapping.model_validate(
        {
            "columns": {
                "event_time": "time",
                "product_id": "sku",
                "quantity": "n",
                "unit_price": "p",
                "customer_id": "who",
            },
            "constants": {"event_type": "purchase", "channel": "web"},
        }
    )
    line = 'time,sku,n,p,who\n2024-03-01 10:00:00.123456,"p""1",0.1,12.345678901234567,zoë\\\n'
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(line)
        take(tmp_path / "t", tmp_path / name, mapping)
    [before] = Tables(tmp_path / "t").need("events").read().to_pylist()
    (tmp_path / "a.csv").write_text("time,sku,n,p,who\n")
    take(tmp_path / "t", tmp_path / "a.csv", mapping)
    [after] = Tables(tmp_path / "t").need("events").read().to_pylist()
    assert before["source"] == "a.csv"
    assert after == {**before, "source": "b.csv"}
    assert after["unit_price"] == 12.345678901234567


def test_another_mapping_takes_the_file_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["p1"])
    take(tmp_path / "t", path)
    done = take(
        tmp_path / "t", path, MAPPING.model_copy(update={"constants": {"event_type": "buy"}})
    )
    assert (done.changed, done.replaced) == (True, ("a.csv",))
    assert column(tmp_path / "t", "events", "event_type") == ["purchase"]


def test_the_shops_own_event_id_says_what_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "id,time,sku\n1,2024-03-01,p1\n2,2024-03-01,p1\n,2024-03-01,p1\n"
    )
    (tmp_path / "b.csv").write_text("id,time,sku\n2,2024-05-01,p9\n3,2024-03-01,p1\n")
    assert take(tmp_path / "t", tmp_path / "a.csv", WITH_ID).rows["events"] == 3
    done = take(tmp_path / "t", tmp_path / "b.csv", WITH_ID)
    assert done.rows == {"input": 2, "events": 1, "quarantined": 0, "duplicates": 1}
    assert column(tmp_path / "t", "duplicates", "reason") == ["same_event_id"]
    ids = column(tmp_path / "t", "events", "event_id")
    assert ids[:3] == ["1", "2", "3"]
    assert len(ids[3]) == 32


Step = tuple[str, tuple[int, ...]]


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.lists(st.integers(0, 4), max_size=4)),
        min_size=1,
        max_size=6,
    )
)
def test_the_events_are_what_the_files_of_now_say_whatever_came_before(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    now: dict[str, list[int]] = {}
    for name, skus in steps:
        now[name] = skus
        done = take(folder / "t", write(folder / f"{name}.csv", skus))
        assert done.rows["input"] == len(skus)
        wanted = sorted({str(sku) for skus in now.values() for sku in skus})
        assert column(folder / "t", "events") == wanted
        places = [
            (row["source"], row["source_row"])
            for table in ("events", "duplicates")
            for row in Tables(folder / "t").need(table).read().to_pylist()
        ]
        assert sorted(places) == sorted(
            (f"{name}.csv", i + 1) for name, skus in now.items() for i in range(len(skus))
        )
    assert Tables(folder / "t").need("events").manifest["rows"] == len(wanted)


@pytest.mark.parametrize("fatal", ["quarantine", "duplicates", "products", "events"])
def test_an_interrupted_ingest_leaves_nothing_half_visible_and_is_repaired_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: str
) -> None:
    def titled(name: str, *rows: str) -> Path:
        path = tmp_path / name
        path.write_text("time,sku,title\n" + "".join(f"2024-03-01,{row}\n" for row in rows))
        return path

    root = tmp_path / "t"
    take(root, titled("a.csv", "p1,Tea", "p1,Tea", ","), WITH_TITLE)
    before = Tables(root).need("events")
    commit = Tables.commit

    def killed(self: Tables, table: str, *rest: Any, **said: Any) -> Any:
        if table == fatal:
            raise KeyboardInterrupt
        return commit(self, table, *rest, **said)

    path = titled("b.csv", "p2,Cup", "p1,Tea", ",")
    monkeypatch.setattr(Tables, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        take(root, path, WITH_TITLE)
    monkeypatch.undo()
    assert Tables(root).need("events") == before
    Tables(root).need("events").verify()
    assert Tables(root).orphans() == []
    done = take(root, path, WITH_TITLE)
    assert done.rows == {"input": 3, "events": 1, "quarantined": 1, "duplicates": 1}
    clean = tmp_path / "clean"
    take(clean, tmp_path / "a.csv", WITH_TITLE)
    take(clean, path, WITH_TITLE)
    for table in ("events", "quarantine", "duplicates", "products"):
        assert Tables(root).need(table).manifest == Tables(clean).need(table).manifest


def test_a_killed_process_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "t"
    take(root, write(tmp_path / "a.csv", ["p1"]))
    before = Tables(root).need("events")
    path = write(tmp_path / "b.csv", ["p2"])
    program = f"""
        import os, signal
        from features.sources import ingest, Mapping
        from features.tables import Tables
        commit = Tables.commit
        def killed(self, table, *rest, **said):
            if table == "events":
                os.kill(os.getpid(), signal.SIGKILL)
            return commit(self, table, *rest, **said)
        Tables.commit = killed
        from pathlib import Path
        mapping = Mapping.model_validate_json({MAPPING.model_dump_json()!r})
        ingest(Tables(Path({str(root)!r})), {str(path)!r}, mapping)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == -signal.SIGKILL
    assert Tables(root).need("events") == before
    assert take(root, path).rows["events"] == 1
    assert column(root, "events") == ["p1", "p2"]
    assert not (root / ".ingest").exists()


def test_rows_that_do_not_add_up_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = store.Tally.add

    def forget(self: store.Tally, table: str, part: Any) -> None:
        if table != "duplicates":
            add(self, table, part)

    monkeypatch.setattr(store.Tally, "add", forget)
    with pytest.raises(NotAccounted, match=r"a.csv: 2 rows in, but 1 taken"):
        take(tmp_path / "t", write(tmp_path / "a.csv", ["p1", "p1"]))
    assert Tables(tmp_path / "t").current("events") is None
    assert list((tmp_path / "t").rglob("*.parquet")) == []


def test_ids_of_other_times_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2, 3):
        take(tmp_path / "t", write(tmp_path / f"{day}.csv", ["p1"], day=day))
    snapshot = Tables(tmp_path / "t").need("events")
    for part, path in zip(snapshot.parts, snapshot.paths, strict=True):
        if part.about["source"] != "2.csv":
            Path(path).write_bytes(b"unreadable")
    done = take(tmp_path / "t", write(tmp_path / "4.csv", ["p1", "p2"], day=2))
    assert done.rows == {"input": 2, "events": 1, "quarantined": 0, "duplicates": 1}
