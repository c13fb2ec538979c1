"""Search: a model's space of hyperparameters in, the best found on the validation fold out.

The validation fold ends where the oldest test fold is cut, so no search sees what judges it.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import numpy as np

from models.evaluation.intervals import mean_interval
from pipelines.build import first_event, inputs, last_event
from pipelines.folds import FoldData, cuts, fold_data
from pipelines.judge import Judged, judge_one
from pipelines.progress import say, step
from pipelines.settings import Between, SettingsError, Shop, Space
from pipelines.spaces import SPACES
from pipelines.tracking import Tracking
from pipelines.train import Recipe
from pipelines.workspace import Workspace

TASK = "search"


def run(
    workspace: Workspace,
    shop: Shop,
    tracking: Tracking,
    *,
    model: str,
    tries: int,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """Try the shop's own hyperparameters, then `tries` drawn ones; each is a nested run.

    Gives `model, metric, tries [{parameters, mean, low, high, run_id}]`, best first, `best` and
    `run_id` of the parent.
    """
    if tries < 1:
        raise SettingsError(f"--search must be at least 1, got {tries}")
    kind, own = shop.recipe(model)
    space = shop.search.get(model) or SPACES.get(kind)
    if not space:
        raise SettingsError(f"{model} has no space to search: write [search.{model}] in the shop")
    tables = workspace.tables
    with workspace.lock("work", shared=True):
        as_of = as_of or last_event(tables)
        (fold,) = cuts(shop, as_of, first_event(tables), validation=True)
        with step("search: validation fold"):
            events = Recipe(model, kind, own).needs("events")
            data = fold_data(tables, shop, fold, number=shop.judge.folds, events=events)
        params = {
            "model": model,
            "kind": kind,
            "tries": tries,
            "cut": fold.cut.isoformat(),
            "until": fold.until.isoformat(),
            "space": {k: v if isinstance(v, list) else v.model_dump() for k, v in space.items()},
        }
        tags = {"regulars.model": model, "regulars.inputs": json.dumps(inputs(tables))}
        with tracking.run(f"{model} x {tries}", task=TASK, params=params, tags=tags) as parent:
            drawn = [own, *draw(space, own, tries, seed=shop.judge.seed)]
            done = []
            for number, parameters in enumerate(drawn):
                name = f"{model} {number} of {tries}"
                with tracking.run(
                    name, task=TASK, params=parameters, tags=tags, parent=parent
                ) as run_id:
                    done.append(_try(shop, tracking, Recipe(name, kind, parameters), data, run_id))
            done.sort(key=lambda one: -one["mean"])
            tracking.log(
                parent,
                params={f"best.{k}": v for k, v in done[0]["parameters"].items()},
                metrics={shop.judge.metric: done[0]["mean"]},
            )
    best = {k: v for k, v in done[0]["parameters"].items() if k in space}
    say(f"search {model}: best {shop.judge.metric} {done[0]['mean']:.4f} with {best}")
    return {
        "model": model,
        "metric": shop.judge.metric,
        "run_id": parent,
        "best": best,
        "tries": done,
    }


def draw(space: Space, own: dict[str, Any], n: int, *, seed: int) -> list[dict[str, Any]]:
    """N recipes at random from a space, over the model's own values for the rest."""
    rng = np.random.default_rng(seed)
    return [{**own, **{name: _one(rng, of) for name, of in space.items()}} for _ in range(n)]


def _one(rng: np.random.Generator, of: list[Any] | Between) -> Any:
    if isinstance(of, list):
        return of[int(rng.integers(len(of)))]
    if of.log:
        value = math.exp(rng.uniform(math.log(of.low), math.log(of.high)))
    else:
        value = float(rng.uniform(of.low, of.high))
    return round(value) if of.whole else float(f"{value:.4g}")


def _try(
    shop: Shop, tracking: Tracking, recipe: Recipe, data: FoldData, run_id: str
) -> dict[str, Any]:
    """One recipe on the validation fold."""
    judged = Judged()
    with step(f"search {recipe.name}"):
        judge_one(shop, recipe, data, into=judged)
    metric = shop.judge.metric
    found = mean_interval(
        judged.per_customer[0][metric], seed=shop.judge.seed, resamples=shop.judge.resamples
    )
    figures = {metric: found.mean, f"{metric}_low": found.low, f"{metric}_high": found.high}
    tracking.log(run_id, metrics={k: v for k, v in figures.items() if not math.isnan(v)})
    return {
        "run_id": run_id,
        "parameters": recipe.parameters,
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
    }
