"""Customer features: facts, orders and pairs in, one row a known customer out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from features import baskets, interactions
from features.facts import DAY, facts, micros, never, of, shown, whole
from features.parameters import FeatureParameters, Stages
from features.schemas import CHANNELS

EVENTS = tuple(f"events_{channel}" for channel in CHANNELS)
ORDERS = tuple(f"orders_{channel}" for channel in CHANNELS)
SUMS = ("purchases", "refunds", "products", "amount", *EVENTS, *ORDERS)
FIRST = ("first_event_time", "first_order_time")
LAST = ("last_event_time", "last_order_time")


def customer_features(
    events: ir.Table, *, as_of: datetime, parameters: FeatureParameters
) -> ir.Table:
    """The whole table at once, from events with resolved customers."""
    lines = facts(events, as_of=as_of)
    orders = baskets.partial(lines)
    pairs = interactions.partial(lines, orders, None, as_of=as_of, parameters=parameters)
    state = partial(lines, orders, None, pairs, None)
    gap = shop_gap(state).as_scalar()
    return published(state, gap, as_of=as_of, parameters=parameters)


def partial(
    lines: ir.Table,
    come: ir.Table,
    gone: ir.Table | None,
    pairs: ir.Table,
    replaced: ir.Table | None,
) -> ir.Table:
    """What some facts add to each known customer.

    come, gone: orders that appear and disappear; pairs, replaced: interactions likewise.
    """
    lines = lines.filter(lines.customer_id.notnull())
    bought, back = of(lines, "purchase"), of(lines, "refund")
    sign = ibis.cases((bought, 1), (back, -1), else_=0)
    by_channel = lines.group_by("customer_id", "channel").agg(
        n=lines.count(),
        purchases=bought.sum(),
        refunds=back.sum(),
        amount=(lines.amount * sign).sum(),
        first_event_time=lines.event_time.min(),
        last_event_time=lines.event_time.max(),
        first_order_time=lines.event_time.min(where=bought),
        last_order_time=lines.event_time.max(where=bought),
    )
    parts = [_shaped(by_channel, _per_channel(by_channel, "events", by_channel.n))]
    for orders, one in ((come, 1), (gone, -1)):
        if orders is not None:
            known = orders.filter(orders.customer_id.notnull())
            parts.append(_shaped(known, _per_channel(known, "orders", ibis.literal(one)), ()))
    for table, one in ((pairs, 1), (replaced, -1)):
        if table is not None:
            products = (table.purchases > 0).cast("int64") * one
            parts.append(_shaped(table, {"products": products}, ()))
    return _summed(ibis.union(*parts) if len(parts) > 1 else parts[0])


def _per_channel(rows: ir.Table, what: str, amount: ir.IntegerValue) -> dict[str, ir.IntegerValue]:
    return {
        f"{what}_{channel}": ibis.ifelse(rows.channel == channel, amount, 0) for channel in CHANNELS
    }


def _shaped(
    rows: ir.Table,
    columns: dict[str, ir.IntegerValue],
    same: tuple[str, ...] = ("purchases", "refunds", "amount", *FIRST, *LAST),
) -> ir.Table:
    """Rows with every column of a state: the given ones, those of the same name, else nothing."""
    filled: dict[str, ir.Value] = {"customer_id": rows.customer_id}
    for name in (*SUMS, *FIRST, *LAST):
        value = columns[name] if name in columns else rows[name] if name in same else None
        if value is not None:
            filled[name] = value.cast("int64") if name in SUMS else value
        else:
            filled[name] = ibis.literal(0, "int64") if name in SUMS else never()
    return rows.select(**filled)


def _summed(rows: ir.Table) -> ir.Table:
    return rows.group_by("customer_id").agg(
        **{name: rows[name].sum().cast("int64") for name in SUMS},
        **{name: rows[name].min() for name in FIRST},
        **{name: rows[name].max() for name in LAST},
    )


def merged(old: ir.Table, new: ir.Table) -> ir.Table:
    """All published customers with what `partial` adds."""
    rows = old.mutate(amount=whole(old.monetary_value))
    same = {name: rows[name] for name in (*SUMS, *FIRST, *LAST)}
    return _summed(_shaped(rows, same).union(new))


def _total(state: ir.Table, names: tuple[str, ...]) -> ir.IntegerValue:
    total = state[names[0]]
    for name in names[1:]:
        total = total + state[name]
    return total


def _gap(state: ir.Table) -> ir.FloatingValue:
    """Average days between a customer's orders; null for fewer than two."""
    orders = _total(state, ORDERS)
    span = micros(state.last_order_time) - micros(state.first_order_time)
    days = span.cast("float64") / (DAY * 1e6)
    return ibis.ifelse(orders >= 2, days / (orders - 1), ibis.null("float64"))


