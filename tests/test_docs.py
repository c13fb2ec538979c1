"""What the README and docs/ say is so: commands exist, links lead somewhere, examples run."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import typer

import models
from features import schemas
from features.sources import read_mapping
from models.recommender import Recommender
from models.scorer import kinds, make

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(text: str, *languages: str) -> list[str]:
    """Fenced blocks of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands(text: str) -> list[list[str]]:
    """Every shell line of a page, in words, without comments and environment."""
    lines = "\n".join(blocks(text, "sh", "")).replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        for part in re.split(r"&&", line.split(" #")[0]):
            bare = re.sub(r"^\s*(\w+=\S+\s+)*", "", part)
            if re.match(r"(regulars|make|python|(\.venv|\.peers)/bin/python) ", bare):
                found.append(shlex.split(bare))
    return found


SAID = [(page.name, words) for page in PAGES for words in commands(page.read_text("utf-8"))]


@pytest.mark.parametrize(("page", "words"), SAID, ids=lambda value: str(value)[:60])
def test_every_command_in_the_documents_is_one_that_can_be_given(
    page: str, words: list[str]
) -> None:
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    elif words[0] == "regulars":
        from pipelines.cli import app

        group: Any = typer.main.get_command(app)
        if words[1].isupper():
            return
        command = group.commands[words[1]]
        context = command.make_context(words[1], words[2:], resilient_parsing=False)
        assert context.command is command
    elif words[1] == "-m":
        package = words[2].replace(".", "/")
        assert any((ROOT / f"{package}{end}").is_file() for end in (".py", "/__main__.py"))
    else:
        assert (ROOT / words[1]).is_file()


def test_the_readme_gives_commands() -> None:
    assert len([words for page, words in SAID if page == "README.md"]) >= 7


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


def test_the_map_of_folders_is_the_folders() -> None:
    said = re.findall(r"^(\w+)/ ", README, re.MULTILINE)
    assert said == ["features", "models", "pipelines", "serving", "tests", "benchmarks", "docs"]
    assert all((ROOT / name).is_dir() for name in said)


def test_the_table_contracts_are_the_schemas() -> None:
    """Made by `python -m features.schemas > docs/data-contracts.md`."""
    assert (ROOT / "docs" / "data-contracts.md").read_text("utf-8") == schemas.document()


def test_the_readmes_mapping_is_one(tmp_path: Path) -> None:
    (tmp_path / "my-shop.toml").write_text(blocks(README, "toml")[0], "utf-8")
    mapping = read_mapping(str(tmp_path / "my-shop.toml"))
    assert mapping.columns["event_time"] == "date"


def test_the_readmes_model_is_one_file_and_recommends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "companions.py").write_text(blocks(README, "python")[0], "utf-8")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    try:
        assert "companions" in kinds()
        pairs = {"a": "12", "b": "123", "c": "45", "d": "456"}
        interactions = pa.table(
            {
                "customer_id": [customer for customer, bought in pairs.items() for _ in bought],
                "product_id": [product for bought in pairs.values() for product in bought],
                "weight": np.ones(sum(map(len, pairs.values())), np.float32),
            }
        )
        fitted = Recommender(make("companions", {"power": 0.5})).fit(interactions)
        fitted.save(tmp_path / "saved")
        again = Recommender.load(tmp_path / "saved")
        lists = again.recommend(pa.array(["a", "c"]), 1)
        assert lists["product_id"].to_pylist() == ["3", "6"]
    finally:
        sys.modules.pop("models.companions", None)
        vars(models).pop("companions", None)
