"""Catalogue, stock, supplier, identity and customer files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.sources import BadFile, Ingested, Mapping, SourceError, ingest
from features.tables import Tables

EVENTS = Mapping.model_validate(
    {
        "columns": {"event_time": "time", "product_id": "sku", "unit_price": "price"},
        "constants": {"event_type": "purchase", "channel": "web"},
        "attributes": {"title": "title", "price": "price"},
        "ids": {"upper": ["product_id"]},
    }
)


def take(
    root: Path, name: str, text: str, table: str, mapping: Mapping = EVENTS
) -> tuple[Tables, Ingested]:
    path = root.parent / name
    path.write_text(text, encoding="utf-8")
    tables = Tables(root)
    return tables, ingest(tables, str(path), mapping, table=table)


def rows(tables: Tables, table: str, *columns: str) -> list[tuple[Any, ...]]:
    read = tables.need(table).read(list(columns)).to_pylist()
    return sorted((tuple(row.values()) for row in read), key=repr)


def test_a_catalogue_is_read_by_the_same_names_or_by_the_mapping(tmp_path: Path) -> None:
    mapping = Mapping.model_validate(
        {
            "time": {"zone": "Europe/Berlin"},
            "tables": {
                "products": {
                    "columns": {"product_id": "sku", "price": "preis"},
                    "constants": {"brand": "own"},
                    "where": {"country": "DE"},
                    "format": {"delimiter": ";", "decimal": ","},
                }
            },
        }
    )
    text = (
        "sku;title;preis;country;launched_at;replenishable\n"
        "p1; Tea ;1,50;DE;2024-01-02;yes\n"
        "p2;Cup;;DE;;0\n"
        "p3;Jar;2.5;DE;;\n"
        "p4;Pot;-1;DE;;\n"
        "p5;Pan;1;DE;soon;\n"
        "p6;Lid;1;DE;;maybe\n"
        ";Bag;1;DE;;\n"
        "p7;Box;1;FR;;\n"
        "p8;Can\n"
    )
    tables, done = take(tmp_path / "t", "p.csv", text, "products", mapping)
    assert done.rows == {"input": 9, "events": 2, "quarantined": 7, "duplicates": 0}
    assert done.reasons == {
        "bad_launched_at": 1,
        "bad_price": 2,
        "bad_replenishable": 1,
        "filtered_out": 1,
        "malformed": 1,
        "no_product_id": 1,
    }
    launched = datetime(2024, 1, 1, 23, tzinfo=UTC)
    assert tables.need("products").read().to_pylist() == [
        dict(zip(tables.need("products").read().column_names, values, strict=True))
        for values in [
            ("p1", "Tea", None, "own", None, 1.5, launched, True),
            ("p2", "Cup", None, "own", None, None, None, False),
        ]
    ]
    bad = tables.need("quarantine").read().to_pylist()
    assert json.loads(bad[0]["raw"])["sku"] == "p3"


def test_of_a_product_the_last_file_counts_and_the_last_row_in_it(tmp_path: Path) -> None:
    root = tmp_path / "t"
    take(root, "a.csv", "product_id,title,brand\np1,Tea,B\np2,Cup,B\n", "products")
    tables, done = take(root, "b.csv", "product_id,title\np2,Mug\np3,x\np3,Jar\n", "products")
    assert done.rows == {"input": 3, "events": 2, "quarantined": 0, "duplicates": 1}
    assert rows(tables, "duplicates", "source_row", "reason") == [(2, "same_key")]
    assert rows(tables, "products", "product_id", "title", "brand") == [
        ("P1", "Tea", "B"),
        ("P2", "Mug", None),
        ("P3", "Jar", None),
    ]
    # the first file again changes nothing, corrected it is the last
    assert not ingest(tables, str(tmp_path / "a.csv"), EVENTS, table="products").changed
    _, done = take(root, "a.csv", "product_id,title\np2,Glass\n", "products")
    assert done.replaced == ("a.csv",)
    assert rows(tables, "products", "product_id", "title") == [("P2", "Glass"), ("P3", "Jar")]


def test_event_rows_carry_the_most_frequent_title_and_the_last_price(tmp_path: Path) -> None:
    root = tmp_path / "t"
    head = "time,sku,title,price\n"
    text = (
        head + "2024-01-01,a1,Old tea,1\n2024-01-02,A1, Old tea,2\n2024-01-03,a1,New tea,3\n"
        "2024-01-01,b1,First,5\n2024-01-02,b1,Second,4\n"
        "2024-01-05,c1,,7\n2024-01-06,c1,lost?,0\n"
    )
    tables, done = take(root, "a.csv", text, "events")
    assert done.reasons == {"bad_price": 1}
    assert rows(tables, "products", "product_id", "title", "price") == [
        ("A1", "Old tea", 3.0),
        ("B1", "Second", 4.0),
        ("C1", None, 7.0),
    ]
    more = head + "2024-01-04,a1,New tea,3.5\n2024-01-05,a1,New tea,3.25\n"
    take(root, "b.csv", more, "events")
    assert rows(tables, "products", "product_id", "title", "price")[0] == ("A1", "New tea", 3.25)
    # a catalogue wins where it says something, and adds what was never sold
    take(root, "p.csv", "product_id,title,price\na1,,9\nd1,Pot,1\n", "products")
    assert rows(tables, "products", "product_id", "title", "price") == [
        ("A1", "New tea", 9.0),
        ("B1", "Second", 4.0),
        ("C1", None, 7.0),
        ("D1", "Pot", 1.0),
    ]
    # what a corrected file no longer says is forgotten; the catalogue stays
    take(root, "b.csv", head + "2024-01-04,e1,Pan,1\n", "events")
    assert rows(tables, "products", "product_id", "title", "price") == [
        ("A1", "Old tea", 9.0),
        ("B1", "Second", 4.0),
        ("C1", None, 7.0),
        ("D1", "Pot", 1.0),
        ("E1", "Pan", 1.0),
    ]


def test_stock_is_added_up_and_a_corrected_file_takes_its_place(tmp_path: Path) -> None:
    root = tmp_path / "t"
    head = "product_id,store_id,quantity,observed_at\n"
    tables, done = take(
        root,
        "1.csv",
        head + "p1,,5,2024-01-01\np1,,5,2024-01-01\np1,s1,x,2024-01-01\np2,s1,2,\n",
        "stock",
    )
    assert done.rows == {"input": 4, "events": 1, "quarantined": 2, "duplicates": 1}
    assert done.reasons == {"bad_quantity": 1, "no_observed_at": 1}
    take(root, "2.csv", head + "p1,,4,2024-01-02\n", "stock")
    assert rows(tables, "stock", "product_id", "quantity") == [("P1", 4.0), ("P1", 5.0)]
    assert tables.need("stock").manifest["max_time"] == "2024-01-02T00:00:00+00:00"
    _, done = take(root, "1.csv", head + "p1,,6,2024-01-01\n", "stock")
    assert rows(tables, "stock", "product_id", "quantity") == [("P1", 4.0), ("P1", 6.0)]
    assert tables.need("quarantine").rows == 0


def test_identities_suppliers_and_customers_come_in(tmp_path: Path) -> None:
    root = tmp_path / "t"
    mapping = Mapping.model_validate(
        {
            "tables": {
                "identities": {
                    "columns": {"value": "card", "customer_id": "who"},
                    "constants": {"kind": "card"},
                },
                "customers": {"columns": {"joined_at": "since"}, "time": {"unit": "s"}},
            }
        }
    )
    tables, _ = take(root, "i.csv", "card,who\n77,c1\n78,\n", "identities", mapping)
    assert rows(tables, "identities", "kind", "value", "customer_id") == [("card", "77", "c1")]
    assert rows(tables, "quarantine", "reason") == [("no_customer_id",)]
    line = '{"customer_id": 12, "country": "DE", "since": 1704067200}\n{"customer_id": 13}\n'
    tables, done = take(root, "c.jsonl", line, "customers", mapping)
    assert done.rows["events"] == 2
    assert rows(tables, "customers", "customer_id", "country", "joined_at") == [
        ("12", "DE", datetime(2024, 1, 1, tzinfo=UTC)),
        ("13", None, None),
    ]
    tables, _ = take(root, "s.csv", "supplier_id,name\ns1,Ltd\ns1,Inc\n", "suppliers", mapping)
    assert rows(tables, "suppliers", "supplier_id", "name") == [("s1", "Inc")]
    assert rows(tables, "quarantine", "source") == [("i.csv",)]


def test_quarantine_of_one_table_stays_when_another_is_taken_in(tmp_path: Path) -> None:
    root = tmp_path / "t"
    take(root, "p.csv", "product_id,price\np1,x\n", "products")
    take(root, "e.csv", "time,sku,title,price\nnever,p1,Tea,1\n2024-01-01,p1,Tea,1\n", "events")
    tables, _ = take(root, "s.csv", "product_id,quantity,observed_at\np1,1,x\n", "stock")
    assert rows(tables, "quarantine", "source", "reason") == [
        ("e.csv", "bad_time"),
        ("p.csv", "bad_price"),
        ("s.csv", "bad_observed_at"),
    ]
    take(root, "e.csv", "time,sku,title,price\n2024-01-01,p1,Tea,1\n", "events")
    assert rows(tables, "quarantine", "source") == [("p.csv",), ("s.csv",)]


def test_a_catalogue_file_without_its_key_or_a_mapped_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"p.csv has no column 'product_id'; it has: sku, title"):
        take(tmp_path / "t", "p.csv", "sku,title\n", "products")
    mapping = Mapping.model_validate({"tables": {"products": {"columns": {"brand": "maker"}}}})
    with pytest.raises(BadFile, match=r"p.csv has no column 'maker'; it has: product_id"):
        take(tmp_path / "t", "p.csv", "product_id\n", "products", mapping)


def test_a_table_that_no_file_can_fill_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"table must be one of events, products.*got 'baskets'"):
        take(tmp_path / "t", "p.csv", "x\n", "baskets")
