"""What is wrong with tracking: a workspace in, a broken or moved database and dead runs out."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines import tracking
from pipelines.ailments import Found
from pipelines.workspace import Workspace


def database(workspace: Workspace) -> Iterator[Found]:
    """A tracking database that a kill left half made, or that is damaged."""
    path = workspace.database
    if not path.exists():
        return
    fault = database_fault(path)
    if fault is None:
        return

    def renew() -> None:
        path.replace(path.with_name(f"mlflow.broken-{path.stat().st_mtime_ns}.db"))
        tracking.prepare(workspace)

    if fault.empty:
        remedy = "--fix puts it aside and makes a new one: it holds no run"
        yield Found("tracking_database", f"{path}: {fault.what}", remedy, renew)
    else:
        remedy = "restore it from a backup; it is left as it is, since it may hold runs"
        yield Found("tracking_database", f"{path}: {fault.what}", remedy)


def moved(workspace: Workspace) -> Iterator[Found]:
    """Artifacts that the database still looks for where the workspace was before.

    MLflow stores their places as absolute addresses.
    """
    if not workspace.database.exists() or database_fault(workspace.database) is not None:
        return
    with contextlib.closing(sqlite3.connect(workspace.database)) as connection:
        rows = connection.execute(
            "SELECT artifact_location FROM experiments WHERE artifact_location LIKE 'file://%'"
        )
        places = {
            row[0].rpartition("/mlartifacts/")[0] for row in rows if "/mlartifacts/" in row[0]
        }
    here = workspace.root.as_uri()
    for before in sorted(places - {here}):
        yield Found(
            "moved_workspace",
            f"MLflow looks for artifacts in {before}, the workspace is {here}",
            "--fix changes the addresses",
            functools.partial(relocate, workspace, before),
        )


def relocate(workspace: Workspace, before: str) -> None:
    """Let the database look for artifacts in the workspace instead of an address."""
    here = workspace.root.as_uri()
    with contextlib.closing(sqlite3.connect(workspace.database)) as connection, connection:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} LIKE ? || '/mlartifacts/%'",
                (here, len(before) + 1, before),
            )


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a tracking database; empty: no run is lost by making it anew."""

    what: str
    empty: bool


def database_fault(path: Path) -> Fault | None:
    """Whether MLflow could use this SQLite file."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            sound = connection.execute("PRAGMA quick_check").fetchone()[0]
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            names = {row[0] for row in rows}
            runs = 0
            if "runs" in names:
                runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
            made = "alembic_version" in names and bool(
                connection.execute("SELECT count(*) FROM alembic_version").fetchone()[0]
            )
    except sqlite3.DatabaseError as error:
        return Fault(f"not readable: {error}", empty=path.stat().st_size == 0)
    if sound != "ok":
        return Fault(f"damaged: {sound}", empty=False)
    if not made or not {"runs", "experiments", "model_versions"} <= names:
        return Fault("half made", empty=runs == 0)
    return None


def stopped(workspace: Workspace, shop: str | None, server: str | None) -> Iterator[Found]:
    """Runs that say RUNNING and whose process is gone."""
    tracked = tracked_runs(workspace, shop, server)
    if tracked is None:
        return
    for task in ("recommendations", "search"):
        for run in tracked.runs(task, "attributes.status = 'RUNNING'"):
            said = run.tags.get(tracking.PROCESS)
            if said is None or tracking.alive(said) is not False:
                continue
            yield Found(
                "stopped_run",
                f"run {run.id} ({run.name}) says RUNNING, its process is gone",
                "--fix marks it KILLED",
                functools.partial(tracked.close, run.id, "KILLED"),
            )


def tracked_runs(
    workspace: Workspace, shop: str | None, server: str | None
) -> tracking.Tracking | None:
    """The shop's runs, when there are any to look at."""
    if shop is None or (server is None and not workspace.database.exists()):
        return None
    if server is None and database_fault(workspace.database) is not None:
        return None
    return tracking.connect(workspace, shop, uri=server)
