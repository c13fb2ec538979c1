"""A bundle in, every customer's list as parquet out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.artifact import MANIFEST
from models import bundle
from models.recommender import Recommender
from models.scorer import make
from pipelines import lists, publish
from pipelines.steps import job
from pipelines.workspace import Workspace

PRODUCTS = [f"p{j}" for j in range(6)]


@pytest.fixture
def opened(tmp_path: Path) -> bundle.Bundle:
    """c0 … c3 share tastes by colour; `all` has taken every product, so that nothing is left."""
    pairs = [(f"c{i}", f"p{j}") for i in range(4) for j in range(6) if i % 2 == j % 2 and j != i]
    pairs += [("all", p) for p in PRODUCTS]
    table = pa.table(
        {
            "customer_id": [c for c, _ in pairs],
            "product_id": [p for _, p in pairs],
            "weight": pa.array([1.0 + i / 10 for i in range(len(pairs))], pa.float32()),
        }
    )
    recommender = Recommender(make("neighbours", {})).fit(table)
    id = bundle.write(
        tmp_path / "bundles",
        recommender,
        products=pa.table({"product_id": PRODUCTS, "available": [True] * 5 + [False]}),
        customers=pa.table({"customer_id": ["c0"], "lifecycle_stage": ["new"]}),
        popular=pa.array(["p5", "p3", "p1", "p0"]),
        seen="drop",
        about={"model": {"name": "near", "version": "7"}, "as_of": "2026-01-01T00:00:00+00:00"},
    )
    return bundle.open_bundle(tmp_path / "bundles" / id)


def read(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """By customer her rows, as they stand."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in pa.concat_tables(map(pq.read_table, sorted(folder.glob("*.parquet")))).to_pylist():
        found.setdefault(row["customer_id"], []).append(
            (row["rank"], row["product_id"], row["score"], row["fallback"])
        )
    return found


def test_every_customer_has_what_her_list_says_of_what_is_at_hand(
    opened: bundle.Bundle, tmp_path: Path
) -> None:
    at_hand = pa.array(["p0", "p1", "p2", "p4", "p5"])  # p3 ran out since, p5 before
    lists.write(opened, tmp_path / "out", n=2, at_hand=at_hand)
    found = read(tmp_path / "out")
    ids = opened.products["product_id"].to_pylist()
    for row, customer in enumerate(opened.customers["customer_id"].to_pylist()):
        pairs = zip(opened.lists_products[row], opened.lists_scores[row], strict=True)
        listed = [(ids[c], float(s)) for c, s in pairs if c >= 0 and ids[c] not in ("p3", "p5")]
        expected = [(n, id, score, False) for n, (id, score) in enumerate(listed[:2], 1)]
        popular = [(n, id, None, True) for n, id in enumerate(["p1", "p0"], 1)]
        assert found[customer] == (expected or popular)
    assert found["all"][0][3]


def test_lists_are_the_same_in_any_number_of_parts(
    opened: bundle.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists.write(opened, tmp_path / "one")
    monkeypatch.setattr(lists, "PART", 2)
    lists.write(opened, tmp_path / "many")
    assert len(list((tmp_path / "many").glob("*.parquet"))) == 3
    assert read(tmp_path / "many") == read(tmp_path / "one")


def test_a_part_has_plain_columns_and_the_manifest_says_where_it_is_from(
    opened: bundle.Bundle, tmp_path: Path
) -> None:
    said = lists.write(opened, tmp_path / "out")
    assert pq.read_schema(tmp_path / "out" / "part-00000.parquet").names == lists.LISTS.names
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert table.cast(lists.LISTS).schema.equals(lists.LISTS)
    assert set(table["version"].to_pylist()) == {"7"}
    assert {time.isoformat() for time in table["as_of"].to_pylist()} == {said["as_of"]}
    assert json.loads((tmp_path / "out" / MANIFEST).read_text()) == said
    assert (said["bundle"], said["customers"], said["fallback"]) == (opened.id, 5, 1)
    assert said["rows"] == table.num_rows


def test_lists_replace_the_lists_before_and_nothing_else(
    opened: bundle.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    lists.write(opened, folder, n=1)
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            lists.write(opened, folder, n=3)
    assert max(len(rows) for rows in read(folder).values()) == 1
    lists.write(opened, folder, n=3)
    assert max(len(rows) for rows in read(folder).values()) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundles", "out"]
    with pytest.raises(lists.ListsError, match="must not exist or hold lists written before"):
        lists.write(opened, tmp_path)


def test_a_shop_with_nothing_to_show_has_empty_lists(opened: bundle.Bundle, tmp_path: Path) -> None:
    said = lists.write(opened, tmp_path / "out", at_hand=pa.array([], pa.string()))
    assert (said["rows"], said["fallback"], read(tmp_path / "out")) == (0, 5, {})


def test_n_below_one_is_refused(opened: bundle.Bundle, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        lists.write(opened, tmp_path / "out", n=0)


def test_publishing_writes_the_lists_of_what_serves(
    shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    done = run_command("publish", "-w", str(shop.root), "--lists", str(tmp_path / "mail"))
    assert done.exit_code == 0, done.output
    said = json.loads((tmp_path / "mail" / MANIFEST).read_text())
    assert said["bundle"] == publish.serving(shop)
    served = bundle.open_bundle(shop.bundles / said["bundle"])
    assert len(read(tmp_path / "mail")) == served.customers.num_rows == said["customers"]


def test_a_bundle_says_what_goes_together_and_what_was_bought(shop: Workspace) -> None:
    work, served = job(shop.root), publish.serving(shop)
    assert served is not None
    found = bundle.open_bundle(shop.bundles / served)
    assert found.together_products.shape == (found.products.num_rows, 50)
    assert (found.together_products >= 0).any()
    bought = work.workspace.tables.need("interactions").read(["purchases"])["purchases"]
    assert len(found.bought.products) == sum(count > 0 for count in bought.to_pylist())
