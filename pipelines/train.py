"""Train: a recipe and the newest feature tables in, a tracked run with the fitted model out."""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import models.rank
import models.recommender
import models.scorer
from features.artifact import digest
from features.build import build
from features.tables import Snapshot, code_version
from models.recommender import Recommender
from pipelines import personas
from pipelines.build import last_event
from pipelines.folds import HISTORY, available, catalogue
from pipelines.progress import say, step
from pipelines.settings import Shop
from pipelines.tracking import KEY, Run, Tracking
from pipelines.workspace import Workspace

FITTED = "recommender"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model before it has seen data: its name in the shop, its kind, all its hyperparameters."""

    name: str
    kind: str
    parameters: dict[str, Any]

    @property
    def id(self) -> str:
        """The same for the same kind and hyperparameters, whatever the name."""
        return digest({"kind": self.kind, "parameters": self.parameters})

    @property
    def code(self) -> str:
        """A hash of the code that fits it."""
        module = importlib.import_module(f"models.{self.kind}")
        return code_version(module, models.scorer, models.rank, models.recommender)


def recipes(shop: Shop, tracking: Tracking | None = None, only: Sequence[str] = ()) -> list[Recipe]:
    """The shop's recipes, or some; with `tracking` also what serves, when it is none of them."""
    found = [Recipe(name, *shop.recipe(name)) for name in only or shop.models]
    if tracking is not None:
        serving = champion(tracking)
        if serving is not None and serving.id not in {recipe.id for recipe in found}:
            found.append(serving)
    return found


def champion(tracking: Tracking) -> Recipe | None:
    """The recipe of what serves, under the name `champion`; None before the first publication."""
    version = tracking.registry.alias("champion")
    if version is None or version.run_id is None:
        return None
    tags = tracking.get(version.run_id).tags
    return Recipe("champion", tags["regulars.kind"], json.loads(tags["regulars.parameters"]))


def run(
    workspace: Workspace,
    shop: Shop,
    tracking: Tracking,
    *,
    recipe: Recipe,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """Fit one recipe on all that was known at `as_of`; a finished run of the same is found.

    Gives `model, kind, run_id, seconds, reused`.
    """
    with workspace.lock("work", shared=True):
        as_of = as_of or last_event(workspace.tables)
        made = build(workspace.tables, as_of=as_of, parameters=shop.features)
        snapshots = {name: snapshot.id for name, snapshot in sorted(made.items())}
        products = workspace.tables.current("products")
        if products is not None:
            snapshots["products"] = products.id
        key = run_key(shop, recipe, snapshots)
        known = tracking.find(key)
        if known is not None:
            say(f"train {recipe.name}: found, nothing to do")
            seconds = known.metrics.get("train_seconds", 0.0)
            return _record(recipe, known.id, seconds, reused=True)
        params = {
            **recipe.parameters,
            "kind": recipe.kind,
            "seen": shop.recommend.seen,
            "as_of": as_of.isoformat(),
            **{f"features.{k}": v for k, v in shop.features.model_dump(mode="json").items()},
            **{f"judge.{k}": v for k, v in shop.judge.model_dump(mode="json").items()},
            **{f"snapshot.{table}": id for table, id in snapshots.items()},
        }
        tags = {
            KEY: key,
            "regulars.model": recipe.name,
            "regulars.kind": recipe.kind,
            "regulars.recipe": recipe.id,
            "regulars.parameters": json.dumps(recipe.parameters, sort_keys=True),
            "regulars.code": recipe.code,
            "regulars.as_of": as_of.isoformat(),
            "regulars.snapshots": json.dumps(snapshots, sort_keys=True),
        }
        with tracking.run(recipe.name, params=params, tags=tags, inputs=snapshots) as run_id:
            with step(f"train {recipe.name}") as took:
                fitted = _fit(workspace, recipe, made["interactions"])
            _log(workspace, shop, tracking, fitted, made=made, as_of=as_of, run_id=run_id)
            tracking.log(run_id, metrics={"train_seconds": took["seconds"]})
    return _record(recipe, run_id, took["seconds"], reused=False)


def run_key(shop: Shop, recipe: Recipe, snapshots: dict[str, str]) -> str:
    """What a run is found by: the recipe, its code, the data, and how its lists are made."""
    used = {name: snapshots[name] for name in ("interactions", "products") if name in snapshots}
    return digest(
        {"recipe": recipe.id, "code": recipe.code, "data": used, "seen": shop.recommend.seen}
    )


def load(tracking: Tracking, run: Run) -> Recommender:
    """The fitted model of a run."""
    return Recommender.load(tracking.fetch(run, FITTED))


def _fit(workspace: Workspace, recipe: Recipe, interactions: Snapshot) -> Recommender:
    scorer = models.scorer.make(recipe.kind, recipe.parameters)
    return Recommender(scorer).fit(interactions.read(HISTORY), catalogue(workspace.tables))


def _log(
    workspace: Workspace,
    shop: Shop,
    tracking: Tracking,
    fitted: Recommender,
    *,
    made: dict[str, Snapshot],
    as_of: datetime,
    run_id: str,
) -> None:
    """The fitted model and what it would show some customers, as artifacts of its run."""
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix=".train.") as folder:
        fitted.save(Path(folder) / FITTED)
        tracking.add(run_id, Path(folder) / FITTED, FITTED)
        shown = personas.show(
            fitted,
            customers=made["customer_features"].read(),
            interactions=made["interactions"].read(),
            titles=workspace.tables.current("products"),
            among=available(workspace.tables, fitted.products, at=as_of),
            seen=shop.recommend.seen,
        )
        path = Path(folder) / "personas.json"
        path.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", "utf-8")
        tracking.add(run_id, path)


def _record(recipe: Recipe, run_id: str, seconds: float, *, reused: bool) -> dict[str, Any]:
    return {
        "model": recipe.name,
        "kind": recipe.kind,
        "run_id": run_id,
        "seconds": seconds,
        "reused": reused,
    }
