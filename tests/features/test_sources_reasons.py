"""Every row ends in one place: which reason a bad row gets, and what a good one becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.sources import Ingested, Mapping, SourceError, ingest
from features.tables import Tables

MAPPING: dict[str, Any] = {
    "columns": {
        "event_time": "time",
        "event_type": "what",
        "channel": "where",
        "customer_id": "who",
        "product_id": "sku",
        "quantity": "n",
        "unit_price": "price",
        "order_id": "order",
    },
    "not_products": {"codes": ["Post"], "patterns": ["^gift"]},
    "refunds": {"order_id": "^C", "negative_quantity": False},
    "limits": {"quantity": 1000},
    "where": {"split": ["train", "more"]},
}
HEADER = "time,what,where,who,sku,n,price,order,split"
GOOD = {
    "time": "2024-03-01 10:00:00",
    "what": "purchase",
    "where": "web",
    "who": "c1",
    "sku": "p1",
    "n": "2",
    "price": "1.5",
    "order": "o1",
    "split": "train",
}
Take = Callable[..., tuple[Tables, Ingested]]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    def taken(*rows: str, mapping: dict[str, Any] | None = None) -> tuple[Tables, Ingested]:
        path = tmp_path / "events.csv"
        path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
        tables = Tables(tmp_path / "tables")
        return tables, ingest(tables, str(path), Mapping.model_validate(mapping or MAPPING))

    return taken


def row(**changes: str) -> str:
    return ",".join({**GOOD, **changes}.values())


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("no_time", {"time": " "}),
        ("bad_time", {"time": "yesterday"}),
        ("bad_time", {"time": "2024-02-30"}),
        ("bad_time", {"time": "1970-01-01"}),
        ("bad_time", {"time": "infinity"}),
        ("unknown_event_type", {"what": "stare"}),
        ("unknown_event_type", {"what": ""}),
        ("unknown_channel", {"where": "fax"}),
        ("no_product", {"sku": "  "}),
        ("not_a_product", {"sku": " pOST "}),
        ("not_a_product", {"sku": "GIFT_10"}),
        ("bad_quantity", {"n": "0"}),
        ("bad_quantity", {"n": "-1"}),
        ("bad_quantity", {"n": "two"}),
        ("bad_quantity", {"n": "1001"}),
        ("bad_quantity", {"n": "inf"}),
        ("bad_quantity", {"n": "nan"}),
        ("bad_price", {"price": "0"}),
        ("bad_price", {"price": "-0.01"}),
        ("bad_price", {"price": "1,5"}),
        ("bad_price", {"price": "free"}),
        ("bad_price", {"price": "1e9"}),
        ("filtered_out", {"split": "test"}),
        ("filtered_out", {"split": "test", "time": "", "sku": ""}),
        ("malformed", {"split": "train,one,more"}),
    ],
)
def test_a_bad_row_goes_to_quarantine_with_its_reason(
    take: Take, reason: str, changes: dict[str, str]
) -> None:
    if changes.get("price") == "1,5":
        changes = {"price": '"1,5"'}
    tables, done = take(row(), row(**changes))
    assert done.rows == {"input": 2, "events": 1, "quarantined": 1, "duplicates": 0}
    assert done.reasons == {reason: 1}
    bad = tables.need("quarantine").read().to_pylist()
    assert [(b["source"], b["source_row"], b["reason"]) for b in bad] == [("events.csv", 2, reason)]
    raw = json.loads(bad[0]["raw"])
    if reason == "malformed":
        assert raw == row(**changes)
    else:
        assert raw == {**GOOD, **{k: v.strip('"') for k, v in changes.items()}}


def test_a_row_short_of_values_is_malformed_and_the_others_keep_their_numbers(take: Take) -> None:
    rows = [row(who=f"c{i}") for i in range(6)]
    rows[1], rows[3] = "2024-03-01,purchase", ",".join(["x"] * 12)
    rows[4] = row(who='"c4\nin two lines"')
    tables, done = take(*rows)
    assert done.reasons == {"malformed": 2}
    bad = tables.need("quarantine").read().to_pylist()
    assert [(b["source_row"], json.loads(b["raw"])) for b in bad] == [(2, rows[1]), (4, rows[3])]
    events = tables.need("events").read().sort_by("source_row").to_pylist()
    assert [(e["source_row"], e["customer_id"]) for e in events] == [
        (1, "c0"),
        (3, "c2"),
        (5, "c4\nin two lines"),
        (6, "c5"),
    ]


def test_a_good_row_becomes_an_event_of_every_column(take: Take) -> None:
    tables, _ = take(row(sku=" p1 ", what="Purchase-Complete", where="iOS"))
    [event] = tables.need("events").read().to_pylist()
    assert len(event.pop("event_id")) >= 20
    assert event == {
        "event_time": datetime(2024, 3, 1, 10, tzinfo=UTC),
        "event_type": "purchase",
        "channel": "app",
        "customer_id": "c1",
        "product_id": "p1",
        "quantity": 2.0,
        "unit_price": 1.5,
        "order_id": "o1",
        "session_id": None,
        "store_id": None,
        "live_session_id": None,
        "request_id": None,
        "source": "events.csv",
        "source_row": 1,
    }


def test_a_purchase_without_a_customer_is_an_event(take: Take) -> None:
    tables, done = take(row(who=""))
    assert done.rows["events"] == 1
    assert tables.need("events").read(["customer_id"]).to_pylist() == [{"customer_id": None}]


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("detail-page-view", "view_item"),
        ("home-page-view", "view_item_list"),
        ("add-to-cart", "add_to_cart"),
        ("purchase-complete", "purchase"),
        ("View", "view_item"),
        ("Click", "view_item"),
        ("Purchase", "purchase"),
        ("detail view", "view_item"),
        ("cart addition", "add_to_cart"),
        ("bookmark", "add_to_wishlist"),
        ("remove_from_cart", "remove_from_cart"),
        ("buy", "purchase"),
        ("Kauf", "purchase"),
        ("cart", "view_item"),
    ],
)
def test_words_of_other_systems_and_own_ones_are_understood(
    take: Take, word: str, ours: str
) -> None:
    own = {"event_types": {"kauf": "purchase", "Cart": "view_item"}}
    tables, _ = take(row(what=word), mapping={**MAPPING, **own})
    assert tables.need("events").read(["event_type"]).to_pylist() == [{"event_type": ours}]


def test_an_ignored_event_type_is_filtered_out(take: Take) -> None:
    _, done = take(
        row(), row(what="Scroll"), mapping={**MAPPING, "event_types": {"scroll": "ignore"}}
    )
    assert done.reasons == {"filtered_out": 1}


def test_a_cancellation_is_a_refund_with_positive_quantity_and_its_order_as_given(
    take: Take,
) -> None:
    tables, done = take(row(order="C17", n="-3"))
    [event] = tables.need("events").read().to_pylist()
    assert (event["event_type"], event["quantity"], event["order_id"]) == ("refund", 3.0, "C17")
    assert done.rows["quarantined"] == 0


def test_a_negative_quantity_is_a_refund_where_the_mapping_says_so(take: Take) -> None:
    tables, _ = take(row(n="-3"), mapping={**MAPPING, "refunds": {"negative_quantity": True}})
    [event] = tables.need("events").read().to_pylist()
    assert (event["event_type"], event["quantity"]) == ("refund", 3.0)


def test_a_quantity_has_a_meaning_only_where_something_is_counted(take: Take) -> None:
    tables, done = take(
        row(what="view", n="0", price="0", order=""),
        row(what="purchase", n="", price=""),
        row(what="add_to_cart", n=""),
        row(what="add_to_cart", n="3"),
    )
    assert done.rows["quarantined"] == 0
    events = tables.need("events").read().sort_by("source_row").to_pylist()
    assert [e["quantity"] for e in events] == [None, 1.0, None, 3.0]


def test_a_list_may_be_seen_without_a_product(take: Take) -> None:
    _, done = take(row(what="home-page-view", sku=""), row(what="view_item", sku=""))
    assert (done.rows["events"], done.reasons) == (1, {"no_product": 1})


def test_a_free_product_is_an_event_where_the_mapping_says_so(take: Take) -> None:
    _, done = take(row(price="0"), mapping={**MAPPING, "limits": {"zero_price": True}})
    assert done.rows["events"] == 1


def test_a_line_total_gives_the_price_of_a_unit(take: Take) -> None:
    columns = {**MAPPING["columns"], "line_total": "price"}
    del columns["unit_price"]
    tables, done = take(
        row(price="6"),
        row(price="-6", n="-4", order="C1"),
        row(price="-6"),
        mapping={**MAPPING, "columns": columns},
    )
    assert done.reasons == {"bad_price": 1}
    events = tables.need("events").read().sort_by("source_row").to_pylist()
    assert [e["unit_price"] for e in events] == [3.0, 1.5]


def test_an_unknown_channel_is_other_only_where_nothing_is_said(take: Take) -> None:
    tables, _ = take(row(where=""))
    assert tables.need("events").read(["channel"]).to_pylist() == [{"channel": "other"}]


def test_a_constant_fills_in_where_the_column_is_empty(take: Take) -> None:
    constants = {"channel": "store", "quantity": 5}
    tables, _ = take(row(where="", n=""), mapping={**MAPPING, "constants": constants})
    [event] = tables.need("events").read(["channel", "quantity"]).to_pylist()
    assert event == {"channel": "store", "quantity": 5.0}


def test_an_identity_stands_in_where_the_customer_is_not_known(take: Take) -> None:
    mapping = {**MAPPING, "identities": {"card": "order", "cookie": "split"}}
    tables, _ = take(row(), row(who=""), row(who="", order=""), mapping=mapping)
    events = tables.need("events").read().sort_by("source_row").to_pylist()
    assert [e["customer_id"] for e in events] == ["c1", "card:o1", "cookie:train"]


def test_numbers_are_read_as_the_country_writes_them(take: Take) -> None:
    mapping = {**MAPPING, "format": {"decimal": ",", "thousands": "."}}
    tables, _ = take(row(price='"1.234,5"'), mapping=mapping)
    assert tables.need("events").read(["unit_price"]).to_pylist() == [{"unit_price": 1234.5}]


def test_ids_are_put_right_only_as_the_mapping_says(take: Take) -> None:
    tables, _ = take(row(sku="ab1", who="12.0"))
    tables, _ = take(
        row(sku="ab1", who="12.0"),
        mapping={**MAPPING, "ids": {"upper": ["product_id"], "integer": ["customer_id"]}},
    )
    [event] = tables.need("events").read(["product_id", "customer_id"]).to_pylist()
    assert event == {"product_id": "AB1", "customer_id": "12"}


def test_a_mapping_without_a_time_or_product_takes_no_events(take: Take) -> None:
    columns = {k: v for k, v in MAPPING["columns"].items() if k != "product_id"}
    with pytest.raises(SourceError, match="names no column for product_id"):
        take(row(), mapping={**MAPPING, "columns": columns})


@st.composite
def dirty(draw: st.DrawFn) -> list[str]:
    """Rows with any mistake in any place, and some twice."""
    word = st.one_of(st.sampled_from(["", " ", "0", "-1", "x", '"', "é,", "C1"]), st.none())
    lines = []
    for _ in range(draw(st.integers(0, 12))):
        wrong = {
            name: draw(word) for name in draw(st.sets(st.sampled_from(list(GOOD)), max_size=2))
        }
        lines.append(row(**{k: v for k, v in wrong.items() if v is not None and '"' not in v}))
    return lines + draw(st.lists(st.sampled_from(lines), max_size=3) if lines else st.just([]))


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(lines=dirty())
def test_rows_in_are_events_and_quarantined_and_duplicates(take: Take, lines: list[str]) -> None:
    tables, done = take(*lines)
    rows = done.rows
    assert rows["input"] == len(lines)
    assert rows["input"] == rows["events"] + rows["quarantined"] + rows["duplicates"]
    places = [
        (r["source"], r["source_row"])
        for table in ("events", "quarantine", "duplicates")
        for r in tables.need(table).read(["source", "source_row"]).to_pylist()
    ]
    assert sorted(places) == [("events.csv", i + 1) for i in range(len(lines))]
    assert tables.need("events").rows == rows["events"]
    assert sum(done.reasons.values()) == rows["quarantined"]
