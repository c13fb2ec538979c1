"""Artifacts and tables: files written beside and renamed; all of a snapshot is seen or none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import artifact, schemas, tables
from features.artifact import Damaged, Missing, digest, point, pointed, staged, verify
from features.schemas import CUSTOMERS, SCHEMAS
from features.tables import Snapshot, Tables, code_version

JOINED = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Tables:
    return Tables(tmp_path / "tables")


def customers(*names: str) -> pa.Table:
    rows = [{"customer_id": name, "country": "NL", "joined_at": JOINED} for name in names]
    return pa.Table.from_pylist(rows, schema=CUSTOMERS)


def made(store: Tables, id: str, *names: str) -> Snapshot:
    return store.commit("customers", id, [store.write("customers", customers(*names))])


def test_a_staged_directory_appears_whole(tmp_path: Path) -> None:
    wanted = tmp_path / "bundle"
    with staged(wanted, {"kind": "als"}) as beside:
        (beside / "model").mkdir()
        (beside / "model" / "factors.npy").write_bytes(b"12345")
        assert not wanted.exists()
    manifest = verify(wanted)
    assert manifest["kind"] == "als"
    assert manifest["files"]["model/factors.npy"]["bytes"] == 5


def test_a_failure_while_staging_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with staged(tmp_path / "bundle", {}) as beside:
            (beside / "half").write_text("a half")
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with staged(tmp_path / "bundle", {}) as beside:
            (beside / "file").write_text(text)
    assert (tmp_path / "bundle" / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@given(place=st.integers(0, 199), bit=st.integers(0, 7))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_of_a_file_is_found(tmp_path: Path, place: int, bit: int) -> None:
    with staged(tmp_path / "bundle", {}) as beside:
        (beside / "file").write_bytes(bytes(range(200)))
    file = tmp_path / "bundle" / "file"
    good = file.read_bytes()
    verify(tmp_path / "bundle")
    file.write_bytes(good[:place] + bytes([good[place] ^ (1 << bit)]) + good[place + 1 :])
    with pytest.raises(Damaged, match="file is not what its manifest says"):
        verify(tmp_path / "bundle")
    file.write_bytes(good)


def test_a_lost_file_manifest_or_word_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"has no manifest\.json"):
        verify(tmp_path / "nothing")
    with staged(tmp_path / "bundle", {}) as beside:
        (beside / "file").write_text("words")
    (tmp_path / "bundle" / "file").unlink()
    with pytest.raises(Missing, match="file is gone"):
        verify(tmp_path / "bundle")
    (tmp_path / "bundle" / "manifest.json").write_text("{")
    with pytest.raises(Damaged, match="is not JSON"):
        verify(tmp_path / "bundle")


def test_a_pointer_holds_the_last_name(tmp_path: Path) -> None:
    pointer = tmp_path / "bundles" / "current"
    assert pointed(pointer) is None
    point(pointer, "one")
    point(pointer, "two")
    assert pointed(pointer) == "two"
    assert [path.name for path in pointer.parent.iterdir()] == ["current"]


def test_a_name_is_of_the_value_not_of_its_spelling() -> None:
    assert digest({"a": 1, "b": [2.0]}) == digest({"b": [2.0], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest({})) == 16


def test_what_was_written_is_read(store: Tables) -> None:
    snapshot = made(store, "one", "anna", "ben")
    assert snapshot.read().equals(customers("anna", "ben"))
    assert snapshot.read(["country"]).column_names == ["country"]
    assert (snapshot.rows, snapshot.as_of) == (2, None)
    assert store.need("customers").id == "one"


def test_equal_rows_are_one_file_that_snapshots_share(store: Tables) -> None:
    first = made(store, "one", "anna")
    part = store.write("customers", customers("ben"))
    second = store.commit("customers", "two", [*first.parts, part])
    assert second.paths[0] == first.paths[0]
    assert store.write("customers", customers("ben")).name == part.name
    assert len(list((store.root / "customers" / "parts").iterdir())) == 2
    assert first.read().num_rows == 1


def test_a_snapshot_without_parts_has_its_tables_columns(store: Tables) -> None:
    for table, schema in SCHEMAS.items():
        assert store.commit(table, "none", []).read().schema == schema


def test_an_adopted_file_says_the_range_of_its_times(store: Tables) -> None:
    path = store.beside("customers")
    times = [datetime(2025, 3, n, tzinfo=UTC) for n in (2, 1, 3)]
    rows = [{"customer_id": str(n), "joined_at": time} for n, time in enumerate(times)]
    pq.write_table(pa.Table.from_pylist(rows, schema=CUSTOMERS), path, row_group_size=1)
    part = store.adopt("customers", path, time="joined_at", day="2025-03")
    assert (part.rows, part.about) == (3, {"day": "2025-03"})
    assert (part.min_time, part.max_time) == (times[1].isoformat(), times[2].isoformat())
    assert not path.exists()
    snapshot = store.commit("customers", "one", [part], as_of=JOINED)
    assert snapshot.manifest["max_time"] == times[2].isoformat()
    assert snapshot.as_of == JOINED


def test_times_that_are_all_unknown_have_no_range(store: Tables) -> None:
    path = store.beside("customers")
    pq.write_table(pa.Table.from_pylist([{"customer_id": "anna"}], schema=CUSTOMERS), path)
    part = store.adopt("customers", path, time="joined_at")
    assert (part.min_time, part.max_time) == (None, None)


def test_a_flipped_byte_of_a_part_is_found(store: Tables) -> None:
    snapshot = made(store, "one", "anna")
    snapshot.verify()
    path = Path(snapshot.paths[0])
    good = path.read_bytes()
    for place in range(0, len(good), 97):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(Damaged, match="is not what snapshot one of customers says"):
            snapshot.verify()
    path.unlink()
    with pytest.raises(Missing, match="is gone, snapshot one of customers names it"):
        snapshot.verify()


def test_a_snapshot_is_found_only_whole(store: Tables) -> None:
    assert store.find("customers", "one") is None
    snapshot = made(store, "one", "anna")
    assert store.find("customers", "one") == snapshot
    Path(snapshot.paths[0]).unlink()
    assert store.find("customers", "one") is None


def test_a_part_is_invisible_until_a_snapshot_names_it(store: Tables) -> None:
    part = store.write("customers", customers("anna"))
    assert store.current("customers") is None
    assert [path.stem for path in store.orphans()] == [part.name]
    store.commit("customers", "one", [part])
    assert store.orphans() == []
    half = store.beside("customers")
    half.write_text("a kill's")
    assert store.orphans() == [half]


def test_a_look_back_does_not_become_the_newest(store: Tables) -> None:
    made(store, "one", "anna")
    store.commit("customers", "two", [], current=False)
    assert store.need("customers").id == "one"
    store.point(store.get("customers", "two"))
    assert store.need("customers").id == "two"


@pytest.mark.parametrize(("table", "step"), [("events", "ingest"), ("baskets", "features")])
def test_a_missing_table_says_what_makes_it(store: Tables, table: str, step: str) -> None:
    with pytest.raises(Missing, match=f"no {table} in .*: run `regulars {step}` first"):
        store.need(table)


def test_an_id_is_of_the_inputs_and_the_schema(
    store: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.id("customers", events="a", code="c")
    assert first == store.id("customers", code="c", events="a")
    assert first != store.id("customers", events="b", code="c")
    assert first != store.id("suppliers", events="a", code="c")
    monkeypatch.setitem(schemas.SCHEMAS, "customers", CUSTOMERS.remove(1))
    assert first != store.id("customers", events="a", code="c")


def test_the_version_of_code_is_of_its_text(tmp_path: Path) -> None:
    assert code_version(tables) == code_version(tables) != code_version(tables, artifact)


def test_a_manifest_is_readable_json(store: Tables) -> None:
    made(store, "one", "anna")
    manifest = json.loads((store.root / "customers" / "snapshots" / "one.json").read_text())
    assert (manifest["rows"], manifest["table"]) == (1, "customers")
