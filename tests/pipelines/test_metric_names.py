"""Every metric that a run logs is in docs/metrics.md, and what is there is logged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pipelines import experiment_runs
from pipelines.steps import job

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
WORD = r"[\w.-]+"


def documented() -> dict[str, list[str]]:
    """Names by experiment, as written."""
    table = PAGE.read_text("utf-8").partition("What a run of MLflow holds")[2]
    found: dict[str, list[str]] = {}
    task = ""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or cells[0] == "experiment":
            continue
        task = cells[0].strip("`").removeprefix("SHOP/") or task
        found.setdefault(task, []).extend(re.findall("`([^`]+)`", cells[1]))
        if cells[1] == "`METRIC`" and task == "recommendations":
            found["METRIC"] = re.findall("`([^`]+)`", cells[2])
    return found


def pattern(name: str, metrics: list[str]) -> re.Pattern[str]:
    text = name.replace("METRIC", f"({'|'.join(metrics)})")
    return re.compile(
        re.sub(r"SLICE|VALUE|POLICY|FIGURE|JUDGE|MEASURE|ARM|STAGE", lambda _: WORD, text)
    )


def test_every_logged_metric_is_documented_and_every_documented_one_is_logged(ran: Any) -> None:
    page = documented()
    logged = {name for run in job(ran.workspace.root).tracking.runs() for name in run.metrics}
    patterns = [pattern(name, page["METRIC"]) for name in page["recommendations"]]
    assert [n for n in sorted(logged) if not any(p.fullmatch(n) for p in patterns)] == []
    assert [p.pattern for p in patterns if not any(p.fullmatch(n) for n in logged)] == []
    assert sorted(set(page["METRIC"]) - logged) == []


def test_the_other_experiments_are_documented_too() -> None:
    page = documented()
    assert set(page) >= {"METRIC", "recommendations", "search", "experiments", "simulations"}
    assert {name.rpartition("/")[2] for name in page["experiments"] if "/" in name} == set(
        experiment_runs.EFFECT
    )


def test_retention_is_documented_name_by_name(ran: Any) -> None:
    logged = {
        name for run in job(ran.workspace.root).tracking.runs("retention") for name in run.metrics
    }
    patterns = [pattern(name, []) for name in documented()["retention"]]
    assert logged
    assert [n for n in sorted(logged) if not any(p.fullmatch(n) for p in patterns)] == []
    assert [p.pattern for p in patterns if not any(p.fullmatch(n) for n in logged)] == []
