"""Replenishment: purchases and a time in; when each customer is due for what she bought out.

The clock of a customer and a product: the usual interval, hers where she bought often, else pulled
to the product's, the category's, the shop's (`features.pooling`); the days on which she is due and
overdue, by quantiles of a lognormal interval; and the chance that she buys within 14 days
(`features.renewal`), which counts those who never come back.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import engine as engines
from features import facts, gaps, hazards, identity, pooling, renewal
from features import lines as lining
from features.artifact import pointed
from features.columns import column
from features.engine import Engine
from features.facts import DAY
from features.gaps import PAIR, STEPS
from features.pooling import LOG, Floats
from features.schemas import PRODUCTS
from features.tables import Snapshot, Tables, code_version

COMMON = 0.1  # share of buyers who come again from which a product is replenishable
WITHIN = 14  # days of `chance_14d`
SEASON = 28  # days whose purchases over the expected ones say how the shop goes now
EARLY, LATE = -1.2816, 0.6745  # quantiles 10 % and 75 % of a normal
UNLIKELY = 0.25  # of the hazard when due: what is below it before `due_from` is too early
GAPS_OF_HERS, GAPS_OF_PRODUCT = 2, 5  # from which an interval is said to be hers, the product's
BUCKET = 4_000_000  # pairs of a part, about


def replenishment(
    tables: Tables, *, as_of: datetime, current: bool = True, engine: Engine | None = None
) -> Snapshot:
    """The snapshot at `as_of`: built, or found. Raises Missing where there are no events.

    The catalogue's categories and `replenishable` are those of its newest snapshot.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of must have a time zone, got {as_of.isoformat()}")
    as_of = as_of.astimezone(UTC)
    parents = {"events": tables.need("events").id}
    for name in ("identities", "products"):
        if (snapshot := tables.current(name)) is not None:
            parents[name] = snapshot.id
    id = tables.id("replenishment", parents=parents, as_of=as_of.isoformat(), code=code())
    found = tables.find("replenishment", id)
    if found is None:
        if engine is None:
            with Engine(tables.root / ".spill") as own, own.scratch():
                found = _built(tables, own, id, parents, as_of)
        else:
            with engine.scratch():
                found = _built(tables, engine, id, parents, as_of)
    if current and pointed(tables.root / "replenishment" / "current") != id:
        tables.point(found)
    return found


def code() -> str:
    """The version of everything that the table's bytes depend on besides its inputs."""
    modules = (gaps, hazards, pooling, renewal, lining, facts, identity, engines)
    own = code_version(*modules, sys.modules[__name__])
    return f"{own}, {engines.VERSION}"


