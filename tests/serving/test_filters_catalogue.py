"""Filters on a catalogue: the mask against what a person would say of each product."""

import gc
import operator
import weakref
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import PRODUCTS
from serving.answers import Filters
from serving.catalogue import REMEMBERED, Catalogue, catalogue
from serving.filters import Filter, parse, shorthand

COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SCHEMA = pa.schema([*PRODUCTS, pa.field("available", pa.bool_(), nullable=False)])
Row = dict[str, Any]


def shop(rows: list[Row]) -> Catalogue:
    """A catalogue of these rows; a column that a row leaves out is empty."""
    full = [{"product_id": f"p{i}", "available": True} | row for i, row in enumerate(rows)]
    return catalogue(pa.Table.from_pylist(full, schema=SCHEMA))


def passes(row: Row, one: Filter) -> bool:
    """The slow oracle: one product, one filter."""
    column = "supplier_id" if one.column == "supplier" else one.column
    value = row.get(column)
    if value is None:
        return False
    if isinstance(value, datetime):
        value = value.astimezone(UTC).date()
    if one.operator in COMPARE:
        return bool(COMPARE[one.operator](value, one.values[0]))
    return (value in one.values) == (one.operator == "=")


WORDS = st.sampled_from(["Tea", "Coffee", "tea", "Mug & Co"])
PRICES = st.sampled_from([0.0, 1.5, 2.0, 30.0])
DAYS = st.sampled_from([date(2026, 1, 1), date(2026, 1, 2), date(1969, 7, 20)])
TIMES = st.tuples(DAYS, st.integers(0, 86_399_999_999)).map(
    lambda it: (
        datetime.fromordinal(it[0].toordinal()).replace(tzinfo=UTC) + (datetime.resolution * it[1])
    )
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"available": st.booleans()},
        optional={
            "title": WORDS,
            "category": WORDS,
            "brand": WORDS,
            "supplier_id": WORDS,
            "price": PRICES,
            "launched_at": TIMES,
            "replenishable": st.booleans(),
        },
    ),
    max_size=8,
)


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    of = {"price": PRICES, "launched_at": DAYS, "replenishable": st.booleans()}
    words = ("category", "brand", "supplier", "title", "product_id")
    column = draw(st.sampled_from((*words, *of)))
    order = draw(st.booleans()) and column in ("price", "launched_at")
    value = of.get(column, st.one_of(WORDS, st.sampled_from(["p0", "p1"])))
    if order:
        return Filter(column, draw(st.sampled_from(sorted(COMPARE))), (draw(value),))
    values = tuple(draw(st.lists(value, min_size=1, max_size=3, unique=True)))
    return Filter(column, draw(st.sampled_from(("=", "!="))), values)


@settings(deadline=None)
@given(ROWS, st.lists(filters(), max_size=3))
def test_the_mask_is_what_the_oracle_says_of_each_product(
    rows: list[Row], where: list[Filter]
) -> None:
    rows = [{"product_id": f"p{i}"} | row for i, row in enumerate(rows)]
    found = shop(rows).allowed(Filters(), tuple(where))
    assert found.passes.tolist() == [all(passes(row, one) for one in where) for row in rows]
    shown = [row["available"] and all(passes(row, one) for one in where) for row in rows]
    assert found.mask.tolist() == shown
    assert found.codes.tolist() == np.flatnonzero(shown).tolist()
    assert found.whole == (not where)


@settings(deadline=None)
@given(ROWS, st.lists(WORDS, max_size=2), st.none() | PRICES, st.none() | PRICES)
def test_the_shorthand_passes_what_its_filters_pass(
    rows: list[Row], words: list[str], low: float | None, high: float | None
) -> None:
    given = Filters(category=tuple(words), brand=tuple(words), price_min=low, price_max=high)
    short, long = shop(rows).allowed(given), shop(rows).allowed(Filters(), shorthand(given))
    assert short.passes.tolist() == long.passes.tolist()
    assert short.unknown == long.unknown


@pytest.mark.parametrize(
    "line", ["category!=Tea", "price!=9", "launched_at!=2026-01-01", "replenishable!=true"]
)
def test_an_empty_column_passes_no_filter_on_it(line: str) -> None:
    when = datetime(2025, 1, 1, tzinfo=UTC)
    full = {"category": "Cups", "price": 1.0, "launched_at": when, "replenishable": False}
    assert shop([full, {}]).allowed(Filters(), (parse(line),)).passes.tolist() == [True, False]


def test_a_day_is_all_of_the_day() -> None:
    times = ["2026-01-01T23:59:59.999999", "2026-01-02T00:00", "2026-01-02T23:59:59.999999"]
    times.append("2026-01-03T00:00")
    of = shop([{"launched_at": datetime.fromisoformat(time + "Z")} for time in times])
    said = {
        "=": [0, 1, 1, 0],
        "!=": [1, 0, 0, 1],
        "<": [1, 0, 0, 0],
        "<=": [1, 1, 1, 0],
        ">": [0, 0, 0, 1],
        ">=": [0, 1, 1, 1],
    }
    for one, wanted in said.items():
        found = of.allowed(Filters(), (parse(f"launched_at{one}2026-01-02"),))
        assert found.passes.tolist() == [bool(it) for it in wanted], one


def test_values_that_no_product_has_are_told_once() -> None:
    of = shop([{"category": "Tea", "brand": "A"}])
    where = (parse("category=Tea|Te"), parse("brand!=B"), parse("title=Nothing"))
    found = of.allowed(Filters(category=("Te",)), where)
    assert found.unknown == (("category", "Te"), ("brand", "B"))


def test_what_was_asked_is_remembered_and_the_memory_is_bounded() -> None:
    of = shop([{"price": 1.0}])
    where = (parse("price<2"),)
    assert of.allowed(Filters(), where) is of.allowed(Filters(), (parse("price < 2.0"),))
    for number in range(REMEMBERED + 10):
        of.allowed(Filters(price_max=float(number)))
    assert len(of.kept) == REMEMBERED


def test_groups_are_codes_and_an_empty_column_is_no_group() -> None:
    of = shop([{"brand": "A"}, {}, {"brand": "B"}, {"brand": "A"}])
    assert of.groups("brand").tolist() == [0, -1, 1, 0]
    assert of.groups("brand").dtype == np.int32
    assert of.groups("supplier").tolist() == [-1] * 4


def test_a_catalogue_that_nobody_holds_is_gone() -> None:
    of = shop([{}])
    held = weakref.ref(of)
    del of
    gc.collect()
    assert held() is None
