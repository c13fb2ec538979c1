"""Real files and the documentation's example, taken in by the mappings that users are given."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyarrow.compute as pc
import pytest

from features.sources import Mapping, ingest, read_mapping
from features.sources.mapping import Section
from features.sources.rows import REASONS
from features.tables import Tables

DATA = Path(os.environ.get("REGULARS_DATA", "../shared/data"))
PAGE = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text(encoding="utf-8")


def data(name: str) -> str:
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not in REGULARS_DATA")
    return str(DATA / name)


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_mapping_takes_in_the_documented_file(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(block("csv"), encoding="utf-8")
    (tmp_path / "mapping.toml").write_text(block("toml"), encoding="utf-8")
    assert len(block("toml").splitlines()) <= 10
    tables = Tables(tmp_path / "tables")
    mapping = read_mapping(str(tmp_path / "mapping.toml"))
    done = ingest(tables, str(tmp_path / "orders.csv"), mapping)
    assert done.rows == {"input": 5, "events": 4, "quarantined": 1, "duplicates": 0}
    assert done.reasons == {"not_a_product": 1}
    events = tables.need("events").read().sort_by("source_row").to_pylist()
    assert [e["event_type"] for e in events] == ["purchase"] * 3 + ["refund"]
    assert f"{events[0]['event_time']:%Y-%m-%d %H:%M}" == "2024-03-01 09:15"
    products = tables.need("products").read(["product_id", "title", "price"]).to_pylist()
    assert [tuple(p.values()) for p in products] == [
        ("cup-3", "Cup", 12.0),
        ("tea-1", "Green tea", 4.5),
    ]


def test_the_documentation_names_every_key_and_reason() -> None:
    for name, field in Mapping.model_fields.items():
        assert f"`{name}" in PAGE, name
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            for key in kind.model_fields:
                assert f"`{name}.{key}`" in PAGE or f"`.{key}`" in PAGE, f"{name}.{key}"
    for code, _ in REASONS:
        assert f"`{code}`" in PAGE


def test_online_retail_ii_is_accounted_for_to_the_last_row(tmp_path: Path) -> None:
    path = data("online_retail_ii.parquet")
    tables = Tables(tmp_path)
    done = ingest(tables, path, read_mapping("online-retail-ii"))
    assert done.rows == {
        "input": 1_067_370,
        "events": 1_021_252,
        "quarantined": 12_081,
        "duplicates": 34_037,
    }
    assert done.reasons == {"bad_price": 2_695, "bad_quantity": 3_455, "not_a_product": 5_931}
    events = tables.need("events").read(
        [
            "event_id",
            "event_type",
            "customer_id",
            "product_id",
            "order_id",
            "quantity",
            "unit_price",
        ]
    )
    assert pc.count_distinct(events["event_id"]).as_py() == len(events)
    bought = events.filter(pc.equal(events["event_type"], "purchase"))
    # of 805,548 strictly clean rows 779,422 are distinct, and 2,845 of those are no products
    assert len(bought.filter(pc.is_valid(bought["customer_id"]))) == 779_422 - 2_845
    assert pc.min(events["quantity"]).as_py() > 0
    assert pc.min(events["unit_price"]).as_py() > 0
    refunds = events.filter(pc.equal(events["event_type"], "refund"))
    assert pc.all(pc.starts_with(refunds["order_id"], "C")).as_py()
    known = pc.drop_null(events["customer_id"])
    assert pc.all(pc.match_substring_regex(known, "^[0-9]{5}$")).as_py()
    codes = events["product_id"]
    assert pc.all(pc.equal(codes, pc.utf8_upper(pc.utf8_trim_whitespace(codes)))).as_py()
    titles = tables.need("products").read()
    assert len(titles) == pc.count_distinct(codes).as_py()
    tea = dict(zip(titles["product_id"].to_pylist(), titles["title"].to_pylist(), strict=True))
    assert tea["85123A"] == "WHITE HANGING HEART T-LIGHT HOLDER"
    assert not ingest(tables, path, read_mapping("online-retail-ii")).changed


def test_retailrocket_gives_its_training_rows(tmp_path: Path) -> None:
    path = data("retailrocket.parquet")
    tables = Tables(tmp_path)
    done = ingest(tables, path, read_mapping("retailrocket"))
    assert done.rows == {"input": 99_555, "events": 97_381, "quarantined": 2_174, "duplicates": 0}
    assert done.reasons == {"filtered_out": 2_174}
    counts = pc.value_counts(tables.need("events").read(["event_type"])["event_type"])
    assert {c["values"]: c["counts"] for c in counts.to_pylist()} == {
        "view_item": 75_374,
        "add_to_cart": 12_456,
        "purchase": 9_551,
    }


def test_the_synthetic_shop_comes_in_as_it_was_written(tmp_path: Path) -> None:
    from features.synthetic import generate

    generate(tmp_path / "shop", customers=200, seed=7, days=60)
    tables, mapping = Tables(tmp_path / "tables"), read_mapping("synthetic")
    done = ingest(tables, str(tmp_path / "shop" / "events"), mapping)
    assert done.rows["input"] == done.rows["events"] > 1000
    for table in ("products", "stock", "suppliers", "identities", "customers"):
        done = ingest(tables, str(tmp_path / "shop" / f"{table}.parquet"), mapping, table=table)
        assert done.rows["input"] == done.rows["events"] == tables.need(table).rows > 0, table
