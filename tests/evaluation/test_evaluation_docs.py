"""The page on metrics prints what it says and names every figure there is."""

from __future__ import annotations

import doctest
from pathlib import Path

from models.evaluation import metrics, slices

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_example_of_the_page_prints_what_it_says() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert (failed, tried > 0) == (0, True)


def test_the_page_explains_every_metric_and_bucket() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = [f"| {metric}@k |" for metric in (*metrics.METRICS, "coverage", "novelty", "gini")]
    assert [name for name in named if name not in text] == []
    assert ", ".join(slices.HISTORY) in text
