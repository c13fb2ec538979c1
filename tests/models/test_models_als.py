"""The own solver of als against least squares written out row by row."""

import numpy as np
import pytest
import scipy.sparse as sp

from models.als import ALS
from models.least_squares import improve, turned
from models.scorer import History, ModelError


def some(rows: int = 40, products: int = 30, share: float = 0.2, seed: int = 0) -> sp.csr_matrix:
    random = np.random.default_rng(seed)
    dense = random.uniform(0.5, 3, (rows, products)) * (random.random((rows, products)) < share)
    dense[0] = 1  # one who took everything, more than there are factors
    dense[1] = 0  # and one who took nothing
    return sp.csr_matrix(dense, dtype=np.float32)


def oracle(taken: sp.csr_matrix, y: np.ndarray, w: float, ridge: np.ndarray) -> np.ndarray:
    c, y = taken.toarray().astype(np.float64), y.astype(np.float64)
    x = np.zeros((len(c), y.shape[1]))
    for row in range(len(c)):
        of = c[row] > 0
        a = w * y.T @ y + (y.T * c[row]) @ y + ridge[row] * np.eye(y.shape[1])
        x[row] = np.linalg.solve(a, (c[row, of] + w) @ y[of])
    return x


def test_enough_steps_of_conjugate_gradients_solve_the_equations() -> None:
    taken = some()
    y = np.random.default_rng(1).standard_normal((30, 8), dtype=np.float32)
    y, x, spread = turned(y, np.zeros((40, 8), np.float32))
    ridge = np.linspace(1, 5, 40, dtype=np.float32)
    improve(x, taken, y, spread, all=0.3, ridge=ridge, steps=20)
    np.testing.assert_allclose(x, oracle(taken, y, 0.3, ridge), atol=1e-4)


def test_turning_keeps_every_product_of_two_rows() -> None:
    random = np.random.default_rng(1)
    y, x = (random.standard_normal((n, 8), dtype=np.float32) for n in (30, 40))
    ty, tx, spread = turned(y, x)
    np.testing.assert_allclose(tx @ ty.T, x @ y.T, atol=1e-5)
    np.testing.assert_allclose(ty.T @ ty, np.diag(spread), atol=1e-4)


@pytest.mark.parametrize("factors", [4, 16, 64])
def test_a_history_is_folded_in_by_exact_least_squares(factors: int) -> None:
    history = History(some())
    model = ALS(factors=factors, iterations=2, l2=0.1, alpha0=0.2, nu=0.5).fit(history)
    extra = history.weights * (model.alpha / history.weights.data.mean(dtype=np.float64))
    ridge = 0.1 * (np.diff(extra.indptr) + 0.2 * 30) ** 0.5
    want = oracle(sp.csr_matrix(extra), model.product_factors, 0.2, ridge)
    np.testing.assert_allclose(model.customer_factors(history), want, atol=1e-5)


def test_both_engines_reach_the_same_loss() -> None:
    history = History(some(200, 100, 0.1))
    losses = []
    for engine in ("own", "implicit"):
        model = ALS(factors=8, iterations=60, l2=2.0, alpha=3.0, engine=engine).fit(history)
        x, y = model.customer_factors(history), model.product_factors
        c = 3.0 * history.weights.toarray() / history.weights.data.mean()
        errors = (1 + c) * np.square((c > 0) - x @ y.T)
        losses.append(errors.sum() + 2.0 * (np.square(x).sum() + np.square(y).sum()))
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)


def test_a_warm_start_goes_on_and_takes_new_products() -> None:
    old, new = some(200, 80, 0.1), some(200, 100, 0.1)
    many = ALS(factors=8, iterations=40, l2=20.0).fit(History(new))
    cold = ALS(factors=8, iterations=1, l2=20.0).fit(History(new))
    warm = ALS(factors=8, iterations=40, l2=20.0, warm_start=True).fit(History(old))
    warm.iterations = 1
    again = ALS(factors=8, iterations=1, l2=20.0, warm_start=True).restore(many.arrays())
    want = many.score(History(new))
    distance = [np.abs(m.fit(History(new)).score(History(new)) - want).mean() for m in (cold, warm)]
    assert warm.product_factors.shape == (100, 8)
    assert distance[1] < distance[0] / 2
    np.testing.assert_allclose(again.fit(History(new)).score(History(new)), want, atol=0.01)


def test_a_warm_start_with_other_factors_is_refused() -> None:
    model = ALS(factors=8, iterations=1, warm_start=True).fit(History(some()))
    model.factors = 4
    with pytest.raises(ModelError, match="factors must be 8 to go on from, got 4"):
        model.fit(History(some()))


def test_implicit_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ModelError, match=r"engine implicit must have alpha0 1, nu 0 .*got 0.1"):
        ALS(engine="implicit", alpha0=0.1)
    with pytest.raises(ModelError, match="engine must be one of own, implicit, got 'magic'"):
        ALS(engine="magic")  # type: ignore[arg-type]


def test_an_update_gives_a_new_product_the_factors_of_one_taken_by_the_same_customers() -> None:
    known = some(60, 30, 0.3)
    model = ALS(factors=6, iterations=30, l2=5.0).fit(History(known))
    before = model.product_factors
    like = known[:, 4:6].toarray()  # two new products, taken as 4 and 5 were
    more = sp.csr_matrix(np.hstack([known.toarray(), like]).astype(np.float32))
    model.update(History(more))
    np.testing.assert_array_equal(model.product_factors[:30], before)
    assert model.product_factors.shape == (32, 6)
    np.testing.assert_allclose(model.product_factors[30:], before[4:6], atol=0.02)
    assert model.score(History(more)).shape == (60, 32)
