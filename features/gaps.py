"""Gaps: facts in, the days on which each customer bought a product and the gaps between them out.

What was given back was not bought: a refund takes back the units that the customer bought last
before it, and a day of which nothing is left is no purchase.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.facts import DAY, micros, of
from features.pooling import LOG

PAIR = ("customer_id", "product_id")
STEPS = 10_000  # shares and expectations are kept as whole ten-thousandths, as logarithms are


def days(lines: ir.Table) -> ir.Table:
    """(customer_id, product_id, day, time): each day since 1970 that kept something, its last time.

    lines: purchases and refunds of known customers and products.
    """
    back = lines.filter(of(lines, "refund")).select(*PAIR).distinct()
    bought = lines.filter(of(lines, "purchase"))
    plain = bought.anti_join(back, PAIR).select(*PAIR, "event_time")
    every = _kept(lines.semi_join(back, PAIR)).union(plain)
    day = (micros(every.event_time) // (DAY * 1_000_000)).cast("int32")
    return every.group_by(*PAIR, day=day).agg(time=every.event_time.max())


def _kept(lines: ir.Table) -> ir.Table:
    """(customer_id, product_id, event_time) of purchases of which a unit was not given back.

    Units lie on a pile: a purchase puts its own on top, a refund takes from the top. Those of one
    purchase are the layer between the heights before and after it; of the layer there is left what
    no later height fell below.
    """
    units = ibis.ifelse(of(lines, "refund"), -lines.units, lines.units)
    moments = lines.mutate(net=units).group_by(*PAIR, "event_time").agg(net=lambda t: t.net.sum())
    until = ibis.window(group_by=PAIR, order_by="event_time", preceding=None, following=0)
    since = ibis.window(group_by=PAIR, order_by="event_time", preceding=0, following=None)
    walk = moments.mutate(net=moments.net.cast("int64"))
    walk = walk.mutate(sum=walk.net.sum().over(until).cast("int64"))
    # More than there is cannot be taken: the pile stands on the lowest sum so far.
    walk = walk.mutate(height=walk.sum - ibis.least(walk.sum.min().over(until), 0))
    left = walk.height.min().over(since)
    walk = walk.mutate(left=left, under=walk.height - walk.net)
    return walk.filter((walk.net > 0) & (walk.left > walk.under)).select(*PAIR, "event_time")


def spells(days: ir.Table, today: int) -> ir.Table:
    """One row a purchase day and what came after it, the next day or, until now, none.

    number, day: of the purchase, from 1, and since 1970. length: days to the next, or to `today`.
    closed: whether there was a next. log: of the length in 1/LOG where closed, else 0. earlier: the
    sum of `log` over the pair's number - 1 spells before. time: of the pair's last purchase.
    """
    often = days.group_by(*PAIR).agg(n=days.count(), last=days.day.max(), time=days.time.max())
    once = often.filter(often.n == 1).select(
        *PAIR,
        number=ibis.literal(1, "int32"),
        day="last",
        length=(today - ibis._.last).cast("int32"),
        closed=ibis.literal(False),
        log=ibis.literal(0, "int64"),
        earlier=ibis.literal(0, "int64"),
        time="time",
    )
    more = days.semi_join(often.filter(often.n > 1), PAIR)
    row = ibis.window(group_by=PAIR, order_by="day")
    more = more.mutate(number=ibis.row_number().over(row) + 1, next=more.day.lead().over(row))
    more = more.mutate(closed=more.next.notnull())
    length = ibis.coalesce(more.next, today) - more.day
    more = more.mutate(
        length=length.cast("int32"),
        log=ibis.ifelse(more.closed, (length.cast("float64").ln() * LOG).round().cast("int64"), 0),
    )
    until = ibis.window(group_by=PAIR, order_by="day", preceding=None, following=0)
    sums = (more.log.sum().over(until) - more.log).cast("int64")
    more = more.select(
        *PAIR,
        number=more.number.cast("int32"),
        day=more.day,
        length=more.length,
        closed=more.closed,
        log=more.log,
        earlier=sums,
        time=more.time,
    )
    return once.union(more)


def products(spells: ir.Table) -> ir.Table:
    """What each product's gaps add up to, all whole numbers.

    buyers, repeaters: customers, and those who bought it again. gaps, log, square: number, sum of
    logarithms and of their squares. between: the sum over customers of log² / gaps; even: that of
    gaps².
    """
    pairs = spells.group_by(*PAIR).agg(
        gaps=spells.closed.sum(),
        log=spells.log.sum(),
        square=(spells.log * spells.log).sum(),
    )
    mean = pairs.log.cast("float64") ** 2 / ibis.greatest(pairs.gaps, 1)
    return (
        pairs.mutate(between=mean.round().cast("int64"))
        .group_by("product_id")
        .agg(
            buyers=ibis._.count(),
            repeaters=(ibis._.gaps > 0).sum().cast("int64"),
            gaps=ibis._.gaps.sum().cast("int64"),
            log=ibis._.log.sum().cast("int64"),
            square=ibis._.square.sum().cast("int64"),
            between=ibis._.between.sum().cast("int64"),
            even=(ibis._.gaps * ibis._.gaps).sum().cast("int64"),
        )
    )
