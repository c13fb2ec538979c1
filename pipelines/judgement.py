"""Judgements: one model's figures in, a run's metrics, tables and report page out, and back."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import report
from pipelines.tracking import JUDGED, Run, Tracking, TrackingError

FOLDER = "judgement"
Figures = dict[str, dict[str, float | None]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the backtest said of one model.

    metrics: name -> mean, low, high; low and high are None for figures of all lists together.
    per_customer, slices: tables of `models.evaluation`. folds: cut, until, customers, snapshots.
    per_fold: as per_customer, a row a customer and fold, numbered from 1. kinds: what each customer
    is like (`pipelines.kinds`). suppliers: share of the places by supplier_id. costs: fit_seconds
    and milliseconds_per_list, means over the folds.
    """

    metrics: Figures
    per_customer: pa.Table
    slices: pa.Table
    findings: Sequence[str]
    folds: Sequence[dict[str, Any]]
    protocol: dict[str, Any]
    per_fold: pa.Table | None = None
    kinds: pa.Table | None = None
    suppliers: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)


def log(tracking: Tracking, run_id: str, found: Judgement, *, tag: str) -> None:
    """Write all of it to the run; the tag that says so comes last, so that a kill leaves none."""
    run = tracking.get(run_id)
    summary = {
        "metrics": {name: _clean(figure) for name, figure in found.metrics.items()},
        "findings": list(found.findings),
        "folds": list(found.folds),
        "protocol": found.protocol,
        "customers": found.per_customer.num_rows,
        "suppliers": found.suppliers,
        "costs": found.costs,
    }
    personas = json.loads(tracking.fetch(run, "personas.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory(dir=tracking.workspace.root, prefix=".judge.") as folder:
        place = Path(folder)
        pq.write_table(found.per_customer, place / "per_customer.parquet", compression="zstd")
        pq.write_table(found.slices, place / "slices.parquet", compression="zstd")
        for name, table in (("per_fold", found.per_fold), ("kinds", found.kinds)):
            if table is not None:
                pq.write_table(table, place / f"{name}.parquet", compression="zstd")
        text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
        (place / "judgement.json").write_text(text, "utf-8")
        page = report.page(run, summary, found.slices, personas)
        (place / "report.html").write_text(page, "utf-8")
        tracking.add(run_id, place, FOLDER)
    tracking.log(
        run_id,
        metrics=_metrics(found),
        tags={
            "regulars.folds": json.dumps(list(found.folds)),
            "regulars.findings": json.dumps(list(found.findings)),
        },
    )
    tracking.log(run_id, tags={JUDGED: tag})


def load(tracking: Tracking, run: Run) -> dict[str, Any]:
    """The summary: metrics, findings, folds, protocol, customers; raises TrackingError."""
    if JUDGED not in run.tags:
        raise TrackingError(f"run {run.id} ({run.name}) was not judged: `regulars judge` first")
    summary = tracking.fetch(run, f"{FOLDER}/judgement.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(summary)
    return loaded


def per_customer(tracking: Tracking, run: Run) -> pa.Table:
    """One row a judged customer."""
    return pq.read_table(tracking.fetch(run, f"{FOLDER}/per_customer.parquet"))


def detail(tracking: Tracking, run: Run, name: str) -> pa.Table | None:
    """`per_fold` or `kinds`; None for a run that was judged before these were kept."""
    try:
        return pq.read_table(tracking.fetch(run, f"{FOLDER}/{name}.parquet"))
    except TrackingError:
        return None


def slices(tracking: Tracking, run: Run) -> pa.Table:
    """One row a slice, value and metric."""
    return pq.read_table(tracking.fetch(run, f"{FOLDER}/slices.parquet"))


def _metrics(found: Judgement) -> dict[str, float]:
    """`ndcg_at_10`, with `_low` and `_high`, and `lifecycle_stage/active/ndcg_at_10`."""
    flat: dict[str, float | None] = {"judged_customers": found.per_customer.num_rows}
    flat |= {f"judge_{name}": value for name, value in found.costs.items()}
    for name, figure in found.metrics.items():
        flat |= {
            name: figure["mean"],
            f"{name}_low": figure["low"],
            f"{name}_high": figure["high"],
        }
    for row in found.slices.to_pylist():
        flat[f"{row['slice']}/{row['value']}/{row['metric']}"] = row["mean"]
    return {
        _name(name): value
        for name, value in flat.items()
        if value is not None and not math.isnan(value)
    }


def _name(metric: str) -> str:
    """MLflow admits letters, digits and `_-. :/`; history lengths such as `10+` have a plus."""
    return metric.replace("10+", "10_or_more")


def _clean(figure: dict[str, float | None]) -> dict[str, float | None]:
    """NaN has no place in JSON."""
    return {k: None if v is None or math.isnan(v) else v for k, v in figure.items()}
