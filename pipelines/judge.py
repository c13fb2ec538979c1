"""Judge: trained runs and the past in, figures with intervals in those runs out.

A sliding backtest: at each fold's cut every recipe is fitted on what was known then, and ranks the
whole catalogue for the customers who bought in the window after it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import features.build
import models.scorer
from features.artifact import digest
from features.tables import code_version
from models.evaluation import (
    catalogue,
    codes,
    metrics,
    pages,
    quality,
    returns,
    shown,
    slices,
    split,
)
from models.evaluation.intervals import of_table
from models.recommender import Recommender
from pipelines import judgement, kinds
from pipelines.build import first_event, inputs, last_event
from pipelines.folds import FoldData, cuts, fold_data
from pipelines.progress import say, step
from pipelines.settings import Shop
from pipelines.tracking import JUDGED, KEY, Tracking
from pipelines.train import Recipe
from pipelines.workspace import Workspace

BLOCK = 20_000  # customers listed and judged at once


@dataclass(slots=True)
class Judged:
    """What the folds said of one recipe, fold by fold."""

    per_customer: list[pa.Table] = field(default_factory=list)
    catalogue: list[dict[str, float]] = field(default_factory=list)
    suppliers: list[dict[str, float]] = field(default_factory=list)
    costs: list[dict[str, float]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def run(
    workspace: Workspace,
    shop: Shop,
    tracking: Tracking,
    *,
    recipes: Sequence[Recipe],
    run_ids: Mapping[str, str],
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """Judge each recipe and log it to its run; a run that holds the same judgement is left alone.

    run_ids: recipe name -> run. Gives `models {NAME: {METRIC: {mean, low, high}}}`, `run_ids`,
    `folds` and `reused`, the names that were judged before.
    """
    tables = workspace.tables
    with workspace.lock("work", shared=True):
        as_of = as_of or last_event(tables)
        key = judge_key(workspace, shop, as_of)
        runs = {recipe.name: tracking.get(run_ids[recipe.name]) for recipe in recipes}
        mine = {name: digest({"judge": key, "run": run.tags[KEY]}) for name, run in runs.items()}
        todo = [r for r in recipes if runs[r.name].tags.get(JUDGED) != mine[r.name]]
        reused = sorted(set(runs) - {recipe.name for recipe in todo})
        if todo:
            data = folds_of(workspace, shop, as_of, events=any(r.needs("events") for r in todo))
            judged = backtest(shop, todo, data)
            for recipe in todo:
                with step(f"judge {recipe.name}: figures"):
                    found = summarise(shop, judged[recipe.name], data)
                    judgement.log(tracking, run_ids[recipe.name], found, tag=mine[recipe.name])
        for name in reused:
            say(f"judge {name}: found, nothing to do")
        said = {n: judgement.load(tracking, tracking.get(run_ids[n])) for n in sorted(runs)}
    return {
        "models": {name: one["metrics"] for name, one in said.items()},
        "run_ids": {name: run_ids[name] for name in sorted(runs)},
        "folds": said[recipes[0].name]["folds"],
        "reused": reused,
    }


def judge_key(workspace: Workspace, shop: Shop, as_of: datetime) -> str:
    """What a judgement is found by: the inputs, the protocol, and the code of both."""
    code = code_version(
        features.build,
        split,
        metrics,
        pages,
        codes,
        catalogue,
        quality,
        returns,
        slices,
        shown,
        kinds,
        models.scorer,
        judgement,
    )
    return digest(
        {
            "inputs": inputs(workspace.tables),
            "as_of": as_of.isoformat(),
            "features": shop.features.model_dump(mode="json"),
            "judge": shop.judge.model_dump(mode="json"),
            "seen": shop.recommend.seen,
            "code": code,
        }
    )


def folds_of(
    workspace: Workspace, shop: Shop, as_of: datetime, *, events: bool = False
) -> list[FoldData]:
    """The data of every fold, oldest first; with events one by one where a model needs them."""
    tables = workspace.tables
    found = cuts(shop, as_of, first_event(tables))
    data = []
    for number, fold in enumerate(found):
        with step(f"fold {number + 1} of {len(found)}, cut {fold.cut:%Y-%m-%d}: data"):
            data.append(fold_data(tables, shop, fold, number=number, events=events))
    return data


def backtest(shop: Shop, recipes: Sequence[Recipe], data: Sequence[FoldData]) -> dict[str, Judged]:
    """Every recipe fitted and judged on every fold."""
    judged = {recipe.name: Judged() for recipe in recipes}
    for number, fold in enumerate(data, start=1):
        for recipe in recipes:
            with step(f"judge {recipe.name}, fold {number} of {len(data)}"):
                judge_one(shop, recipe, fold, into=judged[recipe.name])
    return judged


def judge_one(shop: Shop, recipe: Recipe, fold: FoldData, *, into: Judged) -> None:
    """One recipe on one fold: fit at the cut, list in blocks, measure."""
    start_fit = time.perf_counter()
    fitted = Recommender(recipe.scorer()).fit(fold.interactions, fold.products, fold.events)
    fit_seconds, list_seconds = time.perf_counter() - start_fit, 0.0
    k, parts, rows = shop.judge.k, [], []
    for start in range(0, max(1, len(fold.customers)), BLOCK):
        customers = fold.customers.slice(start, BLOCK)
        start_lists = time.perf_counter()
        lists = fitted.recommend(customers, k, among=fold.among, seen=shop.recommend.seen)
        list_seconds += time.perf_counter() - start_lists
        hers = fold.truth.filter(pc.is_in(fold.truth["customer_id"], value_set=customers))
        found = metrics.per_customer(lists, hers, known=fold.known, k=k)
        parts.append(returns.beside(found, lists, fold.returned, k=k))
        rows.append(lists)
    lists = pa.concat_tables(rows)
    known = fold.customers.filter(pc.is_in(fold.customers, value_set=fitted.customers))
    into.per_customer.append(pa.concat_tables(parts))
    whole = catalogue.of_lists(lists, catalogue=fold.shelf, k=k)
    whole |= shown.of_lists(lists, catalogue=fold.shelf, k=k)
    whole[f"fallback_share_at_{k}"] = fallback_share(lists, fold.customers, k=k)
    into.catalogue.append(whole)
    into.suppliers.append(shown.suppliers(lists, catalogue=fold.shelf, k=k))
    each = 1_000 * list_seconds / max(1, len(fold.customers))
    into.costs.append({"fit_seconds": fit_seconds, "milliseconds_per_list": each})
    into.findings += [
        f"{fault.code}: {fault.sentence}"
        for fault in quality.check(lists, k=k, available=fold.among, customers=known)
    ]


def fallback_share(lists: pa.Table, customers: pa.Array, *, k: int) -> float:
    """The share of the customers whose list the model cannot fill: popular products must help."""
    if not len(customers):
        return 0.0
    places = lists.group_by("customer_id").aggregate([("product_id", "count")])
    full = pc.sum(pc.greater_equal(places["product_id_count"], k).cast(pa.int64())).as_py() or 0
    return 1 - full / len(customers)


def summarise(shop: Shop, judged: Judged, data: Sequence[FoldData]) -> judgement.Judgement:
    """The figures over all folds: a customer counts once, however many folds judged her."""
    whole = metrics.over_folds(judged.per_customer)
    seed, resamples = shop.judge.seed, shop.judge.resamples
    intervals = of_table(whole, seed=seed, resamples=resamples)
    figures: dict[str, dict[str, float | None]] = {
        name: {"mean": i.mean, "low": i.low, "high": i.high} for name, i in intervals.items()
    }
    for name in judged.catalogue[0]:
        mean = float(np.mean([fold[name] for fold in judged.catalogue]))
        figures[name] = {"mean": mean, "low": None, "high": None}
    attributes = pa.concat_tables([fold.attributes for fold in reversed(data)])
    attributes = (
        attributes.group_by("customer_id", use_threads=False)  # as the newest fold knew her
        .aggregate([(name, "first") for name in attributes.column_names[1:]])
        .rename_columns(attributes.column_names)
    )
    return judgement.Judgement(
        metrics=figures,
        per_customer=whole,
        slices=slices.by(whole, attributes, seed=seed, resamples=resamples),
        findings=judged.findings,
        folds=[
            {
                "cut": fold.fold.cut.isoformat(),
                "until": fold.fold.until.isoformat(),
                "customers": fold.counts,
                "snapshots": fold.snapshots,
            }
            for fold in data
        ],
        protocol=json.loads(shop.judge.model_dump_json()),
        per_fold=pa.concat_tables(
            [
                table.append_column("fold", pa.array([number] * table.num_rows, pa.int32()))
                for number, table in enumerate(judged.per_customer, start=1)
            ]
        ),
        kinds=kinds.of_customers(whole["customer_id"], attributes, data),
        suppliers=_means(judged.suppliers),
        costs=_means(judged.costs),
    )


def _means(folds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each name's mean over the folds; who is missing in one had nothing there."""
    names = sorted({name for fold in folds for name in fold})
    return {name: sum(fold.get(name, 0.0) for fold in folds) / len(folds) for name in names}
