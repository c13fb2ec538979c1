"""Several sources, one ranking: what is held out, what the trees say, what stands below."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import models.blend
from features.schemas import EVENT_TYPES
from models.blend import Blend
from models.blending.candidates import Candidates, candidates, coarse, facts, names, product_facts
from models.blending.holdout import hold_out
from models.blending.trees import evaluate, grow, least, read
from models.history import Catalogue, Events, History, ModelError
from models.rank import rank
from models.recommender import Recommender
from models.scorer import make, needs

PURCHASE, VIEW = (EVENT_TYPES.index(name) for name in ("purchase", "view_item"))


def history_of(*customers: list[tuple[float, list[int]]], products: int = 6) -> History:
    """Customers of orders (age in days, codes), oldest first."""
    lines = [
        (row, order, days, code)
        for row, orders in enumerate(customers)
        for order, (days, codes) in enumerate(orders)
        for code in codes
    ]
    row, order, days, code = (np.array(column) for column in zip(*lines, strict=True))
    counts = np.zeros((len(customers), products), np.float32)
    np.add.at(counts, (row, code), 1)
    n, weights = len(row), sp.csr_matrix(counts)
    last = np.full(counts.shape, np.inf, np.float32)
    np.minimum.at(last, (row, code), days.astype(np.float32))
    events = Events(
        np.searchsorted(row, np.arange(len(customers) + 1)).astype(np.int64),
        code.astype(np.int32),
        np.full(n, PURCHASE, np.int8),
        np.full(n, -1, np.int8),
        order.astype(np.int32),
        days.astype(np.float32),
    )
    timed = bool(np.isfinite(days).all())
    return History(weights, last[counts > 0] if timed else None, events=events)


def shop(customers: int = 400, seed: int = 0, *, timed: bool = False) -> History:
    """Each customer likes three even products for good, and buys an odd one twice and no more.

    So by frequency the odd one of her newest baskets comes next, and it never does.
    """
    random = np.random.default_rng(seed)
    people = []
    for _ in range(customers):
        even, odd = 2 * random.permutation(10)[:3], 2 * random.permutation(10)[:5] + 1
        n = int(random.choice([3, 5]))
        orders = [
            (
                float(7 * (n - 1 - order)) if timed else np.nan,
                [int(random.choice(even)), int(odd[order // 2])],
            )
            for order in range(n)
        ]
        people.append(orders)
    return history_of(*people, products=20)


def small(**more: Any) -> Blend:
    given: dict[str, Any] = {
        "sources": {"rebuy": {}, "popularity": {}},
        "trees": 30,
        "leaves": 7,
        "candidates": 10,
        "enough": 50,
    }
    return Blend(**(given | more))


@pytest.fixture(scope="module")
def learned() -> tuple[Blend, History]:
    return small().fit(shop()), shop()


def test_the_newest_basket_is_held_out_where_days_are_unknown() -> None:
    nan = np.nan
    past, after = hold_out(history_of([(nan, [0, 1]), (nan, [1, 2])], [(nan, [3])]), seed=0)
    assert after.toarray().tolist() == [[0, 1, 1, 0, 0, 0], [0] * 6]
    assert past.weights.toarray().tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]
    assert past.events is not None
    assert past.events.products.tolist() == [0, 1, 3]


def test_nothing_after_the_cut_is_known_to_anyone() -> None:
    old = [(float(days), [days % 5]) for days in range(100, 10, -1)]
    given = history_of([*old, (3.0, [5])], [(2.0, [4])], [(50.0, [0]), (1.0, [0, 3])])
    past, after = hold_out(given, seed=0)
    assert past.events is not None
    assert past.last_days is not None
    assert past.events.days.min() >= 0
    assert past.last_days.min() >= 0
    cut = given.events.days[0] - past.events.days[0]  # type: ignore[union-attr]
    assert 10 < cut < 25
    assert after[1].nnz == 0  # who was not known then
    assert sorted(after[2].indices) == [0, 3]
    assert past.weights[2].toarray().tolist() == [[1, 0, 0, 0, 0, 0]]
    assert past.weights[0, 5] == 0
    for row, basket in ((0, 5), (2, 3)):
        assert after[row, basket] == 1


def test_past_weights_do_not_tell_what_came_after() -> None:
    old = [(float(days), [days % 4]) for days in range(100, 10, -1)]
    people = [[(90.0, [4]), (40.0, [4]), (float(n), [n])] for n in range(4)]
    given = history_of(*([one] for one in old), *people, [(90.0, [4]), (40.0, [4]), (2.0, [4])])
    weights = given.weights.toarray()
    assert given.events is not None
    row = np.repeat(np.arange(len(weights)), np.diff(given.events.starts))
    weights[:] = 0
    np.add.at(weights, (row, given.events.products), 2 * np.exp2(-given.events.days / 30))
    aged = History(sp.csr_matrix(weights), given.last_days, events=given.events)
    past, after = hold_out(aged, seed=0)
    assert after[-1].indices.tolist() == [4]
    assert after[-2].indices.tolist() == [3]
    assert past.weights[-1, 4] == pytest.approx(past.weights[-2, 4], rel=1e-3)


def test_views_after_the_cut_are_neither_known_nor_what_was_bought() -> None:
    given = history_of([(np.nan, [0]), (np.nan, [1, 2]), (np.nan, [3])])
    assert given.events is not None
    given.events.types[2:] = VIEW
    past, after = hold_out(given, seed=0)
    assert after.indices.tolist() == [1]
    assert past.weights.indices.tolist() == [0]


def test_without_events_the_newest_pairs_or_a_fifth_are_held_out() -> None:
    weights = sp.csr_matrix(np.ones((50, 8), np.float32))
    past, after = hold_out(History(weights), seed=1)
    assert past.weights.nnz + after.nnz == weights.nnz
    assert 40 < after.nnz < 120
    days = np.tile(np.arange(8, dtype=np.float32), 50)
    past, after = hold_out(History(weights, days), seed=1)
    assert set(after.indices) == {0}
    assert past.last_days is not None
    assert past.last_days.min() >= 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_past_and_what_came_after_are_all_there_is(
    customers: list[list[list[int]]], timed: bool
) -> None:
    people = [
        [(float(3 * (len(hers) - n)) if timed else np.nan, basket) for n, basket in enumerate(hers)]
        for hers in customers
    ]
    given = history_of(*people)
    past, after = hold_out(given, seed=0)
    known = np.diff(past.weights.indptr) > 0
    both = (past.weights > 0).toarray() | (after > 0).toarray()
    np.testing.assert_array_equal(both[known], given.weights.toarray()[known] > 0)
    assert not after[np.flatnonzero(~known)].nnz
    assert past.weights.data.min(initial=1) > 0
    assert (past.weights.toarray() <= given.weights.toarray() + 1e-5).all()


def test_trees_say_what_lightgbm_says() -> None:
    import lightgbm

    random = np.random.default_rng(0)
    x = random.standard_normal((600, 4)).astype(np.float32)
    x[random.random(x.shape) < 0.2] = np.nan
    x[:, 3] = np.round(np.nan_to_num(x[:, 3]))  # never missing
    y = (np.nan_to_num(x[:, 0], nan=0.7) + x[:, 3] > 0.5).astype(np.float32)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_leaves": 15}, lightgbm.Dataset(x, y), 20
    )
    trees = read(booster.model_to_string())
    asked = np.vstack([x, np.full((1, 4), np.nan, np.float32), np.zeros((1, 4), np.float32)])
    expected = booster.predict(asked, raw_score=True)
    np.testing.assert_array_equal(evaluate(trees, asked), expected)
    assert least(trees) <= expected.min()
    assert len(trees.roots) == 20


def test_a_tree_of_one_leaf_says_its_value() -> None:
    text = "tree\n\nTree=0\nnum_leaves=1\nleaf_value=0.25\n\n\nend of trees\n"
    np.testing.assert_array_equal(evaluate(read(text), np.zeros((3, 2), np.float32)), [0.25] * 3)


def test_trees_put_what_is_good_first_and_are_the_same_for_a_seed() -> None:
    random = np.random.default_rng(0)
    x = random.random((4000, 3)).astype(np.float32)
    good = (x[:, 1] > 0.8).astype(np.float32)
    one, same = (
        grow(x, good, np.full(200, 20), trees=20, leaves=4, learning_rate=0.1, seed=3)
        for _ in range(2)
    )
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    found = evaluate(one, x)
    assert found[x[:, 1] > 0.85].min() > found[x[:, 1] < 0.75].max()


def test_candidates_are_hers_and_the_best_new_ones_of_each_source() -> None:
    weights = sp.csr_matrix(np.array([[1, 0, 0, 0, 0, 1]], np.float32))
    scores = {
        "one": np.array([[9, 1, 2, 3, 0, 0]], np.float32),
        "two": np.array([[9, 4, 3, 2, 0, 0]], np.float32),
    }
    assert candidates(History(weights), scores, 1).codes.tolist() == [0, 1, 3, 5]


def test_facts_say_what_their_names_say() -> None:
    given = history_of([(20.0, [0, 1]), (10.0, [0]), (4.0, [2])], [(9.0, [3])])
    catalogue = Catalogue(
        np.array([0, 0, 1, 1, -1, 0], np.int32), np.array([2, 4, 8, 16, 1, np.nan], np.float32)
    )
    given = History(given.weights, given.last_days, catalogue, given.events)
    rows, codes = np.zeros(6, np.int64), np.arange(6, dtype=np.int32)
    scores = {"rebuy": np.array([[5, 3, 3, 1, 0, 0]] * 2, np.float32)}
    found = facts(given, Candidates(rows, codes), scores, product_facts(given))
    assert found.shape == (6, len(names(scores)))
    of = dict(zip(names(scores), found.T, strict=True))
    nan = np.nan
    for name, expected in {
        "rebuy_score": [5, 3, 3, 1, 0, 0],
        "rebuy_place": [1, 1 / 2, 1 / 2, 1 / 4, 1 / 5, 1 / 5],
        "times": [2, 1, 1, nan, nan, nan],
        "last": [1, 2, 0, nan, nan, nan],
        "days": [10, 20, 4, nan, nan, nan],
        "price": [2, 4, 8, 16, 1, nan],
        "price_fit": [np.log(0.5), 0, np.log(2), np.log(4), np.log(0.25), nan],
        "taste": [0.75, 0.75, 0.25, 0.25, nan, 0.75],
        "taste_newest": [0, 0, 1, 1, nan, 0],
        "baskets": [3] * 6,
        "products": [3] * 6,
        "repeats": [0.25] * 6,
        "order_days": [4] * 6,
    }.items():
        np.testing.assert_allclose(of[name], expected, rtol=1e-6, err_msg=name)
    assert of["again"][0] > of["again"][1]


def test_it_learns_what_no_source_can_tell(learned: tuple[Blend, History]) -> None:
    blend, history = learned
    assert blend.ranks_by == "learned"
    before, _ = hold_out(shop(seed=7), seed=0)
    odd = {}
    for name, scorer in {"blend": blend, "rebuy": make("rebuy", {}).fit(history)}.items():
        best = rank(scorer, before, 1, drop_seen=False).codes[:, 0]
        odd[name] = int((best % 2 == 1).sum())  # of 400
    assert odd["rebuy"] > 200
    assert odd["blend"] < 20


def test_every_product_is_ranked_and_candidates_stand_above_the_rest(
    learned: tuple[Blend, History],
) -> None:
    blend, history = learned
    few = small(candidates=2).fit(history)
    scores = few.score(history)
    assert np.isfinite(scores).all()
    row = scores[0]
    hers = history.weights[0].indices
    assert (row[hers] >= 1).all()
    assert len(hers) + 2 <= (row >= 1).sum() <= len(hers) + 4
    assert (rank(few, history, 20, drop_seen=False).codes >= 0).all()
    dropped = rank(blend, history, 8).codes
    assert (dropped >= 0).all()
    assert not np.take_along_axis(history.weights.toarray(), dropped, 1).any()


def test_one_row_and_a_batch_have_the_same_learned_scores(
    learned: tuple[Blend, History],
) -> None:
    blend, history = learned
    batch = blend.score(history)
    for row in (0, 17, 399):
        one = blend.score(history.take(np.array([row])))
        np.testing.assert_array_equal(one[0], batch[row])


def test_coarse_scores_are_near_and_the_same_after_rounding() -> None:
    scores = np.random.default_rng(0).standard_normal((10, 10)).astype(np.float32)
    np.testing.assert_allclose(coarse(scores), scores, rtol=2**-11)
    assert coarse(np.array([[1, 0, -2.5]], np.float32)).tolist() == [[1, 0, -2.5]]
    near = np.array([[0.3, np.nextafter(np.float32(0.3), np.float32(1))]], np.float32)
    assert len(np.unique(coarse(near))) == 1


def test_sources_learn_the_trees_from_the_past_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[History] = []

    def spy(kind: str, values: dict[str, Any]) -> Any:
        model = make(kind, values)
        fit = model.fit

        def spied(history: History) -> Any:
            seen.append(history)
            return fit(history)

        model.fit = spied  # type: ignore[method-assign]
        return model

    monkeypatch.setattr(models.blend, "make", spy)
    history = shop(100, timed=True)
    small(sources={"popularity": {}}).fit(history)
    past, everything = seen
    assert everything is history
    assert past.weights.nnz < history.weights.nnz
    assert past.events is not None
    assert history.events is not None
    assert len(past.events.products) < len(history.events.products)
    assert past.events.days.min() >= 0  # aged from the cut


@pytest.mark.parametrize("timed", [True, False])
def test_the_same_seed_gives_the_same_arrays_and_they_come_back(timed: bool) -> None:
    history = shop(200, timed=timed)
    one, again = (small(seed=5).fit(history) for _ in range(2))
    assert one.ranks_by == "learned"
    back = small(seed=5).restore(one.arrays())
    for other in (again, back):
        assert other.arrays().keys() == one.arrays().keys()
        for name, array in one.arrays().items():
            np.testing.assert_array_equal(other.arrays()[name], array, strict=True)
    np.testing.assert_array_equal(back.score(history), one.score(history))


def test_too_few_customers_to_learn_from_are_ranked_by_the_mean() -> None:
    few, mean = small(enough=500).fit(shop(60)), small(method="weighted").fit(shop(60))
    assert few.ranks_by == mean.ranks_by == "weighted"
    np.testing.assert_array_equal(few.score(shop(60)), mean.score(shop(60)))


def test_weights_of_the_mean_are_the_sources_own_share() -> None:
    history = shop(60)
    blend = small(method="weighted", weights={"popularity": 0.0}).fit(history)
    rebuy = make("rebuy", {}).fit(history)
    hers = blend.score(history)
    expected = rebuy.score(history)
    np.testing.assert_allclose(hers, expected / expected.max(axis=1, keepdims=True), rtol=1e-3)


def test_a_loaded_learned_blend_never_needs_what_trained_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pairs = [(c, p) for c in range(200) for p in random.permutation(12)[:6]]
    table = pa.table(
        {
            "customer_id": [f"c{customer:03}" for customer, _ in pairs],
            "product_id": [f"p{product:02}" for _, product in pairs],
            "weight": np.ones(len(pairs), np.float32),
        }
    )
    blend = small()
    Recommender(blend).fit(table).save(tmp_path / "model")
    assert blend.ranks_by == "learned"
    program = f"""
