"""Interactions: facts in, one row a customer and product out, with a weight that ages."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from features import baskets, decay
from features.facts import facts, never, of, shown, whole
from features.parameters import FeatureParameters

KEY = ("customer_id", "product_id")
COUNTS = ("views", "carts", "purchases", "orders", "refunds")
SUMS = (*COUNTS, "units", "amount", "refunded", "browsing", "buying")


def interactions(events: ir.Table, *, as_of: datetime, parameters: FeatureParameters) -> ir.Table:
    """The whole table at once, from events with resolved customers."""
    lines = facts(events, as_of=as_of)
    state = partial(lines, baskets.partial(lines), None, as_of=as_of, parameters=parameters)
    return published(state, as_of=as_of, parameters=parameters)


def partial(
    lines: ir.Table,
    come: ir.Table,
    gone: ir.Table | None,
    *,
    as_of: datetime,
    parameters: FeatureParameters,
) -> ir.Table:
    """What some facts add to each pair of a known customer and a product.

    come, gone: the orders that appear with these facts, and the published ones they replace.
    """
    weights = parameters.weights.model_dump()
    kinds = (*weights, "refund")
    lines = lines.filter(
        lines.customer_id.notnull() & lines.product_id.notnull() & of(lines, *kinds)
    )
    bought, back = of(lines, "purchase"), of(lines, "refund")
    weight = ibis.cases(*((of(lines, name), value) for name, value in weights.items()), else_=0.0)
    worth = decay.worth(
        lines.event_time, weight, as_of=as_of, half_life_days=parameters.half_life_days
    )
    rows = lines.select(
        *KEY,
        views=of(lines, "view_item").cast("int32"),
        carts=of(lines, "add_to_cart", "add_to_wishlist").cast("int32"),
        purchases=bought.cast("int32"),
        orders=ibis.literal(0, "int32"),
        refunds=back.cast("int32"),
        units=ibis.ifelse(bought, lines.units, 0),
        amount=ibis.ifelse(bought, lines.amount, 0),
        refunded=ibis.ifelse(back, lines.units, 0),
        browsing=ibis.ifelse(bought, 0, worth),
        buying=ibis.ifelse(bought, worth, 0),
        first_time=lines.event_time,
        last_time=lines.event_time,
        last_purchase_time=ibis.ifelse(bought, lines.event_time, never()),
    )
    rows = rows.union(_orders(come, 1, rows.schema()))
    if gone is not None:
        rows = rows.union(_orders(gone, -1, rows.schema()))
    return _summed(rows)


def _orders(orders: ir.Table, sign: int, schema: ibis.Schema) -> ir.Table:
    """One row a known customer's order and product, shaped as `schema`, that counts the order."""
    known = orders.filter(orders.customer_id.notnull())
    rows = known.select("customer_id", product_id=known.products).unnest("product_id")
    filled = {"customer_id": rows.customer_id, "product_id": rows.product_id}
    for name, kind in schema.items():
        if name not in filled:
            number = sign if name == "orders" else 0
            filled[name] = ibis.literal(number, kind) if kind.is_integer() else never()
    return rows.select(**filled)


def _summed(rows: ir.Table) -> ir.Table:
    return rows.group_by(*KEY).agg(
        **{name: rows[name].sum().cast("int64") for name in SUMS},
        first_time=rows.first_time.min(),
        last_time=rows.last_time.max(),
        last_purchase_time=rows.last_purchase_time.max(),
    )


def state(table: ir.Table) -> ir.Table:
    """Published rows as rows that more can be added to."""
    return table.select(
        *KEY,
        *COUNTS,
        units=whole(table.quantity),
        amount=whole(table.revenue),
        refunded=whole(table.refunded_quantity),
        browsing=table.browsing,
        buying=table.buying,
        first_time=table.first_time,
        last_time=table.last_time,
        last_purchase_time=table.last_purchase_time,
    )


def merged(old: ir.Table, new: ir.Table) -> ir.Table:
    """Old rows of the pairs in `new`, both as states, with the new added."""
    touched = old.semi_join(new, KEY)
    types = new.schema()
    old = touched.select(**{name: touched[name].cast(kind) for name, kind in types.items()})
    return _summed(old.union(new))


def published(state: ir.Table, *, as_of: datetime, parameters: FeatureParameters) -> ir.Table:
    """The table's columns at a time; `browsing` and `buying` do not change with it."""
    days = parameters.half_life_days
    browsing = decay.value(state.browsing, as_of=as_of, half_life_days=days)
    buying = decay.value(state.buying, as_of=as_of, half_life_days=days)
    sold = ibis.greatest(state.units, 1).cast("float64")
    kept = ibis.greatest(state.units - state.refunded, 0).cast("float64") / sold
    return state.select(
        *KEY,
        *COUNTS,
        weight=browsing + buying * kept,
        quantity=shown(state.units),
        revenue=shown(state.amount),
        refunded_quantity=shown(state.refunded),
        first_time=state.first_time,
        last_time=state.last_time,
        last_purchase_time=state.last_purchase_time,
        browsing=state.browsing,
        buying=state.buying,
    )
