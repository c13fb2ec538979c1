"""Publish: a judged run in, a bundle that serves out; and the ways forward and back between them.

Three things say what serves: the log's last record, the pointer `bundles/current`, and MLflow's
alias `champion`. The log is written first and the others follow it, so that a kill in between is
mended by repeating the command, or by `regulars doctor --fix`, which do what the log says.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from features.artifact import ArtifactError, point, pointed, sha256, verify
from pipelines import contents, log, permit, renew
from pipelines.progress import say, step
from pipelines.registry import Version
from pipelines.settings import Shop
from pipelines.tracking import OVERRIDE, Run, Tracking
from pipelines.workspace import Workspace

CHAMPION = "champion"
CANDIDATE = "candidate"
BUNDLE = "regulars.bundle"
RECORD = "regulars.record"


class PublishError(RuntimeError):
    """A version that cannot serve."""


def run(workspace: Workspace, shop: Shop, tracking: Tracking, *, run_id: str) -> dict[str, Any]:
    """Make a run's bundle and registered version, and call it `candidate`; done before: found.

    Gives `model, version, bundle, run_id, reused`.
    """
    with workspace.lock("work", shared=True):
        made = tracking.get(run_id)
        version = _version(tracking, made)
        bundle_id = version.tags.get(BUNDLE)
        reused = bundle_id is not None and sound(workspace, bundle_id) is None
        if not reused:
            with step("publish: bundle"):
                bundle_id = contents.write(workspace, shop, tracking, made, version)
            tracking.registry.tag_version(version, {BUNDLE: bundle_id})
            manifest = workspace.bundles / bundle_id / "manifest.json"
            tracking.add(made.id, manifest, "bundle")
            tracking.log(made.id, tags={BUNDLE: bundle_id, "regulars.version": version.number})
        serving = tracking.registry.alias(CHAMPION)
        if serving is None or serving.number != version.number:
            tracking.registry.name_version(version, CANDIDATE)
            point(workspace.bundles / CANDIDATE, str(bundle_id))  # what an arm of a test may serve
    return {
        "model": made.tags["regulars.model"],
        "version": version.number,
        "bundle": bundle_id,
        "run_id": made.id,
        "reused": reused,
    }


def promote(
    workspace: Workspace,
    tracking: Tracking,
    *,
    at: datetime,
    version: str | None = None,
    why: str = "",
    override: bool = False,
) -> dict[str, Any]:
    """Let a version serve, the candidate unless said; gives the log's record.

    What the gate held is refused unless `override`: then `why` is the reason, which the log's
    record and the run keep beside the gate's. What serves already gets no new record; its pointer
    and alias are set again.
    """
    if override and not why.strip():
        raise PublishError("promoting past the gate wants its reason, got none")
    with workspace.lock("publish"):
        chosen = (
            tracking.registry.version(version) if version else tracking.registry.alias(CANDIDATE)
        )
        last = log.walk(_log(workspace)).last
        if chosen is None:
            if last is None:
                raise PublishError("no version is the candidate: `regulars publish` first")
            follow(workspace, tracking, last)
            return last
        gate = permit.asked(tracking, chosen, override=override)
        return _serve(workspace, tracking, chosen, action="promote", at=at, why=why, gate=gate)


def rollback(
    workspace: Workspace,
    tracking: Tracking,
    *,
    at: datetime,
    version: str | None = None,
    why: str = "",
) -> dict[str, Any]:
    """Let an earlier version serve again: the one before by the log, unless said."""
    with workspace.lock("publish"):
        records = log.records(_log(workspace))
        if not records:
            raise PublishError("nothing was published yet")
        if version is None:
            version = before(records)
        if version is None:
            raise PublishError(f"version {records[-1]['version']} is the first: nothing before it")
        chosen = tracking.registry.version(version)
        return _serve(workspace, tracking, chosen, action="rollback", at=at, why=why)


def before(records: list[dict[str, Any]]) -> str | None:
    """What served before the last version, were each rollback an undo; None for the first."""
    served: list[str] = []
    for record in records:
        if record["action"] == "rollback" and record["version"] in served:
            del served[served.index(record["version"]) + 1 :]
        else:
            if record["version"] in served:
                served.remove(record["version"])
            served.append(record["version"])
    return served[-2] if len(served) > 1 else None


def follow(workspace: Workspace, tracking: Tracking, record: dict[str, Any]) -> None:
    """Set pointer and aliases to what a record of the log says."""
    version = tracking.registry.version(record["version"])
    point(workspace.bundles / "current", record["bundle"])
    tracking.registry.tag_version(version, {RECORD: record["hash"]})
    if record.get("gate", {}).get("overridden"):
        tracking.log(record["run_id"], tags={OVERRIDE: record["why"]})
    tracking.registry.name_version(version, CHAMPION)
    candidate = tracking.registry.alias(CANDIDATE)
    if candidate is not None and candidate.number == version.number:
        tracking.registry.forget_name(CANDIDATE)


def sound(workspace: Workspace, bundle_id: str) -> str | None:
    """Why a bundle cannot serve; None where it can."""
    try:
        verify(workspace.bundles / bundle_id)
    except ArtifactError as error:
        return str(error)
    return None


def serving(workspace: Workspace) -> str | None:
    """The id of the bundle that serves."""
    return pointed(workspace.bundles / "current")


def _serve(
    workspace: Workspace,
    tracking: Tracking,
    version: Version,
    *,
    action: str,
    at: datetime,
    why: str,
    gate: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Log, then pointer, then alias. The caller holds the lock. gate: None where nobody asks."""
    bundle_id = version.tags.get(BUNDLE)
    if bundle_id is None:
        raise PublishError(f"version {version.number} has no bundle: `regulars publish` made none")
    fault = sound(workspace, bundle_id)
    if fault is not None:
        raise PublishError(f"version {version.number} cannot serve: {fault}")
    records = log.records(_log(workspace))
    last = records[-1] if records else None
    if last is None or (last["version"], last["bundle"]) != (version.number, bundle_id):
        refused = None if gate is None else permit.refusal(version, gate)
        if refused is not None:
            raise PublishError(refused)
        last = log.append(
            _log(workspace),
            {
                **({} if gate is None else {"gate": gate}),
                "action": action,
                "shop": tracking.shop,
                "version": version.number,
                "bundle": bundle_id,
                "manifest": sha256(workspace.bundles / bundle_id / "manifest.json"),
                "model": version.tags["regulars.model"],
                "run_id": version.run_id,
                "why": why,
            },
            at=at,
        )
    follow(workspace, tracking, last)
    say(f"{action}: version {version.number}, bundle {bundle_id}")
    return last


def _version(tracking: Tracking, made: Run) -> Version:
    """The version of a run, registered at the first call."""
    known = tracking.registry.version_of(made.id)
    if known is not None:
        return known
    names = ("model", "kind", "parameters", "recipe", "as_of", "snapshots")
    tags = {f"regulars.{name}": made.tags[f"regulars.{name}"] for name in names}
    return tracking.registry.register(made.id, renew.FITTED, tags)


def _log(workspace: Workspace) -> Path:
    return workspace.bundles / "log.jsonl"
