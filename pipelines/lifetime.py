"""Lifetime: the feature tables in, who is still there and what to expect of each customer out.

The columns stand in a table of their own, `customer_lifetime`, beside `customer_features`: features
never import models, and a fit is made anew each night, while features are moved on by a day.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features import facts, orders, schemas, stages
from features.build import build
from features.orders import Orders, Seen
from features.parameters import Stages
from features.tables import Snapshot, code_version
from models.lifetime import (
    calibration,
    histories,
    maximum,
    outlook,
    returning,
    rhythm,
    spend,
)
from models.lifetime.histories import Histories
from models.lifetime.outlook import Outlook
from models.lifetime.rhythm import Rhythm
from pipelines.build import last_event
from pipelines.progress import step
from pipelines.settings import Shop
from pipelines.workspace import Workspace

NAMES = ("customer_lifetime", "stage_moves")
MONTHS = 13  # of stage history
FAR = 730  # days; a later expected order has no date
STAGES = pa.array(schemas.STAGES)


def run(
    workspace: Workspace, shop: Shop, *, as_of: datetime | None = None, current: bool = True
) -> dict[str, Any]:
    """Build both tables as they were at `as_of`; what is there is found, not built.

    Gives `as_of, tables {NAME: {snapshot, rows}}, fit {rhythm, spend, calibration, factors …},
    reused`; raises NobodyOrdered.
    """
    tables = workspace.tables
    as_of = as_of or last_event(tables)
    with workspace.lock("work", shared=True), step("lifetime"):
        wanted = ("baskets", "customer_features")
        made = build(tables, as_of=as_of, parameters=shop.features, names=wanted, current=current)
        parents = {name: made[name].id for name in wanted}
        inputs = {"parents": parents, "as_of": as_of.isoformat(), "code": _code()}
        inputs["stages"] = shop.features.stages.model_dump()
        ids = {name: tables.id(name, **inputs) for name in NAMES}
        found = {name: tables.find(name, ids[name]) for name in NAMES}
        done = {name: one for name, one in found.items() if one is not None}
        reused = len(done) == len(NAMES)
        if not reused:
            rows, fit = tables_of(made, as_of=as_of, rule=shop.features.stages)
            parts = {name: tables.write(name, rows[name]) for name in NAMES}
            for name in NAMES:
                done[name] = tables.commit(
                    name,
                    ids[name],
                    [parts[name]],
                    as_of=as_of,
                    parents=parents,
                    parameters={"stages": inputs["stages"]},
                    code=_code(),
                    about=fit,
                    current=current,
                )
        elif current:
            for one in done.values():
                tables.point(one)
    return {
        "as_of": as_of.isoformat(),
        "tables": {name: {"snapshot": one.id, "rows": one.rows} for name, one in done.items()},
        "fit": done["customer_lifetime"].manifest["about"],
        "reused": reused,
    }


def tables_of(
    made: dict[str, Snapshot], *, as_of: datetime, rule: Stages
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Both tables from the snapshots of `baskets` and `customer_features`, and what was fitted."""
    every = orders.orders(made["baskets"].read(orders.GROUPS))
    found = outlook.outlook(every, as_of)
    kept = made["customer_features"].read(["customer_id", "monetary_value"])
    place = pc.index_in(every.customers, kept["customer_id"].combine_chunks())
    money = kept["monetary_value"].take(place).to_numpy()
    now = stage(every, as_of, found.rhythm, rule)
    ids = every.customers.take(pa.array(found.who))
    days = found.known.repeat_orders[found.known.row] + 1
    value, average = worth(days, money[found.who])
    table = customers(ids, found, value, now[found.who], as_of=as_of)
    fit = {
        "rhythm": {"name": found.rhythm.name, **asdict(found.rhythm)},
        "tried": found.tried,
        "loss": found.loss,
        "calibration": found.calibration._asdict(),
        "factors": {str(days): factor for days, factor in found.factors.items()},
        "spend": None if average is None else asdict(average),
    }
    moved = moves(every, as_of, found.rhythm, rule)
    return {"customer_lifetime": table, "stage_moves": moved}, fit


