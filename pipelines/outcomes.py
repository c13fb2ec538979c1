"""Outcomes: what was shown and what happened in, one row a unit with its arm and outcomes out.

An outcome belongs to the unit whose answer it names, else to its customer; it counts from her first
exposure on for the horizon, in whatever channel: seen live, bought in the store. No rule looks at
how much was bought, so that none can favour an arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from features.assignment import HOLDOUT
from pipelines import exposures as shown
from pipelines.experiments import Experiment
from pipelines.exposures import BOT_REQUESTS, BOT_TIMES, DAY, SEVERE, Finding, Work, plain, text

MINUTE = DAY // 1_440
NEAR = 5 * MINUTE  # how far apart clocks may be without a word
BEFORE_DAYS = 56  # known of a unit before she entered
SKEWED = 0.05  # a channel's share of outcomes before their answer that means its clock is off …
APART = 5  # … if so many times as many are off by less than a day: wrong ids are off by any time
JOINED = 10  # outcomes joined by request that a channel's clock is judged by
CHANNELS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Gathered:
    """A test's units and how they were found.

    units: `unit, arm, entered (µs), mature`, outcomes `conversion, revenue, orders, return,
    requests, clicked`, by where it was bought `revenue_in_…`, known before `orders_before,
    revenue_before, events_before` where outcomes reach that far back, and `channel, surface` of
    the first exposure. joined: outcomes with a request_id since the start, and of them those whose
    answer is in the log. reached: units with any outcome or past. held: as units, those that no
    test touches, arm `holdout`; holdout: how many of them were shown anything.
    """

    units: pa.Table
    findings: list[Finding]
    as_of: datetime
    joined: tuple[int, int]
    reached: int
    holdout: int
    held: pa.Table
    covariates: tuple[str, ...]
    channels: tuple[str, ...]


def gather(
    name: str,
    experiment: Experiment,
    exposures: pa.Table,
    outcomes: pa.Table,
    *,
    now: datetime,
    as_of: datetime | None = None,
) -> Gathered:
    """The units of a test from its logs, `exposures` and `outcomes` of `features.schemas`.

    now: what is later cannot be and is a clock's fault. as_of: what happened later is not known
    yet; by default the last row of either that can be.
    """
    work = Work(duckdb.connect(config={"autoinstall_known_extensions": "false"}))
    work.db.register("exposures", plain(exposures, shown.COLUMNS))
    work.db.register("outcomes", plain(outcomes, COLUMNS))
    latest = round(max(now, as_of or now).timestamp() * 1e6)
    future(work, latest)
    if as_of is None:
        last = work.one(
            "SELECT max(t) FROM (SELECT max(moment) AS t FROM exposures "
            f"WHERE moment <= {latest} UNION ALL SELECT max(moment) FROM outcomes "
            f"WHERE moment <= {latest})"
        )
        moment = int(last or 0)
    else:
        moment = round(as_of.timestamp() * 1e6)
    shown.believe(work, name, experiment, moment)
    shown.enter(work, experiment)
    happened(work, moment)
    channels, covariates = _joined(work, experiment, moment)
    started = round(experiment.start.timestamp() * 1e6)
    joined = work.one(
        f"SELECT count(*), count(*) FILTER (WHERE known) FROM happened WHERE moment >= {started} "
        "AND request_id IS NOT NULL"
    )
    units, held = (
        work.db.execute(
            f"SELECT * FROM result WHERE arm {sign} '{HOLDOUT}' ORDER BY entered, unit"
        ).to_arrow_table()
        for sign in ("<>", "=")
    )
    reached = work.one(
        f"SELECT count(*) FROM result WHERE arm <> '{HOLDOUT}' "
        "AND (orders > 0 OR came OR events_before > 0)"
    )
    at = datetime.fromtimestamp(moment / 1e6, UTC)
    holdout = work.one("SELECT count(DISTINCT unit) FROM kept WHERE arm = '" + HOLDOUT + "'")
    return Gathered(
        units,
        work.findings,
        at,
        joined,
        reached,
        holdout,
        held,
        tuple(covariates),
        tuple(channels),
    )


def future(work: Work, latest: int) -> None:
    """Tell of rows that cannot be; they are later than every `as_of`, so they are left out."""
    for table in ("exposures", "outcomes"):
        late, rows = work.one(
            f"SELECT count(*) FILTER (WHERE moment > {latest}), count(*) FROM {table}"
        )
        work.found(
            "from_the_future", late, f"{late:,} {table} are later than now: a clock is ahead",
            "left out", grave=late > SEVERE * rows,
        )  # fmt: skip


def happened(work: Work, now: int) -> None:
    """Table `happened`: outcomes with the unit they belong to and times that can be compared."""
    again = work.one(
        "SELECT (SELECT count(*) FROM outcomes) - (SELECT count(*) FROM "
        "(SELECT DISTINCT * FROM outcomes))"
    )
    work.found(
        "duplicate_outcomes", again, f"{again:,} outcomes stand more than once", "each counts once"
    )
    work.db.execute(
        f"""CREATE TABLE linked AS SELECT o.*, r.unit AS asked_by, r.ours, r.shown_at,
        r.request_id IS NOT NULL AS known, o.moment - r.shown_at AS lag
        FROM (SELECT DISTINCT * FROM outcomes WHERE moment <= {now}) o
        LEFT JOIN requests r USING (request_id)"""
    )
    early = f"lag BETWEEN {-DAY} AND {-MINUTE}"
    skews = work.db.execute(
        f"""SELECT coalesce(channel, ''), count(*),
        -quantile_cont(lag, 0.01) FILTER (WHERE lag >= {-DAY}) FROM linked WHERE lag IS NOT NULL
        GROUP BY 1 HAVING count(*) >= {JOINED} AND count(*) FILTER (WHERE {early})
        > greatest({SKEWED} * count(*), {APART} * count(*) FILTER (WHERE lag < {-DAY}))
        ORDER BY 1"""
    ).fetchall()
    work.db.execute("ALTER TABLE linked ADD COLUMN moved BIGINT DEFAULT 0")
    for channel, count, shift in skews:
        work.db.execute(
            f"UPDATE linked SET moved = {round(shift)} "
            f"WHERE coalesce(channel, '') = {text(channel)}"
        )
        work.found(
            "clock_skew", count, f"the clock of {channel or 'outcomes without a channel'} is "
            f"{shift / MINUTE:,.0f} minutes behind: so far before their own answers its outcomes "
            "stand", f"all of them were moved by {shift / MINUTE:,.0f} minutes",
        )  # fmt: skip
    early, far = work.one(
        f"""SELECT count(*) FILTER (WHERE lag + moved < 0 AND lag + moved >= {-NEAR}),
        count(*) FILTER (WHERE lag + moved < {-NEAR}) FROM linked"""
    )
    work.found(
        "clocks_apart", early, f"{early:,} outcomes stand up to five minutes before the answer "
        "that they name", "taken as of the answer's moment",
    )  # fmt: skip
    work.found(
        "outcomes_before_exposures", far, f"{far:,} outcomes happened before the answer that they "
        "name", "the answer is not believed; they count by customer and time alone",
    )  # fmt: skip
    work.db.execute(
        f"""CREATE TABLE happened AS SELECT linked.* EXCLUDE (moment, asked_by),
        CASE WHEN lag + moved < 0 AND lag + moved >= {-NEAR} THEN shown_at
             ELSE moment + moved END AS moment,
        CASE WHEN lag + moved >= {-NEAR} THEN asked_by END AS asked_by,
        coalesce(CASE WHEN lag + moved >= {-NEAR} THEN asked_by END, person.unit, customer_id)
            AS unit
        FROM linked LEFT JOIN (SELECT customer_id, min(unit) AS unit FROM kept
            WHERE customer_id IS NOT NULL GROUP BY 1 HAVING count(DISTINCT unit) = 1) person
            USING (customer_id)"""
    )
    nobody, priceless = work.one(
        """SELECT count(*) FILTER (WHERE unit IS NULL), count(*) FILTER
        (WHERE event_type = 'purchase' AND (unit_price IS NULL OR quantity IS NULL))
        FROM happened"""
    )
    work.found(
        "unknown_customers", nobody, f"{nobody:,} outcomes name neither a customer nor an answer "
        "that is known", "left out: they may be anybody's",
    )  # fmt: skip
    work.found(
        "no_price", priceless, f"{priceless:,} purchases have no price or quantity",
        "they count as orders, with no revenue",
    )  # fmt: skip


def _joined(work: Work, experiment: Experiment, now: int) -> tuple[Sequence[str], Sequence[str]]:
    """Table `result`: each unit with what came of it; gives channels and what was known before."""
    horizon, before = experiment.horizon_days * DAY, BEFORE_DAYS * DAY
    channels = [
        str(row[0])
        for row in work.db.execute(
            """SELECT channel FROM happened WHERE event_type = 'purchase' AND channel IS NOT NULL
            GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT """ + str(CHANNELS_SHOWN)
        ).fetchall()
    ]  # fmt: skip
    amount = (
        "(round(1e6 * coalesce(quantity * unit_price, 0)) * CASE event_type "
        "WHEN 'purchase' THEN 1 WHEN 'refund' THEN -1 ELSE 0 END)::HUGEINT"
    )  # whole millionths: their sum is the same in any order
    order = "CASE WHEN event_type = 'purchase' THEN coalesce(order_id, moment::VARCHAR) END"
    inside = f"h.moment >= e.entered AND h.moment <= e.entered + {horizon}"
    past = f"h.moment < e.entered AND h.moment >= e.entered - {before}"
    places = "".join(
        f", coalesce(sum({amount}) FILTER (WHERE {inside} AND h.channel = {text(name)}), 0)"
        f'::DOUBLE / 1e6 AS "revenue_in_{name}"'
        for name in channels
    )
    work.db.execute(
        f"""CREATE TABLE result AS SELECT e.unit, e.arm, e.entered, e.channel, e.surface,
        e.entered + {horizon} <= {now} AS mature, e.requests::DOUBLE AS requests,
        count(DISTINCT {order}) FILTER (WHERE {inside})::DOUBLE AS orders,
        (count(*) FILTER (WHERE {inside} AND event_type = 'purchase') > 0)::DOUBLE AS conversion,
        coalesce(sum({amount}) FILTER (WHERE {inside}), 0)::DOUBLE / 1e6 AS revenue,
        (count(*) FILTER (WHERE {inside} AND h.moment > e.entered + {DAY}
            AND event_type NOT IN ('refund', 'view_item_list')) > 0)::DOUBLE AS "return",
        count(DISTINCT h.request_id)
            FILTER (WHERE {inside} AND ours AND asked_by IS NOT NULL)::DOUBLE AS clicked,
        count(h.moment) FILTER (WHERE {inside}) > 0 AS came,
        count(*) FILTER (WHERE {inside} AND event_type = 'view_item') AS views,
        count(DISTINCT {order}) FILTER (WHERE {past})::DOUBLE AS orders_before,
        coalesce(sum({amount}) FILTER (WHERE {past}), 0)::DOUBLE / 1e6 AS revenue_before,
        count(h.moment) FILTER (WHERE {past})::DOUBLE AS events_before {places}
        FROM entered e LEFT JOIN happened h ON h.unit = e.unit GROUP BY ALL"""
    )
    limit = max(BOT_REQUESTS, BOT_TIMES * float(work.one("SELECT median(views) FROM result") or 0))
    bots, most, total = work.one(
        f"SELECT count(*) FILTER (WHERE views > {limit}), coalesce(max(views), 0), count(*) "
        "FROM result"
    )
    work.found(
        "bots", bots, f"{bots:,} units viewed more than {limit:,.0f} products, up to {most:,}: no "
        "person does", "left out, in whatever arm", grave=bots > SEVERE * total,
    )  # fmt: skip
    work.db.execute(f"DELETE FROM result WHERE views > {limit}")
    known = ("orders_before", "revenue_before", "events_before")
    sums = work.one(f"SELECT {', '.join(f'sum({name})' for name in known)} FROM result")
    return channels, [name for name, total in zip(known, sums, strict=True) if total]


COLUMNS = {
    "event_time": None, "event_type": pa.string(), "channel": pa.string(),
    "customer_id": pa.string(), "product_id": pa.string(), "quantity": pa.float64(),
    "unit_price": pa.float64(), "order_id": pa.string(), "request_id": pa.string(),
}  # fmt: skip
