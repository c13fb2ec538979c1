"""People: a shop's tables as of a moment in, one row a customer who ever ordered out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.build import build
from features.parameters import Stages
from features.replenishment import replenishment
from features.schemas import CHANNELS
from features.tables import Snapshot
from models.evaluation.intervals import numbers
from pipelines import lifetime
from pipelines.settings import Shop
from pipelines.workspace import Workspace

Floats = npt.NDArray[np.float64]
ORDERS = tuple(f"orders_{channel}" for channel in CHANNELS)
EVENTS = tuple(f"events_{channel}" for channel in CHANNELS)
FEATURES = (
    "customer_id", "frequency", "average_order_value", "days_since_last_order", "tenure_days",
    "average_days_between_orders", *ORDERS, *EVENTS,
)  # fmt: skip
LIFETIME = (
    "customer_id", "probability_alive", "lifecycle_stage", "expected_order_value",
    "expected_orders_28d", "expected_orders_90d", "expected_orders_365d",
)  # fmt: skip
DUE = (
    "customer_id", "product_id", "own_interval_days", "interval_days", "last_purchase_time",
    "state", "chance_14d",
)  # fmt: skip
LONG_OVER = 3.0  # of its intervals after which a product is no longer due: she has moved on
HORIZONS = (0, 28, 90, 365)


@dataclass(frozen=True, slots=True)
class People:
    """n customers by ascending id; an array has one value for each.

    stage: Arrow, one of STAGES. gap: usual days between her orders, the shop's where she has too
    few. habits: (n, channels) orders in each, and less than one more for what else she did there.
    expected_orders: within the horizon, left alone. value: of one of her orders, never negative.
    due: rows of `replenishment` that are due or overdue, the likeliest of each customer first, and
    `row`, whose they are. parents: the snapshots that all this is from.
    """

    ids: pa.Array
    stage: pa.Array
    frequency: Floats
    days_since: Floats
    tenure: Floats
    gap: Floats
    habits: Floats
    alive: Floats
    expected_orders: Floats
    value: Floats
    due: pa.Table
    row: npt.NDArray[np.int64]
    parents: dict[str, str]


def people(workspace: Workspace, shop: Shop, *, as_of: datetime) -> People:
    """Everybody who ordered by then; raises Missing without events, NobodyOrdered without orders.

    The tables are built where they are not there yet; none becomes the newest by it.
    """
    tables, rules = workspace.tables, shop.activation
    made = build(
        tables, as_of=as_of, parameters=shop.features, names=("customer_features",), current=False
    )["customer_features"]
    told = lifetime.run(workspace, shop, as_of=as_of, current=False)
    alive = tables.get("customer_lifetime", told["tables"]["customer_lifetime"]["snapshot"])
    clock = replenishment(tables, as_of=as_of, current=False)
    life = alive.read(LIFETIME).sort_by("customer_id")
    ids = life["customer_id"].combine_chunks()
    known = made.read(FEATURES)
    known = known.take(pc.index_in(ids, known["customer_id"].combine_chunks()))
    columns = {name: numbers(known[name]) for name in FEATURES[1:]}
    worth = numbers(life["expected_order_value"])
    worth = np.where(np.isfinite(worth), worth, np.nan_to_num(columns["average_order_value"]))
    due, row = _due(clock, ids, as_of)
    return People(
        ids=ids,
        stage=life["lifecycle_stage"].combine_chunks(),
        frequency=columns["frequency"],
        days_since=np.maximum(columns["days_since_last_order"], 0),
        tenure=columns["tenure_days"],
        gap=_gap(columns, shop.features.stages),
        habits=_habits(columns),
        alive=numbers(life["probability_alive"]),
        expected_orders=_within(life, rules.horizon_days),
        value=np.maximum(worth, 0),
        due=due,
        row=row,
        parents={one.table: one.id for one in (made, alive, clock)},
    )


def _gap(columns: dict[str, Floats], rule: Stages) -> Floats:
    """Her average gap pulled to the shop's, as for her stage."""
    average, frequency = columns["average_days_between_orders"], columns["frequency"]
    some = average[np.isfinite(average)]
    shop = float(np.median(some)) if len(some) else 0.0
    shop = shop if shop > 0 else rule.fallback_days
    gaps = np.maximum(frequency - 1, 0)
    own = (np.nan_to_num(average) * gaps + shop * rule.shop_gaps) / np.maximum(
        gaps + rule.shop_gaps, 1e-9
    )
    return np.where(frequency >= rule.own_orders, own, shop)


def _habits(columns: dict[str, Floats]) -> Floats:
    orders = np.stack([columns[name] for name in ORDERS], axis=1)
    events = np.stack([columns[name] for name in EVENTS], axis=1)
    found: Floats = orders + events / (1 + events.sum(axis=1, keepdims=True))
    return found


def _within(life: pa.Table, days: int) -> Floats:
    """Orders expected within so many days: straight lines between the horizons that are known."""
    known = [np.zeros(life.num_rows)]
    known += [numbers(life[f"expected_orders_{h}d"]) for h in HORIZONS[1:]]
    place = int(np.searchsorted(HORIZONS, days))  # days lies in (HORIZONS[place-1], …[place]]
    low, high = HORIZONS[place - 1], HORIZONS[place]
    part = (days - low) / (high - low)
    found: Floats = known[place - 1] + part * (known[place] - known[place - 1])
    return found


def _due(clock: Snapshot, ids: pa.Array, as_of: datetime) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    rows = clock.read(DUE)
    rows = rows.filter(pc.is_in(rows["state"], value_set=pa.array(["due", "overdue"])))
    ago = (as_of.timestamp() * 1e6 - pc.cast(rows["last_purchase_time"], pa.int64()).to_numpy()) / (
        86_400e6
    )
    rows = rows.filter(pa.array(ago <= LONG_OVER * numbers(rows["interval_days"])))
    rows = rows.append_column("row", pc.index_in(rows["customer_id"], value_set=ids))
    order: Any = [("row", "ascending"), ("chance_14d", "descending"), ("product_id", "ascending")]
    rows = rows.filter(pc.is_valid(rows["row"])).sort_by(order)
    return rows, rows["row"].to_numpy().astype(np.int64)
