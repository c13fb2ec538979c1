"""The benchmark of campaigns in a small shop: the measured effect lies in its interval."""

import numpy as np
import pytest

from benchmarks.activation import Worlds, run, shop
from models.evaluation.intervals import numbers


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    return Worlds(shop(tmp_path_factory.mktemp("worlds") / "shop", customers=800, seed=0))


def test_the_measured_effect_lies_inside_its_interval_in_nine_of_ten_worlds(
    worlds: Worlds,
) -> None:
    rows = {row["measure"]: row for row in run(worlds, 40)}
    assert set(rows) == {"returned", "revenue", "orders"}
    assert rows["returned"]["held"] >= 36
    for row in rows.values():  # few are held out and money has heavy tails: its means lag behind
        assert row["held"] >= 34
        assert row["truth"] > 0


def test_a_world_changes_those_contacted_alone(worlds: Worlds) -> None:
    units, truth, change = worlds.draw(3)
    held = units["arm"].to_numpy() == "holdout"
    came = numbers(units["returned"]) - numbers(worlds.alone["returned"])
    assert not came[held].any()
    assert np.array_equal(came[~held], change[~held])
    assert truth["returned"] == pytest.approx(change.mean())
