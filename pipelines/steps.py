"""Steps: a job in, one piece of the loop done and told as a small record out.

Each finds finished work again and leaves it alone, so any of them may be repeated at any time.
Commands call them one by one, flows wrap them as tasks.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from models.lifetime.outlook import NobodyOrdered
from pipelines import build, choose, ingest, judge, lifetime, publish, train
from pipelines.progress import say, step
from pipelines.settings import Shop
from pipelines.shopfile import open_shop
from pipelines.tracking import Tracking, connect
from pipelines.workspace import Workspace

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What every step needs: where, what shop, and for ingest another input than the shop's.

    as_of: the moment to work at; None: the newest event's.
    """

    workspace: Workspace
    shop: Shop
    given: str | None = None
    as_of: datetime | None = None

    @property
    def tracking(self) -> Tracking:
        """The shop's runs."""
        return connect(self.workspace, self.shop.name, uri=self.shop.tracking.uri)


def job(
    workspace: str | Path,
    *,
    shop: str | None = None,
    mapping: str | None = None,
    overrides: Sequence[str] = (),
    given: str | None = None,
    as_of: datetime | None = None,
) -> Job:
    """A job from what a command or a deployment says."""
    place = Workspace(Path(workspace))
    settings = open_shop(place, shop=shop, mapping=mapping, overrides=overrides)
    return Job(place, settings, given, as_of)


def take_in(job: Job) -> Record:
    """Ingest the shop's files."""
    return ingest.run(job.workspace, job.shop, given=job.given)


def build_features(job: Job) -> Record:
    """Build the feature tables."""
    return build.run(job.workspace, job.shop, as_of=job.as_of)


def foretell(job: Job) -> Record:
    """Who is still there and what to expect of each; a shop without orders has no such tables."""
    try:
        return lifetime.run(job.workspace, job.shop, as_of=job.as_of)
    except NobodyOrdered as error:
        say(f"lifetime: {error}")
        return {"tables": {}, "fit": None, "reused": False}


def activate_customers(job: Job) -> Record:
    """The list of whom to wake; raises where it cannot be made."""
    from pipelines import activate

    return activate.run(job.workspace, job.shop, as_of=job.as_of)


def wake(job: Job) -> Record:
    """Today's list of whom to wake, and the retention lead's page.

    Gives `list`, what `activate.run` gives, None where it cannot be made, `missing`, why, `page`,
    `run_id` and `said`, the page's answers by question. Neither holds up a night: what serves is
    published already.
    """
    from pipelines import (
        activate,
        activation_channels,
        report,
        retention,
        retention_page,
        retention_runs,
        retention_words,
    )

    done: Record = {"list": None, "missing": None, "page": None, "run_id": None, "said": {}}
    try:
        done["list"] = activate_customers(job)
    except (activate.ActivationError, activation_channels.NoConsents, NobodyOrdered) as error:
        done["missing"] = str(error)
        say(f"activate: {error}")
    if job.as_of is not None:  # a look back must not stand where operators look for today
        return done
    try:
        told = retention.run(job.workspace, job.shop)
    except NobodyOrdered as error:
        say(f"retention: {error}")
        return done
    page = retention_page.page(told)
    done["page"] = str(report.keep(job.workspace, "retention", page))
    done["run_id"] = retention_runs.track(job.tracking, told, page)
    done["said"] = {"Today": retention_words.headline(told), **retention_words.answers(told)}
    return done


def train_models(
    job: Job, only: Sequence[str] = (), how: Literal["update", "warm"] | None = None
) -> Record:
    """Train the shop's models, or some, and what serves if it is none of them.

    how: go on from each one's last run (`pipelines.renew`). Gives `models {NAME: {run_id, kind,
    seconds, reused}}`.
    """
    tracking = job.tracking
    wanted = train.recipes(job.shop, None if only else tracking, only)
    done = [
        train.run(job.workspace, job.shop, tracking, recipe=recipe, as_of=job.as_of, how=how)
        for recipe in wanted
    ]
    return {"models": {one.pop("model"): one for one in done}}


def judge_models(job: Job, trained: Record) -> Record:
    """Judge what `train_models` told of."""
    run_ids = {name: one["run_id"] for name, one in trained["models"].items()}
    tracking = job.tracking
    others = [name for name in run_ids if name not in job.shop.models and name != "champion"]
    wanted = [
        *train.recipes(job.shop, tracking),
        *(train.recipes(job.shop, None, others) if others else ()),
    ]
    known = {recipe.name: recipe for recipe in wanted}
    return judge.run(
        job.workspace,
        job.shop,
        tracking,
        recipes=[known[name] for name in run_ids],
        run_ids=run_ids,
        as_of=job.as_of,
    )


def weigh(job: Job, run_ids: Mapping[str, str]) -> Record:
    """Ask the gate."""
    return choose.run(job.workspace, job.shop, job.tracking, run_ids=run_ids)


def publish_run(
    job: Job, run_id: str | None, *, at: datetime, why: str, override: bool = False
) -> Record:
    """Publish and promote one run; None is what the gate held: nothing happens.

    override: past the gate, for the reason `why`. Gives `model, version, bundle, run_id, reused`;
    bundle is what serves then.
    """
    if run_id is None:
        bundle = publish.serving(job.workspace)
        return {"model": None, "version": None, "bundle": bundle, "run_id": None, "reused": True}
    tracking = job.tracking
    made = publish.run(job.workspace, job.shop, tracking, run_id=run_id)
    publish.promote(
        job.workspace, tracking, at=at, version=made["version"], why=why, override=override
    )
    return made


def serving_model(job: Job) -> str | None:
    """The name of the model that serves."""
    version = job.tracking.registry.alias(publish.CHAMPION)
    return None if version is None else version.tags["regulars.model"]


class Clock:
    """Seconds a step took, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[..., Record], *arguments: Any) -> Record:
        """Do the work and note how long it took."""
        start = time.perf_counter()
        done = work(*arguments)
        self.seconds[name] = round(time.perf_counter() - start, 2)
        return done


def synthetic_folder(workspace: str | Path, *, customers: int, seed: int) -> Path:
    """Where a workspace keeps the files of a shop that never was."""
    return Workspace(Path(workspace)).root / "synthetic" / f"{customers}-{seed}"


def synthesize(directory: Path, *, customers: int, seed: int, days: int = 365) -> Record:
    """Write a shop that never was, once: the folder appears when it is whole.

    Gives `directory, customers, seconds, reused`.
    """
    start = time.perf_counter()
    reused = directory.is_dir()
    if not reused:
        from features.synthetic import generate

        beside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
        beside.parent.mkdir(parents=True, exist_ok=True)
        try:
            with step("synthesize"):
                generate(beside, customers=customers, seed=seed, days=days)
            beside.rename(directory)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return {
        "directory": str(directory),
        "customers": customers,
        "seconds": round(time.perf_counter() - start, 2),
        "reused": reused,
    }