def shop_gap(state: ir.Table) -> ir.Table:
    """One row, one column: the median of the customers' average gaps, null where none came back."""
    return state.agg(gap=_gap(state).median())


def published(
    state: ir.Table,
    shop: float | ir.FloatingScalar | None,
    *,
    as_of: datetime,
    parameters: FeatureParameters,
) -> ir.Table:
    """The table's columns at a time; shop: what `shop_gap` holds."""
    now = micros(ibis.literal(as_of, "timestamp('UTC')"))

    def days_since(time: ir.TimestampValue) -> ir.FloatingValue:
        return (now - micros(time)).cast("float64") / (DAY * 1e6)

    nothing = ibis.null("float64")
    rows = state.mutate(
        frequency=_total(state, ORDERS),
        events=_total(state, EVENTS),
        monetary_value=shown(state.amount),
        days_since_last_order=days_since(state.last_order_time),
        average_days_between_orders=_gap(state),
    )
    rows = rows.mutate(
        average_order_value=ibis.ifelse(
            rows.frequency > 0, rows.monetary_value / rows.frequency, nothing
        ),
        tenure_days=days_since(rows.first_event_time),
        refund_rate=ibis.ifelse(rows.purchases > 0, rows.refunds / rows.purchases, nothing),
        main_channel=_main_channel(rows),
        lifecycle_stage=_stage(rows, shop, parameters.stages),
    )
    return rows.drop("amount")


def _main_channel(rows: ir.Table) -> ir.StringValue:
    """Most orders, then most events, then the first of CHANNELS."""
    scores = {
        channel: rows[f"orders_{channel}"] * 2**31 + rows[f"events_{channel}"]
        for channel in CHANNELS
    }
    best = ibis.greatest(*scores.values())
    return ibis.cases(*((score == best, channel) for channel, score in scores.items()))


def _stage(
    rows: ir.Table, shop: float | ir.FloatingScalar | None, stages: Stages
) -> ir.StringValue:
    """Days since the last order in the customer's own gaps; see `Stages`."""
    usual: Any
    if isinstance(shop, ir.Value):
        usual = ibis.coalesce(
            ibis.ifelse(shop > 0, shop, ibis.null("float64")), stages.fallback_days
        )
    else:  # a number is reckoned with here: in SQL it would be a decimal, whose products overflow
        usual = shop if shop is not None and shop > 0 else stages.fallback_days
    gaps = rows.frequency - 1
    own = (rows.average_days_between_orders * gaps + usual * stages.shop_gaps) / (
        gaps + stages.shop_gaps
    )
    gap = ibis.ifelse(rows.frequency >= stages.own_orders, own, usual)
    # In days, not in gaps: a gap of zero divides nothing.
    days = rows.days_since_last_order
    return ibis.cases(
        (rows.frequency == 0, ibis.null("string")),
        ((rows.frequency == 1) & (days <= gap * stages.new), "new"),
        (days <= gap * stages.active, "active"),
        (days <= gap * stages.cooling, "cooling"),
        (days <= gap * stages.at_risk, "at_risk"),
        else_="lapsed",
    )
