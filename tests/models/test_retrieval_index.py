"""The inverted file beside exact ranking: accepted where it finds enough, refused where not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.artifact import MANIFEST, Damaged, files, write_json
from models.bundle import Bundle, open_bundle, write
from models.history import ModelError
from models.rank import top_k_factors
from models.ranking.dots import LANES
from models.recommender import Recommender
from models.retrieval import PRODUCTS, Retrieval, build, gated, ready
from models.scorer import make

NOTHING = np.empty(0, np.int32)
GROUPS, SIZE, WIDE = 40, 100, 16
bytes_only = pytest.mark.skipif(not LANES, reason="this CPU multiplies no bytes")


def grouped(rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Products far from each other but for their group, and rows near one of them."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((GROUPS, WIDE), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    noise = random.standard_normal((GROUPS * SIZE, WIDE), dtype=np.float32)
    y = np.repeat(centres, SIZE, axis=0) + np.float32(0.05) * noise
    x = y[random.integers(len(y), size=rows)]
    return y, x + np.float32(0.02) * random.standard_normal(x.shape, dtype=np.float32)


def shapeless(rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Products and rows in all directions alike: no list holds what a row likes best."""
    random = np.random.default_rng(1)
    y = random.standard_normal((GROUPS * SIZE, 64), dtype=np.float32)
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return y, random.standard_normal((rows, 64), dtype=np.float32)


def test_an_index_over_groups_of_alike_products_is_accepted():
    y, x = grouped()
    said = gated(build(y), y, x, seen=None)
    assert said.index is not None
    about = said.about()
    assert (about["kind"], about["recall"]) == ("inverted", said.recall)
    assert said.recall >= 0.98
    assert about["share_looked_at"] <= 0.25


def test_an_index_over_products_of_no_shape_is_refused_in_words():
    y, x = shapeless()
    said = gated(build(y), y, x, seen=None)
    assert said.index is None
    assert said.recall < 0.98
    about = said.about()
    assert (about["kind"], about["share_looked_at"]) == ("exact", None)
    assert about["reason"].endswith("of the products, want 98%")


