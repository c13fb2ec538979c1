"""Doctor: a workspace in, what is wrong with it out, and what is safe to mend mended."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from features.artifact import ArtifactError
from features.schemas import SCHEMAS
from pipelines import doctor_publications, doctor_tracking
from pipelines.ailments import Ailment, Found
from pipelines.workspace import Busy, Workspace

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"


def examine(
    workspace: Workspace,
    *,
    fix: bool,
    at: datetime,
    shop: str | None = None,
    server: str | None = None,
    lock: Path = LOCK,
) -> list[dict[str, Any]]:
    """Everything that is wrong, as records of Ailment; with `fix` what is safe is mended.

    shop: its name, None where the workspace has none yet. Raises Busy when `fix` finds another
    process at work; a run or a file of a living process is no ailment.
    """
    if not workspace.root.is_dir():
        raise FileNotFoundError(f"no workspace at {workspace.root}")
    with contextlib.ExitStack() as stack:
        alone = True
        try:
            stack.enter_context(workspace.lock("work", wait=False))
        except Busy:
            if fix:
                raise
            alone = False
        found = []
        # Generators: each looks only after the ones before it were mended.
        for one in itertools.chain(
            doctor_tracking.database(workspace),
            doctor_tracking.moved(workspace),
            _tables(workspace),
            # Nobody else is at work, so what looks left over is.
            _leftovers(workspace) if alone else (),
            doctor_tracking.stopped(workspace, shop, server),
            doctor_publications.publications(workspace, shop, server, at),
            _versions(lock),
        ):
            if fix and one.mend is not None:
                one.mend()
            mended = fix and one.mend is not None
            found.append(asdict(Ailment(one.code, one.what, one.remedy, mended)))
    return found


def _tables(workspace: Workspace) -> Iterator[Found]:
    """Snapshots whose parts are gone or changed."""
    for table in SCHEMAS:
        try:
            snapshot = workspace.tables.current(table)
            if snapshot is not None:
                snapshot.verify()
        except ArtifactError as error:
            origin = "ingest its files" if table in _INPUTS else "run `regulars features`"
            yield Found("damaged_table", str(error), f"remove {table}'s folder and {origin} again")


_INPUTS = ("events", "products", "stock", "suppliers", "identities", "customers", "quarantine")


def _leftovers(workspace: Workspace) -> Iterator[Found]:
    """Parts that nothing names, and what was written beside its place when a process was killed."""
    for path in workspace.tables.orphans():
        remedy = "--fix removes it: no snapshot names it"
        yield Found("orphan_part", str(path), remedy, path.unlink)
    places = ["", "tables", "bundles", "synthetic", "tables/*/snapshots", "tables/*"]
    for place in places:
        for folder in sorted(workspace.root.glob(place)) if place else [workspace.root]:
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if _unfinished(path):
                    mend = _remover(path)
                    yield Found("leftover", str(path), "--fix removes it: never finished", mend)


def _unfinished(path: Path) -> bool:
    """Whether a name says so: a lock does not, nor does an empty scratch folder."""
    if not path.name.startswith(".") or path.name.endswith(".lock"):
        return False
    return path.is_file() or any(path.iterdir())


def _remover(path: Path) -> Callable[[], object]:
    return (lambda: shutil.rmtree(path)) if path.is_dir() else path.unlink


def _versions(lock: Path) -> Iterator[Found]:
    """Installed versions that are not the locked ones."""
    if not lock.is_file():
        return
    for name, wanted in locked(lock.read_text("utf-8")).items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        if wanted not in (installed, installed.partition("+")[0]):  # torch 2.13.0+cpu is 2.13.0
            yield Found(
                "version", f"{name} is {installed}, the lock says {wanted}", "`make install`"
            )


def locked(text: str) -> dict[str, str]:
    """Name -> version of every `name==version` line."""
    lines = re.findall(r"^([A-Za-z0-9][\w.\-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
    return dict(lines)
