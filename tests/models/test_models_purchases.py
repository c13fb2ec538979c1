from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from features.ids import IdMap
from features.schemas import REPLENISHMENT
from models.purchases import clock, nothing, purchases

DUE = ("due_from", "due_at", "overdue_at")
CUSTOMERS, PRODUCTS = IdMap(["ann", "bob", "eve"]), IdMap(["bread", "milk", "tea"])


def interactions(*rows: tuple[str, str, int, int, datetime | None]) -> pa.Table:
    names = ("customer_id", "product_id", "purchases", "orders", "last_purchase_time")
    kinds = (pa.string(), pa.string(), pa.int32(), pa.int32(), pa.timestamp("us", tz="UTC"))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    return pa.table({n: pa.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)})


def test_each_customer_has_what_she_bought_by_code_with_the_day_and_the_orders():
    new_year = datetime(1971, 1, 1, 23, 59, tzinfo=UTC)
    found = purchases(
        interactions(
            ("eve", "tea", 3, 2, new_year),
            ("eve", "bread", 1, 1, datetime(1970, 1, 2, tzinfo=UTC)),
            ("ann", "milk", 1, 40_000, None),
            ("ann", "bread", 0, 0, None),
            ("stranger", "milk", 1, 1, new_year),
            ("bob", "gone", 1, 1, new_year),
        ),
        CUSTOMERS,
        PRODUCTS,
    )
    assert found.starts.tolist() == [0, 1, 1, 3]
    assert found.products.tolist() == [1, 0, 2]
    assert found.days.tolist() == [-1, 1, 365]
    assert found.orders.tolist() == [32_767, 1, 2]
    assert [array.dtype for array in found] == [np.int64, np.int32, np.int32, np.int16]


def test_a_shop_that_sold_nothing_is_as_one_that_does_not_say():
    none = purchases(interactions(("ann", "milk", 0, 0, None)), CUSTOMERS, PRODUCTS)
    for one, other in zip(none, nothing(3), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_the_clock_stands_beside_what_was_bought_and_says_nothing_of_what_came_back():
    day = datetime(1970, 1, 11, 12, tzinfo=UTC)
    bought = purchases(
        interactions(*((who, what, 2, 2, day) for who, what in (
            ("eve", "tea"), ("eve", "milk"), ("ann", "milk"), ("ann", "bread"),
        ))),
        CUSTOMERS,
        PRODUCTS,
    )  # fmt: skip

    def row(who: str, what: str, own: float | None, state: str | None) -> dict[str, object]:
        due = {name: day + timedelta(days=n) for n, name in enumerate(DUE, 1)}
        said = {"own_interval_days": own, "product_interval_days": 9.0, "chance_14d": 0.25}
        return {"customer_id": who, "product_id": what, "state": state, **said, **due}

    rows = [
        row("eve", "tea", 30.0, "too_early"),
        row("ann", "milk", None, "due"),
        row("ann", "bread", None, None),
        row("ann", "stranger's", 5.0, "due"),
        row("stranger", "tea", 5.0, "due"),
    ]
    table = pa.Table.from_pylist(rows, schema=pa.schema([REPLENISHMENT.field(n) for n in rows[0]]))
    found = clock(table, bought, CUSTOMERS, PRODUCTS)
    assert bought.products.tolist() == [0, 1, 1, 2]  # ann's bread and milk, eve's milk and tea
    assert found.intervals.tolist() == [9, 9, 0, 30]
    assert found.hers.tolist() == [False, False, False, True]
    assert found.early.tolist() == [0, 11, 0, 11]
    assert found.due.tolist() == [0, 12, 0, 12]
    assert found.overdue.tolist() == [0, 13, 0, 13]
    assert found.waits.tolist() == [False, False, False, True]
    assert found.chances.tolist() == [0.25, 0.25, 0, 0.25]


def test_a_clock_of_nothing_is_empty():
    none = clock(REPLENISHMENT.empty_table(), nothing(3), CUSTOMERS, PRODUCTS)
    assert {len(array) for array in none} == {0}
