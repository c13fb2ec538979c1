"""Compare: judged runs in, their figures side by side with paired differences out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import pyarrow as pa

from models.evaluation.compare import paired
from pipelines import judgement, report
from pipelines.settings import BASELINE, Shop
from pipelines.tracking import JUDGED, Run, Tracking, TrackingError


def run(shop: Shop, tracking: Tracking, *, names: Sequence[str] = ()) -> dict[str, Any]:
    """Compare runs with the first of them; a name is a model's, meaning its newest, or a run's id.

    Without names: every model of the newest judgement, against popularity. Gives `baseline`,
    `metric`, `models {NAME: {METRIC: {mean, low, high}}}`, `run_ids` and
    `differences {NAME: {METRIC: {mean, low, high, relative, n}}}`. Raises TrackingError for runs
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
    return {
        "baseline": labels[0],
        "metric": shop.judge.metric,
        "models": {label: one["metrics"] for label, one in found.items()},
        "run_ids": {label: one.id for label, one in runs.items()},
        "differences": differences,
    }


def page(compared: dict[str, Any]) -> str:
    """The same as a self-contained HTML page."""
    rows = []
    for metric in next(iter(compared["differences"].values()), {}):
        for name, found in compared["differences"].items():
            one = found[metric]
            verdict = "good" if one["low"] > 0 else "bad" if one["high"] < 0 else ""
            relative = "–" if one["relative"] is None else f"{one['relative']:+.1%}"
            rows.append(
                f"<tr><td>{escape(judgement.shown(metric))}</td><td>{escape(name)}</td>"
                f"<td class='n {verdict}'>{one['mean']:+.4f}</td>"
                f"<td class=n>{one['low']:+.4f} to {one['high']:+.4f}</td>"
                f"<td class=n>{relative}</td><td class=n>{one['n']:,}</td></tr>"
            )
    head = (
        "<tr><th>metric</th><th>model</th><th class=n>difference</th><th class=n>95 %</th>"
        "<th class=n>relative</th><th class=n>customers</th></tr>"
    )
    title = f"{', '.join(compared['models'])} compared"
    return report.html(
        title,
        [
            "<h2>Figures</h2>",
            report.figures(compared["models"]),
            f"<h2>Differences from {escape(compared['baseline'])}, customer by customer</h2>",
            f"<table>{head}{''.join(rows)}</table>",
        ],
    )


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
