"""Contents: a run's fitted model and the tables it was fitted on in, its bundle out."""

from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from features.replenishment import replenishment
from features.schemas import PRODUCTS, TIME
from models import bundle
from models.purchases import clock, purchases
from models.together import together
from pipelines import renew
from pipelines.folds import available
from pipelines.registry import Version
from pipelines.settings import Shop
from pipelines.tracking import Run, Tracking
from pipelines.workspace import Workspace

BOUGHT = ("customer_id", "product_id", "purchases", "orders", "last_purchase_time")


def write(workspace: Workspace, shop: Shop, tracking: Tracking, made: Run, version: Version) -> str:
    """The bundle of a run's fitted model, over the tables it was fitted on."""
    tables = workspace.tables
    snapshots = json.loads(made.tags["regulars.snapshots"])
    as_of = datetime.fromisoformat(made.tags["regulars.as_of"])
    customers = tables.get("customer_features", snapshots["customer_features"])
    shelf = tables.get("product_features", snapshots["product_features"]).read(
        ["product_id", "popularity_28d", "price"]
    )
    order = [("popularity_28d", "descending"), ("product_id", "ascending")]
    shelf = shelf.sort_by(order)
    ids = shelf["product_id"].combine_chunks()
    at_hand = available(tables, ids, at=as_of)
    popular = ids if at_hand is None else ids.filter(pc.is_in(ids, value_set=at_hand))
    fitted = renew.load(tracking, made)
    orders = tables.get("baskets", snapshots["baskets"]).read(["products"])
    interactions = tables.get("interactions", snapshots["interactions"]).read(BOUGHT)
    bought = purchases(interactions, fitted.customer_map, fitted.product_map)
    again = replenishment(tables, as_of=as_of, current=False).read()
    return bundle.write(
        workspace.bundles,
        fitted,
        products=_catalogue(workspace, shelf, at_hand, at=as_of),
        customers=customers.read(["customer_id", "lifecycle_stage"]),
        popular=popular,
        seen=shop.recommend.seen,
        about={
            "shop": shop.name,
            "currency": shop.shop.currency,
            "model": {
                "name": made.tags["regulars.model"],
                "kind": made.tags["regulars.kind"],
                "version": version.number,
                "parameters": json.loads(made.tags["regulars.parameters"]),
                "run_id": made.id,
            },
            "snapshots": snapshots,
            "as_of": as_of.isoformat(),
        },
        length=shop.recommend.length,
        together=together(orders, fitted.product_map),
        bought=bought,
        clock=clock(again, bought, fitted.customer_map, fitted.product_map),
    )


def _catalogue(
    workspace: Workspace, shelf: pa.Table, at_hand: pa.Array | None, *, at: datetime
) -> pa.Table:
    """The catalogue with what was last paid where it has no price, and what is available.

    counted_at: when each product's stock was last counted, so that an older count that reaches the
    server later changes nothing.
    """
    products = workspace.tables.current("products")
    known = PRODUCTS.empty_table() if products is None else products.read()
    ids = pc.unique(pa.chunked_array([*known["product_id"].chunks, *shelf["product_id"].chunks]))
    place = pc.index_in(ids, value_set=known["product_id"].combine_chunks())
    columns = {f.name: known[f.name].combine_chunks().take(place) for f in PRODUCTS}
    paid = (
        shelf["price"]
        .combine_chunks()
        .take(pc.index_in(ids, value_set=shelf["product_id"].combine_chunks()))
    )
    columns |= {"product_id": ids, "price": pc.coalesce(columns["price"], paid)}
    here = pa.array([True] * len(ids)) if at_hand is None else pc.is_in(ids, value_set=at_hand)
    return pa.table({**columns, "available": here, "counted_at": _counted(workspace, ids, at=at)})


def _counted(workspace: Workspace, ids: pa.Array, *, at: datetime) -> pa.Array:
    """When the stock of each product was last counted by a moment; null where it never was."""
    stock = workspace.tables.current("stock")
    if stock is None:
        return pa.nulls(len(ids), TIME)
    counts = stock.read(["product_id", "observed_at"])
    counts = counts.filter(pc.less_equal(counts["observed_at"], pa.scalar(at)))
    last = counts.group_by("product_id", use_threads=False).aggregate([("observed_at", "max")])
    place = pc.index_in(ids, value_set=last["product_id"].combine_chunks())
    return last["observed_at_max"].combine_chunks().take(place)