def test_where_exact_ranking_looks_at_few_products_anyway_an_index_is_refused():
    y, x = grouped()
    y[: len(y) // 20] *= 30  # these are every row's best or worst: nothing else is looked at
    x = np.abs(x @ y[: len(y) // 20].T).argmax(axis=1)
    rows = y[: len(y) // 20][x]
    said = gated(build(y), y, rows, seen=None)
    assert said.index is None
    assert "exact ranking looks at" in said.reason


def test_too_few_customers_tell_nothing():
    y, x = grouped(rows=99)
    assert gated(build(y), y, x, seen=None).reason == (
        "99 customers to check by are fewer than 100"
    )


def test_an_index_is_the_same_every_time_and_holds_every_product_once():
    y, _ = grouped()
    one, two = build(y), build(y)
    for name in ("order", "starts", "means", "spreads"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert sorted(one.order) == list(range(len(y)))
    assert one.starts[0] == 0
    assert one.starts[-1] == len(y)
    for begin, end in zip(one.starts[:-1], one.starts[1:], strict=True):
        lengths = np.linalg.norm(y[one.order[begin:end]], axis=1)
        assert (np.diff(lengths) <= 1e-6).all()


@bytes_only
@pytest.mark.parametrize("k", [1, 10, 100])
def test_what_is_looked_at_is_ranked_exactly_and_all_of_it_where_all_is_looked_at(k):
    y, x = grouped(rows=20)
    retrieval = ready(build(y), y)  # as built it looks at all products
    random = np.random.default_rng(0)
    for row in x:
        never = np.unique(random.integers(len(y), size=30)).astype(np.int32)
        found = retrieval.best(row[None], k, never)
        wanted = top_k_factors(row[None], y, k, without=never)
        np.testing.assert_array_equal(found.codes, wanted.codes)
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5, atol=1e-5)


@bytes_only
def test_an_accepted_index_finds_in_the_server_what_the_gate_said():
    y, x = grouped()
    said = gated(build(y), y, x, seen=None)
    retrieval, exact = ready(said.index, y), top_k_factors(x, y, 100).codes
    hits = [
        np.intersect1d(retrieval.best(row[None], 100, NOTHING).codes, wanted).size
        for row, wanted in zip(x, exact, strict=True)
    ]
    assert np.mean(hits[1::2]) / 100 == pytest.approx(said.recall, abs=1e-9)


@bytes_only
def test_what_an_index_cannot_tell_it_leaves_to_exact_ranking():
    y, x = grouped()
    retrieval = ready(gated(build(y), y, x, seen=None).index, y)
    reach = retrieval.index.reach
    assert retrieval.best(x[:1], reach, NOTHING) is None  # more than it looks at
    assert retrieval.best(x[:1], 10, np.arange(reach, dtype=np.int32)) is None
    assert retrieval.best(np.zeros_like(x[:1]), 10, NOTHING) is None  # all products are equal


def board(customers: int = 400, tastes: int = 20, products: int = 4000) -> Recommender:
    """Each customer takes 30 products of one taste's 200; als learns the tastes."""
    random = np.random.default_rng(0)
    size = products // tastes
    pairs = {(p // size + tastes * (p % 5), p) for p in range(products)}
    for c in range(customers):
        taken = random.choice(size, 30, replace=False) + size * (c % tastes)
        pairs |= {(c, int(p)) for p in taken}
    who, what = zip(*sorted(pairs), strict=True)
    interactions = pa.table(
        {
            "customer_id": [f"c{c:03}" for c in who],
            "product_id": [f"p{p:05}" for p in what],
            "weight": pa.array(np.ones(len(who), np.float32)),
        }
    )
    return Recommender(make("als", {"factors": 16, "iterations": 5})).fit(interactions)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return board()


def opened(root: Path, recommender: Recommender, **given: object) -> Bundle:
    id = write(
        root,
        recommender,
        products=pa.table({"product_id": recommender.products}),
        customers=pa.table({"customer_id": ["c0"], "lifecycle_stage": ["new"]}),
        popular=recommender.products[:10],
        seen="drop",
        about={"shop": "Groups"},
        length=20,
        **given,  # type: ignore[arg-type]
    )
    return open_bundle(root / id)


@pytest.fixture(scope="module")
def bundle(recommender: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return opened(tmp_path_factory.mktemp("bundles"), recommender, index_from=1000)


def test_a_bundle_of_few_products_has_no_index_and_says_why(recommender, tmp_path):
    found = opened(tmp_path, recommender)
    assert found.manifest["retrieval"] == {
        "kind": "exact",
        "recall": None,
        "share_looked_at": None,
        "reason": f"{len(recommender.products)} products are fewer than {PRODUCTS}",
    }
    assert not [name for name in found.manifest["files"] if "retrieval" in name]


def test_a_model_without_factors_has_no_index(tmp_path):
    popularity = Recommender(make("popularity", {})).fit(
        pa.table({"customer_id": ["a"], "product_id": ["b"], "weight": pa.array([1], pa.float32())})
    )
    said = opened(tmp_path, popularity, index_from=0).manifest["retrieval"]
    assert said["reason"] == "popularity has no factors to look in"


def test_a_bundle_says_what_its_index_finds(bundle):
    said = bundle.manifest["retrieval"]
    assert said["kind"] == "inverted"
    assert said["recall"] >= 0.98
    assert said["share_looked_at"] <= 0.25


def test_the_published_lists_are_exact_whatever_the_index(bundle, recommender):
    wanted = recommender.rank(recommender.history, 20)
    np.testing.assert_array_equal(bundle.lists_products, wanted.codes)


@bytes_only
def test_one_visit_is_ranked_by_the_index_after_opening_as_before_saving(bundle):
    served, before = bundle.recommender, board()
    share = bundle.manifest["retrieval"]["share_looked_at"]
    index = build(before.scorer.product_factors)
    before.indexed(replace(index, reach=round(share * len(index.order))))
    for one in (served, before):
        one.prepare()
    for row in range(0, 60, 7):
        history = served.history.take(np.array([row]))
        found, wanted = served.rank(history, 20), before.rank(history, 20)
        np.testing.assert_array_equal(found.codes, wanted.codes)
        np.testing.assert_array_equal(found.scores, wanted.scores)
        assert not np.isin(found.codes, history.weights.indices).any()


def asked(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many each of its questions to the index is for, from now on."""
    said, best = [], Retrieval.best

    def heard(self: Retrieval, row: np.ndarray, k: int, never: np.ndarray) -> object:
        said.append(k)
        return best(self, row, k, never)

    recommender.prepare()
    monkeypatch.setattr(Retrieval, "best", heard)
    return said


@bytes_only
def test_only_one_row_of_all_products_is_asked_of_the_index(bundle, recommender, monkeypatch):
    served = bundle.recommender
    said, one = asked(served, monkeypatch), served.history.take(np.array([3]))
    for given in (
        {"among": np.arange(0, 4000, 2, dtype=np.int32)},
        {"history": served.history.take(np.array([3, 4]))},
    ):
        history = given.pop("history", one)
        found = served.rank(history, 5, **given)
        wanted = recommender.rank(history, 5, **given)
        np.testing.assert_array_equal(found.codes, wanted.codes)
    assert said == []
    served.rank(one, 5, seen="keep")
    assert said == [5]


@bytes_only
def test_more_than_the_index_looks_at_is_ranked_exactly(bundle, recommender, monkeypatch):
    served = bundle.recommender
    said, one = asked(served, monkeypatch), served.history.take(np.array([3]))
    found, wanted = served.rank(one, 900), recommender.rank(one, 900)
    assert said == [900]
    np.testing.assert_array_equal(found.codes, wanted.codes)


@bytes_only
def test_what_cannot_be_ranked_is_refused_by_the_index_too(bundle):
    served = bundle.recommender
    served.prepare()
    one = served.history.take(np.array([3]))
    with pytest.raises(ModelError, match="k must be at least 1, got 0"):
        served.rank(one, 0)
    with pytest.raises(ModelError, match="codes must be from 0"):
        served.rank(one, 5, without=np.array([-1], np.int32))


def test_a_customer_without_history_gets_none_of_an_index_either(bundle):
    served = bundle.recommender
    served.prepare()
    nobody = served.history_of(["never heard of it"])
    assert (served.rank(nobody, 5).codes == -1).all()


def test_what_learns_anew_forgets_its_index(recommender):
    again = board()
    again.indexed(build(again.scorer.product_factors)).prepare()
    again.scorer.factors = 8
    interactions = pa.table(
        {"customer_id": ["a"], "product_id": ["b"], "weight": pa.array([1], pa.float32())}
    )
    again.fit(interactions).prepare()
    assert again.rank(again.history, 1, seen="keep").codes.tolist() == [[0]]


def test_an_index_of_other_factors_is_refused(recommender):
    y, _ = grouped()
    with pytest.raises(ModelError, match=r"must be of the model's \(4000, 16\) factors"):
        recommender.indexed(build(y[1:]))


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("order", np.zeros(4000, np.int32), "must name every product once"),
        ("starts", np.array([0, 4000, 3999]), "must be of lists of 4000 products"),
        ("spreads", np.zeros(3, np.float32), "lists"),
    ],
)
def test_a_bundle_whose_index_disagrees_with_itself_is_damaged(
    recommender, tmp_path, name, array, says
):
    directory = tmp_path / opened(tmp_path, recommender, index_from=1000).id
    np.save(directory / f"retrieval_{name}.npy", array)
    manifest = json.loads((directory / MANIFEST).read_text())
    write_json(directory / MANIFEST, manifest | {"files": files(directory)})
    with pytest.raises(Damaged, match=says):
        open_bundle(directory)
