import json
import re
from typing import Any

import pyarrow.parquet as pq
import pytest

from models.bundle import open_bundle
from pipelines import judgement, log, publish
from pipelines.steps import job
from pipelines.tracking import JUDGED, KEY, Run, Tracking


@pytest.fixture(scope="module")
def tracking(ran: Any) -> Tracking:
    return job(ran.workspace.root).tracking


@pytest.fixture(scope="module")
def runs(tracking: Tracking) -> dict[str, Run]:
    return {run.tags["regulars.model"]: run for run in tracking.runs()}


def test_every_row_of_the_input_is_accounted_for(ran: Any) -> None:
    rows = ran.record["rows"]
    assert rows["input"] > 5_000
    assert rows["input"] == rows["events"] + rows["quarantined"] + rows["duplicates"]


def test_the_demo_writes_the_documented_fields(ran: Any) -> None:
    record = ran.record
    assert set(record["models"]) == {"popularity", "neighbours", "als", "bpr"}
    for figures in record["models"].values():
        assert {"ndcg@10", "recall@10", "coverage@10"} <= set(figures)
        ndcg = figures["ndcg@10"]
        assert 0 <= ndcg["low"] <= ndcg["mean"] <= ndcg["high"] <= 1
    assert set(record["seconds"]) == {
        "synthesize", "ingest", "features", "lifetime", "train", "judge", "gate", "publish",
        "retention",
    }  # fmt: skip
    assert record["peak_rss_mb"] > 50
    assert record["champion"] in record["models"]


def test_the_demo_prints_table_verdict_three_customers_and_where_the_pages_are(ran: Any) -> None:
    printed = ran.printed
    for word in ("ndcg@10", "popularity", "neighbours", "als", "bpr", "seconds"):
        assert word in printed
    assert ran.record["decision"]["verdict"] in " ".join(printed.split())
    assert len(re.findall(r"^The .*: \S+, \d+ orders?", printed, re.MULTILINE)) == 3
    assert "mlflow server" in printed
    assert "prefect server start" in printed


def test_the_bundle_that_serves_is_the_champion_of_the_registry_and_of_the_log(
    ran: Any, tracking: Tracking
) -> None:
    bundle = open_bundle(ran.workspace.bundles / ran.record["bundle"])
    champion = tracking.registry.alias(publish.CHAMPION)
    (record,) = log.records(ran.workspace.bundles / "log.jsonl")
    assert champion is not None
    assert publish.serving(ran.workspace) == bundle.id == record["bundle"]
    assert bundle.manifest["model"]["version"] == champion.number == record["version"]
    assert bundle.manifest["model"]["name"] == ran.record["champion"] == record["model"]
    assert bundle.manifest["shop"] == "synthetic"
    assert tracking.registry.alias(publish.CANDIDATE) is None


def test_a_run_holds_recipe_snapshots_protocol_and_the_judgement(
    ran: Any, runs: dict[str, Run]
) -> None:
    run = runs["als"]
    assert run.status == "FINISHED"
    assert {KEY, JUDGED, "regulars.recipe", "regulars.code", "regulars.folds"} <= set(run.tags)
    params = {"factors": "8", "kind": "als", "seen": "keep", "judge.horizon_days": "28"}
    assert params.items() <= run.params.items()
    tables = ran.workspace.tables
    for table in ("interactions", "customer_features", "products"):
        assert run.params[f"snapshot.{table}"] == tables.need(table).id
    folds = json.loads(run.tags["regulars.folds"])
    assert [set(fold) for fold in folds] == [{"cut", "until", "customers", "snapshots"}] * 2
    assert folds[0]["until"] == folds[1]["cut"]
    assert folds[1]["until"] == run.tags["regulars.as_of"]


def test_a_run_holds_figures_with_intervals_and_by_slice(runs: dict[str, Run]) -> None:
    metrics = runs["als"].metrics
    names = {f"{name}_at_10" for name in ("ndcg", "recall", "hit_rate", "map", "mrr", "revenue")}
    assert names | {f"{n}_low" for n in names} | {f"{n}_high" for n in names} <= set(metrics)
    assert {"coverage_at_10", "novelty_at_10", "diversity_at_10", "gini_at_10"} <= set(metrics)
    slices = {name.split("/")[0] for name in metrics if "/" in name}
    assert slices == {"lifecycle_stage", "channel", "history_length"}
    assert metrics["train_seconds"] > 0


def test_a_run_keeps_per_customer_figures_that_average_to_its_metrics(
    tracking: Tracking, runs: dict[str, Run]
) -> None:
    table = judgement.per_customer(tracking, runs["als"])
    assert len(set(table["customer_id"].to_pylist())) == table.num_rows
    values = table["ndcg_at_10"].to_pylist()
    assert runs["als"].metrics["ndcg_at_10"] == pytest.approx(sum(values) / len(values))
    slices = pq.read_table(tracking.fetch(runs["als"], "judgement/slices.parquet"))
    stages = slices.filter(
        (pc_equal(slices, "slice", "lifecycle_stage")) & pc_equal(slices, "metric", "ndcg_at_10")
    )
    assert sum(stages["n"].to_pylist()) == table.num_rows


def pc_equal(table: Any, column: str, value: str) -> Any:
    import pyarrow.compute as pc

    return pc.field(column) == value


def test_all_models_were_judged_over_the_same_customers(
    tracking: Tracking, runs: dict[str, Run]
) -> None:
    judged = [judgement.per_customer(tracking, run)["customer_id"] for run in runs.values()]
    assert len(judged) == 4
    assert all(ids == judged[0] for ids in judged)


def test_a_run_shows_what_named_customers_would_see_and_a_page(
    tracking: Tracking, runs: dict[str, Run]
) -> None:
    personas = json.loads(tracking.fetch(runs["als"], "personas.json").read_text())
    assert len(personas) >= 3
    for persona in personas:
        assert {"name", "customer_id", "lifecycle_stage", "history", "list"} <= set(persona)
        assert len(persona["list"]) == 10
        assert persona["history"][0]["title"] != persona["history"][0]["product_id"]
    page = tracking.fetch(runs["als"], "judgement/report.html").read_text()
    assert "ndcg@10" in page
    assert personas[0]["customer_id"] in page
    assert "http" not in page.replace("http-equiv", "")


def test_every_run_says_what_the_gate_thought(ran: Any, runs: dict[str, Run]) -> None:
    decision = ran.record["decision"]
    for name, run in runs.items():
        reasons = decision["reasons"][name]
        assert json.loads(run.tags["regulars.reasons"]) == reasons
        word = decision["action"] if name == decision["model"] else "hold" if reasons else "pass"
        assert run.tags["regulars.gate"] == word


def test_nothing_tracked_is_a_pickle_or_code(ran: Any) -> None:
    kinds = {path.suffix for path in ran.workspace.artifacts.rglob("*") if path.is_file()}
    assert kinds <= {".npy", ".arrow", ".json", ".parquet", ".html"}
    for path in ran.workspace.artifacts.rglob("*.npy"):
        assert b"|O" not in path.read_bytes()[:128]


def test_metrics_are_logged_once(ran: Any) -> None:
    import sqlite3

    with sqlite3.connect(ran.workspace.database) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM metrics GROUP BY run_uuid, key HAVING count(*) > 1"
        )
        assert rows.fetchall() == []
    connection.close()
