"""Choose: judged runs in, the gate's decision, stored in each of them, out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.tables import Tables, code_version
from models.evaluation import abtest, compare, intervals, signs
from pipelines import gate, guardrails, judgement
from pipelines.progress import say
from pipelines.settings import Shop
from pipelines.tracking import GATE, JUDGED, REASONS, Run, Tracking
from pipelines.train import champion
from pipelines.workspace import Workspace

Record = dict[str, Any]
MOST = 12  # reasons in a tag, which holds 5,000 characters; all of them are in gate.json


def run(
    workspace: Workspace, shop: Shop, tracking: Tracking, *, run_ids: Mapping[str, str]
) -> Record:
    """Weigh the judged runs against each other and what serves.

    Gives the decision's fields and all that it was made from: `policy`, `judge`, `enough`,
    `champion`, `weighed` (each model's run, judgement, figures and costs) and `code`. Every run
    gets that as `gate.json`, and the tags `regulars.gate` (publish, refresh, fallback, pass or
    hold) and `regulars.reasons`.
    """
    runs = {name: tracking.get(run_id) for name, run_id in run_ids.items()}
    entries = [_entry(shop, tracking, name, one) for name, one in runs.items()]
    serving = champion(tracking)
    version = tracking.registry.alias("champion")
    data = enough(workspace.tables)
    decision = gate.decide(
        entries,
        champion=None if serving is None else serving.id,
        enough=data,
        gate=shop.gate,
        judge=shop.judge,
    )
    record: Record = {
        **decision.record(),
        "policy": shop.gate.model_dump(mode="json"),
        "judge": shop.judge.model_dump(mode="json"),
        "enough": asdict(data),
        "champion": None
        if serving is None or version is None
        else {"recipe": serving.id, "version": version.number, "run_id": version.run_id},
        "weighed": {one.name: _weighed(one, runs[one.name], decision) for one in entries},
        "code": code_version(gate, guardrails, compare, intervals, signs, abtest),
    }
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix=".gate.") as folder:
        path = Path(folder) / "gate.json"
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", "utf-8")
        for name, one in runs.items():
            tracking.add(one.id, path)
            why = [reason[:300] for reason in decision.reasons[name][:MOST]]
            tags = {GATE: decision.says(name), REASONS: json.dumps(why)}
            rails = guardrails.counted(decision.rails[name])
            tracking.log(one.id, tags=tags, metrics=rails)
    say(decision.verdict)
    return record


def enough(tables: Tables) -> gate.Enough:
    """How much there is to learn from: pairs of customer and product, and who ordered twice."""
    orders = tables.need("customer_features").read(["frequency"])["frequency"]
    again = pc.sum(pc.greater_equal(orders, 2).cast(pa.int64())).as_py() or 0
    return gate.Enough(interactions=tables.need("interactions").rows, repeat_customers=again)


def _entry(shop: Shop, tracking: Tracking, name: str, one: Run) -> gate.Entry:
    found = judgement.load(tracking, one)
    return gate.Entry(
        name=name,
        run_id=one.id,
        recipe=one.tags["regulars.recipe"],
        mean=found["metrics"][shop.judge.metric]["mean"] or 0.0,
        per_customer=judgement.per_customer(tracking, one),
        findings=tuple(found["findings"]),
        figures={metric: figure["mean"] for metric, figure in found["metrics"].items()},
        costs=found.get("costs") or {},
        kinds=judgement.detail(tracking, one, "kinds"),
    )


def _weighed(entry: gate.Entry, run: Run, decision: gate.Decision) -> Record:
    """One model's part of what was weighed."""
    return {
        "run_id": entry.run_id,
        "recipe": entry.recipe,
        "judgement": run.tags[JUDGED],
        "says": decision.says(entry.name),
        "customers": entry.per_customer.num_rows,
        "findings": list(entry.findings),
        "figures": dict(entry.figures),
        "costs": dict(entry.costs),
    }
