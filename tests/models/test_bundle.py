import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.artifact import MANIFEST, Damaged, Missing, files, write_json
from models.bundle import Bundle, open_bundle, write
from models.purchases import Purchases
from models.recommender import Recommender
from models.scorer import make

ABOUT = {"model": {"name": "neighbours", "version": "3"}, "shop": "Checkerboard"}
CUSTOMERS, PRODUCTS = 8, 10


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    """Customers take products of their own colour, each leaves out one of them."""
    pairs = [
        (f"c{i}", f"p{j}")
        for i in range(CUSTOMERS)
        for j in range(PRODUCTS)
        if i % 2 == j % 2 and j != (i + 2) % PRODUCTS
    ]
    interactions = pa.table(
        {
            "customer_id": [c for c, _ in pairs],
            "product_id": [p for _, p in pairs],
            "weight": pa.array([1.0 + i % 3 for i in range(len(pairs))], pa.float32()),
        }
    )
    return Recommender(make("neighbours", {})).fit(interactions)


def publish(root: Path, recommender: Recommender, **change: object) -> str:
    given: dict[str, object] = {
        "products": pa.table({"product_id": [f"p{j}" for j in range(PRODUCTS)]}),
        "customers": pa.table({"customer_id": ["c1", "c0"], "lifecycle_stage": ["active", "new"]}),
        "popular": pa.array(["p3", "p0", "nobody knows it", "p1"]),
        "seen": "drop",
        "about": ABOUT,
    }
    return write(root, recommender, **(given | change))  # type: ignore[arg-type]


def opened(root: Path, recommender: Recommender, **change: object) -> Bundle:
    return open_bundle(root / publish(root, recommender, **change))


def test_the_same_content_is_the_same_bundle_and_anything_else_another(tmp_path, recommender):
    first = publish(tmp_path, recommender)
    assert publish(tmp_path, recommender) == first
    others = [
        publish(tmp_path, recommender, seen="keep"),
        publish(tmp_path, recommender, length=2),
        publish(tmp_path, recommender, about=ABOUT | {"shop": "Another"}),
        publish(tmp_path, recommender, popular=pa.array(["p1"])),
    ]
    assert len({first, *others}) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([first, *others])


@pytest.mark.parametrize("seen", ["drop", "keep"])
def test_the_lists_are_what_the_recommender_says_of_available_products(tmp_path, recommender, seen):
    products = pa.table(
        {"product_id": ["p2", "p3", "p4"], "available": pa.array([False, None, True])}
    )
    bundle = opened(tmp_path, recommender, seen=seen, products=products, length=5)
    among = pa.array([p for p in recommender.products.to_pylist() if p != "p2"])
    said = recommender.recommend(recommender.customers, 5, among=among, seen=seen)
    ids, names = bundle.customers["customer_id"], bundle.products["product_id"]
    listed = [
        (ids[row].as_py(), rank + 1, names[int(code)].as_py(), float(score))
        for row in range(CUSTOMERS)
        for rank, (code, score) in enumerate(
            zip(bundle.lists_products[row], bundle.lists_scores[row], strict=True)
        )
        if code >= 0
    ]
    assert listed == [tuple(row.values()) for row in said.to_pylist()]
    assert bundle.seen == seen


def test_products_are_similar_only_where_the_model_finds_them_alike(tmp_path, recommender):
    bundle = opened(tmp_path, recommender)
    said = recommender.similar(recommender.products, 9).to_pylist()
    alike = [(r["product_id"], r["similar_id"]) for r in said if r["score"] > 0]
    names = bundle.products["product_id"].to_pylist()
    stored = [
        (names[row], names[code])
        for row, codes in enumerate(bundle.similar_products.tolist())
        for code in codes
        if code >= 0
    ]
    assert stored == alike
    assert all(int(a[1:]) % 2 == int(b[1:]) % 2 for a, b in stored)


def test_the_catalogue_is_brought_into_the_models_order(tmp_path, recommender):
    products = pa.table(
        {
            "product_id": ["new here", "p7", "p1"],
            "title": ["?", "Seven", "One"],
            "price": pa.array([1, 7, 2], pa.int64()),
            "extra": [1, 2, 3],
        }
    )
    bundle = opened(tmp_path, recommender, products=products)
    assert bundle.products["product_id"].to_pylist() == recommender.products.to_pylist()
    assert bundle.products["title"].to_pylist()[7] == "Seven"
    assert bundle.products["price"].to_pylist()[:2] == [None, 2.0]
    assert bundle.products["available"].to_pylist() == [True] * PRODUCTS
    assert bundle.manifest["products"] == {"model": 10, "not_in_catalogue": 8, "not_in_model": 1}


def test_customers_keep_their_rows_and_popular_products_their_order(tmp_path, recommender):
    bundle = opened(tmp_path, recommender)
    assert bundle.customers.slice(0, 3).to_pydict() == {
        "customer_id": ["c0", "c1", "c2"],
        "lifecycle_stage": ["new", "active", None],
    }
    assert bundle.popular.tolist() == [3, 0, 1]
    assert bundle.recommender.scorer.kind == "neighbours"


