"""Flows: the steps in, the same with retries, states and artifacts in Prefect out."""

# mypy: disable-error-code="untyped-decorator,no-any-return"

from __future__ import annotations

import math
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from pipelines import steps
from pipelines.report import shown
from pipelines.settings import moment
from pipelines.steps import Job, Record

NAMES = ("ingest", "build_features", "train", "judge", "publish", "activate", "nightly", "demo")

# Finished work is known by snapshots, runs and bundles, never by Prefect's cache, which a kill
# loses. An argument is a path or a small record, and nothing is hashed.


@task(cache_policy=NO_CACHE, name="ingest", retries=1, retry_delay_seconds=1)
def ingest_task(job: Job) -> Record:
    """Files to input tables."""
    done = steps.take_in(job)
    rows = [{"table": name, **one["rows"]} for name, one in done["tables"].items()]
    create_table_artifact(key="ingest-rows", table=rows, description="Where every row went")
    return done


@task(cache_policy=NO_CACHE, name="build features", retries=1, retry_delay_seconds=1)
def features_task(job: Job) -> Record:
    """Input tables to feature tables."""
    return steps.build_features(job)


@task(cache_policy=NO_CACHE, name="lifetime", retries=1, retry_delay_seconds=1)
def lifetime_task(job: Job) -> Record:
    """Feature tables to who is still there and what to expect."""
    return steps.foretell(job)


@task(cache_policy=NO_CACHE, name="train", retries=1, retry_delay_seconds=1)
def train_task(job: Job) -> Record:
    """Feature tables to fitted, tracked models."""
    return steps.train_models(job)


@task(cache_policy=NO_CACHE, name="judge", retries=1, retry_delay_seconds=1)
def judge_task(job: Job, trained: Record) -> Record:
    """Models to figures."""
    judged = steps.judge_models(job, trained)
    rows = [
        {"model": name, **{shown(m): round(f["mean"], 4) for m, f in figures.items() if _said(f)}}
        for name, figures in judged["models"].items()
    ]
    create_table_artifact(key="judged-models", table=rows, description="Means over all folds")
    return judged


@task(cache_policy=NO_CACHE, name="gate", retries=1, retry_delay_seconds=1)
def gate_task(job: Job, judged: Record) -> Record:
    """Figures to a decision."""
    decision = steps.weigh(job, judged["run_ids"])
    held = [
        f"- **{name}** held: {'; '.join(why)}" for name, why in decision["reasons"].items() if why
    ]
    text = "\n".join([f"# {decision['verdict']}", "", *held])
    create_markdown_artifact(key="gate", markdown=text, description="What the gate decided")
    return decision


@task(cache_policy=NO_CACHE, name="publish", retries=1, retry_delay_seconds=1)
def publish_task(job: Job, decision: Record, at: datetime) -> Record:
    """A decision to the bundle that serves."""
    return steps.publish_run(job, decision["run_id"], at=at, why=decision["verdict"])


@task(cache_policy=NO_CACHE, name="retention", retries=1, retry_delay_seconds=1)
def retention_task(job: Job) -> Record:
    """All of it to the list of whom to wake and the retention lead's page."""
    done = steps.wake(job)
    text = "\n".join(f"- **{name}**: {said}" for name, said in done["said"].items())
    create_markdown_artifact(key="retention", markdown=text, description="For tomorrow morning")
    return done


@task(cache_policy=NO_CACHE, name="activate", retries=1, retry_delay_seconds=1)
def activate_task(job: Job) -> Record:
    """A shop to the list of whom to wake."""
    done = steps.activate_customers(job)
    counts = [
        {"customers": done["counts"]["contact"], "are": "to contact"},
        {"customers": done["counts"]["holdout"], "are": "held out"},
        *({"customers": n, "are": why} for why, n in done["counts"]["left_out"].items()),
    ]
    create_table_artifact(key="activation", table=counts, description=done["why"])
    return done


@task(cache_policy=NO_CACHE, name="synthesize")
def synthesize_task(directory: Path, customers: int, seed: int) -> Record:
    """A shop that never was."""
    return steps.synthesize(directory, customers=customers, seed=seed)


@flow
def ingest(
    workspace: str = "workspace",
    shop: str | None = None,
    mapping: str | None = None,
    overrides: list[str] | None = None,
    input: str | None = None,
) -> Record:
    """Take the shop's files in."""
    return ingest_task(_job(workspace, shop, mapping, overrides, input))


