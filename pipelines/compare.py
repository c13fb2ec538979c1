"""Compare: judged runs in, their figures side by side with paired differences out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.compare import paired
from pipelines import judgement
from pipelines.settings import BASELINE, Shop
from pipelines.tracking import JUDGED, Run, Tracking, TrackingError


def run(shop: Shop, tracking: Tracking, *, names: Sequence[str] = ()) -> dict[str, Any]:
    """Compare runs with the first of them; a name is a model's, meaning its newest, or a run's id.

    Without names: every model of the newest judgement, against popularity. Gives `baseline`,
    `metric`, `customers`, `models {NAME: {METRIC: {mean, low, high}}}`, `run_ids`,
    `differences {NAME: {METRIC: {mean, low, high, relative, n}}}` and, of the metric that decides,
    `slices {NAME: [{slice, value, mean, low, high, n, small}]}`. Raises TrackingError for runs
    that were judged over other customers.
    """
    runs = _chosen(tracking, names)
    labels = list(runs)
    found = {label: judgement.load(tracking, one) for label, one in runs.items()}
    tables = {label: judgement.per_customer(tracking, one) for label, one in runs.items()}
    differences = {
        label: _differences(shop, tables[label], tables[labels[0]], label, labels[0])
        for label in labels[1:]
    }
    metric = shop.judge.metric
    return {
        "baseline": labels[0],
        "metric": metric,
        "customers": tables[labels[0]].num_rows,
        "slices": {label: _slices(tracking, one, metric) for label, one in runs.items()},
        "models": {label: one["metrics"] for label, one in found.items()},
        "run_ids": {label: one.id for label, one in runs.items()},
        "differences": differences,
    }


def _chosen(tracking: Tracking, names: Sequence[str]) -> dict[str, Run]:
    """Runs by label, the baseline first."""
    judged = [one for one in tracking.runs() if JUDGED in one.tags]
    if not judged:
        raise TrackingError("no run was judged yet: `regulars judge` first")
    if not names:
        newest: dict[str, Run] = {}
        for one in judged:
            if one.tags["regulars.as_of"] == judged[0].tags["regulars.as_of"]:
                newest.setdefault(one.tags["regulars.model"], one)
        return dict(sorted(newest.items(), key=lambda item: (item[0] != BASELINE, item[0])))
    chosen: dict[str, Run] = {}
    for name in names:
        match = [one for one in judged if name in (one.tags["regulars.model"], one.id)]
        if not match:
            models = sorted({one.tags["regulars.model"] for one in judged})
            raise TrackingError(f"want a run's id or one of {', '.join(models)}, got {name!r}")
        chosen[name] = match[0]
    return chosen


def _slices(tracking: Tracking, run: Run, metric: str) -> list[dict[str, Any]]:
    """One metric by kind of customer."""
    table = judgement.slices(tracking, run)
    chosen: list[dict[str, Any]] = table.filter(pc.equal(table["metric"], metric)).to_pylist()
    return [{k: v for k, v in row.items() if k != "metric"} for row in chosen]


def _differences(
    shop: Shop, candidate: pa.Table, baseline: pa.Table, name: str, other: str
) -> dict[str, dict[str, float | None]]:
    """The paired difference of each metric that has one."""
    found: dict[str, dict[str, float | None]] = {}
    for metric in candidate.column_names[1:]:
        try:
            one = paired(
                candidate,
                baseline,
                metric,
                seed=shop.judge.seed,
                resamples=shop.judge.resamples,
            )
        except ValueError as error:
            raise TrackingError(f"{name} and {other} cannot be compared: {error}") from error
        if one.n > 1:
            found[metric] = {
                "mean": one.mean,
                "low": one.low,
                "high": one.high,
                "relative": None if one.relative != one.relative else one.relative,
                "n": one.n,
            }
    return found
