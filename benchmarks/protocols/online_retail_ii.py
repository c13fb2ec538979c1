"""Online Retail II: a configuration in, its model's figures over four folds of time out.

What a shop would run: ingest, feature tables at each cut, a fit on what was known then, and the
products ranked that were bought in the 28 days after it, those bought before among them. Nobody
has published this table; intervals, and the figures by lifecycle stage, are its own.
"""

from __future__ import annotations

import resource
import tomllib
from pathlib import Path

from benchmarks.protocols.rows import DATA, Absent, Row, name_of
from pipelines import judgement, settings, steps
from pipelines.workspace import Workspace

NAME = "online-retail-ii"
FOLDS = 4
WORKSPACE = Path(__file__).resolve().parents[2] / "out" / "published" / NAME
METRICS = ("ndcg_at_10", "recall_at_10", "repeat_hit_rate_at_10", "new_hit_rate_at_10")


def run(config: Path) -> list[Row]:
    """Means with their 95 % intervals over all judged customers, and ndcg@10 of each stage.

    The workspace is kept, so that the next model finds the tables, and every run is in its MLflow.
    """
    model = name_of(config, NAME)
    path = DATA / "online_retail_ii.parquet"
    if not path.exists():
        raise Absent(f"REGULARS_DATA must be a folder that holds {path.name}, got {DATA}")
    values = tomllib.loads(settings.preset(NAME))
    own = tomllib.loads(config.read_text(encoding="utf-8"))["models"]
    values["models"] = {"popularity": {}, **own}
    values["judge"]["folds"] = FOLDS
    shop = settings.Shop.model_validate(values)
    job = steps.Job(Workspace(WORKSPACE), shop, str(path))
    steps.take_in(job)
    steps.build_features(job)
    trained = steps.train_models(job, [model])
    judged = steps.judge_models(job, trained)
    run_id = judged["run_ids"][model]
    shared = {
        "data": NAME,
        "model": model,
        "published": None,
        "source": f"{FOLDS} folds of 28 days",
        "seconds": round(trained["models"][model]["seconds"], 1),
        "fit_seconds": round(trained["models"][model]["seconds"], 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    means = judged["models"][model]
    rows = [
        {**shared, "metric": name, "value": means[name].pop("mean"), **means[name]}
        for name in METRICS
    ]
    for one in judgement.slices(job.tracking, job.tracking.get(run_id)).to_pylist():
        if one["slice"] == "lifecycle_stage" and one["metric"] == "ndcg_at_10":
            figures = {"value": one["mean"], "low": one["low"], "high": one["high"], "n": one["n"]}
            rows.append({**shared, "metric": f"ndcg_at_10/{one['value']}", **figures})
    return rows
