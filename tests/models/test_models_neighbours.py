"""Likeness of two products, written out."""

import numpy as np
import pytest
import scipy.sparse as sp

from models.neighbours import Neighbours
from models.scorer import History, ModelError

TAKEN = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0]], np.float32)


@pytest.mark.parametrize("popularity", [0.0, 0.4])
@pytest.mark.parametrize("shrink", [0.0, 2.0])
def test_the_norm_is_shared_out_between_her_product_and_the_other(
    popularity: float, shrink: float
) -> None:
    model = Neighbours(weighting="cosine", k=4, shrink=shrink, popularity=popularity)
    model.fit(History(sp.csr_matrix(TAKEN)))
    counts, norms = TAKEN.T @ TAKEN, np.sqrt(TAKEN.sum(axis=0))
    norm = norms[:, None] ** (1 + 2 * popularity) * norms ** (1 - 2 * popularity)
    alike = model.similarity(np.arange(4, dtype=np.int32))
    np.testing.assert_allclose(alike, counts / (norm + shrink), rtol=1e-5)


def test_the_more_popular_of_two_is_nearer_with_popularity() -> None:
    mean = {
        beta: Neighbours(weighting="cosine", shrink=0, popularity=beta)
        .fit(History(sp.csr_matrix(TAKEN)))
        .similarity(np.array([2], np.int32))[0]
        for beta in (0.0, 0.4)
    }
    assert mean[0.0][0] == mean[0.0][3]  # everybody's product and one customer's
    assert mean[0.4][0] > mean[0.4][3]


def test_wrong_hyperparameters_are_named() -> None:
    with pytest.raises(ModelError, match="popularity must be at least 0, got -1"):
        Neighbours(popularity=-1)