import sys
from pathlib import Path
from models.recommender import Recommender
loaded = Recommender.load(Path({str(tmp_path / "model")!r}))
assert loaded.scorer.ranks_by == "learned"
assert loaded.recommend(loaded.customers).num_rows
names = ("lightgbm", "sklearn", "pandas", "torch", "implicit", "models.als")
print([name for name in names if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(str(models.__file__)).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_needs_are_those_of_the_sources_and_of_the_trees() -> None:
    assert needs(Blend()) == {"events", "catalogue"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sources": {}}, "sources must be other models, at least 1, got none"),
        ({"sources": {"blend": {}}}, "sources must be other models, at least 1, got blend"),
        ({"sources": {"als": {"factors": 0}}}, "factors must be at least 1, got 0"),
        ({"sources": {"magic": {}}}, "model must be one of als, .*, got 'magic'"),
        ({"weights": {"als2": 1.0}}, "weights must be one of rebuy, .*, got 'als2'"),
        ({"weights": {"rebuy": -1.0}}, "rebuy must be at least 0, got -1.0"),
        ({"method": "magic"}, "method must be one of learned, weighted, got 'magic'"),
        ({"candidates": 0}, "candidates must be at least 1, got 0"),
        ({"leaves": 1}, "leaves must be at least 2, got 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
    ],
)
def test_hyperparameters_that_cannot_be_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Blend(**wrong)


def test_learning_says_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(trees=2).fit(shop(120))
