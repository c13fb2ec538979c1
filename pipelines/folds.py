"""Folds: tables and one cut in time in, all that every model is judged by at that cut out.

Computed once a fold and used by every model. Nothing later than the cut is in what models see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.build import build
from features.purchases import purchases
from features.schemas import PRODUCTS
from features.sequences import sequences
from features.tables import Tables
from models.evaluation.returns import AWAY, first_orders
from models.evaluation.split import Fold, folds, validation_fold
from pipelines.settings import SettingsError, Shop

HISTORY = ("customer_id", "product_id", "weight", "last_time")
DESCRIBED = ("title", "category", "brand", "supplier_id", "price")
ATTRIBUTES = ("customer_id", "lifecycle_stage", "main_channel", "frequency")


@dataclass(frozen=True, slots=True)
class FoldData:
    """What is known at the cut, and what was bought after it.

    products: of the catalogue, those sold or launched by then. events: one by one, where a judged
    model needs them. truth: customer_id, product_id, revenue, of the judged customers only.
    known: customer_id, product_id bought before. among: products that may be shown, None for all.
    counts: how many customers bought in the window, of them were known at the cut, and of them
    are judged.
    """

    fold: Fold
    snapshots: dict[str, str]
    interactions: pa.Table
    products: pa.Table
    events: pa.Table | None
    truth: pa.Table
    returned: pa.Table
    known: pa.Table
    customers: pa.Array
    attributes: pa.Table
    shelf: pa.Table
    among: pa.Array | None
    counts: dict[str, int]


def fold_data(
    tables: Tables, shop: Shop, fold: Fold, *, number: int, events: bool = False
) -> FoldData:
    """All of one fold; who was unknown at the cut, or bought nothing after it, is not judged.

    Of more customers than `judge.customers` a sample is judged, the same for a seed and `number`.
    events: read them one by one, too.
    """
    made = build(
        tables,
        as_of=fold.cut,
        parameters=shop.features,
        names=("interactions", "customer_features", "product_features"),
        current=False,
    )
    interactions = made["interactions"].read((*HISTORY, "purchases"))
    bought = interactions.filter(pc.greater(interactions["purchases"], 0))
    window = purchases(tables, after=fold.cut, until=fold.until)
    truth = window.select(["customer_id", "product_id", "revenue"])
    buyers = pc.unique(truth["customer_id"])
    familiar = buyers.filter(pc.is_in(buyers, value_set=pc.unique(interactions["customer_id"])))
    judged = _sample(familiar, shop.judge.customers, seed=(shop.judge.seed, number))
    truth = truth.filter(pc.is_in(truth["customer_id"], value_set=judged))
    attributes = made["customer_features"].read(ATTRIBUTES)
    away = pc.is_in(attributes["lifecycle_stage"].cast(pa.string()), value_set=pa.array(AWAY))
    away = attributes.filter(away)["customer_id"].combine_chunks()
    away = away.filter(pc.is_in(away, value_set=judged))
    products = catalogue(tables)
    launched = pc.fill_null(pc.less_equal(products["launched_at"], pa.scalar(fold.cut)), False)
    sold = pc.is_in(products["product_id"], value_set=pc.unique(interactions["product_id"]))
    products = products.filter(pc.or_(sold, launched)).drop_columns("launched_at")
    shelf = made["product_features"].read(["product_id", "buyers", "price", "age_days"])
    among = available(tables, shelf["product_id"].combine_chunks(), at=fold.cut)
    return FoldData(
        fold=fold,
        snapshots={name: snapshot.id for name, snapshot in made.items()},
        interactions=interactions.select(HISTORY),
        products=products,
        events=sequences(tables, until=fold.cut) if events else None,
        truth=truth,
        returned=first_orders(window, away),
        known=bought.select(["customer_id", "product_id"]),
        customers=judged,
        attributes=attributes,
        shelf=shelf.join(products.select(["product_id", "category", "supplier_id"]), "product_id"),
        among=among,
        counts={"buyers": len(buyers), "known": len(familiar), "judged": len(judged)},
    )


def cuts(shop: Shop, as_of: datetime, first: datetime, *, validation: bool = False) -> list[Fold]:
    """The folds that judge, oldest first, or the one before them; raises SettingsError.

    first: the oldest event's time, which a cut must not precede.
    """
    try:
        if validation:
            days, n = shop.judge.horizon_days, shop.judge.folds
            return [validation_fold(as_of, horizon_days=days, n=n, first=first)]
        return folds(as_of, horizon_days=shop.judge.horizon_days, n=shop.judge.folds, first=first)
    except ValueError as error:
        raise SettingsError(f"judge: {error}") from error


def catalogue(tables: Tables) -> pa.Table:
    """What models may know of the shop's products; no rows where it has no catalogue."""
    names = ["product_id", *DESCRIBED, "launched_at"]
    products = tables.current("products")
    if products is None:
        return pa.schema([PRODUCTS.field(name) for name in names]).empty_table()
    return products.read(names)


def available(tables: Tables, products: pa.Array, *, at: datetime) -> pa.Array | None:
    """Those of `products` not known to be out of stock at a moment; None where nothing is known.

    The newest count of each product and store tells; a product never counted is available.
    """
    stock = tables.current("stock")
    if stock is None:
        return None
    counted = stock.read()
    counted = counted.filter(pc.less_equal(counted["observed_at"], pa.scalar(at)))
    if counted.num_rows == 0:
        return None
    newest = (
        counted.sort_by("observed_at")
        .group_by(["product_id", "store_id"], use_threads=False)
        .aggregate([("quantity", "last")])
        .group_by("product_id", use_threads=False)
        .aggregate([("quantity_last", "sum")])
    )
    out = newest.filter(pc.less_equal(newest["quantity_last_sum"], 0))["product_id"]
    return products.filter(pc.invert(pc.is_in(products, value_set=out.combine_chunks())))


def _sample(customers: pa.Array, most: int, *, seed: Any) -> pa.Array:
    """At most so many of them, sorted."""
    customers = customers.take(pc.sort_indices(customers))
    if len(customers) <= most:
        return customers
    chosen = np.random.default_rng(seed).choice(len(customers), most, replace=False)
    return customers.take(pa.array(np.sort(chosen)))
