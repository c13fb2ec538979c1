"""One small shop taken through the whole loop once, whose workspace the tests read or copy."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.workspace import Workspace

CUSTOMERS = 400
QUICK = (
    "judge.resamples=100",
    "models.als.factors=8",
    "models.als.iterations=3",
    "models.bpr.factors=8",
    "models.bpr.iterations=5",
    "gate.minimum_interactions=500",
)
SETS = [word for override in QUICK for word in ("--set", override)]
MORE = """
[judge]
resamples = 100
[models.popularity]
[models.neighbours]
[models.als]
factors = 8
iterations = 3
[models.bpr]
factors = 8
iterations = 5
[gate]
minimum_interactions = 500
"""


@dataclass(frozen=True)
class Ran:
    """What the demo left: its workspace, what it printed, what it wrote as JSON."""

    workspace: Workspace
    printed: str
    record: dict[str, Any]


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Commands set the environment of their process; tests share one."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Prefect's own temporary server, one for the session, as the command line has it.

    Not `prefect_test_harness`: it loads Prefect's server models into this process, whose warnings
    would be errors here.
    """
    before = dict(os.environ)
    os.environ.update(Workspace(tmp_path_factory.mktemp("prefect")).environment())
    import prefect  # noqa: F401

    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Ran:
    root = tmp_path_factory.mktemp("shop") / "workspace"
    to = root.parent / "demo.json"
    words = ["demo", "--customers", str(CUSTOMERS), "--no-serve", "--workspace", str(root)]
    result = CliRunner().invoke(
        app, [*words, *SETS, "--json", str(to)], env={"COLUMNS": "160"}, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return Ran(Workspace(root), result.stdout, json.loads(to.read_text()))


@pytest.fixture
def shop(ran: Ran, tmp_path: Path) -> Workspace:
    """A copy of that workspace that a test may change."""
    from pipelines.doctor_tracking import relocate

    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(ran.workspace.root, workspace.root)
    workspace.shop_file.write_text(workspace.shop_file.read_text() + MORE)
    relocate(workspace, ran.workspace.root.as_uri())
    return workspace


@pytest.fixture
def run_command() -> Any:
    """`regulars WORDS` in this process: the result with its exit code, stdout and stderr."""

    def run(*words: object) -> Any:
        return CliRunner().invoke(
            app, [str(word) for word in words], env={"COLUMNS": "160"}, catch_exceptions=False
        )

    return run
