"""Renew: a recipe's last run and newer tables in, its model with what is new taken in out."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import pyarrow as pa

from models.recommender import Recommender
from pipelines.tracking import Run, Tracking

FITTED = "recommender"
How: TypeAlias = Literal["update", "warm"]


def last(tracking: Tracking, *, recipe: str, code: str, before: datetime) -> Run | None:
    """The newest finished run of a recipe by the same code on data up to a time; None without.

    A model is never taken back to older data.
    """
    where = f"tags.`regulars.recipe` = '{recipe}' and attributes.status = 'FINISHED'"
    for run in tracking.runs(where=where):
        as_of = datetime.fromisoformat(run.tags["regulars.as_of"])
        if run.tags["regulars.code"] == code and as_of < before:
            return run
    return None


def load(tracking: Tracking, run: Run) -> Recommender:
    """The fitted model of a run."""
    return Recommender.load(tracking.fetch(run, FITTED))


def renew(
    fitted: Recommender,
    interactions: pa.Table,
    products: pa.Table,
    events: pa.Table | None,
    *,
    how: How,
) -> Recommender:
    """The model on newer tables, every known id at its code.

    update: what is new is taken in without learning anew. warm: learned anew from where it stood,
    where the model can (`warm_start`); elsewhere from nothing.
    """
    if how == "update":
        return fitted.update(interactions, products, events)
    before = getattr(fitted.scorer, "warm_start", None)
    if before is not None:
        fitted.scorer.warm_start = True  # type: ignore[attr-defined]
    fitted.refit(interactions, products, events)
    if before is not None:
        fitted.scorer.warm_start = before  # type: ignore[attr-defined]
    return fitted
