"""The comparison page says which is better, for whom it is worse, and when nothing can be said."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.compare_page import page


def compared(low: float, high: float, *, lapsed: float = 0.3) -> dict[str, Any]:
    figure = {"mean": 0.2, "low": 0.1, "high": 0.3}
    difference = {"mean": (low + high) / 2, "low": low, "high": high, "relative": 0.25, "n": 80}

    def stages(of_lapsed: float) -> list[dict[str, Any]]:
        row = {"slice": "lifecycle_stage", "low": 0.0, "high": 1.0, "n": 40, "small": False}
        return [
            {**row, "value": "active", "mean": 0.2},
            {**row, "value": "lapsed", "mean": of_lapsed},
        ]

    return {
        "baseline": "popularity",
        "metric": "ndcg_at_10",
        "customers": 80,
        "models": {"popularity": {"ndcg_at_10": figure}, "<b>als": {"ndcg_at_10": figure}},
        "run_ids": {},
        "differences": {"<b>als": {"ndcg_at_10": difference}},
        "slices": {"popularity": stages(0.25), "<b>als": stages(lapsed)},
    }


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.05, "als is better than popularity by 25%"),
        (-0.05, -0.01, "als is worse than popularity by 25%"),
        (-0.01, 0.05, "als and popularity cannot be told apart"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: str) -> None:
    assert verdict in page(compared(low, high))


def test_a_stage_that_loses_is_named() -> None:
    assert "worse on average: lifecycle stage lapsed." in page(compared(0.01, 0.05, lapsed=0.1))
    assert "worse on average" not in page(compared(0.01, 0.05, lapsed=0.3))


def test_a_name_is_text_and_never_markup() -> None:
    made = page(compared(0.01, 0.05))
    assert "<b>als" not in made
    assert "&lt;b&gt;als" in made


def test_the_page_needs_nothing_from_elsewhere() -> None:
    made = page(compared(0.01, 0.05))
    assert "http" not in made
    assert "<script" not in made
