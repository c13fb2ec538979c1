"""What an operator may say, and what is stored of it."""

from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.problems import Refused
from serving.rules.rule import Rule, checked, checked_id, read, written


def rule(**said: Any) -> Rule:
    return msgspec.convert({"kind": "block", "where": ["category=Tea"]} | said, Rule)


@pytest.mark.parametrize(
    ("said", "parameter", "detail"),
    [
        ({"products": ["p1"]}, "products", "want exactly one of where and products"),
        ({"where": []}, "products", "want exactly one of where and products"),
        ({"kind": "boost"}, "factor", "a boost must have a factor"),
        ({"factor": 2}, "factor", "a block has no factor, got 2"),
        ({"kind": "share", "share": 0.5, "place": 1}, "place", "a share has no place, got 1"),
        ({"kind": "pin", "place": 1}, "products", "a pin must name one product, got 0"),
        (
            {"start": "2026-03-02T00:00:00Z", "end": "2026-03-02T01:00:00+01:00"},
            "end",
            "end must be later than start",
        ),
        ({"where": ["colour=red"]}, "where", "no column 'colour'"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_the_field_is_named(
    said: dict[str, Any], parameter: str, detail: str
) -> None:
    with pytest.raises(Refused, match=detail) as refused:
        checked(rule(**said))
    assert (refused.value.status, refused.value.parameter) == (422, parameter)


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "ban"},
        {"kind": "boost", "factor": 0},
        {"kind": "boost", "factor": -2},
        {"kind": "share", "share": 1.01},
        {"kind": "share", "share": 0},
        {"kind": "pin", "place": 0},
        {"kind": "pin", "place": 101},
        {"start": "2026-03-02T00:00:00"},
        {"surfaces": ["Home Page"]},
        {"whre": ["category=Tea"]},
    ],
)
def test_values_out_of_range_misspelt_fields_and_times_without_a_zone_are_no_rule(
    said: dict[str, Any],
) -> None:
    with pytest.raises(msgspec.ValidationError):
        rule(**said)


def test_a_rule_holds_from_its_start_to_before_its_end_on_its_surfaces() -> None:
    limited = rule(
        surfaces=["home", "cart"], start="2026-03-01T00:00:00Z", end="2026-03-02T00:00:00Z"
    )
    begin, day = limited.since, 86_400
    assert [limited.holds("home", begin + at) for at in (-1, 0, day - 1, day)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not limited.holds("product", begin)
    assert rule().holds("anything", 0.0)


@pytest.mark.parametrize("id", ["", "a b", "a/b", "x" * 65, "log", "tea\n"])
def test_an_id_has_a_few_plain_characters_and_is_not_the_log(id: str) -> None:
    with pytest.raises(Refused) as refused:
        checked_id(id)
    assert (refused.value.status, refused.value.parameter) == (400, "rule_id")


def test_the_id_says_what_the_operator_calls_it() -> None:
    assert checked_id("10.own-brand_2026") == "10.own-brand_2026"


def test_the_first_and_the_last_moment_of_the_calendar_are_times() -> None:
    wide = checked(rule(start="0001-01-01T00:00:00+14:00", end="9999-12-31T23:59:59-12:00"))
    assert wide.holds("home", 0.0)


rules = st.builds(
    Rule,
    kind=st.just("boost"),
    where=st.just(("price<=30",)),
    factor=st.floats(0.001, 1000),
    surfaces=st.lists(st.sampled_from(["home", "cart"]), unique=True).map(tuple),
    end=st.none() | st.datetimes(timezones=st.just(UTC)),
    note=st.text(st.characters(codec="utf-8"), max_size=20),
)


@given(rules)
def test_what_is_stored_is_read_back_as_it_was(rule: Rule) -> None:
    again = read(written(rule))
    assert (again.factor, again.surfaces, again.note) == (rule.factor, rule.surfaces, rule.note)
    assert again.until == rule.until


@pytest.mark.parametrize("value", [b"", b"[]", b"\xff", b'{"kind": "ban"}', b'{"kind": "block"}'])
def test_what_this_server_cannot_read_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(value)
