"""The build: an events snapshot and a time in, snapshots of the feature tables out.

A build whose snapshots exist does nothing. One that an older build fits adds the new events to
its tables, see `features.work`; the bytes are those of a build from nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from features import work
from features.artifact import pointed
from features.basis import Basis, earlier
from features.engine import Engine
from features.facts import facts
from features.identity import moved, resolved
from features.parameters import FeatureParameters, Stages, Weights
from features.tables import Snapshot, Tables

__all__ = ["NAMES", "FeatureParameters", "Stages", "Weights", "build"]

NAMES = ("interactions", "customer_features", "product_features", "baskets")
NEEDS: dict[str, tuple[str, ...]] = {  # in the order of work
    "baskets": (),
    "interactions": ("baskets",),
    "customer_features": ("baskets", "interactions"),
    "product_features": ("baskets", "interactions"),
}
DEFAULTS = FeatureParameters()
BUCKET = 4_000_000  # events of one bucket of customers, at most


def build(
    tables: Tables,
    *,
    as_of: datetime,
    parameters: FeatureParameters = DEFAULTS,
    names: Sequence[str] = NAMES,
    current: bool = True,
    engine: Engine | None = None,
) -> dict[str, Snapshot]:
    """The named tables as they were at `as_of`; what a table is made from is built with it.

    `current=False` leaves the newest snapshots the newest: for a look back. Raises Missing where
    there are no events.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of must have a time zone, got {as_of.isoformat()}")
    if unknown := sorted(set(names) - set(NAMES)):
        raise ValueError(f"names must be among {', '.join(NAMES)}, got {unknown[0]!r}")
    events, identities = tables.need("events"), tables.current("identities")
    basis = Basis(tables, events, identities, as_of.astimezone(UTC), parameters)
    wanted = tuple(n for n in NEEDS if n in names or any(n in NEEDS[name] for name in names))
    found = {name: tables.find(name, basis.id(name)) for name in wanted}
    done = {name: snapshot for name, snapshot in found.items() if snapshot is not None}
    if len(done) < len(wanted):
        with contextlib.ExitStack() as stack:
            if engine is None:
                engine = stack.enter_context(Engine(tables.root / ".spill"))
            stack.enter_context(engine.scratch())
            parts, about = _made(basis, engine, wanted)
        # All parts are on disk before the first table is committed.
        done = {name: basis.commit(name, parts[name], about) for name in wanted}
    if current:
        for name, snapshot in done.items():
            if pointed(tables.root / name / "current") != snapshot.id:
                tables.point(snapshot)
    return {name: done[name] for name in names}


def _made(
    basis: Basis, engine: Engine, names: tuple[str, ...]
) -> tuple[work.Parts, dict[str, Any]]:
    """The parts of the tables, and what the next build must know of this one."""
    links = engine.rows(basis.links())
    pa.default_memory_pool().release_unused()

    def lines(events: ir.Table, until: datetime, **how: Any) -> ir.Table:
        return facts(resolved(events, links), as_of=until, **how)

    def job(size: int) -> work.Job:
        n = 1 << max(0, (size - 1) // BUCKET).bit_length()
        return work.Job(basis.tables, engine, names, basis.as_of, basis.parameters, n)

    for base, snapshots in earlier(basis, names):
        before = snapshots["baskets"].manifest["about"]
        old = {part.name for part in base.events.parts}
        late = lines(basis.select(engine, without=old), basis.as_of)
        young = basis.select(engine, among=old, after=base.as_of)
        new = late.union(lines(young, basis.as_of, after=base.as_of))
        then = engine.rows(base.links())
        ids, customers = moved(then, links)
        events = base.select(engine)
        theirs = events.semi_join(ids, events.customer_id == ids.identity)
        others = events.anti_join(ids, events.customer_id == ids.identity)
        strangers = lines(others.filter(others.event_type == "purchase"), base.as_of)
        again = work.Again(
            engine.keep(lines(resolved(theirs, then, "was"), base.as_of, also=["was"])),
            strangers.filter(strangers.customer_id.isnull()),
            engine.keep(customers),
        )
        added = engine.value(new.count())
        size = before["events"] + added
        todo = job(size)
        small = added + engine.value(again.lines.count()) <= before["events"]
        if small and todo.buckets == before["buckets"]:
            about = {"events": size, "buckets": todo.buckets, "base": base.as_of.isoformat()}
            return work.step(todo, new, again, snapshots), about
    every = lines(basis.select(engine), basis.as_of)
    size = engine.value(every.count())
    todo = job(size)
    return work.whole(todo, every), {"events": size, "buckets": todo.buckets, "base": None}
