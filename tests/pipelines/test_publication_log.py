import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines import log

AT = datetime(2026, 1, 1, tzinfo=UTC)


def three(path: Path) -> list[bytes]:
    for version in "123":
        log.append(path, {"action": "promote", "version": version}, at=AT)
    return path.read_bytes().splitlines(keepends=True)


def test_records_stand_in_a_chain_that_holds(tmp_path: Path) -> None:
    lines = three(tmp_path / "log.jsonl")
    records = log.records(tmp_path / "log.jsonl")
    assert [json.loads(line)["version"] for line in lines] == ["1", "2", "3"]
    assert records[0]["previous"] == log.START
    assert [r["previous"] for r in records[1:]] == [r["hash"] for r in records[:-1]]
    assert records[0]["at"] == "2026-01-01T00:00:00+00:00"


def test_an_absent_log_is_an_empty_chain(tmp_path: Path) -> None:
    assert log.walk(tmp_path / "log.jsonl") == log.Chain()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_changed_record_is_found(tmp_path: Path, place: int) -> None:
    path = tmp_path / "log.jsonl"
    lines = three(path)
    lines[place] = lines[place].replace(b'"promote"', b'"rollback"')
    path.write_bytes(b"".join(lines))
    chain = log.walk(path)
    assert chain.problems == [f"record {place + 1} was changed after it was written"]
    assert len(chain.records) == place


def test_a_record_changed_with_its_own_hash_breaks_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = three(path)
    forged = tmp_path / "forged.jsonl"
    log.append(forged, {"action": "rollback", "version": "1"}, at=AT)
    path.write_bytes(forged.read_bytes() + b"".join(lines[1:]))
    assert log.walk(path).problems == ["record 2 does not follow the one before it"]


@pytest.mark.parametrize("kept", [(1, 2), (0, 2), (1, 0, 2), (0, 0, 1)])
def test_a_removed_moved_or_repeated_record_is_found(tmp_path: Path, kept: tuple[int, ...]) -> None:
    path = tmp_path / "log.jsonl"
    lines = three(path)
    path.write_bytes(b"".join(lines[i] for i in kept))
    assert log.walk(path).problems


def test_nothing_is_added_to_a_broken_chain(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(three(path)[1:]))
    before = path.read_bytes()
    with pytest.raises(log.LogError, match="line 1 says it is record 2"):
        log.append(path, {"action": "promote"}, at=AT)
    assert path.read_bytes() == before


def test_a_line_cut_by_a_kill_is_told_and_can_be_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = three(path)
    path.write_bytes(b"".join(lines)[:-20])
    chain = log.walk(path)
    assert chain.torn
    assert [record["version"] for record in chain.records] == ["1", "2"]
    log.drop_torn(path)
    assert path.read_bytes() == b"".join(lines[:2])
    assert log.append(path, {"version": "3"}, at=AT)["sequence"] == 3


def test_a_line_that_is_no_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"sequence": 1}\n')
    assert log.walk(path).problems == ["line 1 is no record"]
