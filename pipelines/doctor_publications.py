"""What is wrong with publications: a workspace in, a log, pointer and alias at odds out."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipelines import log, publish, tracking
from pipelines.ailments import Found
from pipelines.doctor_tracking import tracked_runs
from pipelines.workspace import Workspace


def publications(
    workspace: Workspace, shop: str | None, server: str | None, at: datetime
) -> Iterator[Found]:
    """A log that does not hold, and a pointer or an alias that does not say what the log says."""
    path = workspace.bundles / "log.jsonl"
    chain = log.walk(path)
    for problem in chain.problems:
        mend = (lambda: log.drop_torn(path)) if chain.torn and len(chain.problems) == 1 else None
        remedy = "--fix drops the unfinished line" if mend else "compare it with a backup"
        yield Found("publication_log", f"{path}: {problem}", remedy, mend)
    tracked = tracked_runs(workspace, shop, server)
    if chain.problems and not (chain.torn and len(chain.problems) == 1):
        return
    pointed = publish.serving(workspace)
    last = chain.last
    if last is None:
        if pointed is not None:
            what = f"{workspace.bundles / 'current'} says {pointed}, the log says nothing"
            yield Found("publication_log", what, "compare the log with a backup")
        return
    fault = publish.sound(workspace, last["bundle"])
    if fault is not None:
        yield _unsound(workspace, tracked, chain.records, fault, at)
        return
    yield from _followers(workspace, tracked, last, pointed)


def _unsound(
    workspace: Workspace,
    tracked: tracking.Tracking | None,
    records: list[dict[str, Any]],
    fault: str,
    at: datetime,
) -> Found:
    """What serves is gone or damaged: back to the newest that is not."""
    what = f"what serves cannot: {fault}"
    sound = (one for one in reversed(records) if publish.sound(workspace, one["bundle"]) is None)
    good = next(sound, None)
    if good is None or tracked is None:
        return Found("bundle_pointer", what, "`regulars publish` again")
    mend = functools.partial(
        publish.rollback,
        workspace,
        tracked,
        at=at,
        version=good["version"],
        why=f"doctor: {fault}",
    )
    return Found("bundle_pointer", what, f"--fix goes back to version {good['version']}", mend)


def _followers(
    workspace: Workspace,
    tracked: tracking.Tracking | None,
    last: dict[str, Any],
    pointed: str | None,
) -> Iterator[Found]:
    """Whether pointer and alias follow the log's last record."""
    remedy = f"--fix lets both follow the log: version {last['version']}"
    mend = None if tracked is None else lambda: publish.follow(workspace, tracked, last)
    if pointed != last["bundle"]:
        what = f"the pointer says {pointed}, the log says {last['bundle']}"
        yield Found("bundle_pointer", what, remedy, mend)
    if tracked is None:
        return
    champion = tracked.registry.alias(publish.CHAMPION)
    number = None if champion is None else champion.number
    if number != last["version"]:
        what = f"MLflow's champion is version {number}, the log says {last['version']}"
        yield Found("champion_alias", what, remedy, mend)
    elif champion is not None and champion.tags.get(publish.RECORD) != last["hash"]:
        known = {record["hash"] for record in log.walk(workspace.bundles / "log.jsonl").records}
        if champion.tags.get(publish.RECORD) in known:
            yield Found("champion_alias", "the champion names an older record", remedy, mend)
        else:
            what = "the record that made the champion is no longer in the log"
            yield Found("publication_log", what, "compare the log with a backup")
