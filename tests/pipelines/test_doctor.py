import importlib.metadata
import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.artifact import pointed
from pipelines import doctor, log, publish, tracking
from pipelines.doctor_tracking import database_fault
from pipelines.steps import job
from pipelines.workspace import Busy, Workspace

AT = datetime(2026, 2, 1, tzinfo=UTC)
NO_LOCK = Path("no-lock")


def codes(workspace: Workspace, *, fix: bool = False, lock: Path = NO_LOCK) -> list[str]:
    found = doctor.examine(workspace, fix=fix, at=AT, shop="synthetic", lock=lock)
    return [one["code"] for one in found]


def mends(workspace: Workspace, code: str) -> None:
    """It is told, left alone without --fix, mended with it, and then gone."""
    assert codes(workspace) == [code]
    assert codes(workspace) == [code]
    found = doctor.examine(workspace, fix=True, at=AT, shop="synthetic", lock=NO_LOCK)
    assert [(one["code"], one["mended"]) for one in found] == [(code, True)]
    assert codes(workspace) == []


def test_a_workspace_after_a_night_is_well(shop: Workspace) -> None:
    assert codes(shop) == []


def test_an_orphaned_part_is_removed(shop: Workspace) -> None:
    folder = shop.root / "tables" / "events" / "parts"
    shutil.copy(next(folder.glob("*.parquet")), folder / "0123456789abcdef0123456789abcdef.parquet")
    mends(shop, "orphan_part")


@pytest.mark.parametrize("place", ["bundles/.half", ".train.half", "tables/events/snapshots/.half"])
def test_what_was_never_finished_is_removed(shop: Workspace, place: str) -> None:
    (shop.root / place).mkdir()
    (shop.root / place / "part").touch()
    mends(shop, "leftover")


def test_a_run_whose_process_is_gone_is_closed(shop: Workspace) -> None:
    tracked = job(shop.root).tracking
    made = tracked.client.create_run(
        tracked.experiment("recommendations"),
        tags={tracking.PROCESS: tracking.process().rpartition(":")[0] + ":1"},
    )
    mends(shop, "stopped_run")
    assert tracked.get(made.info.run_id).status == "KILLED"


def test_a_run_of_a_living_process_is_left_alone(shop: Workspace) -> None:
    tracked = job(shop.root).tracking
    tracked.client.create_run(
        tracked.experiment("recommendations"), tags={tracking.PROCESS: tracking.process()}
    )
    assert codes(shop, fix=True) == []


def test_an_empty_file_is_no_tracking_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    fault = database_fault(tmp_path / "mlflow.db")
    assert fault is not None
    assert fault.empty


def test_a_half_made_tracking_database_is_made_anew(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT)")
    connection.close()
    mends(workspace, "tracking_database")
    assert database_fault(workspace.database) is None
    assert len(list(tmp_path.glob("mlflow.broken-*.db"))) == 1


def test_a_damaged_database_that_may_hold_runs_is_left_alone(shop: Workspace) -> None:
    with shop.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    before = shop.database.read_bytes()
    assert codes(shop, fix=True) == ["tracking_database"]
    assert shop.database.read_bytes() == before


def test_a_moved_workspace_finds_its_artifacts_again(shop: Workspace) -> None:
    moved = Workspace(shop.root.with_name("moved"))
    shop.root.rename(moved.root)
    mends(moved, "moved_workspace")
    tracked = job(moved.root).tracking
    path = tracked.fetch(tracked.runs()[0], "personas.json")
    assert path.is_relative_to(moved.root)


def test_a_damaged_table_is_told(shop: Workspace) -> None:
    part = next((shop.root / "tables" / "products" / "parts").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    assert codes(shop, fix=True) == ["damaged_table"]


def test_a_pointer_that_left_the_log_follows_it_again(shop: Workspace) -> None:
    (shop.bundles / "current").write_text("elsewhere\n")
    mends(shop, "bundle_pointer")
    (record,) = log.records(shop.bundles / "log.jsonl")
    assert pointed(shop.bundles / "current") == record["bundle"]


def test_a_champion_that_left_the_log_follows_it_again(shop: Workspace) -> None:
    job(shop.root).tracking.registry.forget_name(publish.CHAMPION)
    mends(shop, "champion_alias")


def test_a_lost_bundle_gives_way_to_the_newest_sound_one(shop: Workspace) -> None:
    work = job(shop.root)
    first = log.records(shop.bundles / "log.jsonl")[0]
    run = next(r for r in work.tracking.runs() if r.id != first["run_id"])
    second = publish.run(shop, work.shop, work.tracking, run_id=run.id)
    publish.promote(shop, work.tracking, at=AT, why="for a test", override=True)
    shutil.rmtree(shop.bundles / second["bundle"])
    mends(shop, "bundle_pointer")
    assert pointed(shop.bundles / "current") == first["bundle"]
    last = log.records(shop.bundles / "log.jsonl")[-1]
    assert (last["action"], last["version"]) == ("rollback", "1")
    assert last["why"].startswith("doctor: ")


def test_a_lost_only_bundle_is_told(shop: Workspace) -> None:
    bundle = pointed(shop.bundles / "current")
    shutil.rmtree(shop.bundles / str(bundle))
    assert codes(shop, fix=True) == ["bundle_pointer"]


def test_a_torn_last_line_of_the_log_is_dropped(shop: Workspace) -> None:
    with (shop.bundles / "log.jsonl").open("a") as file:
        file.write('{"action": "prom')
    mends(shop, "publication_log")


def test_a_changed_log_is_told_and_never_mended(shop: Workspace) -> None:
    path = shop.bundles / "log.jsonl"
    path.write_text(path.read_text().replace('"promote"', '"rollback"'))
    assert codes(shop, fix=True) == ["publication_log"]


def test_a_log_written_anew_is_noticed_by_the_champions_record(shop: Workspace) -> None:
    path = shop.bundles / "log.jsonl"
    record = json.loads(path.read_text())
    path.unlink()
    said = {k: v for k, v in record.items() if k not in ("hash", "sequence", "previous", "at")}
    log.append(path, {**said, "why": "nothing to see"}, at=AT)
    assert codes(shop, fix=True) == ["publication_log"]


def test_a_version_outside_the_lock_is_told(shop: Workspace, tmp_path: Path) -> None:
    numpy = importlib.metadata.version("numpy")
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"numpy=={numpy} \\\n    --hash=sha256:00\npyarrow==1.0.0\nno-such-thing==2\n")
    found = doctor.examine(shop, fix=True, at=AT, shop="synthetic", lock=lock)
    (one,) = found
    assert one["code"] == "version"
    assert "the lock says 1.0.0" in one["what"]


def test_nothing_is_mended_while_another_process_works(shop: Workspace) -> None:
    (shop.root / ".train.half").touch()
    with shop.lock("work", shared=True):
        assert codes(shop) == []
        with pytest.raises(Busy, match="another process works"):
            codes(shop, fix=True)


def test_the_command_says_what_is_wrong_and_its_exit_code_too(
    shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    (shop.bundles / "current").write_text("elsewhere\n")
    sick = run_command("doctor", "--workspace", shop.root, "--json", tmp_path / "sick.json")
    assert sick.exit_code == 1
    assert "bundle_pointer" in sick.stdout
    record = json.loads((tmp_path / "sick.json").read_text())
    assert not record["healthy"]
    assert set(record["ailments"][0]) == {"code", "what", "remedy", "mended"}
    assert run_command("doctor", "--workspace", shop.root, "--fix").exit_code == 0
    assert "Nothing is wrong." in run_command("doctor", "--workspace", shop.root).stdout
