"""Past campaigns: activation tables and events in, everybody chosen with what came of it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.artifact import Missing, point, pointed
from features.tables import Snapshot, Tables
from pipelines.activation_channels import whose

ARMS = ("contact", "holdout")
DAY = 86_400_000_000  # microseconds
KNOWN = (
    "days_since_last_order", "usual_gap_days", "frequency", "average_order_value", "tenure_days",
    "probability_alive", "expected_orders",
)  # fmt: skip
UNIT = (
    "campaign", "customer_id", "arm", "rank", "stage", "best_channel", "expected_value_without",
    "expected_value_with", "uplift", *KNOWN,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Campaign:
    """One published campaign: its day, the moment it was made for, its table."""

    day: date
    at: datetime
    horizon_days: int
    holdout: float
    snapshot: Snapshot


def publish(tables: Tables, day: date, snapshot: Snapshot) -> None:
    """Call a snapshot the campaign of its day; what the report and the next campaign go by."""
    point(tables.root / "activation" / "campaigns" / day.isoformat(), snapshot.id)


def campaigns(tables: Tables, *, before: date | None = None) -> list[Campaign]:
    """The published campaigns, oldest first, of the days before one."""
    folder = tables.root / "activation" / "campaigns"
    found = []
    for path in sorted(folder.glob("????-??-??")):
        day, id = date.fromisoformat(path.name), pointed(path)
        if id is None or (before is not None and day >= before):
            continue
        snapshot = tables.get("activation", id)
        said, at = snapshot.manifest["parameters"], snapshot.as_of
        if at is None:
            raise Missing(f"the campaign of {day} in {tables.root} does not say its moment")
        found.append(Campaign(day, at, said["horizon_days"], said["holdout"], snapshot))
    return found


def chosen_lately(tables: Tables, ids: pa.Array, *, as_of: datetime, rest: int) -> Any:
    """(n,) days since each was last chosen, in whatever arm, or contacted otherwise; NaN: longer.

    Those held out rest too: else the next campaign would contact them while their outcomes count.
    """
    since = np.full(len(ids), np.nan)
    for one in campaigns(tables, before=as_of.date()):  # oldest first: the last one stays
        days = (as_of.date() - one.day).days
        if days < rest:
            rows = one.snapshot.read(["customer_id", "arm"])
            rows = rows.filter(pc.is_valid(rows["arm"]))
            row = pc.index_in(rows["customer_id"].combine_chunks(), value_set=ids)
            since[row.drop_null().to_numpy()] = days
    contacts = tables.current("contacts")
    if contacts is not None:
        sent = contacts.read(["customer_id", "contacted_at"])
        low = pa.scalar(as_of - timedelta(days=rest))
        late = pc.and_(
            pc.greater(sent["contacted_at"], low),
            pc.less_equal(sent["contacted_at"], pa.scalar(as_of)),
        )
        sent = sent.filter(late).sort_by("contacted_at")
        row = pc.index_in(whose(tables, sent["customer_id"], as_of=as_of), value_set=ids)
        time = pc.cast(sent["contacted_at"], pa.int64()).to_numpy()
        ago = (as_of.timestamp() * 1e6 - time) / DAY
        known = pc.is_valid(row).to_numpy(zero_copy_only=False)
        row = row.drop_null().to_numpy()
        since[row] = np.fmin(since[row], ago[known])
    return since


def units(tables: Tables, some: list[Campaign], *, as_of: datetime) -> pa.Table:
    """Everybody chosen in campaigns whose horizon is over by a moment, with what came of it."""
    over = [one for one in some if one.at + timedelta(days=one.horizon_days) <= as_of]
    if not over:
        return _nobody()
    low = min(one.at for one in over)
    return joined(chosen(over), bought(tables, low, as_of))


def chosen(some: list[Campaign]) -> pa.Table:
    """UNIT of both arms, and when her outcomes count, in microseconds: above start, up to until."""
    rows = []
    for one in some:
        table = one.snapshot.read(UNIT)
        table = table.filter(pc.is_in(table["arm"], value_set=pa.array(ARMS)))
        start = round(one.at.timestamp() * 1e6)
        for name, value in (("start", start), ("until", start + one.horizon_days * DAY)):
            table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
        rows.append(table)
    return pa.concat_tables(rows)


def joined(chosen: pa.Table, bought: pa.Table) -> pa.Table:
    """`chosen` with returned (1: she bought within the horizon), orders and revenue, less refunds.

    bought: what `bought` gives.
    """
    import duckdb

    db = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    db.register("placed", chosen.append_column("place", pa.array(np.arange(chosen.num_rows))))
    db.register("bought", bought)
    return (
        db.execute(
            """SELECT c.* EXCLUDE (start, until, place), coalesce(o.returned, 0) AS returned,
            coalesce(o.orders, 0) AS orders, coalesce(o.revenue, 0.0) AS revenue
            FROM placed c LEFT JOIN (
                SELECT c.place, max(b.purchase) AS returned, sum(b.amount) AS revenue,
                count(DISTINCT b.order_id) FILTER (WHERE b.purchase = 1) AS orders
                FROM placed c JOIN bought b
                ON b.customer_id = c.customer_id AND b.moment > c.start AND b.moment <= c.until
                GROUP BY c.place
            ) o ON o.place = c.place ORDER BY c.place"""
        )
        .to_arrow_table()
        .cast(_nobody().schema)
    )


def bought(tables: Tables, low: datetime, high: datetime) -> pa.Table:
    """Purchases and refunds between two moments, in whatever channel; whose, by the later's links.

    customer_id, moment in microseconds, purchase (1, a refund 0), amount (a refund's below 0),
    order_id.
    """
    import pyarrow.dataset as ds

    events = tables.need("events")
    field = pc.field("event_time")
    rows = ds.dataset(events.paths, format="parquet").to_table(
        columns=["customer_id", "event_type", "event_time", "quantity", "unit_price", "order_id",
                 "event_id"],
        filter=(field > low) & (field <= high)
        & pc.field("event_type").isin(["purchase", "refund"])
        & pc.field("customer_id").is_valid(),
    )  # fmt: skip
    purchase = pc.equal(rows["event_type"], "purchase")
    amount = pc.multiply(pc.fill_null(rows["quantity"], 1.0), pc.fill_null(rows["unit_price"], 0.0))
    return pa.table(
        {
            "customer_id": whose(tables, rows["customer_id"], as_of=high),
            "moment": pc.cast(rows["event_time"], pa.int64()),
            "purchase": purchase.cast(pa.int8()),
            "amount": pc.if_else(purchase, amount, pc.negate(amount)),
            "order_id": pc.coalesce(rows["order_id"], rows["event_id"]),
        }
    )


def _nobody() -> pa.Table:
    from features.schemas import ACTIVATION

    fields = [pa.field(name, ACTIVATION.field(name).type) for name in UNIT]
    fields += [
        pa.field("returned", pa.int8()), pa.field("orders", pa.int64()),
        pa.field("revenue", pa.float64()),
    ]  # fmt: skip
    return pa.schema(fields).empty_table()
