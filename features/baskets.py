"""Baskets: purchase lines in, one row an order and customer out.

An order number that two customers use is two orders. Where lines of one order name several
channels or stores, the first by name stands.
"""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.facts import DAY, facts, micros, of, shown, whole
from features.parameters import FeatureParameters

PERIOD = 28  # days of orders in a part
ORDER = ("order_time", "order_id", "customer_id")  # of a part's rows; tells any two apart


def baskets(
    events: ir.Table, *, as_of: datetime, parameters: FeatureParameters | None = None
) -> ir.Table:
    """The whole table at once, from events with resolved customers."""
    return published(partial(facts(events, as_of=as_of)))


def partial(lines: ir.Table) -> ir.Table:
    """What some facts say of orders; the rest of an order may be in others."""
    lines = lines.filter(of(lines, "purchase"))
    products = ibis.coalesce(lines.product_id.collect(), ibis.literal([], "array<string>"))
    return lines.group_by("order_id", "customer_id").agg(
        order_time=lines.event_time.min(),
        channel=lines.channel.min(),
        store_id=lines.store_id.min(),
        products=products.unique().sort(),
        lines=lines.count(),
        units=lines.units.sum(),
        amount=lines.amount.sum(),
    )


def same(left: ir.Table, right: ir.Table) -> list[ir.BooleanValue]:
    """Two rows are of one order; an unknown customer is like another unknown customer."""
    return [
        left.order_id == right.order_id,
        left.customer_id.fill_null("") == right.customer_id.fill_null(""),
    ]


def merged(new: ir.Table, old: ir.Table) -> ir.Table:
    """`partial` rows after what published rows say of the same orders is added to them."""
    old = old.rename(lambda name: f"old_{name}").mutate(
        old_units=whole(old.quantity), old_amount=whole(old.revenue)
    )
    both = new.left_join(
        old,
        [
            new.order_id == old.old_order_id,
            new.customer_id.fill_null("") == old.old_customer_id.fill_null(""),
        ],
    )
    products = ibis.ifelse(
        both.old_products.isnull(), both.products, both.products.union(both.old_products).sort()
    )
    return both.select(
        "order_id",
        "customer_id",
        order_time=ibis.least(both.order_time, both.old_order_time),
        channel=ibis.least(both.channel, both.old_channel),
        store_id=ibis.least(both.store_id, both.old_store_id),
        products=products,
        lines=both.lines + ibis.coalesce(both.old_lines, 0),
        units=both.units + ibis.coalesce(both.old_units, 0),
        amount=both.amount + ibis.coalesce(both.old_amount, 0),
    )


def published(orders: ir.Table) -> ir.Table:
    """The table's columns."""
    return orders.select(
        "order_id",
        "order_time",
        "customer_id",
        "channel",
        "store_id",
        "products",
        "lines",
        quantity=shown(orders.units),
        revenue=shown(orders.amount),
    )


def dated(orders: ir.Table) -> ir.Table:
    """Published rows with `period`, which part they are in: spans of PERIOD days since 1970."""
    return orders.mutate(period=(micros(orders.order_time) // (PERIOD * DAY * 1_000_000)))
