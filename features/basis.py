"""The basis of a build: what its tables are made from in, older builds it can go on from out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from features import baskets, customers, decay, facts, identity, interactions, products, work
from features import engine as engines
from features.parameters import FeatureParameters
from features.schemas import IDENTITIES
from features.tables import Part, Snapshot, Tables, code_version


@dataclass(frozen=True, slots=True)
class Basis:
    """What the tables of one build are made from."""

    tables: Tables
    events: Snapshot
    identities: Snapshot | None
    as_of: datetime
    parameters: FeatureParameters

    def inputs(self) -> dict[str, Any]:
        """All that decides the tables, JSON-like."""
        return {
            "events": self.events.id,
            "identities": None if self.identities is None else self.identities.id,
            "as_of": self.as_of.isoformat(),
            "parameters": self.parameters.model_dump(),
            "code": code(),
        }

    def id(self, table: str) -> str:
        """The id of a table's snapshot."""
        return self.tables.id(table, **self.inputs())

    def commit(self, table: str, parts: Iterable[Part], about: dict[str, Any]) -> Snapshot:
        """Make a table's parts a snapshot, not yet the newest."""
        parents = {"events": self.events.id}
        if self.identities is not None:
            parents["identities"] = self.identities.id
        return self.tables.commit(
            table,
            self.id(table),
            parts,
            as_of=self.as_of,
            parents=parents,
            parameters=self.parameters.model_dump(),
            code=code(),
            about=about,
            current=False,
        )

    def links(self) -> pa.Table:
        """Every id whose customer is not itself, as known at `as_of`."""
        links = IDENTITIES.empty_table() if self.identities is None else self.identities.read()
        return identity.resolve(links, as_of=self.as_of)

    def anchors(self) -> list[float]:
        """What ages are counted from; sums over different ones don't add up."""
        lives = [self.parameters.half_life_days, *(days for _, days in products.WINDOWS.values())]
        return [decay.anchor(self.as_of, days) for days in lives]

    def select(
        self,
        engine: engines.Engine,
        *,
        after: datetime | None = None,
        among: set[str] | None = None,
        without: set[str] | None = None,
    ) -> ir.Table:
        """Events of the parts, all or some by name, that may hold times in (after, as_of]."""
        parts = [
            part
            for part in between(self.events.parts, after, self.as_of)
            if (among is None or part.name in among)
            and (without is None or part.name not in without)
        ]
        return engine.parts(self.events, parts)


def between(parts: Iterable[Part], after: datetime | None, until: datetime) -> list[Part]:
    """The parts that may hold times in (after, until]."""
    return [
        part
        for part in parts
        if (part.min_time is None or datetime.fromisoformat(part.min_time) <= until)
        and (
            after is None or part.max_time is None or datetime.fromisoformat(part.max_time) > after
        )
    ]


def code() -> str:
    """The version of everything that a table's bytes depend on besides its inputs."""
    modules = (baskets, customers, decay, facts, identity, interactions, products, work, engines)
    return f"{code_version(*modules)}, {engines.VERSION}"


def earlier(basis: Basis, names: Iterable[str]) -> Iterator[tuple[Basis, dict[str, Snapshot]]]:
    """Builds whose tables more events can be added to, the latest first.

    They have all the tables, the same code, parameters and anchors, are no later, and every part
    of their events is still there: a corrected file has another part, so it starts anew.
    """
    now = {part.name for part in basis.events.parts}
    folder = basis.tables.root / "baskets" / "snapshots"
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    for manifest in sorted(manifests, key=lambda m: (m["as_of"], m["id"]), reverse=True):
        if manifest["code"] != code() or manifest["parameters"] != basis.parameters.model_dump():
            continue
        parents = manifest["parents"]
        events = basis.tables.find("events", parents["events"])
        identities = None
        if "identities" in parents:
            identities = basis.tables.find("identities", parents["identities"])
        if events is None or ("identities" in parents and identities is None):
            continue
        base = Basis(
            basis.tables,
            events,
            identities,
            datetime.fromisoformat(manifest["as_of"]),
            basis.parameters,
        )
        found = {name: basis.tables.find(name, base.id(name)) for name in names}
        whole = {name: snapshot for name, snapshot in found.items() if snapshot is not None}
        if (
            len(whole) == len(found)
            and base.as_of <= basis.as_of
            and base.anchors() == basis.anchors()
            and {part.name for part in events.parts} <= now
        ):
            yield base, whole
