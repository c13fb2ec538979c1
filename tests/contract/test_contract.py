"""One suite over every model there is, and over one dropped in as a single new file.

The board: even customers take even products, odd ones odd, and customer i lacks product i, the
held-out square. So everybody's right answer is known.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

import models
from models.recommender import RECOMMENDED, RECOMMENDED_FOR, SIMILAR, Recommender
from models.scorer import (
    Factored,
    History,
    ModelError,
    NotFitted,
    Scorer,
    UnknownModel,
    find,
    kinds,
    make,
    parameters,
)

SIZE = 30

# What a model needs to be personal on a board; all else is its defaults.
PERSONAL: dict[str, dict[str, Any]] = {
    "popularity": {"per": "category"},
    "als": {"factors": 8},
    "bpr": {"factors": 8, "iterations": 200},
    "blend": {"sources": {"rebuy": {}, "neighbours": {}, "als": {"factors": 8}}},
    "sasrec": {
        "factors": 16,
        "layers": 1,
        "temperature": 0.5,
        "rate": 0.02,
        "epochs": 30,
        "batch": 8,
    },
    "two_tower": {"factors": 8, "hidden": 8, "epochs": 10, "batch": 64, "learning_rate": 0.03},
}

DROPPED_IN = '''
"""Together: histories in, products most often taken with hers out."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from models.scorer import fitted


@dataclass
class Together:
    """Counts of customers in common, to a power."""

    kind: ClassVar[str] = "dropped_in"

    power: float = 1.0

    _counts: np.ndarray | None = field(default=None, init=False, repr=False, compare=False)

    def fit(self, history):
        history.check()
        taken = (history.weights > 0).astype(np.float32)
        self._counts = (taken.T @ taken).toarray() ** self.power
        return self

    def score(self, history):
        return history.weights @ fitted(self._counts, self)

    def similarity(self, products):
        return fitted(self._counts, self)[products]

    def arrays(self):
        return {"counts": fitted(self._counts, self)}

    def restore(self, arrays):
        self._counts = arrays["counts"]
        return self
