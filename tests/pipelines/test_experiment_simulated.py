"""What a simulation found is a page and a run beside those of the shop's live tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import experiment_runs, simulate, simulate_page
from pipelines.steps import job
from pipelines.tracking import connect
from pipelines.workspace import Workspace


def figures(retained: float) -> dict[str, float]:
    return {
        "retained": retained, "revenue": 100 * retained, "bought": 0.2, "supplier_gini": 0.5,
        "supplier_top": 0.3,
    }  # fmt: skip


def record() -> dict[str, Any]:
    """Two shops in which b keeps more than <a>."""
    names = ["<a>", "b"]
    runs = [
        {
            "customers": 50,
            "figures": {
                "nothing": figures(0.1), "<a>": figures(0.4 + gap), "b": figures(0.6 - gap),
                "oracle": figures(0.9),
            },
            "chosen": {"offline": "<a>", "off_policy": None, "live": "b"},
            "refused": "too few",
        }
        for gap in (0.0, 0.02)
    ]  # fmt: skip
    return {
        "policies": names, "days": 90, "seed": 0, **simulate.summary(runs, names), "runs": runs
    }  # fmt: skip


def test_its_page_says_who_keeps_most_and_who_knew_it() -> None:
    made = simulate_page.page(record())
    assert made.index("b keeps most") < made.index("Whom they keep")
    for said in (
        "<td>&lt;a&gt;</td>",
        "59.0%",
        "live test, one arm a policy",
        "no answer in 2 of 2",
    ):
        assert said in made
    assert "<a>" not in made
    assert "http" not in made


def test_it_is_tracked_once_with_page_record_and_figures(tmp_path: Path) -> None:
    tracking = connect(Workspace(tmp_path), "ours")
    found = record()
    run_id = experiment_runs.track_simulation(tracking, found, simulate_page.page(found))
    again = record()
    assert experiment_runs.track_simulation(tracking, again, "another page") == run_id
    (run,) = tracking.runs("simulations")
    assert run.metrics["b/retained"] == pytest.approx(0.59)
    low, high = (run.metrics[f"b/retained_{end}"] for end in ("low", "high"))
    assert low < 0.59 < high
    assert run.metrics["live/right"] == 2
    assert run.metrics["offline/regret"] == pytest.approx(0.18)
    assert run.params["policies"] == '["<a>","b"]'
    assert run.tags["regulars.best"] == "b"
    kept = tracking.fetch(run, "experiment/report.json")
    assert json.loads(kept.read_text())["best"] == "b"
    assert "b keeps most" in tracking.fetch(run, "experiment/report.html").read_text()


def test_the_command_tracks_where_there_is_a_shop(
    tmp_path: Path, run_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate, "run", lambda *_, **__: record())
    words = ["simulate", "--workspace", tmp_path, "--json", tmp_path / "out.json"]
    assert run_command(*words).exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text())["run_id"] is None
    (tmp_path / "shop.toml").write_text('[shop]\nname = "ours"\n[ingest]\nmapping = "ga4"\n')
    said = run_command(*words, "--out", tmp_path / "page.html")
    assert said.exit_code == 0, said.output
    assert "b keeps most" in said.stdout
    assert "b keeps most" in (tmp_path / "page.html").read_text()
    (run,) = job(tmp_path).tracking.runs("simulations")
    assert json.loads((tmp_path / "out.json").read_text())["run_id"] == run.id
