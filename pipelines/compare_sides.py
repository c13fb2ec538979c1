"""Sides: a judged run in, all that a comparison needs of it out; unlike runs are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines import judgement
from pipelines.tracking import Run, Tracking, TrackingError

TRAINING = ("train_seconds", "train_peak_memory_mb", "model_megabytes")
PROTOCOL = ("horizon_days", "folds", "k", "seed", "customers")


@dataclass(frozen=True, slots=True)
class Side:
    """One judged run. per_fold, kinds: None for a run that was judged before they were kept.

    label: what it was asked for by. costs: train_seconds, train_peak_memory_mb, model_megabytes,
    fit_seconds, milliseconds_per_list, those that are known.
    """

    label: str
    run_id: str
    model: str
    recipe: str
    summary: dict[str, Any]
    per_customer: pa.Table
    slices: pa.Table
    per_fold: pa.Table | None = None
    kinds: pa.Table | None = None
    personas: Sequence[dict[str, Any]] = ()
    seen: str = "drop"
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def suppliers(self) -> dict[str, float]:
        """Each supplier's share of the places, where the catalogue says whose products are."""
        found: dict[str, float] = self.summary.get("suppliers") or {}
        return found


def load(tracking: Tracking, label: str, run: Run) -> Side:
    """A run's judgement and what stands beside it; raises TrackingError."""
    summary = judgement.load(tracking, run)
    told = {name: run.metrics.get(name) for name in TRAINING}
    told |= summary.get("costs") or {}
    try:
        personas = json.loads(tracking.fetch(run, "personas.json").read_text("utf-8"))
    except TrackingError:
        personas = []
    return Side(
        label=label,
        run_id=run.id,
        model=run.tags["regulars.model"],
        recipe=run.tags["regulars.recipe"],
        summary=summary,
        per_customer=judgement.per_customer(tracking, run),
        slices=judgement.slices(tracking, run),
        per_fold=judgement.detail(tracking, run, "per_fold"),
        kinds=judgement.detail(tracking, run, "kinds"),
        personas=personas,
        seen=run.params.get("seen", "drop"),
        costs={name: value for name, value in told.items() if value is not None},
    )


def split(summary: dict[str, Any]) -> dict[str, Any]:
    """What two runs must share: the protocol, the windows, and the data in front of each."""
    protocol = summary["protocol"]
    found: dict[str, Any] = {f"judge.{name}": protocol.get(name) for name in PROTOCOL}
    for number, fold in enumerate(summary["folds"], start=1):
        found[f"the cut of window {number}"] = fold["cut"]
        found[f"the end of window {number}"] = fold["until"]
        for table, id in sorted((fold.get("snapshots") or {}).items()):
            found[f"the {table} of window {number}"] = id
    return found


def refuse(sides: Sequence[Side]) -> None:
    """Raise TrackingError with the first thing in which a run was judged unlike the first."""
    if len({one.run_id for one in sides}) < 2:
        raise TrackingError(f"want two runs to compare, got {len(sides)} of one run")
    for one in sides[1:]:
        reason = unlike(sides[0], one)
        if reason is not None:
            raise TrackingError(
                f"{sides[0].label} and {one.label} were judged on different data or splits and "
                f"cannot be compared: {reason}; `regulars judge` judges both anew"
            )


def unlike(base: Side, one: Side) -> str | None:
    """The first thing in which two runs were judged unlike each other; None for none."""
    told, other = split(base.summary), split(one.summary)
    for name in dict.fromkeys([*told, *other]):
        here, there = told.get(name, "none"), other.get(name, "none")
        if here != there:
            return f"{name} is {here} for {base.label} and {there} for {one.label}"
    return None
