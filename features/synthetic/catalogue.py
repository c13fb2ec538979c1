"""Catalogue: a world in, the tables of its products, suppliers and stock out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.schemas import PRODUCTS, STOCK, SUPPLIERS
from features.synthetic import words
from features.synthetic.names import coded, numbered
from features.synthetic.season import HOUR
from features.synthetic.world import World

COUNT_EVERY = 28  # days
SHELVES = 3  # stores that a product stands in


def products(world: World) -> pa.Table:
    """All products that are or will be on sale in the window."""
    categories = pa.array([name for name, *_ in words.CATEGORIES])
    columns = [
        world.ids,
        pa.array(world.titles),
        coded(world.category, categories).cast(pa.string()),
        coded(world.brand, pa.array(world.brands)).cast(pa.string()),
        coded(world.supplier, world.supplier_ids).cast(pa.string()),
        pa.array(world.price),
        pa.array(world.season.micros(world.launched)).cast(PRODUCTS.field("launched_at").type),
        pa.array(world.period > 0),
    ]
    return pa.table(columns, schema=PRODUCTS)


def suppliers(world: World) -> pa.Table:
    """Every supplier with a name."""
    names = words.brands(len(world.supplier_ids))
    return pa.table(
        [world.supplier_ids, pa.array([f"{name} Supply" for name in names])], schema=SUPPLIERS
    )


def stock(rng: np.random.Generator, world: World) -> pa.Table:
    """Counts of the whole shop every four weeks, and the last one also store by store."""
    last = world.season.days - 1
    days = np.arange(last, -1, -COUNT_EVERY)[::-1]
    product = np.tile(np.arange(world.products), len(days))
    day = np.repeat(days, world.products)
    known = world.launched[product] <= day
    product, day = product[known], day[known]
    usual = 40 * world.products * np.exp(world.appeal[product])
    units = np.ceil(usual * rng.gamma(2.0, 0.5, len(product)) + rng.integers(1, 20, len(product)))
    units[(rng.random(len(product)) < 0.02) | ~world.on_sale(product, day)] = 0.0

    here = np.flatnonzero(day == last)
    part = np.repeat(here, SHELVES)
    first = rng.integers(0, world.stores, len(here))[:, None]
    store = ((first + np.arange(SHELVES)) % world.stores).ravel()
    shelf = np.floor(units[part] * rng.uniform(0.02, 0.1, len(part)))

    which = np.concatenate([product, product[part]])
    micros = world.season.micros(np.concatenate([day, day[part]])) + 5 * HOUR
    columns = [
        coded(which, world.ids).cast(pa.string()),
        coded(np.concatenate([np.full(len(product), -1), store]), stores(world), none=True).cast(
            pa.string()
        ),
        pa.array(np.concatenate([units, shelf])),
        pa.array(np.minimum(micros, world.season.end - 1)).cast(STOCK.field("observed_at").type),
    ]
    return pa.table(columns, schema=STOCK)


def stores(world: World) -> pa.Array:
    """The ids of the shop's stores."""
    return numbered("store-", np.arange(world.stores), 3)
