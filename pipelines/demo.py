"""The demo's ending: what the flow found in, tables and sentences for a person out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from features.artifact import write_json
from pipelines.console import models_table, table
from pipelines.report import shown
from pipelines.steps import Record, job
from pipelines.workspace import OtherShop, Workspace

CUSTOMERS = 2_000
STORIES = ("active", "at_risk", "lapsed", "cooling", "new")


def one_input(workspace: Workspace, *, input: str | None, customers: int, seed: int) -> None:
    """A demo's workspace holds one demo: another one's events would mix with its."""
    path = workspace.root / "demo.json"
    said = {"input": input} if input is not None else {"customers": customers, "seed": seed}
    if path.exists():
        before = json.loads(path.read_text("utf-8"))
        if before != said:
            raise OtherShop(
                f"{workspace.root} holds the demo of {before}, got {said}: give another "
                "--workspace, or remove it"
            )
    elif workspace.tables.current("events") is not None:
        raise OtherShop(
            f"{workspace.root} holds a shop of yours: give the demo another --workspace"
        )
    write_json(path, said)


def record(found: Record) -> Record:
    """The demo's result for a program; metrics by their shown names."""
    return {
        "rows": found["rows"],
        "reasons": found["reasons"],
        "models": {
            name: {shown(metric): one for metric, one in figures.items()}
            for name, figures in found["models"].items()
        },
        "champion": found["champion"],
        "bundle": found["published"]["bundle"],
        "decision": found["decision"],
        "seconds": found["seconds"],
        "peak_rss_mb": found["peak_rss_mb"],
        "as_of": found["as_of"],
        "folds": found["folds"],
    }


def lines(workspace: Workspace, found: Record) -> Iterator[Any]:
    """What is printed at the end, in order."""
    rows = found["rows"]
    yield (
        f"\n{rows['input']:,} rows: {rows['events']:,} events, "
        f"{rows['quarantined']:,} quarantined, {rows['duplicates']:,} duplicates"
    )
    work = job(workspace.root)
    yield models_table(found["models"], work.shop.judge.metric, first=found["champion"])
    decision = found["decision"]
    yield f"[bold]{decision['verdict']}.[/bold]"
    for name, reasons in decision["reasons"].items():
        if reasons and name != "popularity":
            yield f"  {name} held: {'; '.join(reasons)}"
    for story in _stories(workspace, found):
        yield ""
        yield story
    yield ""
    yield _seconds(found)
    yield from pages(workspace)


def pages(workspace: Workspace) -> Iterator[str]:
    """How to open MLflow's and Prefect's pages."""
    yield "Every run, with its figures, lists and report:"
    yield (
        f"  MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --host 127.0.0.1 --port 5000 "
        f"--backend-store-uri sqlite:///{workspace.database} "
        f"--artifacts-destination {workspace.artifacts.as_uri()}"
    )
    yield "Every flow, with its steps and artifacts:"
    yield f"  PREFECT_HOME={workspace.prefect} prefect server start --host 127.0.0.1 --port 4200"


def _stories(workspace: Workspace, found: Record) -> Iterator[Any]:
    """Three customers, of as different stages as there are, with their lists."""
    work = job(workspace.root)
    run_id = found["published"]["run_id"] or next(iter(found["run_ids"].values()))
    tracking = work.tracking
    path = tracking.fetch(tracking.get(run_id), "personas.json")
    personas = json.loads(path.read_text("utf-8"))
    order = {stage: place for place, stage in enumerate(STORIES)}
    first = {one["lifecycle_stage"]: one for one in reversed(personas)}  # of each stage one
    for persona in sorted(first.values(), key=lambda one: order[one["lifecycle_stage"]])[:3]:
        orders = "1 order" if persona["orders"] == 1 else f"{persona['orders']} orders"
        title = f"{persona['name']}: {persona['customer_id']}, {orders}"
        past = [item["title"] for item in persona["history"][:6]]
        list_ = [item["title"] for item in persona["list"][:6]]
        height = max(len(past), len(list_))
        rows = [
            [str(place + 1), *(side[place] if place < len(side) else "" for side in (past, list_))]
            for place in range(height)
        ]
        yield table(title, [">", "bought or looked at, newest first", "to show next"], rows)


def _seconds(found: Record) -> Any:
    seconds = found["seconds"]
    rows = [[name, f"{value:.1f}"] for name, value in seconds.items()]
    rows.append(["all steps", f"{sum(seconds.values()):.1f}"])
    return table(f"peak memory {found['peak_rss_mb']:,} MB", ["step", "seconds>"], rows)
