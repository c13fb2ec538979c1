"""Table expressions in, parquet parts out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.engine import Engine
from features.schemas import BASKETS, PRODUCT_FEATURES
from features.tables import Tables

Stores = Callable[[], Tables]


def suppliers(n: int, seed: int) -> pa.Table:
    numbers = np.random.default_rng(seed).permutation(n)
    ids = pa.array([f"s{number:07d}" for number in numbers])
    return pa.table({"supplier_id": ids, "name": ids})


def test_a_part_has_the_same_bytes_on_any_number_of_threads(tmp_path: Path, stores: Stores) -> None:
    """Three row groups of rows in any order."""
    names = set()
    for threads in (1, 2, 4):
        rows = suppliers(300_000, seed=threads)
        with Engine(tmp_path, threads=threads, memory_limit="300MB") as engine:
            [part] = engine.write(engine.rows(rows), stores(), "suppliers", order=["supplier_id"])
            assert part.rows == 300_000
            names.add(part.name)
    assert len(names) == 1


def test_a_part_has_the_tables_schema(engine: Engine, stores: Stores) -> None:
    tables = stores()
    row = {
        "order_id": "o1",
        "order_time": pa.scalar(0, pa.timestamp("us", "UTC")).as_py(),
        "customer_id": None,
        "channel": "web",
        "store_id": None,
        "products": ["jam", "tea"],
        "lines": 3,
        "quantity": 2,
        "revenue": 3,
    }
    rows = engine.rows(pa.Table.from_pylist([row]))
    parts = engine.write(rows, tables, "baskets", order=["order_id"], time="order_time", n=1)
    snapshot = tables.commit("baskets", "id", parts)
    assert snapshot.read().schema == BASKETS
    assert snapshot.read().to_pylist() == [row]
    assert parts[0].about == {"n": 1}
    assert parts[0].min_time == parts[0].max_time == "1970-01-01T00:00:00+00:00"
    written = pq.read_schema(snapshot.paths[0])
    assert [field.type for field in written] == [
        field.type if field.name != "products" else written.field("products").type
        for field in BASKETS
    ]


def test_rows_are_split_by_a_columns_values_and_empty_parts_are_left_out(
    engine: Engine, stores: Stores
) -> None:
    tables = stores()
    rows = engine.rows(suppliers(4, seed=0))
    rows = rows.mutate(half=(rows.supplier_id >= "s0000002").ifelse("b", "a"))
    parts = engine.write(
        rows,
        tables,
        "suppliers",
        order=["supplier_id"],
        split="half",
        values=["a", "b", "c"],
    )
    assert [(part.about["half"], part.rows) for part in parts] == [("a", 2), ("b", 2)]
    assert tables.commit("suppliers", "id", parts).read()["name"].to_pylist() == [
        f"s000000{n}" for n in range(4)
    ]
    assert tables.orphans() == []


def test_a_sum_stays_a_whole_number(engine: Engine) -> None:
    """The engine's sums are wider than 64 bits, which parquet would hold as a fraction."""
    rows = engine.rows(pa.table({"x": [2**53, 1]}))
    kept = engine.keep(rows.agg(x=rows.x.sum()))
    assert kept.schema()["x"].is_int64()
    assert engine.value(kept.x.max()) == 2**53 + 1


def test_a_sum_beyond_64_bits_is_an_error_not_another_number(engine: Engine) -> None:
    rows = engine.rows(pa.table({"x": [2**62, 2**62]}))
    with pytest.raises(Exception, match=r"(?i)out of range"):
        engine.keep(rows.agg(x=rows.x.sum()))


def test_spread_rows_are_all_there_once(engine: Engine) -> None:
    rows = engine.rows(pa.table({"x": list(range(100))}))
    for n in (1, 4):
        spread = engine.spread(rows.mutate(bucket=rows.x % n), "bucket", n)
        found = [table.to_pyarrow()["x"].to_pylist() for table in spread]
        assert sorted(x for some in found for x in some) == list(range(100))
        assert all(x % n == bucket for bucket, some in enumerate(found) for x in some)


def test_no_file_makes_a_table_without_rows(engine: Engine) -> None:
    assert engine.files([], PRODUCT_FEATURES).to_pyarrow().num_rows == 0


def test_a_failed_write_leaves_nothing(engine: Engine, stores: Stores) -> None:
    tables = stores()
    rows = engine.rows(suppliers(10, seed=0))
    wrong = rows.mutate(name=(rows.supplier_id + "x").cast("int64").cast("string"))
    with pytest.raises(Exception, match=r"(?i)could not convert"):
        engine.write(wrong, tables, "suppliers", order=["supplier_id"])
    assert tables.orphans() == []


def test_a_killed_engines_folder_is_removed_and_a_living_ones_kept(tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()
    (dead / "lock").touch()
    with Engine(tmp_path) as living:
        assert not dead.exists()
        with Engine(tmp_path) as other:
            assert living.spill.exists()
            assert living.spill != other.spill
            assert other.value(ibis.literal(1)) == 1
        assert not other.spill.exists()
    assert list(tmp_path.iterdir()) == []
