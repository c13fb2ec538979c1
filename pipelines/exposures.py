"""Exposures: a log of what was shown in, each unit of a test with its arm and first moment out.

Logs are never whole. What is wrong with them is counted and told, with what was done about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.assignment import HOLDOUT
from pipelines.experiments import Experiment

DAY = 86_400_000_000  # microseconds
BOT_REQUESTS = 1_000  # answers to one unit that no person asks for within a test …
BOT_TIMES = 50  # … and so many times the median unit's
SEVERE = 0.01  # the share of rows or units beyond which a fault is grave


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the logs: how often, what, and what was done about it.

    grave: it can have made a difference between the arms, so that outcomes are not shown.
    """

    code: str
    count: int
    what: str
    did: str
    grave: bool = False


@dataclass(slots=True)
class Work:
    """The database and what was found so far."""

    db: Any
    findings: list[Finding] = field(default_factory=list)

    def one(self, query: str) -> Any:
        """The first row's values; a single one alone."""
        row = self.db.execute(query).fetchone()
        return row[0] if len(row) == 1 else row

    def found(self, code: str, count: int, what: str, did: str, *, grave: bool = False) -> None:
        """Note it where there is any."""
        if count:
            self.findings.append(Finding(code, int(count), what, did, bool(grave)))


def believe(work: Work, name: str, experiment: Experiment, now: int) -> None:
    """Table `kept`: the test's exposures that can be believed; `requests`: answers by id."""
    arms = ", ".join(text(arm) for arm in (*experiment.arms, HOLDOUT))
    start = round(experiment.start.timestamp() * 1e6)
    end = None if experiment.end is None else round(experiment.end.timestamp() * 1e6)
    whole = work.one(f"SELECT count(*) FROM exposures WHERE experiment = {text(name)}")
    if not whole:
        names = work.db.execute(
            "SELECT DISTINCT experiment FROM exposures WHERE experiment IS NOT NULL LIMIT 5"
        ).fetchall()
        there = ", ".join(str(row[0]) for row in names) or "none"
        raise ValueError(f"no exposure is of experiment {name!r}; the files hold {there}")
    work.db.execute(
        f"""CREATE TABLE mine AS SELECT *, count(*) OVER same copies, row_number() OVER same AS copy
        FROM exposures WHERE experiment = {text(name)}
        WINDOW same AS (PARTITION BY request_id, unit, product_id, position, arm)"""
    )
    lacking = work.one(
        "SELECT count(*) FROM mine WHERE request_id IS NULL OR moment IS NULL OR unit IS NULL "
        "OR arm IS NULL"
    )
    work.found(
        "incomplete_exposures", lacking, f"{lacking:,} exposures lack their request, time, unit or "
        "arm", "left out", grave=lacking > SEVERE * whole,
    )  # fmt: skip
    twice = work.one("SELECT count(*) FROM mine WHERE copy > 1")
    work.found(
        "duplicate_exposures",
        twice,
        f"{twice:,} exposures stand more than once",
        "each counts once",
    )
    strange = work.one(f"SELECT count(*) FROM mine WHERE arm NOT IN ({arms})")
    which = work.db.execute(
        f"SELECT DISTINCT arm FROM mine WHERE arm NOT IN ({arms}) ORDER BY 1 LIMIT 3"
    ).fetchall()
    work.found(
        "undeclared_arm", strange, f"{strange:,} exposures are of arms that were not declared: "
        + ", ".join(str(row[0]) for row in which), "left out", grave=strange > SEVERE * whole,
    )  # fmt: skip
    outside = f"(moment < {start}" + (f" OR moment >= {end})" if end is not None else ")")
    beyond = work.one(f"SELECT count(*) FROM mine WHERE {outside} AND moment <= {now}")
    work.found(
        "outside_window", beyond, f"{beyond:,} exposures lie outside the declared window",
        "left out; whom the test met only then is not in it",
    )  # fmt: skip
    work.db.execute(
        f"""CREATE TABLE kept AS SELECT * FROM mine WHERE copy = 1 AND request_id IS NOT NULL
        AND moment <= {now} AND unit IS NOT NULL AND arm IN ({arms}) AND NOT {outside}"""
    )
    mine = f"FILTER (WHERE experiment = {text(name)})"
    work.db.execute(
        f"""CREATE TABLE requests AS SELECT request_id, min(moment) AS shown_at,
        CASE count(DISTINCT unit) {mine} WHEN 1 THEN min(unit) {mine}
            WHEN 0 THEN CASE count(DISTINCT unit) WHEN 1 THEN min(unit) END END AS unit,
        bool_or(request_id IN (SELECT request_id FROM kept)) AS ours FROM exposures
        WHERE request_id IS NOT NULL AND moment IS NOT NULL GROUP BY request_id"""
    )
    shared = work.one(
        "SELECT count(*) FROM (SELECT request_id FROM kept GROUP BY request_id "
        "HAVING count(DISTINCT unit) > 1)"
    )
    work.found(
        "duplicate_request_ids", shared, f"{shared:,} request ids name answers to several units",
        "no outcome is joined by them, only by customer and time",
    )  # fmt: skip


