"""The graph's filter against its eigenvalues written out."""

import numpy as np
import pytest
import scipy.sparse as sp

from models import graph
from models.graph import Graph
from models.scorer import History, ModelError


def taken(rows: int = 50, products: int = 40) -> History:
    random = np.random.default_rng(0)
    dense = random.random((rows, products)) < 0.15
    dense[:, -1] = False  # a product nobody took
    dense[0, 0] = True
    return History(sp.csr_matrix(dense, dtype=np.float32))


def power(values: np.ndarray, to: float) -> np.ndarray:
    return np.where(values > 0, np.maximum(values, 1) ** to, 0)


def oracle(history: History, model: Graph) -> np.ndarray:
    x = history.weights.toarray().astype(np.float64)
    c, p = x.sum(axis=1), x.sum(axis=0)
    a = x * power(c, -0.5)[:, None] * power(p, -0.5)
    t, v = np.linalg.eigh(a.T @ a)
    t, v = np.maximum(t[::-1], 0), v[:, ::-1]
    f = model.factors
    slope = model.tail * t[f - 1] ** (model.power - 1)
    h = np.where(np.arange(len(t)) < f, t**model.power, slope * t)
    filtered = ((x * power(p, -model.popularity)) @ (v * h) @ v.T) * power(p, model.popularity)
    ideal = ((x * power(p, -0.5)) @ v[:, :f] @ v[:, :f].T) * power(p, 0.5)
    return filtered + model.low_pass * ideal


@pytest.mark.parametrize(("power", "tail"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
@pytest.mark.parametrize("popularity", [0.0, 0.4])
@pytest.mark.parametrize("low_pass", [0.0, 0.3])
def test_scores_are_the_filter_of_the_eigenvalues(
    power: float, tail: float, popularity: float, low_pass: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "ROUNDS", 30)
    model = Graph(factors=8, power=power, tail=tail, popularity=popularity, low_pass=low_pass)
    history = taken()
    scores = model.fit(history).score(history)
    np.testing.assert_allclose(scores, oracle(history, model), rtol=1e-3, atol=1e-3)


def test_gf_cf_is_its_paper_s_two_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "ROUNDS", 30)
    history = taken()
    x = history.weights.toarray().astype(np.float64)
    r = x * power(x.sum(axis=1), -0.5)[:, None] * power(x.sum(axis=0), -0.5)
    v = np.linalg.svd(r)[2][:8].T
    degree = power(x.sum(axis=0), 0.5)
    low_pass = (x * power(degree, -1)) @ v @ v.T * degree
    model = Graph(popularity=0, power=1, tail=1, low_pass=0.3, factors=8).fit(history)
    assert model.arrays()["enter"].shape == (40, 8)
    scores = x @ r.T @ r + 0.3 * low_pass
    np.testing.assert_allclose(model.score(history), scores, rtol=1e-3, atol=1e-3)


def test_each_product_speaks_for_its_nearest_only() -> None:
    whole, cut = (Graph(factors=4, neighbours=k).fit(taken()).arrays() for k in (40, 3))
    assert np.diff(cut["indptr"]).max() == 3
    for row in range(40):
        all_of, few_of = (
            np.sort(m["linear"][m["indptr"][row] : m["indptr"][row + 1]]) for m in (whole, cut)
        )
        np.testing.assert_allclose(few_of, all_of[len(all_of) - len(few_of) :], rtol=1e-5)


def test_more_factors_than_products_is_all_of_them() -> None:
    model = Graph(factors=100).fit(taken(5, 8))
    assert model.arrays()["enter"].shape[1] <= 5


def test_wrong_hyperparameters_are_named() -> None:
    with pytest.raises(ModelError, match="tail must be at least 0, got -1"):
        Graph(tail=-1)
    with pytest.raises(ModelError, match="damping must be at most 1, got 2"):
        Graph(damping=2)