@flow
def build_features(
    workspace: str = "workspace",
    shop: str | None = None,
    overrides: list[str] | None = None,
    as_of: str | None = None,
) -> Record:
    """Build the feature tables."""
    return features_task(_job(workspace, shop, None, overrides, None, as_of))


@flow
def train(
    workspace: str = "workspace",
    shop: str | None = None,
    overrides: list[str] | None = None,
    as_of: str | None = None,
) -> Record:
    """Train all models."""
    return train_task(_job(workspace, shop, None, overrides, None, as_of))


@flow
def judge(
    workspace: str = "workspace",
    shop: str | None = None,
    overrides: list[str] | None = None,
    as_of: str | None = None,
) -> Record:
    """Judge all models; what is not trained yet is trained first."""
    job = _job(workspace, shop, None, overrides, None, as_of)
    return judge_task(job, train_task(job))


@flow
def publish(
    workspace: str = "workspace",
    shop: str | None = None,
    overrides: list[str] | None = None,
    as_of: str | None = None,
) -> Record:
    """Ask the gate about the judged models and publish what it lets through."""
    job = _job(workspace, shop, None, overrides, None, as_of)
    decision = gate_task(job, judge_task(job, train_task(job)))
    return {**publish_task(job, decision, _now()), "decision": decision}


@flow
def activate(
    workspace: str = "workspace",
    shop: str | None = None,
    overrides: list[str] | None = None,
    as_of: str | None = None,
) -> Record:
    """Make the day's list of customers worth waking."""
    return activate_task(_job(workspace, shop, None, overrides, None, as_of))


@flow
def nightly(
    workspace: str = "workspace",
    shop: str | None = None,
    mapping: str | None = None,
    overrides: list[str] | None = None,
    input: str | None = None,
    as_of: str | None = None,
) -> Record:
    """The whole loop; what an earlier, killed night has finished is not done again."""
    job = _job(workspace, shop, mapping, overrides, input, as_of)
    return _loop(job)


@flow
def demo(
    workspace: str = "workspace",
    mapping: str = "synthetic",
    input: str | None = None,
    customers: int = 2_000,
    seed: int = 0,
    overrides: list[str] | None = None,
) -> Record:
    """The whole loop on the shop that never was, or on a file."""
    seconds: dict[str, float] = {}
    if input is None:
        folder = steps.synthetic_folder(workspace, customers=customers, seed=seed)
        made = synthesize_task(folder, customers, seed)
        seconds["synthesize"] = made["seconds"]
        input = str(folder)
    done = _loop(_job(workspace, None, mapping, overrides, input))
    return {**done, "seconds": {**seconds, **done["seconds"]}}


def _loop(job: Job) -> Record:
    """Ingest, features, lifetime, train, judge, gate, publish, retention."""
    clock = steps.Clock()
    taken = clock("ingest", ingest_task, job)
    built = clock("features", features_task, job)
    foretold = clock("lifetime", lifetime_task, job)
    trained = clock("train", train_task, job)
    judged = clock("judge", judge_task, job, trained)
    decision = clock("gate", gate_task, job, judged)
    published = clock("publish", publish_task, job, decision, _now())
    woken = clock("retention", retention_task, job)
    return {
        "rows": taken["rows"],
        "reasons": taken["reasons"],
        "as_of": built["as_of"],
        "tables": {**built["tables"], **foretold["tables"]},
        "lifetime": foretold["fit"],
        "trained": trained["models"],
        "models": judged["models"],
        "run_ids": judged["run_ids"],
        "folds": judged["folds"],
        "decision": decision,
        "published": published,
        "retention": woken,
        "champion": published["model"] or steps.serving_model(job),
        "seconds": clock.seconds,
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _job(
    workspace: str,
    shop: str | None,
    mapping: str | None,
    overrides: list[str] | None,
    given: str | None,
    as_of: str | None = None,
) -> Job:
    at = None if as_of is None else moment(as_of)
    return steps.job(
        workspace, shop=shop, mapping=mapping, overrides=overrides or (), given=given, as_of=at
    )


def _now() -> datetime:
    """When this run was due: what the publication log says of it."""
    due = flow_run.scheduled_start_time
    return datetime.fromtimestamp(due.timestamp(), UTC)


def _said(figure: dict[str, Any]) -> bool:
    return figure["mean"] is not None and not math.isnan(figure["mean"])
