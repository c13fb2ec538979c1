"""The five plain names are ours, and the documents name nothing that is not there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("features", "models", "pipelines", "serving")


@pytest.mark.parametrize("name", PACKAGES)
def test_the_package_of_that_name_is_ours(name: str) -> None:
    found = importlib.import_module(name).__file__
    assert found is not None
    assert Path(found).parent.parent == ROOT


@pytest.mark.parametrize("name", PACKAGES)
def test_the_package_says_that_it_is_typed(name: str) -> None:
    assert (ROOT / name / "py.typed").is_file()


def test_no_test_folder_is_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_importing_every_module_prints_nothing_and_starts_nothing() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in PACKAGES
        for path in sorted((ROOT / name).rglob("*.py"))
        if path.name not in {"__main__.py", "__init__.py"}
    ]
    program = f"import threading\nfor m in {modules!r}: __import__(m)\n"
    program += "assert threading.active_count() == 1, threading.enumerate()"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