def enter(work: Work, experiment: Experiment) -> None:
    """Table `entered`: each unit once, with its arm and the moment it was first shown the test."""
    work.db.execute(
        """CREATE TABLE every AS SELECT unit, min(arm) AS arm, count(DISTINCT arm) AS arms,
        min(moment) AS entered, arg_min(channel, moment) AS channel,
        arg_min(surface, moment) AS surface,
        count(DISTINCT request_id) AS requests FROM kept GROUP BY unit"""
    )
    total = work.one("SELECT count(*) FROM every")
    several = work.one("SELECT count(*) FROM every WHERE arms > 1")
    work.found(
        "several_arms", several, f"{several:,} units were shown more than one arm",
        "left out altogether", grave=several > SEVERE * total,
    )  # fmt: skip
    median = work.one("SELECT coalesce(median(requests), 0) FROM every")
    limit = max(BOT_REQUESTS, BOT_TIMES * float(median))
    bots, most = work.one(
        f"SELECT count(*), coalesce(max(requests), 0) FROM every WHERE requests > {limit}"
    )
    work.found(
        "bots", bots, f"{bots:,} units asked for more than {limit:,.0f} answers, up to {most:,}: "
        "no person does", "left out, in whatever arm", grave=bots > SEVERE * total,
    )  # fmt: skip
    work.db.execute(
        f"""CREATE TABLE entered AS SELECT * EXCLUDE (arms) FROM every WHERE arms = 1
        AND requests <= {limit}"""
    )
    have = {row[0] for row in work.db.execute("SELECT DISTINCT arm FROM entered").fetchall()}
    missing = [arm for arm in experiment.arms if arm not in have]
    work.found(
        "missing_arm", len(missing), f"no exposure of arm {', '.join(missing)} is in the log",
        "nothing can be compared with it", grave=True,
    )  # fmt: skip


COLUMNS = {
    "request_id": pa.string(), "event_time": None, "customer_id": pa.string(), "unit": pa.string(),
    "surface": pa.string(), "channel": pa.string(), "experiment": pa.string(), "arm": pa.string(),
    "product_id": pa.string(), "position": pa.int32(),
}  # fmt: skip


def plain(table: pa.Table, wanted: dict[str, pa.DataType | None]) -> pa.Table:
    """The columns wanted, absent ones null, the time as microseconds `moment`, a unit named."""
    columns: dict[str, Any] = {}
    for name, kind in wanted.items():
        if kind is None:
            if name not in table.column_names:
                raise ValueError(f"want a column {name}, got {', '.join(table.column_names)}")
            columns["moment"] = table[name].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        elif name in table.column_names:
            columns[name] = table[name].cast(kind)
        else:
            columns[name] = pa.nulls(table.num_rows, kind)
    if "unit" in columns:
        columns["unit"] = pc.coalesce(columns["unit"], columns["customer_id"])
    return pa.table(columns)


def text(value: str) -> str:
    """A word as SQL has it."""
    return "'" + value.replace("'", "''") + "'"
