"""LightGCN's recall and NDCG on lists that fit on the screen."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.published import GOWALLA, figures, model
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
    assert config.stem.removeprefix("gowalla-") in GOWALLA