def customers(
    ids: pa.Array,
    found: Outlook,
    worth: npt.NDArray[np.float64] | None,
    stage: npt.NDArray[np.int8],
    *,
    as_of: datetime,
) -> pa.Table:
    """The rows of `customer_lifetime`; worth: (m,) what an order of each is expected to be."""
    year = found.expected_orders[365]
    ahead = np.ceil(np.minimum(found.days_to_next_order, FAR + 1)).astype(np.int32)
    today = orders.micros(as_of) // orders.DAY_MICROS
    dates = pa.array(today + ahead, pa.int32(), mask=ahead > FAR).cast(pa.date32())
    nothing = pa.nulls(len(ids), pa.float64())
    return pa.table(
        {
            "customer_id": ids,
            "probability_alive": found.probability_alive,
            "return_probability_90d": found.return_probability,
            "expected_orders_28d": found.expected_orders[28],
            "expected_orders_90d": found.expected_orders[90],
            "expected_orders_365d": year,
            "expected_order_value": nothing if worth is None else worth,
            "expected_value_365d": nothing if worth is None else worth * year,
            "expected_next_order_date": dates,
            "lifecycle_stage": STAGES.take(pa.array(stage)),
        },
        schema=schemas.CUSTOMER_LIFETIME,
    )


def moves(every: Orders, as_of: datetime, rhythm: Rhythm, rule: Stages) -> pa.Table:
    """The rows of `stage_moves`: who was where at the ends of the last months, and went where.

    Customers are those known at as_of, and the rhythm is today's, so that the last month ends in
    the stages of `customer_lifetime`.
    """
    n = len(schemas.STAGES)
    first = datetime.fromtimestamp(int(every.time.min()) / 1e6, UTC)
    ends = stages.month_ends(first, as_of, most=MONTHS)
    columns: dict[str, list[Any]] = {name: [] for name in schemas.STAGE_MOVES.names}
    before = np.full(len(every.customers), stages.NEVER, np.int8)
    if ends[0] > first and len(ends) > MONTHS:
        before = stage(every, ends[0], rhythm, rule)
        ends = ends[1:]
    for end in ends:
        after = stage(every, end, rhythm, rule)
        pair = (before.astype(np.int64) + 1) * (n + 1) + after + 1
        counts = np.bincount(pair, minlength=(n + 1) ** 2).reshape(n + 1, n + 1)
        for source, target in zip(*np.nonzero(counts), strict=True):
            if target:
                columns["month"].append((end - timedelta(microseconds=1)).date().replace(day=1))
                columns["from_stage"].append(schemas.STAGES[source - 1] if source else None)
                columns["to_stage"].append(schemas.STAGES[target - 1])
                columns["customers"].append(int(counts[source, target]))
        before = after
    return pa.table(columns, schema=schemas.STAGE_MOVES)


def stage(every: Orders, at: datetime, rhythm: Rhythm, rule: Stages) -> npt.NDArray[np.int8]:
    """(n,): every customer's stage at a moment, NEVER where she had not ordered."""
    seen = every.seen(at)
    some = seen.count > 0
    alive = np.ones(len(some))
    alive[some] = returning.probability_alive(rhythm, _each(seen, at, some))
    return stages.believed(stages.stages(seen, at=at, rule=rule), alive)


def _each(seen: Seen, at: datetime, some: npt.NDArray[np.bool_]) -> Histories:
    """A history for each of some customers: for one question, finding the distinct costs more."""
    first, n = seen.first_day[some], int(some.sum())
    return Histories(
        repeat_orders=seen.days[some] - 1,
        days_to_last_order=(seen.last_day[some] - first).astype(np.float64),
        days_known=(orders.micros(at) // orders.DAY_MICROS - first).astype(np.float64),
        customers=np.ones(n, np.int64),
        row=np.arange(n),
        log_gaps=float("nan"),
    )


def worth(
    days: npt.NDArray[np.int64], money: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64] | None, spend.Spend | None]:
    """What an order of each customer is expected to be; None where nobody kept anything."""
    if not (money > 0).any():
        return None, None
    fitted = spend.fit(days, money / days)
    return fitted.expected(days, money / days), fitted


def _code() -> str:
    """The version of everything that the tables' bytes depend on besides their inputs."""
    modules = (calibration, facts, histories, maximum, orders, outlook, returning, rhythm, spend)
    return code_version(*modules, stages)
