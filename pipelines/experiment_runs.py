"""Runs of tests and simulations: a record in, a run of MLflow with its figures and page out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.artifact import canonical, digest
from pipelines import experiment_page, experiment_preferred
from pipelines.tracking import KEY, Tracking

TASK = "experiments"
SIMULATIONS = "simulations"
CAMPAIGNS = "campaigns"
EFFECT = ("control", "treated", "difference", "low", "high", "relative", "p_value")
Record = dict[str, Any]


def track(tracking: Tracking, record: Record, units: pa.Table) -> str:
    """Log a report of `experiment.read` as a run of the shop's.

    units: a row a unit, `arm` and what was measured; kept as `experiment/per_unit.parquet` only
    where the record shows outcomes. Metrics: `MEASURE/ARM/difference` and the rest of EFFECT, and
    `MEASURE/held_out/…` for the tested against those held out.
    """
    rows = {
        f"{_word(one['measure'])}/{arm}/{key}": one[key]
        for arm, one in (
            *((_word(one["arm"]), one) for one in record["effects"]),
            *(("held_out", one) for one in record["held_out"]),
        )
        for key in EFFECT
    }
    params = {
        **{key: record[key] for key in ("control", "metric", "minimum_effect", "rule")},
        "arms": {arm: one["share"] for arm, one in record["arms"].items()},
        "cap_revenue": (record["cap_revenue"] or {}).get("quantile"),
    }
    tables = {"per_unit": units} if record["effects"] else {}
    rows["units"] = record["entered"]
    page = experiment_page.page(record)
    return _keep(tracking, record, rows, params, page=page, tables=tables, metric=record["metric"])


def track_interleaved(tracking: Tracking, record: Record) -> str:
    """Log a record of `experiment_interleaved.read`, `preference` being the second arm's share."""
    share, votes = record["share"], record["votes"]
    rows = {
        "preference": share["mean"],
        "preference_low": share["low"],
        "preference_high": share["high"],
        "p_value": record["p_value"],
        "units": record["units"],
        "votes": sum(votes.values()) - votes["ties"],
    }
    params = {"control": record["control"], "arms": record["arms"]}
    page = experiment_preferred.page(record)
    return _keep(tracking, record, rows, params, page=page, tables={}, metric="preference")


def track_simulation(tracking: Tracking, record: Record, page: str) -> str:
    """Log what `simulate.run` gives: `POLICY/retained`, with `_low` and `_high`, and the judges."""
    rows = {
        f"{_word(name)}/{key}{end}": one[word]
        for name, keys in record["figures"].items()
        for key, one in keys.items()
        for end, word in (("", "mean"), ("_low", "low"), ("_high", "high"))
    } | {
        f"{judge}/{key}": value
        for judge, one in record["judges"].items()
        for key, value in (("right", one["right"]), ("regret", one["regret"]["mean"]))
    }
    params = {key: record[key] for key in ("policies", "days", "seed", "customers")}
    params["shops"] = len(record["runs"])
    tags = {"regulars.kind": "simulation", "regulars.best": record["best"]}
    name = "simulate " + ",".join(record["policies"])
    return _run(tracking, name, record, rows, params, tags, page=page, tables={}, task=SIMULATIONS)


def track_campaigns(tracking: Tracking, record: Record, units: pa.Table, page: str) -> str:
    """Log what `activation_report.run` gives: effects as of a test, `brought/MEASURE`, `qini`."""
    rows = {f"{one['measure']}/{key}": one[key] for one in record["effects"] for key in EFFECT} | {
        f"brought/{name}{end}": one[word]
        for name, one in record["brought"].items()
        for end, word in (("", "mean"), ("_low", "low"), ("_high", "high"))
    }
    ranking = record["ranking"] or {"qini": {}, "at": {}}
    for end, word in (("", "mean"), ("_low", "low"), ("_high", "high")):
        rows[f"qini{end}"] = ranking["qini"].get(word)
        for share, one in ranking["at"].items():
            rows[f"uplift_at_{share.rstrip('%')}{end}"] = one[word]
    params = {
        "campaigns": len(record["campaigns"]), "horizon_days": record["horizon_days"],
        "holdout": record["arms"]["holdout"]["share"],
    }  # fmt: skip
    tags = {
        "regulars.kind": "campaigns",
        "regulars.verdict": record["verdict"]["decision"],
        "regulars.as_of": str(record["as_of"]),
    }
    return _run(
        tracking, record["experiment"], record, rows, params, tags, page=page,
        tables={"per_unit": units}, task=CAMPAIGNS,
    )  # fmt: skip


def _keep(
    tracking: Tracking,
    record: Record,
    rows: Mapping[str, Any],
    params: Mapping[str, Any],
    *,
    page: str,
    tables: Mapping[str, pa.Table],
    metric: str,
) -> str:
    """A live test's run, with the tags that all of them bear."""
    tags = {
        "regulars.experiment": record["experiment"],
        "regulars.kind": record["kind"],
        "regulars.metric": metric,
        "regulars.verdict": record["verdict"]["decision"],
        "regulars.as_of": str(record["as_of"] or ""),
    }
    return _run(
        tracking, record["experiment"], record, rows, params, tags, page=page, tables=tables,
        task=TASK,
    )  # fmt: skip


def _run(
    tracking: Tracking,
    name: str,
    record: Record,
    rows: Mapping[str, Any],
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    *,
    page: str,
    tables: Mapping[str, pa.Table],
    task: str,
) -> str:
    """A finished run with `report.html`, `report.json` and tables; the same is found again."""
    key = digest(canonical({k: str(v) for k, v in record.items()}))
    found = tracking.find(key, task)
    if found is not None:
        return found.id
    figures = {name: float(value) for name, value in rows.items() if value is not None}
    with tracking.run(name, task=task, params=params, tags=tags) as run_id:
        tracking.log(run_id, metrics=figures)
        with tempfile.TemporaryDirectory(dir=tracking.workspace.root, prefix=".trial.") as folder:
            place = Path(folder)
            (place / "report.html").write_text(page, "utf-8")
            text = json.dumps(record, indent=2, default=str, ensure_ascii=False)
            (place / "report.json").write_text(text + "\n", "utf-8")
            for table, units in tables.items():
                pq.write_table(units, place / f"{table}.parquet", compression="zstd")
            tracking.add(run_id, place, "experiment")
        tracking.log(run_id, tags={KEY: key})
    return run_id


def _word(text: str) -> str:
    """A name that MLflow takes."""
    return "".join(c if c.isalnum() or c in "_-." else "-" for c in text)
