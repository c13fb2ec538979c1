from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from features.ids import IdMap
from models.purchases import nothing, purchases

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