def given(products: int = PRODUCTS, customers: int = CUSTOMERS) -> dict[str, object]:
    """What goes together, p0 with p1, and what was bought, p3 by c0."""
    codes, scores = np.full((products, 2), -1, np.int32), np.full((products, 2), -np.inf)
    codes[0, 0], scores[0, 0] = 1, 5.0
    starts = np.minimum(np.arange(customers + 1), 1)
    bought = [np.array([value], kind) for value, kind in ((3, "i4"), (20_000, "i4"), (2, "i2"))]
    return {
        "together": (codes, scores.astype(np.float32)),
        "bought": Purchases(starts, *bought),
    }


def test_what_goes_together_and_what_was_bought_come_back(tmp_path, recommender):
    bundle = opened(tmp_path, recommender, **given())
    assert bundle.together_products[0].tolist() == [1, -1]
    assert bundle.together_scores[0].tolist() == [5.0, -np.inf]
    assert [array.tolist() for array in bundle.bought] == [[0] + [1] * 8, [3], [20_000], [2]]
    assert bundle.id != publish(tmp_path, recommender)


def test_a_bundle_that_does_not_say_has_nothing_together_and_nothing_bought(tmp_path, recommender):
    bundle = opened(tmp_path, recommender)
    assert not (tmp_path / bundle.id / "together_products.npy").exists()
    assert bundle.together_products.shape == bundle.together_scores.shape == (PRODUCTS, 0)
    assert [array.tolist() for array in bundle.bought] == [[0] * 9, [], [], []]


def test_arrays_are_maps_that_nobody_can_write(tmp_path, recommender):
    bundle = opened(tmp_path, recommender)
    with pytest.raises(ValueError, match="read-only"):
        bundle.lists_products[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"seen": "perhaps"}, "seen must be drop or keep, got 'perhaps'"),
        ({"products": pa.table({"product_id": ["p1", "p1"]})}, "got 'p1' twice"),
    ],
)
def test_what_cannot_be_published_is_refused_and_leaves_nothing(
    tmp_path, recommender, change, says
):
    with pytest.raises(ValueError, match=says):
        publish(tmp_path, recommender, **change)
    assert not list(tmp_path.iterdir())


def test_a_failure_on_the_way_leaves_nothing(tmp_path, recommender, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", fails)
    with pytest.raises(OSError, match="no space"):
        publish(tmp_path, recommender)
    assert not list(tmp_path.iterdir())


def test_a_flipped_bit_in_any_file_is_found(tmp_path, recommender):
    directory = tmp_path / publish(tmp_path, recommender)
    names = sorted(json.loads((directory / MANIFEST).read_text())["files"])
    assert "model/manifest.json" in names
    for name in names:
        path = directory / name
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(Damaged, match=name):
            open_bundle(directory)
        path.write_bytes(good)
    open_bundle(directory)


def test_a_half_deleted_bundle_is_missing_something(tmp_path, recommender):
    directory = tmp_path / publish(tmp_path, recommender)
    (directory / "lists_scores.npy").unlink()
    with pytest.raises(Missing, match=r"lists_scores\.npy is gone"):
        open_bundle(directory)
    (directory / MANIFEST).unlink()
    with pytest.raises(Missing, match=r"has no manifest\.json"):
        open_bundle(directory)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("lists_products", np.full((CUSTOMERS, 10), 10, np.int32), "beyond the 10"),
        ("lists_products", np.zeros((1, 10), np.int32), "for 8 rows"),
        ("popular", np.array([-1], np.int32), "beyond the 10"),
        ("popular", np.array([0.5]), "popular are float64"),
        ("popular", np.array([{"code": "runs"}], object), "Python objects"),
        ("together_products", np.full((PRODUCTS, 2), 10, np.int32), "beyond the 10"),
        ("together_scores", np.zeros((PRODUCTS, 3), np.float32), r"\(10, 2\) and \(10, 3\)"),
        ("bought_products", np.array([-1], np.int32), "beyond the 10"),
        ("bought_days", np.zeros(2, np.int32), "must be as many"),
        ("bought_starts", np.zeros(3, np.int64), "of 8 customers"),
    ],
)
def test_a_bundle_that_is_sound_as_files_but_not_as_a_bundle_is_refused(
    tmp_path, recommender, name, array, says
):
    directory = tmp_path / publish(tmp_path, recommender, **given())
    np.save(directory / f"{name}.npy", array)
    manifest = json.loads((directory / MANIFEST).read_text())
    write_json(directory / MANIFEST, manifest | {"files": files(directory)})
    with pytest.raises(Damaged, match=says):
        open_bundle(directory)


def test_a_bundle_of_another_format_is_refused(tmp_path, recommender):
    directory = tmp_path / publish(tmp_path, recommender)
    manifest = json.loads((directory / MANIFEST).read_text())
    write_json(directory / MANIFEST, manifest | {"format": 99})
    with pytest.raises(Damaged, match="format 99, want 1"):
        open_bundle(directory)


def test_a_shop_with_nothing_available_has_empty_lists(tmp_path, recommender):
    ids = [f"p{j}" for j in range(PRODUCTS)]
    products = pa.table({"product_id": ids, "available": [False] * PRODUCTS})
    bundle = opened(tmp_path, recommender, products=products)
    assert (bundle.lists_products == -1).all()
