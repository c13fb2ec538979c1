from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from models.als import ALS
from models.bpr import BPR
from models.neighbours import Neighbours
from models.popularity import Popularity
from models.scorer import Catalogue, History, ModelError

TASTES, CUSTOMERS, PRODUCTS = 4, 120, 80


def tasteful(seed: int, customers: int = CUSTOMERS) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Customers who take 9 in 10 times from their own quarter: what is known, what is held back."""
    random = np.random.default_rng(seed)
    taken = np.zeros((customers, PRODUCTS), dtype=np.float32)
    for customer in range(customers):
        own = np.arange(PRODUCTS) % TASTES == customer % TASTES
        chance = np.where(own, 0.9 / own.sum(), 0.1 / (~own).sum())
        taken[customer, random.choice(PRODUCTS, 12, replace=False, p=chance)] = 1
    held = taken * (random.random(taken.shape) < 0.25)
    return sp.csr_matrix(taken - held), sp.csr_matrix(held)


def place_of_held_back(scores: np.ndarray, known: sp.csr_matrix, held: sp.csr_matrix) -> float:
    """Mean share of not yet taken products that a held-back one is ranked above; random: .5."""
    shares = []
    for row, line in enumerate(scores):
        others = line[(known[row].toarray().ravel() == 0) & (held[row].toarray().ravel() == 0)]
        shares += [(line[code] > others).mean() for code in held[row].indices]
    return float(np.mean(shares))


@pytest.mark.parametrize("make", [BPR, ALS, Neighbours])
def test_held_back_products_rank_far_above_random_for_old_and_new_customers(
    make: Callable[[], Any],
) -> None:
    known, held = tasteful(seed=1)
    scorer = make().fit(History(known))
    assert place_of_held_back(scorer.score(History(known)), known, held) > 0.75
    unseen, theirs = tasteful(seed=2)
    assert place_of_held_back(scorer.score(History(unseen)), unseen, theirs) > 0.75


def test_als_factors_solve_the_papers_equation() -> None:
    known, _ = tasteful(seed=1, customers=20)
    known.data = np.random.default_rng(0).uniform(0.5, 4, known.nnz).astype(np.float32)
    scorer = ALS(factors=5, l2=0.7, alpha=3).fit(History(known))
    y = scorer.product_factors.astype(np.float64)
    for row, x in enumerate(scorer.customer_factors(History(known))):
        r = known[row].toarray().ravel() / known.data.mean()
        c = np.diag(1 + 3 * r)
        want = np.linalg.solve(y.T @ c @ y + 0.7 * np.eye(5), y.T @ c @ (r > 0))
        np.testing.assert_allclose(x, want, rtol=1e-4, atol=1e-5)


def slow_neighbours(w: np.ndarray, model: Neighbours) -> np.ndarray:
    """Similarities by the formulas, product by product."""
    w = w / w[w > 0].mean()
    customers, products = w.shape
    rarity = [np.log1p(products / max(1, (w[u] > 0).sum())) for u in range(customers)]
    length = w.sum(axis=0) / w.sum(axis=0)[w.sum(axis=0) > 0].mean()
    x = np.zeros_like(w)
    for u in range(customers):
        for i in range(products):
            r, norm = w[u, i], 1 - model.b + model.b * length[i]
            x[u, i] = {
                "cosine": r,
                "tfidf": np.sqrt(r) * rarity[u],
                "bm25": r * (model.k1 + 1) / (model.k1 * norm + r) * rarity[u] if r else 0,
            }[model.weighting]
    alike = np.zeros((products, products))
    for i in range(products):
        for j in range(products):
            norm = np.linalg.norm(x[:, i]) * np.linalg.norm(x[:, j]) + model.shrink
            alike[i, j] = x[:, i] @ x[:, j] / (1 if model.weighting == "bm25" else norm or 1)
        others = [j for j in range(products) if j != i]
        for j in sorted(others, key=lambda j: (-alike[i, j], j))[model.k :]:
            alike[i, j] = 0
    return alike


@pytest.mark.parametrize("weighting", ["cosine", "tfidf", "bm25"])
@pytest.mark.parametrize("k", [3, 1000])
def test_neighbours_are_those_of_the_slow_oracle(weighting: Any, k: int) -> None:
    random = np.random.default_rng(3)
    w = np.where(random.random((30, 15)) < 0.3, random.uniform(0.1, 3, (30, 15)), 0)
    w[:, 4] = 0  # a product nobody took
    model = Neighbours(weighting=weighting, k=k, shrink=0.5)
    history = History(sp.csr_matrix(w.astype(np.float32)))
    model.fit(history)
    want = slow_neighbours(w, model)
    np.testing.assert_allclose(model.similarity(np.arange(15, dtype=np.int32)), want, atol=1e-4)
    np.testing.assert_allclose(model.score(history), w @ want, atol=1e-3)


def test_products_without_a_neighbour_in_common_are_ordered_by_popularity() -> None:
    taken = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]], dtype=np.float32)
    model = Neighbours().fit(History(sp.csr_matrix(taken)))
    scores = model.score(History(sp.csr_matrix(taken[:1])))[0]
    assert scores[2] > scores[3] > 0
    assert scores[:2].min() > 1000 * scores[2]


def test_popularity_is_the_share_of_weight() -> None:
    weights = sp.csr_matrix(np.array([[1, 2, 0], [0, 1, 4]], dtype=np.float32))
    model = Popularity().fit(History(weights))
    np.testing.assert_allclose(model.score(History(weights)), [[1 / 8, 3 / 8, 4 / 8]] * 2)


def test_popularity_in_categories_follows_her_own_and_is_the_shops_without_history() -> None:
    taken = np.array([[1, 0, 0, 0], [1, 0, 3, 0], [0, 1, 3, 1]], dtype=np.float32)
    categories = np.array([7, 7, 3, -1], dtype=np.int32)
    mean = 10 / 6
    model = Popularity(per="category", prior=2 / mean).fit(
        History(sp.csr_matrix(taken), None, Catalogue(categories))
    )
    asked = np.array([[6, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    hers, shops = model.score(History(sp.csr_matrix(asked), None, categories))
    np.testing.assert_allclose(shops, [0.2, 0.1, 0.6, 0.1], rtol=1e-6)
    # Category 7 has .3 of the shop: (6 + 2 * .3) / 8 of her taste, two thirds of it product 0's.
    np.testing.assert_allclose(hers, [0.55, 0.275, 0.15, 0.025], rtol=1e-6)
    alike = model.similarity(np.array([1], dtype=np.int32))[0]
    assert np.argsort(-alike).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (ALS, {"factors": 0}, "factors must be at least 1, got 0"),
        (ALS, {"iterations": 0}, "iterations must be at least 1, got 0"),
        (ALS, {"l2": 0}, "l2 must be above 0 and finite, got 0"),
        (ALS, {"alpha": float("inf")}, "alpha must be above 0 and finite, got inf"),
        (ALS, {"seed": -1}, "seed must be at least 0, got -1"),
        (BPR, {"factors": 0}, "factors must be at least 1, got 0"),
        (BPR, {"learning_rate": float("nan")}, "learning_rate must be above 0 and finite, got nan"),
        (BPR, {"l2": -1}, "l2 must be at least 0, got -1"),
        (Neighbours, {"k": 0}, "k must be at least 1, got 0"),
        (Neighbours, {"b": 1.5}, "b must be at most 1, got 1.5"),
        (Neighbours, {"weighting": "x"}, "weighting must be one of cosine, tfidf, bm25, got 'x'"),
        (Popularity, {"per": "x"}, "per must be one of shop, category, got 'x'"),
        (Popularity, {"prior": 0}, "prior must be above 0 and finite, got 0"),
    ],
)
def test_impossible_hyperparameters_are_refused(
    make: Callable[..., Any], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        make(**wrong)