def _built(
    tables: Tables, engine: Engine, id: str, parents: dict[str, str], as_of: datetime
) -> Snapshot:
    lines = lining.lines(tables, engine, until=as_of, types=("purchase", "refund"))
    rows = engine.keep(table(lines, tables.current("products"), engine, as_of=as_of))
    buckets = 1 << max(0, (engine.value(rows.count()) - 1) // BUCKET).bit_length()
    place = ibis.literal(0, "int64") if buckets == 1 else rows.customer_id.hash() & (buckets - 1)
    parts = engine.write(
        rows.mutate(bucket=place),
        tables,
        "replenishment",
        order=PAIR,
        time="last_purchase_time",
        split="bucket",
        values=range(buckets),
    )
    return tables.commit(
        "replenishment", id, parts, as_of=as_of, parents=parents, code=code(), current=False
    )


def table(
    lines: ir.Table, catalogue: Snapshot | None, engine: Engine, *, as_of: datetime
) -> ir.Table:
    """The whole table, from purchases and refunds of known customers and products until `as_of`."""
    today = int(as_of.timestamp() // DAY)
    days = engine.keep(gaps.days(lines))
    spells = engine.keep(gaps.spells(days, today))
    engine.drop(days)
    goods, prior = _goods(engine, spells, catalogue)
    named = engine.rows(goods.select(["product_id", "mean"]))
    placed = renewal.place(spells.inner_join(named, "product_id"), prior)
    placed = engine.keep(placed.drop("mean"))
    engine.drop(spells)
    found = renewal.rates(placed)
    rates = engine.rows(pa.table(hazards.table(found)))
    own, people = _own(engine, renewal.hazard(placed, rates, "age", "expected"), goods)
    described = engine.rows(goods.append_column("own", column(own)))
    late = placed.filter(placed.day + placed.length >= today - SEASON)
    late = late.inner_join(described, "product_id").left_join(people, "customer_id")
    late = late.mutate(pace=late.own * late.hers).drop("customer_id_right", "own", "hers")
    late = engine.keep(_late(late, rates, today))
    engine.drop(placed)
    return _published(late, rates, prior, _season(engine, late), as_of)


def _goods(engine: Engine, spells: ir.Table, catalogue: Snapshot | None) -> tuple[pa.Table, float]:
    """What is known of each product, and how many of its gaps a customer's mean is pulled by."""
    sold = gaps.products(spells).order_by("product_id").to_pyarrow()
    known = PRODUCTS.empty_table() if catalogue is None else catalogue.read()
    place = pc.index_in(sold["product_id"], value_set=known["product_id"].combine_chunks())
    category = pc.dictionary_encode(known["category"].take(place)).combine_chunks().indices
    sums = pooling.Sums(
        pc.fill_null(pc.add(category, 1), 0).to_numpy().astype(np.int64),
        *(sold[name].to_numpy() for name in pooling.Sums._fields[1:]),
    )
    of = pooling.pooled(sums)
    said = known["replenishable"].take(place).combine_chunks()
    common = pa.array((of.again >= COMMON) & of.known)
    return (
        pa.table(
            {
                "product_id": sold["product_id"],
                "mean": column(of.mean),
                "spread": column(of.spread),
                "sure": pa.array(sums.gaps >= GAPS_OF_PRODUCT),
                "known": pa.array(np.full(len(sums.gaps), of.known)),
                "replenishable": pc.coalesce(said, common),
            }
        ),
        of.prior,
    )


def _own(engine: Engine, spells: ir.Table, goods: pa.Table) -> tuple[Floats, ir.Table]:
    """Each product's own rate, and (customer_id, hers): each customer's beside it."""
    spells = engine.keep(spells.select(*PAIR, "closed", "expected", end=spells.day + spells.length))
    counted = spells.group_by("product_id").agg(
        bought=spells.closed.sum(), expected=_steps(spells.expected).sum().cast("int64")
    )
    counted = counted.order_by("product_id").to_pyarrow()
    of_product, _ = hazards.own(
        counted["bought"].to_numpy().astype(float), counted["expected"].to_numpy() / STEPS
    )
    rows = engine.rows(pa.table({"product_id": goods["product_id"], "own": column(of_product)}))
    each = spells.inner_join(rows, "product_id")
    people = each.group_by("customer_id").agg(
        bought=each.closed.sum(), steps=_steps(each.expected * each.own).sum().cast("int64")
    )
    people = engine.keep(people.mutate(expected=people.steps.cast("float64") / STEPS))
    baskets = spells.filter(spells.closed).group_by("customer_id", "end").agg(n=ibis._.count())
    sizes = baskets.agg(n=baskets.n.sum(), square=(baskets.n * baskets.n).sum())
    n, square = (float(value or 1) for value in sizes.to_pyarrow().to_pylist()[0].values())
    size = square / n
    beyond = (people.bought - people.expected) ** 2 - size * people.expected
    sums = people.agg(
        square=_steps(people.expected**2).sum().cast("int64"),
        beyond=_steps(beyond).sum().cast("int64"),
    )
    square, beyond_ = (value or 0 for value in sums.to_pyarrow().to_pylist()[0].values())
    pull = size * hazards.pulled(square / STEPS, beyond_ / STEPS)
    hers = (people.bought + pull) / (people.expected + pull)
    return of_product, people.select("customer_id", hers=hers)


def _late(spells: ir.Table, rates: ir.Table, today: int) -> ir.Table:
    """Spells with `until`, the purchases expected so far, and `since`, those until SEASON ago."""
    then = ibis.greatest(today - SEASON - spells.day, 0).cast("float64")
    rows = renewal.hazard(spells.mutate(start=then / spells.usual), rates, "start", "since")
    return renewal.hazard(rows.drop("start", "since_rate"), rates, "age", "until")


def _season(engine: Engine, late: ir.Table) -> float:
    """Purchases of the last SEASON days over those expected: the shop's season, or its growth."""
    expected = _steps(late.pace * (late.until - late.since)).sum().cast("int64")
    found = late.agg(bought=late.closed.sum(), expected=expected).to_pyarrow().to_pylist()[0]
    bought, expected = (found[name] or 0 for name in ("bought", "expected"))
    return float((bought + hazards.PULL) / (expected / STEPS + hazards.PULL))


def _published(
    late: ir.Table, rates: ir.Table, prior: float, season: float, as_of: datetime
) -> ir.Table:
    """The table's columns, from each pair's spell that still lasts."""
    rows = late.filter(~late.closed)
    rows = rows.mutate(later=rows.age + WITHIN / rows.usual, pace=rows.pace * season)
    rows = renewal.hazard(rows, rates, "later", "then")
    rows = renewal.hazard(rows.mutate(first=ibis.literal(1.0)), rates, "first", "due")
    nothing, never = ibis.null("float64"), ibis.null("timestamp('UTC', 6)")
    gone = (rows.number - 1).cast("float64")  # gaps so far
    sure = rows["spread"] * (1 + 1 / (gone + prior)).sqrt()

    def after(quantile: float) -> ir.TimestampValue:
        """The time by which such a share of these intervals is over."""
        days = ibis.least(rows.usual * (sure * quantile).exp(), hazards.LONGEST)
        seconds = (days * DAY).round().cast("int64").as_interval("s")
        return ibis.ifelse(rows.known, rows.time + seconds, never)

    def median(log: ir.FloatingValue, *, where: ir.BooleanValue) -> ir.FloatingValue:
        return ibis.ifelse(where, ibis.least(log.exp(), hazards.LONGEST), nothing)

    rows = rows.mutate(due_from=after(EARLY), due_at=after(0.0), overdue_at=after(LATE))
    now = ibis.literal(as_of, "timestamp('UTC')")
    unlikely = rows.until_rate < UNLIKELY * rows.due_rate
    state = ibis.cases(
        (~rows.replenishable | ~rows.known, ibis.null("string")),
        ((rows.due_from > now) & unlikely, "too_early"),
        (rows.overdue_at > now, "due"),
        else_="overdue",
    )
    before = rows.earlier.cast("float64") / (LOG * ibis.greatest(gone, 1.0))
    return rows.select(
        *PAIR,
        "due_from",
        "due_at",
        "overdue_at",
        "replenishable",
        purchases=rows.number,
        last_purchase_time=rows.time,
        interval_days=ibis.ifelse(rows.known, rows.usual, nothing),
        own_interval_days=median(before, where=rows.number > GAPS_OF_HERS),
        product_interval_days=median(rows["mean"], where=rows.sure),
        state=state,
        hazard=rows.pace * rows.until_rate / rows.usual,
        chance_14d=1 - (-rows.pace * (rows.then - rows.until)).exp(),
    )


def _steps(value: ir.FloatingValue) -> ir.IntegerValue:
    """As a whole number, which adds up to the same in any order."""
    return (value * STEPS).round().cast("int64")