'''


@pytest.fixture(params=[*kinds(), "dropped_in"])
def kind(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "dropped_in":
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "dropped_in.py").write_text(DROPPED_IN, encoding="utf-8")
        monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path / "more")])
    yield request.param
    if request.param == "dropped_in":
        sys.modules.pop("models.dropped_in", None)
        vars(models).pop("dropped_in", None)


@pytest.fixture
def scorer(kind: str) -> Scorer:
    return make(kind, PERSONAL.get(kind, {}))


def interactions(pairs: list[tuple[int, int]], weight: float = 1.0) -> pa.Table:
    """Customers c00, c01 … and products p00, p01 …"""
    return pa.table(
        {
            "customer_id": [f"c{customer:02}" for customer, _ in pairs],
            "product_id": [f"p{product:02}" for _, product in pairs],
            "weight": pa.array([weight] * len(pairs), pa.float32()),
        }
    )


SQUARES = [(i, j) for i in range(SIZE) for j in range(SIZE) if i % 2 == j % 2 and i != j]
BOARD = interactions(SQUARES)
COLOURS = pa.table(
    {
        "product_id": [f"p{j:02}" for j in range(SIZE)],
        "category": ["even", "odd"] * (SIZE // 2),
    }
)


FITTED: dict[str, Recommender] = {}  # once a model: no test changes it


@pytest.fixture
def fitted_one(scorer: Scorer) -> Recommender:
    if scorer.kind == "dropped_in":
        return Recommender(scorer).fit(BOARD, COLOURS)
    if scorer.kind not in FITTED:
        FITTED[scorer.kind] = Recommender(scorer).fit(BOARD, COLOURS)
    return FITTED[scorer.kind]


def by_row(table: pa.Table) -> dict[Any, list[str]]:
    lists: dict[Any, list[str]] = {}
    for row in table.to_pylist():
        lists.setdefault(row[table.column_names[0]], []).append(row[table.column_names[-2]])
    return lists


def test_the_held_out_square_is_ranked_above_all_wrong_colours(fitted_one: Recommender) -> None:
    lists = by_row(fitted_one.recommend(fitted_one.customers, SIZE))
    for i in range(SIZE):
        assert lists[f"c{i:02}"][0] == f"p{i:02}"


def test_bought_products_are_not_recommended_unless_asked_for(fitted_one: Recommender) -> None:
    taken = set(SQUARES)
    dropped = fitted_one.recommend(fitted_one.customers, SIZE)
    pairs = {(int(r["customer_id"][1:]), int(r["product_id"][1:])) for r in dropped.to_pylist()}
    assert not pairs & taken
    assert dropped.num_rows == SIZE * SIZE - len(SQUARES)
    kept = fitted_one.recommend(fitted_one.customers, SIZE, seen="keep")
    assert kept.num_rows == SIZE * SIZE


def test_one_row_and_a_batch_agree(fitted_one: Recommender) -> None:
    history = fitted_one.history
    batch = fitted_one.scorer.score(history)
    assert batch.shape == (SIZE, SIZE)
    assert batch.dtype == np.float32
    for row in (0, 7):
        one = fitted_one.scorer.score(history.take(np.array([row])))
        np.testing.assert_allclose(one[0], batch[row], atol=1e-5, rtol=1e-5)


def test_a_factored_score_is_the_product_of_its_factors(fitted_one: Recommender) -> None:
    scorer, history = fitted_one.scorer, fitted_one.history
    if not isinstance(scorer, Factored):
        pytest.skip("this model has no factors")
    product = scorer.customer_factors(history) @ scorer.product_factors.T
    np.testing.assert_allclose(product, scorer.score(history), atol=1e-5)


def test_lists_are_sorted_by_score_and_equal_scores_by_id(fitted_one: Recommender) -> None:
    lists: dict[str, list[tuple[float, str]]] = {}
    for row in fitted_one.recommend(fitted_one.customers, SIZE, seen="keep").to_pylist():
        lists.setdefault(row["customer_id"], []).append((-row["score"], row["product_id"]))
        assert row["rank"] == len(lists[row["customer_id"]])
    assert all(pairs == sorted(pairs) for pairs in lists.values())


def test_customers_are_answered_in_order_and_as_often_as_asked(fitted_one: Recommender) -> None:
    asked = pa.array(["c04", "nobody", "c01", None, "c04"])
    table = fitted_one.recommend(asked, 2)
    assert table["customer_id"].to_pylist() == ["c04", "c04", "c01", "c01", "c04", "c04"]
    assert table["product_id"].to_pylist()[:2] == table["product_id"].to_pylist()[4:]


def test_no_rows_have_the_same_schema(fitted_one: Recommender) -> None:
    for nothing in (pa.array([], pa.string()), pa.array(["nobody"])):
        table = fitted_one.recommend(nothing)
        assert (table.schema, table.num_rows) == (RECOMMENDED, 0)
        table = fitted_one.similar(nothing)
        assert (table.schema, table.num_rows) == (SIMILAR, 0)
    for histories in ([], [[]], [["no such product"]]):
        table = fitted_one.recommend_for(histories)
        assert (table.schema, table.num_rows) == (RECOMMENDED_FOR, 0)
    assert fitted_one.recommend(fitted_one.customers).schema == RECOMMENDED
    assert fitted_one.recommend_for([["p00"]]).schema == RECOMMENDED_FOR
    assert fitted_one.similar(fitted_one.products).schema == SIMILAR


def test_among_bounds_every_answer_and_unknown_ids_in_it_are_passed_over(
    fitted_one: Recommender,
) -> None:
    few = pa.array(["p05", "p00", "no such product", "p05"])
    assert by_row(fitted_one.recommend(pa.array(["c00", "c05"]), 10, among=few)) == {
        "c00": ["p00", "p05"],
        "c05": ["p05", "p00"],
    }
    assert by_row(fitted_one.recommend_for([["p03"]], 10, among=few)) == {0: ["p05", "p00"]}
    assert set(by_row(fitted_one.similar(pa.array(["p00"]), 10, among=few))["p00"]) == {"p05"}
    nothing = fitted_one.recommend(fitted_one.customers, among=pa.array(["no such product"]))
    assert nothing.num_rows == 0


def test_a_new_customer_gets_the_colour_of_her_history(fitted_one: Recommender) -> None:
    histories = [["p03", "p07", "p03"], [], ["p04", "unknown"], ["p00"]]
    lists = by_row(fitted_one.recommend_for(histories, SIZE))
    assert set(lists) == {0, 2, 3}
    for row, colour, taken in ((0, 1, {3, 7}), (2, 0, {4}), (3, 0, {0})):
        best = {int(id[1:]) for id in lists[row][: SIZE // 2 - len(taken)]}
        assert best == set(range(colour, SIZE, 2)) - taken


def test_a_known_customer_s_history_is_answered_like_herself(fitted_one: Recommender) -> None:
    hers = [f"p{j:02}" for i, j in SQUARES if i == 6]
    known = fitted_one.recommend(pa.array(["c06"]), 1)
    new = fitted_one.recommend_for([hers], 1)
    assert new["product_id"].to_pylist() == known["product_id"].to_pylist()
    np.testing.assert_allclose(new["score"].to_numpy(), known["score"].to_numpy(), atol=1e-5)


def test_similar_products_are_of_the_same_colour_and_not_itself(fitted_one: Recommender) -> None:
    similar = by_row(fitted_one.similar(fitted_one.products, SIZE // 2 - 1))
    for j in range(SIZE):
        assert set(similar[f"p{j:02}"]) == {f"p{i:02}" for i in range(j % 2, SIZE, 2) if i != j}


def test_likeness_of_one_colour_is_mutual(fitted_one: Recommender) -> None:
    codes = np.arange(SIZE, dtype=np.int32)
    alike = fitted_one.scorer.similarity(codes)
    assert alike.shape == (SIZE, SIZE)
    same = codes[:, None] % 2 == codes % 2
    np.fill_diagonal(alike, np.nan)
    assert np.nanmin(np.where(same, alike, np.nan)) > np.nanmax(np.where(same, np.nan, alike))
    one = fitted_one.scorer.similarity(codes[[3]])
    np.testing.assert_allclose(one[0, 4:], alike[3, 4:], atol=1e-5)


def test_the_same_seed_gives_the_same_arrays_whatever_the_order_of_rows(
    kind: str, fitted_one: Recommender
) -> None:
    order = np.random.default_rng(1).permutation(BOARD.num_rows)
    again = Recommender(make(kind, PERSONAL.get(kind, {})))
    again.fit(BOARD.take(pa.array(order)), COLOURS.slice(3).take(pa.array(range(SIZE - 3))))
    again.fit(BOARD.take(pa.array(order)), COLOURS)  # a second fit starts anew
    for name, array in fitted_one.scorer.arrays().items():
        np.testing.assert_array_equal(again.scorer.arrays()[name], array, strict=True)


def test_what_is_saved_comes_back_exactly(fitted_one: Recommender, tmp_path: Path) -> None:
    fitted_one.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.scorer == fitted_one.scorer
    assert loaded.customers.equals(fitted_one.customers)
    assert loaded.products.equals(fitted_one.products)
    everyone = fitted_one.customers
    assert loaded.recommend(everyone).equals(fitted_one.recommend(everyone))
    assert loaded.similar(loaded.products).equals(fitted_one.similar(fitted_one.products))
    asked = [["p01"], ["p02", "p04"]]
    assert loaded.recommend_for(asked).equals(fitted_one.recommend_for(asked))
    for name, array in fitted_one.scorer.arrays().items():
        restored = loaded.scorer.arrays()[name]
        assert not restored.flags.writeable
        np.testing.assert_array_equal(restored, array, strict=True)


def test_a_loaded_model_answers_without_what_trained_it(
    kind: str, fitted_one: Recommender, tmp_path: Path
) -> None:
    if kind == "dropped_in":
        pytest.skip("its file is not there in another process")
    fitted_one.save(tmp_path / "model")
    program = f"""
import sys
from pathlib import Path
from models.recommender import Recommender
loaded = Recommender.load(Path({str(tmp_path / "model")!r}))
assert loaded.recommend(loaded.customers).num_rows
assert loaded.recommend_for([["p01"]]).num_rows
assert loaded.similar(loaded.products).num_rows
names = ("implicit", "pandas", "torch", "mlflow", "prefect", "pyspark", "duckdb", "ibis")
print([name for name in names if name in sys.modules])
own = ({kind!r}, *getattr(loaded.scorer, "sources", ()))
others = [f"models.{{name}}" for name in {kinds()!r} if name not in own]
print([name for name in others if name in sys.modules])
"""
    root = Path(str(models.__file__)).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
def test_impossible_weights_are_refused(scorer: Scorer, weight: float) -> None:
    with pytest.raises(
        ModelError, match=r"weight must be finite and at least 0, got .*'c01'.*'p02'"
    ):
        Recommender(scorer).fit(interactions([(1, 2)], weight))
    weights = sp.csr_matrix(np.array([[1, weight]], dtype=np.float32))
    with pytest.raises(ModelError, match="weights must be finite and above 0"):
        scorer.fit(History(weights))


def test_nothing_to_learn_from_is_refused(scorer: Scorer) -> None:
    for nothing in (interactions([]), interactions([(1, 2)], 0.0)):
        with pytest.raises(ModelError, match="at least 1 interaction to learn from, got 0 cust"):
            Recommender(scorer).fit(nothing)


def test_asking_before_learning_is_refused(scorer: Scorer) -> None:
    with pytest.raises(NotFitted):
        Recommender(scorer).recommend(pa.array(["c00"]))
    with pytest.raises(NotFitted, match=f"{scorer.kind} must be fitted or restored"):
        scorer.score(History(sp.csr_matrix((1, 2), dtype=np.float32)))
    with pytest.raises(NotFitted, match=f"{scorer.kind} must be fitted or restored"):
        scorer.arrays()


@pytest.mark.parametrize("pairs", [[(0, 0)], [(0, 0), (1, 0)], [(0, 0), (0, 1)]])
def test_the_smallest_shops_work(scorer: Scorer, pairs: list[tuple[int, int]]) -> None:
    small = Recommender(scorer).fit(interactions(pairs))
    products = len(small.products)
    assert small.recommend(pa.array(["c00"]), 5).num_rows == 0
    assert small.recommend(pa.array(["c00"]), 5, seen="keep").num_rows == products
    assert small.similar(pa.array(["p00"]), 5).num_rows == products - 1


def test_a_weight_s_unit_does_not_change_the_order(kind: str) -> None:
    weights = np.random.default_rng(0).uniform(0.5, 5, BOARD.num_rows).astype(np.float32)
    lists = []
    for unit in (1, 64):
        table = BOARD.set_column(2, "weight", pa.array(weights * np.float32(unit)))
        fitted_one = Recommender(make(kind, PERSONAL.get(kind, {}))).fit(table, COLOURS)
        lists.append(by_row(fitted_one.recommend(fitted_one.customers, 1)))
    assert lists[0] == lists[1]


def test_hyperparameters_make_the_same_model_again(scorer: Scorer) -> None:
    assert make(scorer.kind, parameters(scorer)) == scorer
    with pytest.raises(ModelError, match=f"{scorer.kind} has no hyperparameter 'speed'; it has"):
        make(scorer.kind, {"speed": 1})


def test_a_model_of_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(UnknownModel, match=r"one of als, blend, bpr, .*popularity.*, got 'magic'"):
        find("magic")
