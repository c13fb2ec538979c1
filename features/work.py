"""The work of a build: facts in, the parts of all four tables out, from nothing or from a base.

Every table is a sum: rows of new facts are added to rows of old ones, and only then turned into
the published columns. `whole` sums all facts, bucket by bucket of customers, so that memory does
not grow with the history; `step` adds new facts to the tables of an older snapshot and passes
over the rows that they don't touch once, since what decays changes in every row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from features import baskets, customers, interactions, products
from features.engine import Engine
from features.facts import of
from features.parameters import FeatureParameters
from features.schemas import SCHEMAS
from features.tables import Part, Snapshot, Tables

ORDER = {
    "baskets": baskets.ORDER,
    "interactions": interactions.KEY,
    "customer_features": ("customer_id",),
    "product_features": ("product_id",),
}
TIME = {
    "baskets": "order_time",
    "interactions": "last_time",
    "customer_features": "last_event_time",
    "product_features": "last_time",
}
Parts = dict[str, list[Part]]


@dataclass(frozen=True, slots=True)
class Job:
    """One build: what to write, at what time, into how many buckets."""

    tables: Tables
    engine: Engine
    names: tuple[str, ...]
    as_of: datetime
    parameters: FeatureParameters
    buckets: int

    def write(self, table: str, rows: ir.Table, **how: Any) -> list[Part]:
        """Parts of a table, see `Engine.write`."""
        return self.engine.write(
            rows, self.tables, table, order=ORDER[table], time=TIME[table], **how
        )


def whole(job: Job, facts: ir.Table) -> Parts:
    """The parts of the tables from all facts."""
    engine, as_of, parameters = job.engine, job.as_of, job.parameters
    parts: Parts = {name: [] for name in job.names}
    orders = people = goods = None
    bucket = _bucket(_own(facts), job.buckets)
    for number, lines in enumerate(
        engine.spread(facts.mutate(bucket=bucket), "bucket", job.buckets)
    ):
        come = engine.keep(baskets.partial(lines))
        orders = _gathered(engine, orders, baskets.dated(baskets.published(come)))
        if "interactions" not in job.names:
            continue
        state = interactions.partial(lines, come, None, as_of=as_of, parameters=parameters)
        rows = interactions.published(state, as_of=as_of, parameters=parameters)
        written = job.write("interactions", rows, bucket=number)
        parts["interactions"] += written
        pairs = engine.files(_paths(job, "interactions", written), SCHEMAS["interactions"])
        if "customer_features" in job.names:
            people = _gathered(engine, people, customers.partial(lines, come, None, pairs, None))
        if "product_features" in job.names:
            new = products.partial(lines, come, None, pairs, None, as_of=as_of)
            goods = _gathered(engine, goods, new)
        engine.drop(come)
    if people is not None:
        parts["customer_features"] = _customers(job, people)
    if goods is not None:
        rows = products.published(products.merged(goods), as_of=as_of)
        parts["product_features"] = job.write("product_features", rows)
    if orders is not None:
        periods = _periods(orders)
        parts["baskets"] = job.write("baskets", orders, split="period", values=periods)
    return parts


@dataclass(frozen=True, slots=True)
class Again:
    """What a base said of some customers is taken back and said anew: links came or went.

    lines: the facts of the base that are, or were, these customers', with `was`, the customer
    they belonged to; strangers: its other purchases that are nobody's; customers: (customer_id),
    none where no link changed.
    """

    lines: ir.Table
    strangers: ir.Table
    customers: ir.Table

    def others(self, rows: ir.Table) -> ir.Table:
        """Rows of everybody else."""
        return rows.anti_join(self.customers, "customer_id")


def step(job: Job, new: ir.Table, again: Again, base: Mapping[str, Snapshot]) -> Parts:
    """The parts of the tables from those of `base` and the facts that came since."""
    engine, as_of, parameters = job.engine, job.as_of, job.parameters
    parts: Parts = {}
    new = engine.keep(new)
    come, gone = _orders(engine, new, again, engine.read(base["baskets"]))
    parts["baskets"] = _baskets(job, come, gone, base["baskets"])
    if "interactions" not in job.names:
        return parts
    lines, went = new.union(again.lines.drop("was")), again.others(gone)
    added = interactions.partial(lines, come, went, as_of=as_of, parameters=parameters)
    added = engine.keep(added)
    old = interactions.state(engine.read(base["interactions"]))
    replaced = engine.keep(
        again.others(old)
        .semi_join(added, interactions.KEY)
        .union(old.semi_join(again.customers, "customer_id"))
    )
    remaining = again.others(replaced)
    pairs = engine.keep(interactions.merged(remaining, added))
    parts["interactions"] = _pairs(job, pairs, again, _by(base["interactions"], "bucket"))
    if "customer_features" in job.names:
        added = customers.partial(lines, come, went, pairs, remaining)
        old = again.others(engine.read(base["customer_features"]))
        parts["customer_features"] = _customers(job, engine.keep(customers.merged(old, added)))
    if "product_features" in job.names:
        added = products.partial(new, come, gone, pairs, replaced, as_of=as_of)
        old = products.state(engine.read(base["product_features"]))
        rows = products.merged(added.union(_like(old, added)))
        rows = products.published(rows, as_of=as_of)
        parts["product_features"] = job.write("product_features", rows)
    return parts


def _orders(
    engine: Engine, new: ir.Table, again: Again, known: ir.Table
) -> tuple[ir.Table, ir.Table]:
    """Orders that come, whole, and the published rows that go for them.

    An order's row of a customer is all in `again.lines` or not at all; its row of strangers may
    hold lines of others, whose number shows: only then is the history of purchases read.
    """
    bought = again.lines.filter(of(again.lines, "purchase"))
    lines = bought.drop("was")
    back = known.semi_join(again.customers, "customer_id").semi_join(lines, "order_id")
    strangers = bought.filter(bought.was.isnull() | bought.customer_id.isnull())
    moved = strangers.group_by("order_id").agg(moved=strangers.was.isnull().sum())
    rows = known.filter(known.customer_id.isnull()).join(moved, "order_id")
    rest = engine.keep(rows.filter(rows.lines > rows.moved).select("order_id"))
    if engine.value(rest.count()):
        others = again.strangers.semi_join(rest, "order_id")
        lines = lines.union(others)
    taken = engine.keep(back.union(_like(rows.drop("moved"), back)))
    fresh = engine.keep(baskets.partial(new.union(lines)))
    same = known.semi_join(fresh, baskets.same(known, fresh))
    same = engine.keep(same.anti_join(taken, baskets.same(same, taken)))
    return engine.keep(baskets.merged(fresh, same)), engine.keep(same.union(taken))


def _pairs(job: Job, pairs: ir.Table, again: Again, before: Mapping[Any, Part]) -> list[Part]:
    """Interactions by bucket: those that changed, and the others at the new time."""
    parts: list[Part] = []
    for number in range(job.buckets):
        rows = pairs.filter(_bucket(pairs.customer_id, job.buckets) == number)
        if number in before:
            file = _paths(job, "interactions", [before[number]])
            old = again.others(interactions.state(job.engine.files(file, SCHEMAS["interactions"])))
            rows = rows.union(_like(old.anti_join(pairs, interactions.KEY), rows))
        rows = interactions.published(rows, as_of=job.as_of, parameters=job.parameters)
        parts += job.write("interactions", rows, bucket=number)
    return parts


def _customers(job: Job, state: ir.Table) -> list[Part]:
    """Customers by bucket; their stages need the median over all of them first."""
    gap = job.engine.value(customers.shop_gap(state).gap.max())
    rows = customers.published(state, gap, as_of=job.as_of, parameters=job.parameters)
    rows = rows.mutate(bucket=_bucket(rows.customer_id, job.buckets))
    return job.write("customer_features", rows, split="bucket", values=range(job.buckets))


def _baskets(job: Job, come: ir.Table, gone: ir.Table, base: Snapshot) -> list[Part]:
    """Orders by period: those without a new or changed order keep their part."""
    engine, before = job.engine, _by(base, "period")
    rows = baskets.published(come)
    # What comes back as it went changes no part.
    rows, gone = (_changed(rows, gone), _changed(gone, rows))
    rows = engine.keep(baskets.dated(rows))
    gone = engine.keep(baskets.dated(gone))
    touched = sorted({*_periods(rows), *_periods(gone)})
    files = _paths(job, "baskets", [before[period] for period in touched if period in before])
    old = engine.files(files, SCHEMAS["baskets"])
    old = baskets.dated(old.anti_join(gone, baskets.same(old, gone)))
    rows = engine.keep(rows.union(_like(old, rows)))
    written = job.write("baskets", rows, split="period", values=touched)
    kept = [part for period, part in before.items() if period not in touched]
    return sorted(written + kept, key=lambda part: int(part.about["period"]))


def _changed(rows: ir.Table, others: ir.Table) -> ir.Table:
    """The orders that others have not, or not the same."""
    same = [*baskets.same(rows, others), rows.lines == others.lines]
    same += [rows.products == others.products, rows.order_time == others.order_time]
    same += [rows.quantity == others.quantity, rows.revenue == others.revenue]
    same += [
        rows.channel == others.channel,
        rows.store_id.fill_null("") == others.store_id.fill_null(""),
    ]
    return rows.anti_join(others, same)


def _periods(orders: ir.Table) -> list[int]:
    periods: list[int] = orders.select("period").distinct().period.to_pyarrow().to_pylist()
    return sorted(periods)


def _bucket(id: ir.StringValue, n: int) -> ir.IntegerValue:
    """0 to n - 1 by the engine's hash; n is a power of two, and the engine part of the code."""
    return ibis.literal(0, "int64") if n == 1 else id.hash() & (n - 1)


def _own(facts: ir.Table) -> ir.StringValue:
    """What keeps facts together: a customer's, an unknown customer's order's, else a product's."""
    return ibis.coalesce(facts.customer_id, facts.order_id, facts.product_id, "")


def _gathered(engine: Engine, kept: ir.Table | None, rows: ir.Table) -> ir.Table:
    if kept is None:
        return engine.keep(rows)
    engine.add(kept, rows)
    return kept


def _like(rows: ir.Table, other: ir.Table) -> ir.Table:
    """Rows with the columns of another table, in its order and types."""
    return rows.select(**{name: rows[name].cast(kind) for name, kind in other.schema().items()})


def _by(snapshot: Snapshot, key: str) -> dict[Any, Part]:
    """A snapshot's parts by what they hold."""
    return {part.about[key]: part for part in snapshot.parts}


def _paths(job: Job, table: str, parts: Iterable[Part]) -> list[str]:
    return [str(job.tables.root / table / "parts" / f"{part.name}.parquet") for part in parts]
