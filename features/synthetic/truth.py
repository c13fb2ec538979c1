"""Truth: a shop's folder in, what its customers really are and really want out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features.schemas import STAGES, TIME
from features.synthetic.behaviour import leaves
from features.synthetic.names import coded
from features.synthetic.people import People, stage
from features.synthetic.taste import interest
from features.synthetic.visits import Staples
from features.synthetic.world import Floats, World

CUSTOMERS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("taste", pa.list_(pa.float32())),
        ("price_level", pa.float32()),
        ("alive", pa.bool_()),
        ("alive_until", TIME),
        ("rhythm_days", pa.float64()),
        ("regularity", pa.float64()),
        ("stage", pa.string()),
    ]
)
PRODUCTS = pa.schema(
    [
        ("product_id", pa.string()),
        ("taste", pa.list_(pa.float32())),
        ("appeal", pa.float64()),
        ("price_level", pa.float32()),
        ("replenish_days", pa.float64()),
    ]
)
STAPLES = pa.schema(
    [("customer_id", pa.string()), ("product_id", pa.string()), ("every_days", pa.float64())]
)


def true_interest(directory: Path, customers: pa.Array) -> Floats:
    """(customers, products) float32: how much each truly wants each product, in nats.

    Rows are in the order of `customers`, columns in that of `products.parquet`. The softmax of a
    row is what she chooses by when all products are on sale and in season; what she replenishes is
    her habit and stands in `truth/staples.parquet`. Raises KeyError for an unknown customer.
    """
    truth = directory / "truth"
    wanted = pa.array(customers, pa.string())
    people = ds.dataset(truth / "customers.parquet").to_table(
        columns=["customer_id", "taste", "price_level"],
        filter=pc.field("customer_id").isin(wanted),
    )
    place = pc.index_in(wanted, people["customer_id"].combine_chunks())
    if place.null_count:
        unknown = wanted.filter(place.is_null())[0]
        raise KeyError(f"customers must be customers of {directory}, got {unknown}")
    people = people.take(place)
    products = pq.read_table(truth / "products.parquet")
    wish = interest(
        _matrix(people["taste"]),
        people["price_level"].to_numpy(),
        _matrix(products["taste"]),
        products["price_level"].to_numpy(),
    )
    return np.asarray(wish + products["appeal"].to_numpy()[None, :], dtype=np.float32)


def of_customers(world: World, people: People, ids: pa.Array) -> pa.Table:
    """The truth of one chunk's customers."""
    n = people.n
    until = leaves(world, people)[:n]
    alive = until > world.season.end
    stages = coded(stage(people, float(world.season.days), alive), pa.array(STAGES))
    columns = [
        ids,
        vectors(people.taste[:n]),
        pa.array(people.level[:n]),
        pa.array(alive),
        pa.array(until).cast(TIME),
        pa.array(people.rhythm[:n]),
        pa.array(people.regularity[:n]),
        stages.cast(pa.string()),
    ]
    return pa.table(columns, schema=CUSTOMERS)


def of_staples(world: World, needs: Staples, ids: pa.Array) -> pa.Table:
    """What one chunk's customers buy again and again."""
    columns = [ids.take(pa.array(needs.who)), world.ids.take(pa.array(needs.product)), needs.every]
    return pa.table(columns, schema=STAPLES)


def of_products(world: World) -> pa.Table:
    """The truth of all products."""
    columns = [world.ids, vectors(world.taste), world.appeal, world.level, world.period]
    return pa.table(columns, schema=PRODUCTS)


def vectors(rows: Floats) -> pa.Array:
    """(n, d) numbers as a column of lists."""
    n, d = rows.shape
    ends = pa.array(np.arange(0, n * d + 1, d, dtype=np.int32))
    return pa.ListArray.from_arrays(ends, pa.array(np.ascontiguousarray(rows).ravel()))


def _matrix(column: pa.ChunkedArray) -> Floats:
    """A column of lists, all of one length, as (n, d)."""
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values.reshape(len(column), -1), dtype=np.float32)
