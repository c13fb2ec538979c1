"""Mappings: what is accepted, and what a refusal says."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.sources import BadMapping, Mapping, SourceError, read_mapping
from features.sources.mapping import READY


def toml(tmp_path: Path, text: str) -> str:
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", sorted(READY.glob("*.toml")), ids=lambda p: p.stem)
def test_a_ready_mapping_is_read_by_its_name(path: Path) -> None:
    mapping = read_mapping(path.stem)
    assert mapping.name == path.stem
    assert mapping.columns["event_time"]


def test_the_ready_mappings_are_the_four_that_are_promised() -> None:
    names = {path.stem for path in READY.glob("*.toml")}
    assert names == {"online-retail-ii", "retailrocket", "ga4", "synthetic"}


def test_a_name_that_is_no_mapping_is_refused_with_the_ready_ones() -> None:
    with pytest.raises(BadMapping, match=r"online-retail-iii.*want.*ga4, online-retail-ii"):
        read_mapping("online-retail-iii")


def test_a_mapping_may_be_a_section_of_the_shops_own_file(tmp_path: Path) -> None:
    path = toml(tmp_path, '[shop]\nname = "x"\n[mapping.columns]\nevent_time = "t"\n')
    assert read_mapping(path).columns == {"event_time": "t"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colums = 1", "colums: unknown key; known: name, "),
        ("[time]\nzoen = 'UTC'", "time.zoen: unknown key; known: format, unit, zone"),
        ("[columns]\ncustmer_id = 'a'", "columns.custmer_id: unknown key; want 'event_id'"),
        ("[time]\nzone = 'Europe/Lodnon'", "time.zone: want an IANA .* Europe/London, got 'Euro"),
        ("[time]\nzone = '+02:00'", "time.zone: want an IANA time zone"),
        ("[time]\nunit = 'min'", "time.unit: want 's', 'ms', 'us' or 'ns', got 'min'"),
        ("[format]\nencoding = 'utf8000'", "format.encoding: want an encoding .* got 'utf8000'"),
        ("[format]\ndelimiter = ';;'", "format.delimiter: .* got ';;'"),
        ("[format]\ndecimal = ','\nthousands = ','", "thousands and decimal must differ"),
        ("[refunds]\norder_id = '('", "refunds.order_id: want a regular expression, got '\\('"),
        ("[not_products]\npatterns = ['[']", "not_products.patterns.0: want a regular expression"),
        ("[event_types]\nbuy = 'bought'", "event_types.buy: want 'view_item'.* got 'bought'"),
        ("[constants]\nevent_type = 'bought'", "constants.event_type: want one of view_item"),
        ("[constants]\nchannel = 'fax'", "constants.channel: want one of web, app"),
        ("[constants]\nevent_time = '2020-01-01'", "constants.event_time: want a column"),
        ("[constants]\nquantity = 'two'", "constants.quantity: want a number, got 'two'"),
        ("[limits]\nquantity = -1", "limits.quantity: .* got -1"),
        ("[limits]\nearliest = 2000-01-01T00:00:00", "earliest must say its offset"),
        ("[ids]\nupper = ['product']", "ids: unknown column 'product'; known: .*product_id"),
        ("[tables.stock.columns]\nsku = 'x'", "tables.stock: unknown column 'sku'; known: product"),
        ("[tables.shops.columns]\nsku = 'x'", "tables.shops: unknown key; want 'products'"),
        ("[tables.stock]\ncolum = 1", "tables.stock.colum: unknown key; known: columns"),
        ("a = ", "is not TOML"),
    ],
)
def test_a_wrong_mapping_is_refused_by_file_key_value_and_want(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(BadMapping, match=said) as caught:
        read_mapping(toml(tmp_path, text))
    assert "shop.toml" in str(caught.value)
    assert isinstance(caught.value, SourceError)


def test_a_mapping_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_mapping("ga4").unnest = "other"  # type: ignore[misc]


def test_the_hash_of_a_mapping_is_of_what_it_says_about_the_table() -> None:
    one = Mapping.model_validate({"name": "a", "columns": {"event_time": "t"}})
    named = one.model_copy(update={"name": "b"})
    stocked = Mapping.model_validate(
        {"columns": {"event_time": "t"}, "tables": {"stock": {"columns": {"quantity": "n"}}}}
    )
    other = Mapping.model_validate({"columns": {"event_time": "time"}})
    assert one.hash("events") == named.hash("events") == stocked.hash("events")
    assert one.hash("events") != other.hash("events")
    assert one.hash("stock") == other.hash("stock") != stocked.hash("stock")
