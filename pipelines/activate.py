"""Activate: a shop as of a moment in, the campaign of that day out: whom to wake, with what.

Everybody who ever ordered stands in the table: contacted, held out at random, or left out with the
reason. Whom to choose is decided before the draw, so that the two arms are alike; the draw is a
hash of day and customer, so that a repeated or corrected list of one day keeps its arms.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.assignment import BUCKETS, bucket
from features.tables import Snapshot, code_version
from models import uplift
from models.bundle import Bundle, open_bundle
from models.lifetime.outlook import NobodyOrdered
from pipelines import (
    activation_channels as channels,
)
from pipelines import (
    activation_offers,
    activation_past,
    activation_people,
    activation_table,
    activation_worth,
    publish,
)
from pipelines.activation_people import People
from pipelines.activation_rules import Activation, ActivationError
from pipelines.activation_table import Decided
from pipelines.activation_worth import Worth
from pipelines.build import last_event
from pipelines.folds import available
from pipelines.progress import step
from pipelines.settings import Shop
from pipelines.workspace import Workspace

__all__ = ["ActivationError", "contacts", "left_out", "run"]

INPUTS = ("stock", "consents", "contacts", "identities")
SHOWN = 10  # of the list, told in the record


def run(workspace: Workspace, shop: Shop, *, as_of: datetime | None = None) -> dict[str, Any]:
    """Make the campaign of a moment's day; the same inputs find the one that was made.

    Another list of the same day takes its place, with the same arms. Gives `campaign, as_of,
    snapshot, bundle, reused`, `counts {contact, holdout, left_out {WHY: n}}`, `stages {STAGE: n}`
    of those contacted, `how` and `why` of the values, `expected_gain`, `warnings`, and `first`,
    the head of the list. Raises ActivationError and Missing.
    """
    tables, rules = workspace.tables, shop.activation
    as_of = as_of or last_event(tables)
    serving = publish.serving(workspace)
    if serving is None:
        raise ActivationError(
            f"no bundle is published in {workspace.root}: `regulars publish` first"
        )
    with workspace.lock("work", shared=True), step("activate"):
        try:
            people = activation_people.people(workspace, shop, as_of=as_of)
        except NobodyOrdered as error:
            raise ActivationError(f"nobody can be contacted: {error}") from error
        day = as_of.date()
        inputs: dict[str, Any] = {
            "campaign": day.isoformat(),
            "as_of": as_of.isoformat(),
            "bundle": serving,
            "parents": {**people.parents, **_inputs(workspace)},
            "parameters": rules.model_dump(mode="json"),
            "before": [one.snapshot.id for one in activation_past.campaigns(tables, before=day)],
            "code": _code(),
        }
        id = tables.id("activation", **inputs)
        found = tables.find("activation", id)
        reused = found is not None
        if found is None:
            bundle = open_bundle(workspace.bundles / serving)
            table, about = _made(workspace, shop, people, bundle, as_of)
            newest = tables.current("activation")
            found = tables.commit(
                "activation",
                id,
                [tables.write("activation", table)],
                as_of=as_of,
                parents=inputs["parents"],
                parameters=inputs["parameters"],
                code=inputs["code"],
                about={"campaign": day.isoformat(), "bundle": serving, **about},
                current=newest is None or newest.as_of is None or newest.as_of <= as_of,
            )
        activation_past.publish(tables, day, found)
    return {
        "as_of": as_of.isoformat(),
        "snapshot": found.id,
        "reused": reused,
        **found.manifest["about"],
    }


def contacts(snapshot: Snapshot) -> pa.Table:
    """Those to contact, best first: what may leave the house. Who is held out is not among them."""
    rows = snapshot.read()
    rows = rows.filter(pc.equal(rows["arm"], "contact")).sort_by("rank")
    return rows.drop_columns(["arm", "left_out", "left_out_reason"])


def _made(
    workspace: Workspace, shop: Shop, people: People, bundle: Bundle, as_of: datetime
) -> tuple[pa.Table, dict[str, Any]]:
    """The table of ACTIVATION and what its manifest says of it."""
    tables, rules, day = workspace.tables, shop.activation, as_of.date()
    past = activation_past.units(tables, activation_past.campaigns(tables, before=day), as_of=as_of)
    worth = activation_worth.worth(people, past, rules)
    channel = channels.best_channel(
        tables, people.ids, people.habits, channels=rules.channels, consent=rules.consent,
        as_of=as_of,
    )  # fmt: skip
    since = activation_past.chosen_lately(tables, people.ids, as_of=as_of, rest=rules.rest_days)
    gain = worth.with_ - worth.without
    left = left_out(people, worth, channel, since, rules)
    rows = np.flatnonzero(left == "")
    products: list[list[str]] = [[] for _ in range(len(people.ids))]
    at_hand = available(tables, bundle.recommender.products, at=as_of)
    offered = activation_offers.offers(
        bundle, people, rows, n=rules.products, per_category=rules.per_category, at_hand=at_hand
    )
    for row, some in zip(rows.tolist(), offered, strict=True):
        products[row] = some
        if not some:
            left[row] = "nothing_to_offer"
    order = np.flatnonzero(left == "")
    order = order[np.lexsort((order, -gain[order]))]  # rows stand by id: that breaks ties
    held = _held_out(people.ids.take(pa.array(order)).to_pylist(), day.isoformat(), rules.holdout)
    if rules.budget is not None:
        over = np.cumsum(~held) > rules.budget
        for row in order[over].tolist():
            left[row], products[row] = "over_budget", []
        order, held = order[~over], held[~over]
    decided = Decided(left, order, held, products, since, channel)
    table = activation_table.table(people, worth, decided, bundle, rules, as_of=as_of)
    return table, _about(table, people, worth, gain[order], held, bundle, as_of)


def left_out(
    people: People, worth: Worth, channel: pa.Array, since: Any, rules: Activation
) -> npt.NDArray[np.object_]:
    """(n,) why each is left out, the weightiest reason; empty for those who may be chosen."""
    gain = worth.with_ - worth.without
    stages = pc.is_in(people.stage, value_set=pa.array(list(rules.stages)))
    reasons = (
        ("no_consent", channel.is_null().to_numpy(zero_copy_only=False)),
        ("contacted_recently", np.isfinite(since)),
        ("comes_anyway", ~stages.to_numpy(zero_copy_only=False)),
        ("beyond_hope", people.alive < rules.hope),
        ("not_worth_it", gain <= rules.cost),
    )
    left = np.full(len(people.ids), "", object)
    for code, holds in reversed(reasons):
        left[holds] = code
    return left


def _held_out(ids: list[str], day: str, share: float) -> npt.NDArray[np.bool_]:
    salt, below = f"activation:{day}", round(share * BUCKETS)
    return np.array([bucket(salt, id) < below for id in ids], np.bool_)


def _about(
    table: pa.Table,
    people: People,
    worth: Worth,
    gain: npt.NDArray[np.float64],
    held: npt.NDArray[np.bool_],
    bundle: Bundle,
    as_of: datetime,
) -> dict[str, Any]:
    """What a person wants to know of a campaign without reading the table."""
    chosen = table.filter(pc.equal(table["arm"], "contact")).sort_by("rank")
    warnings = []
    newer = bundle.manifest.get("as_of")
    if newer is not None and datetime.fromisoformat(newer) > as_of:
        warnings.append(f"the published lists know what happened up to {newer}, after the campaign")
    if not chosen.num_rows:
        warnings.append("nobody is worth a contact today: see left_out")
    elif held.sum() < uplift.LEAST:
        warnings.append(
            f"{int(held.sum())} are held out: one campaign of this size proves little, the report "
            "adds them up"
        )
    shown = ["customer_id", "stage", "reason", "best_channel", "products", "expected_value_with"]
    return {
        "counts": {
            "customers": table.num_rows,
            "contact": chosen.num_rows,
            "holdout": int(held.sum()),
            "left_out": dict(sorted(Counter(table["left_out"].drop_null().to_pylist()).items())),
        },
        "stages": dict(sorted(Counter(chosen["stage"].to_pylist()).items())),
        "channels": dict(sorted(Counter(chosen["best_channel"].to_pylist()).items())),
        "how": worth.how,
        "why": worth.why,
        "expected_gain": round(float(gain[~held].sum()), 2),
        "warnings": warnings,
        "first": chosen.select(shown).slice(0, SHOWN).to_pylist(),
    }


def _inputs(workspace: Workspace) -> dict[str, str]:
    found = {name: workspace.tables.current(name) for name in INPUTS}
    return {name: snapshot.id for name, snapshot in found.items() if snapshot is not None}


def _code() -> str:
    from pipelines import activate, activation_reasons

    return code_version(
        activate, activation_offers, activation_past, activation_people, activation_reasons,
        activation_table, activation_worth, channels, uplift,
    )  # fmt: skip
