"""Runs of retention: a record and its page in, a run of MLflow with its figures out."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from features.artifact import canonical, digest
from pipelines.tracking import KEY, Tracking

TASK = "retention"
Record = dict[str, Any]


def track(tracking: Tracking, record: Record, page: str) -> str:
    """Log a record of `retention.run` with its page; the same is found again."""
    key = digest(canonical({"retention": json.dumps(record, default=str, sort_keys=True)}))
    found = tracking.find(key, TASK)
    if found is not None:
        return found.id
    params = {"customers": record["customers"], "list": (record["list"] or {}).get("campaign")}
    tags = {"regulars.kind": "retention", "regulars.as_of": record["as_of"]}
    with tracking.run(
        f"retention {record['as_of'][:10]}",
        task=TASK,
        params=params,
        tags=tags,
        inputs=record["snapshots"],
    ) as run_id:
        tracking.log(run_id, metrics=figures(record))
        with tempfile.TemporaryDirectory(
            dir=tracking.workspace.root, prefix=".retention."
        ) as folder:
            place = Path(folder)
            (place / "report.html").write_text(page, "utf-8")
            text = json.dumps(record, indent=2, default=str, ensure_ascii=False)
            (place / "report.json").write_text(text + "\n", "utf-8")
            tracking.add(run_id, place, "retention")
        tracking.log(run_id, tags={KEY: key})
    return run_id


def figures(record: Record) -> dict[str, float]:
    """Metrics by name; what is not known has none."""
    found: dict[str, float | None] = {
        "customers": record["customers"],
        "regulars": record["regulars"],
        "slipping": record["slipping"]["customers"],
        "value_at_risk": record["slipping"]["at_risk"],
    }
    found |= {f"stage/{one['stage']}": one["customers"] for one in record["stages"]}
    for days, one in record["ahead"]["days"].items():
        found |= {
            f"expected_orders_{days}d": one["orders"],
            f"expected_value_{days}d": one["value"],
        }
    newest = record["months"][-1] if record["months"] else {}
    found |= {name: newest.get(name) for name in ("slipped", "won_back", "came")}
    return {name: float(value) for name, value in found.items() if value is not None}
