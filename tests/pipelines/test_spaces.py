"""What a search draws is what its model takes."""

from __future__ import annotations

import pytest

from models.scorer import kinds, make, parameters
from pipelines.search import draw
from pipelines.spaces import SPACES


def test_every_model_has_a_space() -> None:
    assert set(SPACES) == set(kinds())


@pytest.mark.parametrize("kind", sorted(SPACES))
def test_a_model_can_be_made_of_every_draw(kind: str) -> None:
    own = parameters(make(kind, {}))
    assert set(SPACES[kind]) <= set(own)
    drawn = draw(SPACES[kind], own, 20, seed=0)
    for hyperparameters in drawn:
        for name, value in hyperparameters.items():
            assert own[name] is None or type(value) is type(own[name])
        make(kind, hyperparameters)
    assert len({str(one) for one in drawn}) > 1
