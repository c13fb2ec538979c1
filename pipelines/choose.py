"""Choose: judged runs in, the gate's decision, stored in each of them, out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.tables import Tables
from pipelines import gate, judgement
from pipelines.progress import say
from pipelines.settings import Shop
from pipelines.tracking import Tracking
from pipelines.train import champion
from pipelines.workspace import Workspace


def run(
    workspace: Workspace, shop: Shop, tracking: Tracking, *, run_ids: Mapping[str, str]
) -> dict[str, Any]:
    """Weigh the judged runs against each other and what serves.

    Gives the decision's fields. Every run gets `gate.json` and the tags `regulars.gate` (passed,
    held) and `regulars.reasons`.
    """
    runs = {name: tracking.get(run_id) for name, run_id in run_ids.items()}
    entries = []
    for name, one in runs.items():
        found = judgement.load(tracking, one)
        entries.append(
            gate.Entry(
                name=name,
                run_id=one.id,
                recipe=one.tags["regulars.recipe"],
                mean=found["metrics"][shop.judge.metric]["mean"] or 0.0,
                per_customer=judgement.per_customer(tracking, one),
                findings=tuple(found["findings"]),
            )
        )
    serving = champion(tracking)
    decision = gate.decide(
        entries,
        champion=None if serving is None else serving.id,
        enough=enough(workspace.tables),
        gate=shop.gate,
        judge=shop.judge,
    )
    record = decision.record()
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix=".gate.") as folder:
        path = Path(folder) / "gate.json"
        path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        for name, one in runs.items():
            why = decision.reasons[name]
            tracking.add(one.id, path)
            tags = {
                "regulars.gate": "held" if why else "passed",
                "regulars.reasons": json.dumps(why),
                "regulars.action": decision.action if name == decision.model else "none",
            }
            tracking.log(one.id, tags=tags)
    say(decision.verdict)
    return record


def enough(tables: Tables) -> gate.Enough:
    """How much there is to learn from: pairs of customer and product, and who ordered twice."""
    orders = tables.need("customer_features").read(["frequency"])["frequency"]
    again = pc.sum(pc.greater_equal(orders, 2).cast(pa.int64())).as_py() or 0
    return gate.Enough(interactions=tables.need("interactions").rows, repeat_customers=again)
