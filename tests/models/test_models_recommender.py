import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.artifact import Damaged, Missing
from models.popularity import Popularity
from models.recommender import Recommender
from models.scorer import History, ModelError

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)

INTERACTIONS = pa.table(
    {
        "customer_id": ["ann", "bea", "ann", "bea"],
        "product_id": ["tea", "tea", "milk", "tea"],
        "weight": pa.array([1, 2, 0.5, 1], pa.float32()),
        "last_time": pa.array(
            [NOON, NOON - timedelta(days=2), None, NOON - timedelta(days=1)],
            pa.timestamp("us", tz="UTC"),
        ),
    }
)
PRODUCTS = pa.table(
    {"product_id": ["tea", "jam", "milk"], "category": pa.array(["hot", "sweet", None])}
)


def shop() -> Recommender:
    return Recommender(Popularity()).fit(INTERACTIONS, PRODUCTS)


def test_the_history_is_one_sorted_row_a_customer_with_pairs_added_up() -> None:
    history = shop().history
    assert shop().customers.to_pylist() == ["ann", "bea"]
    assert shop().products.to_pylist() == ["milk", "tea"]
    assert history.weights.toarray().tolist() == [[0.5, 1], [0, 3]]
    assert history.weights.dtype == np.float32


def test_ages_are_days_before_the_newest_event_of_the_table() -> None:
    ages = shop().history.last_days
    assert ages is not None
    assert ages.tolist() == [2, 0, 1]  # an unknown time is as old as the oldest; of two the newer


def test_a_table_without_times_has_no_ages() -> None:
    without = INTERACTIONS.drop_columns(["last_time"])
    assert Recommender(Popularity()).fit(without).history.last_days is None
    never = without.append_column("last_time", pa.nulls(4, pa.timestamp("us", tz="UTC")))
    assert Recommender(Popularity()).fit(never).history.last_days is None


def test_categories_come_from_the_catalogue_and_unknown_ones_are_marked() -> None:
    catalogue = shop().history.catalogue
    assert catalogue is not None
    assert (catalogue.categories >= 0).tolist() == [False, True]
    assert Recommender(Popularity()).fit(INTERACTIONS).history.catalogue is None


def test_an_interaction_of_no_weight_is_none() -> None:
    weights = pa.array([1, 2, 0, 1], pa.float32())
    fitted = Recommender(Popularity()).fit(INTERACTIONS.set_column(2, "weight", weights))
    assert fitted.products.to_pylist() == ["tea"]


def test_a_history_of_products_has_weight_one_each_today() -> None:
    history = shop().history_of(["tea", "jam", "tea", "milk"], [])
    assert history.weights.toarray().tolist() == [[1, 1], [0, 0]]
    assert history.last_days is not None
    assert history.last_days.tolist() == [0, 0]
    assert shop().product_map.code("tea") == 1


def test_taken_rows_keep_their_ages() -> None:
    history = shop().history
    taken = history.take(np.array([1, 0, 1]))
    assert taken.last_days is not None
    assert taken.weights.toarray().tolist() == [[0, 3], [0.5, 1], [0, 3]]
    assert taken.last_days.tolist() == [1, 2, 0, 1]


def test_loaded_histories_are_the_saved_ones_without_copying(tmp_path: Path) -> None:
    shop().save(tmp_path / "a" / "model")
    for check in (True, False):
        loaded = Recommender.load(tmp_path / "a" / "model", verify_files=check)
        history: History = loaded.history
        assert (history.weights != shop().history.weights).nnz == 0
        assert history.last_days is not None
        assert history.last_days.tolist() == [2, 0, 1]
        assert not history.weights.data.flags.owndata
        assert loaded.recommend(pa.array(["bea"]))["product_id"].to_pylist() == ["milk"]


def test_a_saved_model_is_never_overwritten(tmp_path: Path) -> None:
    shop().save(tmp_path / "model")
    with pytest.raises(FileExistsError, match="must not exist yet"):
        shop().save(tmp_path / "model")


def test_a_changed_file_is_found_out(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shop().save(directory)
    with (directory / "model.share.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(Damaged, match=r"model\.share\.npy is not what its manifest says"):
        Recommender.load(directory)


def test_a_missing_directory_or_another_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        Recommender.load(tmp_path / "gone")
    with pytest.raises(Missing):
        Recommender.load(tmp_path / "gone", verify_files=False)
    directory = tmp_path / "model"
    shop().save(directory)
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(Damaged, match="has format 99, want 2"):
        Recommender.load(directory)


def test_seen_and_k_are_checked() -> None:
    with pytest.raises(ModelError, match="seen must be drop or keep, got 'hide'"):
        shop().recommend(pa.array(["ann"]), seen="hide")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="k must be at least 1, got 0"):
        shop().recommend(pa.array(["ann"]), 0)
    with pytest.raises(ModelError, match="k must be at least 1, got 0"):
        shop().similar(pa.array(["tea"]), 0)


def test_a_repr_says_what_it_is() -> None:
    assert "not fitted" in repr(Recommender(Popularity()))
    assert "2 customers, 2 products" in repr(shop())
