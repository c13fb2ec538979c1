"""EASE against the formula written out, by each of its three ways."""

import numpy as np
import pytest
import scipy.sparse as sp

from models import ease
from models.ease import EASE
from models.scorer import History, ModelError


def taken(rows: int, products: int, share: float = 0.2) -> sp.csr_matrix:
    random = np.random.default_rng(0)
    dense = random.random((rows, products)) < share
    dense[:, 0] = True  # so that every two products meet
    dense[0] = True
    return sp.csr_matrix(dense, dtype=np.float32)


def oracle(x: sp.csr_matrix, l2: float) -> np.ndarray:
    dense = x.toarray().astype(np.float64)
    p = np.linalg.inv(dense.T @ dense + l2 * np.eye(dense.shape[1]))
    b = np.eye(len(p)) - p / np.diag(p)
    np.fill_diagonal(b, 0)
    return b


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "PANEL", 24)
    monkeypatch.setattr(ease._blocks, "__defaults__", (16,))


@pytest.mark.parametrize(("rows", "products"), [(90, 60), (60, 90), (5, 40), (40, 5)])
def test_both_inverses_and_all_neighbours_are_the_formula(rows: int, products: int) -> None:
    x = taken(rows, products)
    want = oracle(x, 3.0)
    np.testing.assert_allclose(ease._by_products(x, 3.0), want, atol=1e-5)
    np.testing.assert_allclose(ease._by_customers(x, 3.0), want, atol=1e-5)
    near = ease._by_neighbours(x, 3.0, products - 1).toarray()
    np.testing.assert_allclose(near, want, atol=1e-5)


@pytest.mark.parametrize(
    ("memory", "way"), [(1.0, "_by_customers"), (40e-6, "_by_products"), (25e-6, "_by_neighbours")]
)
def test_the_stated_memory_chooses_the_way(
    memory: float, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in {"_by_customers", "_by_products", "_by_neighbours"} - {way}:
        monkeypatch.delattr(ease, other)
    model = EASE(memory_gb=memory).fit(History(taken(60, 90)))
    assert model.score(History(taken(3, 90))).shape == (3, 90)


def test_what_is_learned_stays_within_the_stated_memory() -> None:
    model = EASE(memory_gb=25e-6, neighbours=90).fit(History(taken(60, 90)))
    learned = model.arrays()
    assert learned["weights"].nbytes + learned["indices"].nbytes <= 25e-6 * 1e9
    assert np.diff(learned["indptr"]).sum() > 0


def test_a_memory_too_small_for_one_neighbour_is_refused() -> None:
    with pytest.raises(ModelError, match=r"memory_gb must be at least 1.4e-06 for 90 products"):
        EASE(memory_gb=1e-6).fit(History(taken(60, 90)))


def test_a_product_never_speaks_for_itself() -> None:
    for memory in (1.0, 25e-6):
        model = EASE(memory_gb=memory).fit(History(taken(60, 90)))
        assert not np.diagonal(model.similarity(np.arange(90, dtype=np.int32))).any()
