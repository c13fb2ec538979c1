"""The line of a filter: what it says, and where it stops when it says nothing."""

from datetime import date
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.answers import Filters
from serving.filters import LINE, ORDERED, TEXT, Filter, Operator, parse, shorthand
from serving.problems import Refused

TEXTS = st.text(min_size=1, max_size=12)
VALUES = {
    **dict.fromkeys(TEXT, TEXTS),
    "price": st.integers(-(10**15), 10**15).map(lambda thousandths: thousandths / 1000),
    "launched_at": st.dates(),
    "replenishable": st.booleans(),
}


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from(sorted(VALUES)))
    order = column in ORDERED
    operator = draw(st.sampled_from(get_args(Operator) if order else ("=", "!=")))
    most = 4 if operator in ("=", "!=") else 1
    values = draw(st.lists(VALUES[column], min_size=1, max_size=most, unique=True))
    return Filter(column, operator, tuple(values))


@pytest.mark.parametrize(
    ("line", "column", "operator", "values"),
    [
        ("price<=30", "price", "<=", (30.0,)),
        ("  price  >  9.99 ", "price", ">", (9.99,)),
        ("category=Tea|Coffee", "category", "=", ("Tea", "Coffee")),
        ("category = Tea & Coffee | Tea", "category", "=", ("Tea & Coffee", "Tea")),
        ('brand!="A|B"|"say \\"hi\\""', "brand", "!=", ("A|B", 'say "hi"')),
        ("supplier_id=s1", "supplier", "=", ("s1",)),
        ("launched_at>=2026-01-31", "launched_at", ">=", (date(2026, 1, 31),)),
        ("replenishable=true", "replenishable", "=", (True,)),
        ('title="= 50% off"', "title", "=", ("= 50% off",)),
        ("product_id!=p1|p1", "product_id", "!=", ("p1",)),
        ("price=-0", "price", "=", (0.0,)),
    ],
)
def test_a_line_says_a_column_an_operator_and_values(
    line: str, column: str, operator: Operator, values: tuple[object, ...]
) -> None:
    assert parse(line) == Filter(column, operator, values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "no column '' at character 1, want one of category, brand"),
        ("colour=red", "no column 'colour' at character 1"),
        ("price", "no operator after price at character 6, want =, !=, <, <=, > or >="),
        ("category<Tea", "category has no order at character 9, want = or !="),
        ("price<=cheap", "price is compared with 'cheap' at character 8, want 9.99"),
        ("price<1" + "0" * 16, "price is compared with '10000000000000000' at character 7"),
        ("price<1e3", "price is compared with '1e3' at character 7"),
        ("price<1|2", '< takes one value at character 8, want no "|"'),
        ("price=<3", "got '<3' at character 7"),
        ("launched_at=2026-02-31", "launched_at is compared with '2026-02-31' at character 13"),
        ("replenishable=yes", "replenishable is 'yes' at character 15, want true or false"),
        ("category=", "a value of 0 characters at character 10, want 1 to 256"),
        ("category=Tea|", "a value of 0 characters at character 14, want 1 to 256"),
        ('category="Tea', "the quote is not closed at character 10"),
        ('category=Te"a', "a quote inside a value at character 12"),
        ('category="Tea" or', "got 'or' after a value at character 16"),
        ("title=" + "x" * 257, "a value of 257 characters at character 7"),
        ("brand=" + "|".join(map(str, range(101))), "too many values at character"),
        ("x" * (LINE + 1), f"filter must have at most {LINE} characters, got {LINE + 1}"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place_and_the_want(line: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(line)
    assert says in refused.value.detail
    assert (refused.value.status, refused.value.parameter) == (400, "filter")


@settings(deadline=None)
@given(filters())
def test_the_written_line_is_read_back(one: Filter) -> None:
    assert parse(str(one)) == one
    assert hash(parse(str(one))) == hash(one)


LINES = st.text(st.sampled_from('price categoylunhd_at=!<>|"\\ 0123456789.-é\n'), max_size=40)


@settings(deadline=None)
@given(st.one_of(LINES, st.text(max_size=40), filters().map(str)), st.integers(0, 60), LINES)
def test_nothing_but_a_filter_or_a_refusal_comes_of_any_line(
    line: str, place: int, more: str
) -> None:
    try:
        one = parse(line[:place] + more + line[place:])
    except Refused:
        return
    assert parse(str(one)) == one


def test_the_shorthand_says_the_same_as_filters() -> None:
    given = Filters(category=("Tea", "Tea"), supplier=("s1", "s2"), price_min=2.0, price_max=9.5)
    lines = ["category=Tea", "supplier=s1|s2", "price>=2", "price<=9.5"]
    assert shorthand(given) == tuple(map(parse, lines))
    assert shorthand(Filters()) == ()
