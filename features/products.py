"""Product features: facts, orders and pairs in, one row a product out; anonymous buyers count."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from features import baskets, decay, interactions
from features.facts import DAY, facts, micros, never, of
from features.parameters import FeatureParameters

# Column: what is counted, half-life in days.
WINDOWS = {
    "popularity_7d": ("purchase", 7.0),
    "popularity_28d": ("purchase", 28.0),
    "popularity_180d": ("purchase", 180.0),
    "views_28d": ("view_item", 28.0),
}
WORTHS = tuple(f"{name}_worth" for name in WINDOWS)
CUSTOMERS = ("viewers", "buyers", "viewers_who_bought", "repeat_buyers")
SUMS = (*WORTHS, "purchases", "refunds", "orders", *CUSTOMERS)


def product_features(
    events: ir.Table, *, as_of: datetime, parameters: FeatureParameters
) -> ir.Table:
    """The whole table at once, from events with resolved customers."""
    lines = facts(events, as_of=as_of)
    orders = baskets.partial(lines)
    pairs = interactions.partial(lines, orders, None, as_of=as_of, parameters=parameters)
    state = partial(lines, orders, None, pairs, None, as_of=as_of)
    return published(state, as_of=as_of)


def partial(
    lines: ir.Table,
    come: ir.Table,
    gone: ir.Table | None,
    pairs: ir.Table,
    replaced: ir.Table | None,
    *,
    as_of: datetime,
) -> ir.Table:
    """What some facts add to each product.

    come, gone: orders that appear and disappear; pairs, replaced: interactions likewise.
    """
    lines = lines.filter(lines.product_id.notnull())
    bought = of(lines, "purchase")
    worths = {
        f"{name}_worth": ibis.ifelse(
            of(lines, kind),
            decay.worth(lines.event_time, 1.0, as_of=as_of, half_life_days=days),
            0,
        ).sum()
        for name, (kind, days) in WINDOWS.items()
    }
    counted = lines.group_by("product_id").agg(
        **worths,
        purchases=bought.sum(),
        refunds=of(lines, "refund").sum(),
        first_time=lines.event_time.min(),
        last_time=lines.event_time.max(),
    )
    same = (*WORTHS, "purchases", "refunds", "first_time", "last_time")
    parts = [_shaped(counted, {name: counted[name] for name in same})]
    for orders, one in ((come, 1), (gone, -1)):
        if orders is not None:
            rows = orders.select(product_id=orders.products).unnest("product_id")
            parts.append(_shaped(rows, {"orders": ibis.literal(one)}))
    for table, one in ((pairs, 1), (replaced, -1)):
        if table is not None:
            parts.append(_shaped(table, _customers(table, one)))
    paid = lines.filter(bought & lines.unit_price.notnull())
    prices = _latest(paid.select("product_id", price_time=paid.event_time, price=paid.unit_price))
    return _with_prices(_summed(ibis.union(*parts)), prices)


def _customers(pairs: ir.Table, sign: int) -> dict[str, ir.IntegerValue]:
    viewed, bought = pairs.views > 0, pairs.purchases > 0
    said = (viewed, bought, viewed & bought, pairs.orders >= 2)
    return {name: fact.cast("int64") * sign for name, fact in zip(CUSTOMERS, said, strict=True)}


def _shaped(rows: ir.Table, columns: dict[str, ir.Value]) -> ir.Table:
    """Rows with every column of a state but the price: the given ones, else nothing."""
    filled = {name: columns.get(name, ibis.literal(0)).cast("int64") for name in SUMS}
    times = {name: columns.get(name, never()) for name in ("first_time", "last_time")}
    return rows.select(product_id=rows.product_id, **filled, **times)


def _summed(rows: ir.Table) -> ir.Table:
    return rows.group_by("product_id").agg(
        **{name: rows[name].sum().cast("int64") for name in SUMS},
        first_time=rows.first_time.min(),
        last_time=rows.last_time.max(),
    )


def _latest(prices: ir.Table) -> ir.Table:
    """(product_id, price_time, price): the last price of each, the highest of the same instant.

    A join instead of an arg-max: where two prices tie, engines' arg-max takes either.
    """
    newest = prices.group_by("product_id").agg(newest=prices.price_time.max())
    at = prices.join(newest, "product_id").filter(lambda t: t.price_time == t.newest)
    return at.group_by("product_id").agg(price_time=at.price_time.max(), price=at.price.max())


def _with_prices(state: ir.Table, prices: ir.Table) -> ir.Table:
    return state.left_join(prices, "product_id").drop("product_id_right")


def merged(parts: ir.Table) -> ir.Table:
    """Rows of `partial` or `state`, several of a product, as one each."""
    prices = parts.filter(parts.price_time.notnull()).select("product_id", "price_time", "price")
    return _with_prices(_summed(parts), _latest(prices))


def state(table: ir.Table) -> ir.Table:
    """Published rows as rows that more can be added to."""
    sums = {name: table[name].cast("int64") for name in SUMS}
    return table.select(
        "product_id",
        **sums,
        **{n: table[n] for n in ("first_time", "last_time", "price_time", "price")},
    )


def published(state: ir.Table, *, as_of: datetime) -> ir.Table:
    """The table's columns at a time."""
    now = as_of.timestamp() * 1e6
    worths = {
        name: decay.value(state[f"{name}_worth"], as_of=as_of, half_life_days=days)
        for name, (_, days) in WINDOWS.items()
    }

    def share(part: ir.IntegerValue, of: ir.IntegerValue) -> ir.FloatingValue:
        return ibis.ifelse(of > 0, part / of, ibis.null("float64"))

    return state.mutate(
        **worths,
        conversion=share(state.viewers_who_bought, state.viewers),
        repeat_rate=share(state.repeat_buyers, state.buyers),
        return_rate=share(state.refunds, state.purchases),
        age_days=(now - micros(state.first_time).cast("float64")) / (DAY * 1e6),
    )
