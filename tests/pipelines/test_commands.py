import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "demo", "synthetic", "ingest", "features", "train", "judge", "compare", "publish", "promote",
    "rollback", "serve", "log", "audience", "retention", "simulate", "flow", "doctor",
)  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom pipelines.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = ['mlflow', 'prefect', 'pandas', 'duckdb', 'ibis', 'pyarrow', 'numpy']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, run_command: Any) -> None:
    result = run_command(name, "--help")
    assert result.exit_code == 0
    assert f"Example: regulars {name}" in re.sub(r"\s+", " ", result.stdout)


def test_the_commands_are_the_documented_ones() -> None:
    names = {str(c.callback.__name__) for c in app.registered_commands if c.callback is not None}
    assert names == set(COMMANDS)
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    for name in COMMANDS:
        assert f"## regulars {name}" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["features"], "has no shop yet: give --shop FILE or --mapping"),
        (["ingest", "--mapping", "nope"], "mapping must be one of"),
        (["ingest", "--mapping", "ga4"], "ingest.input is missing"),
        (["ingest", "gone.csv", "--mapping", "ga4"], "gone.csv"),
        (["features", "--shop", "gone.toml"], "cannot read gone.toml: No such file or directory"),
        (
            ["ingest", "--mapping", "ga4", "--set", "judge.k=3"],
            "judge.k: Input should be 10, got 3",
        ),
        (["flow", "weekly"], "flow must be one of ingest, build_features"),
    ],
)
def test_a_known_error_is_one_line_and_exit_code_1(
    words: list[str], said: str, tmp_path: Path, run_command: Any
) -> None:
    result = run_command(*words, "--workspace", tmp_path / "workspace")
    assert result.exit_code == 1
    steps, _, last = result.stderr.strip().rpartition("\n")
    assert last.startswith("regulars: ")
    assert said in last
    assert all(line.startswith("✗ ") for line in steps.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["demo", "--input", "events.csv"],
        ["demo", "--mapping", "ga4"],
        ["demo", "--input", "events.csv", "--mapping", "ga4", "--customers", "100"],
        ["publish", "--model", "als"],
        ["train", "--search", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(words: list[str], run_command: Any) -> None:
    assert run_command(*words).exit_code == 2


def test_asking_before_there_is_anything_says_what_to_run(tmp_path: Path, run_command: Any) -> None:
    at = ["--workspace", tmp_path]
    (tmp_path / "shop.toml").write_text('[shop]\nname = "mine"\n[ingest]\nmapping = "synthetic"\n')
    for words, said in (
        (["features"], "run `regulars ingest` first"),
        (["judge"], "run `regulars ingest` first"),
        (["serve"], "nothing is published"),
        (["promote"], "no version is the candidate"),
        (["rollback"], "nothing was published yet"),
        (["compare"], "no run was judged yet"),
    ):
        result = run_command(*words, *at)
        assert result.exit_code == 1, words
        assert said in result.stderr


def test_json_on_stdout_is_nothing_but_json(ran: Any, run_command: Any) -> None:
    result = run_command("log", "--workspace", ran.workspace.root, "--json", "-")
    record = json.loads(result.stdout)
    assert record["problems"] == []
    assert [one["action"] for one in record["records"]] == ["promote"]


def test_every_step_command_finds_what_the_demo_did(
    shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    at = ["--workspace", shop.root, "--json", tmp_path / "out.json"]

    def out(*words: object) -> dict[str, Any]:
        result = run_command(*words, *at)
        assert result.exit_code == 0, result.output
        loaded: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
        return loaded

    files = next((shop.root / "synthetic").glob("[0-9]*"))
    taken = out("ingest", files)
    assert set(taken["tables"]) == {
        "events", "products", "stock", "suppliers", "identities", "customers",
    }  # fmt: skip
    assert not any(one["changed"] for one in taken["tables"].values())
    assert out("features")["tables"]["interactions"]["rows"] > 500
    assert all(one["reused"] for one in out("train")["models"].values())
    assert len(out("judge")["reused"]) == 4
    published = out("publish")
    assert published["reused"]
    assert published["decision"]["action"] == "refresh"


def test_compare_sets_runs_beside_each_other(ran: Any, run_command: Any, tmp_path: Path) -> None:
    to, page = tmp_path / "out.json", tmp_path / "page.html"
    at = ["--workspace", ran.workspace.root, "--json", to, "--out", page]
    result = run_command("compare", *at)
    assert result.exit_code == 0, result.output
    record = json.loads(to.read_text())
    assert record["baseline"] == "popularity"
    assert set(record["differences"]) == {"als", "bpr", "neighbours"}
    one = record["differences"]["als"]["ndcg_at_10"]
    figures = record["models"]
    gain = figures["als"]["ndcg_at_10"]["mean"] - figures["popularity"]["ndcg_at_10"]["mean"]
    assert one["mean"] == pytest.approx(gain)
    assert one["low"] <= one["mean"] <= one["high"]
    assert "difference from popularity" in page.read_text()
    assert {row["slice"] for row in record["slices"]["als"]} >= {"lifecycle_stage", "channel"}
    assert run_command("compare", "als", "bpr", *at).exit_code == 0
    assert set(json.loads(to.read_text())["differences"]) == {"bpr"}
    assert "got 'nope'" in run_command("compare", "nope", *at).stderr


def test_a_search_tries_draws_keeps_the_best_and_nests_its_runs(
    shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    from pipelines.steps import job

    to = tmp_path / "out.json"
    words = ["train", "--model", "popularity", "--search", "3", "--keep"]
    result = run_command(*words, "--workspace", shop.root, "--json", to)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(to.read_text())["search"]
    means = [one["mean"] for one in found["tries"]]
    assert len(means) == 4
    assert means == sorted(means, reverse=True)
    work = job(shop.root)
    runs = work.tracking.runs("search")
    nested = [run for run in runs if run.tags.get("mlflow.parentRunId") == found["run_id"]]
    assert len(nested) == 4
    assert work.shop.models["popularity"] == found["best"]
    judged_from = json.loads(next(iter(work.tracking.runs())).tags.get("regulars.folds", "[{}]"))
    parent = next(run for run in runs if run.id == found["run_id"])
    if judged_from[0]:
        assert parent.params["until"] <= judged_from[0]["cut"]


def test_a_past_the_gate_publication_is_logged_with_its_reason(
    shop: Workspace, run_command: Any
) -> None:
    at = ["--workspace", shop.root]
    done = run_command("publish", "--model", "popularity", "--because", "holiday", *at)
    assert done.exit_code == 0, done.output
    shown = run_command("log", "--verify", *at)
    assert shown.exit_code == 0
    assert "holiday" in shown.stdout
    assert "The chain holds: 2 records." in shown.stdout
    assert run_command("rollback", *at).exit_code == 0
    path = shop.bundles / "log.jsonl"
    path.write_text(path.read_text().replace("holiday", "weekday"))
    assert run_command("log", "--verify", *at).exit_code == 1
    refused = run_command("promote", "2", *at)
    assert refused.exit_code == 1
    assert "record 2 was changed after it was written" in refused.stderr


def test_a_demo_refuses_a_workspace_that_holds_another(ran: Any, run_command: Any) -> None:
    result = run_command("demo", "--customers", "77", "--workspace", ran.workspace.root)
    assert result.exit_code == 1
    assert "holds the demo of" in result.stderr


def test_the_server_is_a_process_of_its_own_with_the_bundles_to_read(
    ran: Any, run_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    seen: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *words: seen.extend(words))
    run_command("serve", "--workspace", ran.workspace.root, "--port", "8123")
    program, words, environment = seen
    assert (program, words[1:]) == (sys.executable, ("-m", "serving"))
    assert environment["REGULARS_BUNDLES"] == str(ran.workspace.bundles)
    assert (environment["REGULARS_HOST"], environment["REGULARS_PORT"]) == ("127.0.0.1", "8123")


def test_every_deployment_names_a_flow_that_takes_its_parameters() -> None:
    from pipelines import flows

    page = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))
    found = set()
    for one in page["deployments"]:
        module, _, name = one["entrypoint"].partition(":")
        assert module == "pipelines.flows"
        assert set(one["parameters"]) <= set(getattr(flows, name).parameters.properties)
        found.add(name)
    assert found == set(flows.NAMES) - {"demo"}
    nightly = next(one for one in page["deployments"] if one["name"] == "nightly")
    assert nightly["schedules"][0]["cron"] == "0 3 * * *"


def test_a_synthetic_shop_is_written_once(tmp_path: Path, run_command: Any) -> None:
    words = ["synthetic", tmp_path / "shop", "--customers", "60", "--days", "90"]
    assert run_command(*words).exit_code == 0
    assert (tmp_path / "shop" / "products.parquet").is_file()
    again = run_command(*words)
    assert again.exit_code == 1
    assert "exists: give a folder that does not" in again.stderr


def test_no_arguments_show_the_help() -> None:
    result = CliRunner().invoke(app, [])
    assert "demo" in result.output
