"""A recipe's last run and newer tables in, its model with what is new taken in out."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines import renew
from pipelines.build import last_event
from pipelines.steps import job
from pipelines.workspace import Workspace


def trained(shop: Workspace, run_command: Any, tmp_path: Path, *words: str) -> dict[str, Any]:
    to = tmp_path / "out.json"
    result = run_command("train", "--model", "als", *words, "--workspace", shop.root, "--json", to)
    assert result.exit_code == 0, result.output
    return dict(json.loads(to.read_text())["models"]["als"])


@pytest.mark.parametrize(("flag", "learns"), [("--update", False), ("--warm", True)])
def test_newer_data_go_into_the_last_model_at_stable_codes(
    flag: str, learns: bool, shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    end = last_event(shop.tables)
    month_ago = (end - timedelta(days=30)).isoformat()
    # Another seed, so that the demo's run of today is not of this recipe.
    seed = ["--set", "models.als.seed=5"]
    old = trained(shop, run_command, tmp_path, "--as-of", month_ago, *seed)
    new = trained(shop, run_command, tmp_path, flag, *seed)
    assert not new["reused"]
    assert trained(shop, run_command, tmp_path, flag, *seed)["run_id"] == new["run_id"]
    tracking = job(shop.root).tracking
    assert tracking.get(new["run_id"]).tags["regulars.from"] == old["run_id"]
    before, after = (renew.load(tracking, tracking.get(one["run_id"])) for one in (old, new))
    known = len(before.customers)
    assert len(after.customers) > known
    assert after.customers[:known].equals(before.customers)
    assert after.products[: len(before.products)].equals(before.products)
    assert after.history.weights.sum() > before.history.weights.sum()
    assert after.recommend(after.customers[known:], 5, seen="keep").num_rows
    same = after.scorer.arrays()["products"][: len(before.products)]
    assert bool((same != before.scorer.arrays()["products"]).any()) == learns
    assert after.scorer == before.scorer


def test_without_an_older_run_a_model_is_fitted_from_nothing(
    shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    found = trained(shop, run_command, tmp_path, "--update", "--set", "models.als.seed=6")
    tags = job(shop.root).tracking.get(found["run_id"]).tags
    assert "regulars.from" not in tags
    plain = trained(shop, run_command, tmp_path, "--set", "models.als.seed=6")
    assert plain["run_id"] == found["run_id"]


def test_a_kind_that_the_shop_does_not_list_is_trained_and_judged_by_its_name(
    shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    to = tmp_path / "out.json"
    words = ["--model", "ease", "--workspace", shop.root, "--json", to]
    assert run_command("judge", *words).exit_code == 0
    assert json.loads(to.read_text())["models"]["ease"]["ndcg_at_10"]["mean"] > 0
    assert "ease" not in job(shop.root).shop.models


def test_update_and_warm_are_not_both(shop: Workspace, run_command: Any) -> None:
    found = run_command("train", "--update", "--warm", "--workspace", shop.root)
    assert found.exit_code == 1
    assert "want --update or --warm, got both" in found.stderr
