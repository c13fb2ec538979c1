"""Train: a recipe and the newest feature tables in, a tracked run with the fitted model out."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

import models.recommender
import models.scorer
from features.artifact import digest
from features.build import build
from features.sequences import sequences
from features.tables import Snapshot, code_version
from models.recommender import Recommender
from models.scorer import Scorer
from pipelines import personas, renew
from pipelines.build import last_event
from pipelines.folds import HISTORY, available, catalogue
from pipelines.memory import watched
from pipelines.progress import say, step
from pipelines.settings import Shop
from pipelines.tracking import KEY, Tracking
from pipelines.workspace import Workspace


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

    def scorer(self) -> Scorer:
        """A model of it that has learned nothing yet."""
        return models.scorer.make(self.kind, self.parameters)

    def needs(self, what: str) -> bool:
        """Whether its model must be given `events` or the `catalogue`."""
        return what in models.scorer.needs(self.scorer())

    @property
    def code(self) -> str:
        """A hash of the code that fits it, and all of `models` that this code imports."""
        kinds = [self.kind, *self.parameters.get("sources", ())]
        return code_version(
            models.recommender, *(m for kind in kinds for m in _behind(f"models.{kind}"))
        )


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
    how: renew.How | None = None,
) -> dict[str, Any]:
    """Fit one recipe on all that was known at `as_of`; a finished run of the same is found.

    how: go on from the recipe's last run on older data (`pipelines.renew`); where there is none
    it is fitted from nothing. Gives `model, kind, run_id, seconds, reused`.
    """
    with workspace.lock("work", shared=True):
        as_of = as_of or last_event(workspace.tables)
        made = build(workspace.tables, as_of=as_of, parameters=shop.features)
        snapshots = {name: snapshot.id for name, snapshot in sorted(made.items())}
        products = workspace.tables.current("products")
        if products is not None:
            snapshots["products"] = products.id
        key, last = run_key(shop, recipe, snapshots), None
        if how is not None:
            last = renew.last(tracking, recipe=recipe.id, code=recipe.code, before=as_of)
        if last is not None:
            key = digest({"run": key, "from": last.tags[KEY], "how": how})
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
            **({} if last is None else {"regulars.from": last.id, "regulars.how": str(how)}),
        }
        with tracking.run(recipe.name, params=params, tags=tags, inputs=snapshots) as run_id:
            with step(f"train {recipe.name}") as took, watched() as held:
                given = (
                    made["interactions"].read(HISTORY),
                    catalogue(workspace.tables).drop_columns("launched_at"),
                    sequences(workspace.tables, until=as_of) if recipe.needs("events") else None,
                )
                if last is None or how is None:
                    fitted = _fit(workspace, recipe, key, *given)
                else:
                    fitted = renew.renew(renew.load(tracking, last), *given, how=how)
            _log(workspace, shop, tracking, fitted, made=made, as_of=as_of, run_id=run_id)
            cost = {"train_seconds": took["seconds"], "train_peak_memory_mb": held["peak_mb"]}
            tracking.log(run_id, metrics=cost)
    return _record(recipe, run_id, took["seconds"], reused=False)


def run_key(shop: Shop, recipe: Recipe, snapshots: dict[str, str]) -> str:
    """What a run is found by: the recipe, its code, the data, and how its lists are made."""
    used = {name: snapshots[name] for name in ("interactions", "products") if name in snapshots}
    return digest(
        {"recipe": recipe.id, "code": recipe.code, "data": used, "seen": shop.recommend.seen}
    )


def _fit(
    workspace: Workspace,
    recipe: Recipe,
    key: str,
    interactions: pa.Table,
    products: pa.Table,
    events: pa.Table | None,
) -> Recommender:
    """Fitted from nothing; a model that trains long goes on where a killed run of it stopped."""
    scorer = recipe.scorer()
    if not hasattr(scorer, "checkpoint"):
        return Recommender(scorer).fit(interactions, products, events)
    given, folder = scorer.checkpoint, workspace.root / "checkpoints" / key
    scorer.checkpoint = given or str(folder)
    fitted = Recommender(scorer).fit(interactions, products, events)
    scorer.checkpoint = given
    shutil.rmtree(folder, ignore_errors=True)
    return fitted


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
        fitted.save(Path(folder) / renew.FITTED)
        size = sum(file.stat().st_size for file in (Path(folder) / renew.FITTED).rglob("*"))
        tracking.log(run_id, metrics={"model_megabytes": size / 1e6})
        tracking.add(run_id, Path(folder) / renew.FITTED, renew.FITTED)
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


def _behind(name: str, found: dict[str, ModuleType] | None = None) -> list[ModuleType]:
    """A module and those of `models` that it imports, wherever in it, each once."""
    found = {} if found is None else found
    if name not in found:
        found[name] = importlib.import_module(name)
        for inner in re.findall(r"from (models(?:\.\w+)+) import", inspect.getsource(found[name])):
            _behind(inner, found)
    return list(found.values())


def _record(recipe: Recipe, run_id: str, seconds: float, *, reused: bool) -> dict[str, Any]:
    return {
        "model": recipe.name,
        "kind": recipe.kind,
        "run_id": run_id,
        "seconds": seconds,
        "reused": reused,
    }
