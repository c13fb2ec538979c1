"""Published figures: LightGCN's metrics on lists that fit on the screen, rows, and their log."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import published
from benchmarks.protocols.gowalla import PUBLISHED, figures
from benchmarks.protocols.rows import Absent, Printed, model, read, rows
from models.scorer import kinds

CONFIGS = Path(__file__).parents[2] / "configs"

LISTS = np.array([[0, 1, 2], [3, 4, -1], [5, 6, 7]], dtype=np.int32)


def of(truth: list[tuple[int, int]]) -> tuple[float, float]:
    rows, codes = np.array(truth, dtype=np.int32).T
    return figures(LISTS, rows, codes)


def test_a_hit_at_the_second_place_of_one_wanted() -> None:
    assert of([(0, 1)]) == pytest.approx((1.0, 1 / np.log2(3)))


def test_recall_is_over_all_of_the_truth_and_the_ideal_over_its_first_k() -> None:
    recall, ndcg = of([(0, 0), (0, 1), (0, 2), (0, 8), (0, 9)])
    assert (recall, ndcg) == pytest.approx((3 / 5, 1.0))


def test_customers_without_truth_do_not_count_and_those_without_hits_do() -> None:
    assert of([(0, 0), (1, 9)]) == pytest.approx((0.5, 0.5))


def test_an_empty_place_or_an_unknown_product_is_no_hit() -> None:
    assert of([(1, -1), (1, 3)]) == pytest.approx((0.5, 1 / (1 + 1 / np.log2(3))))


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("gowalla-*.toml")), ids=lambda p: p.stem)
def test_every_configuration_makes_a_model_with_a_figure_beside_it(config: Path) -> None:
    assert model(config).kind in kinds()
    assert config.stem.removeprefix("gowalla-") in PUBLISHED


ROWS = rows(
    "gowalla",
    "ease",
    {"recall_at_20": 0.17, "coverage_at_20": 0.5},
    {"recall_at_20": Printed(0.16, "a paper")},
    seconds=2.04,
    fit_seconds=1.0,
)


def test_a_row_is_shown_beside_its_figure_and_alone_where_nobody_printed_one() -> None:
    first, second = published.lines(ROWS)
    assert "0.1700 published 0.1600 (106.2%)" in first
    assert "a paper" in first
    assert "published" not in second


def test_what_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.protocols.rows.DATA", tmp_path)
    with pytest.raises(
        Absent, match=r"REGULARS_DATA must be a folder that holds g\.parquet, got /"
    ):
        read("g.parquet")
    with pytest.raises(Absent, match=r"configs must hold gowalla-none\.toml, got for gowalla: als"):
        published.found("gowalla", "none")
    with pytest.raises(Absent, match=r"config must be a file, got none\.toml"):
        model(Path("none.toml"))


def test_each_model_is_a_run_of_mlflow(tmp_path: Path) -> None:
    import mlflow

    for _ in range(2):  # the second finds the experiment
        published.log(tmp_path, CONFIGS / "gowalla-ease.toml", ROWS)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("published-gowalla")
    run, _ = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "ease"
    assert run.info.status == "FINISHED"
    assert run.data.params["l2"] == "200.0"
    assert run.data.params["kind"] == "ease"
    assert run.data.metrics["recall_at_20"] == 0.17
    assert run.data.metrics["published_recall_at_20"] == 0.16
    assert run.data.metrics["seconds"] == 2.0
