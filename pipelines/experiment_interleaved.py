"""Interleaved tests: logs of lists that two rankers drafted in, which one customers prefer out.

Whatever a customer did with a product she was shown counts for the arm whose ranker picked it: by
the answer that her event names, else the last one that showed it to her within the horizon.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
from scipy.stats import binomtest

from features.assignment import HOLDOUT
from models.evaluation.interleave import preference
from pipelines import exposures as shown
from pipelines import outcomes as happened
from pipelines.experiment_checks import chance
from pipelines.experiments import INTERLEAVED, Experiment
from pipelines.exposures import DAY, Work, plain, text

COUNTS = ("view_item", "add_to_cart", "add_to_wishlist", "purchase")
UNEVEN = 0.001  # a coin that is so unlikely fair was none
SEEN = 2.8 / 2  # of 1 / sqrt(votes): what four of five tests at 5 % would call


def read(
    name: str,
    experiment: Experiment,
    exposures: pa.Table,
    outcomes: pa.Table,
    *,
    now: datetime,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """The record that command, page and MLflow share; raises ValueError.

    now, as_of: as of `outcomes.gather`; by default as of now.
    """
    if not experiment.interleave:
        raise ValueError(f"it is not interleaved: regulars experiment report {name}")
    a, b = experiment.arms
    moment = min(now, as_of or now)
    work = Work(duckdb.connect(config={"autoinstall_known_extensions": "false"}))
    work.db.register("every_exposure", plain(exposures, shown.COLUMNS))
    work.db.execute(
        f"CREATE VIEW exposures AS SELECT * FROM every_exposure WHERE arm IS NULL OR arm NOT IN "
        f"({text(INTERLEAVED)}, {text(HOLDOUT)}) OR experiment <> {text(name)}"
    )
    work.db.register("outcomes", plain(outcomes, happened.COLUMNS))
    happened.future(work, round(now.timestamp() * 1e6))
    micros = round(moment.timestamp() * 1e6)
    shown.believe(work, name, experiment, micros)
    happened.happened(work, micros)
    credits = _credits(work, horizon=experiment.horizon_days * DAY)
    sides = {a: "a", b: "b"}
    votes = preference(
        pa.table(
            {
                "customer_id": pa.array([unit for unit, _, _ in credits], pa.string()),
                "team": pa.array([sides[arm] for _, arm, _ in credits], pa.string()),
                "credit": pa.array([float(count) for _, _, count in credits]),
            }
        ),
        seed=0,
    )
    units = work.one("SELECT count(DISTINCT unit) FROM kept")
    finished = experiment.end is not None and (
        moment >= experiment.end + timedelta(days=experiment.horizon_days)
    )
    checks = [_coin(work, a, b)]
    voted = votes.a + votes.b
    record = {
        "experiment": name,
        "kind": INTERLEAVED,
        "control": a,
        "arms": [a, b],
        "as_of": moment.astimezone(UTC),
        "finished": finished,
        "units": units,
        "votes": {a: votes.a, b: votes.b, "ties": votes.ties},
        "share": {key: _number(value) for key, value in asdict(votes.share).items()},
        "p_value": votes.p_value,
        "detectable": SEEN / math.sqrt(voted) if voted else None,
        "checks": checks,
        "findings": [asdict(one) for one in work.findings],
    }
    winner = {"a": a, "b": b, None: None}[votes.winner]
    return {**record, "verdict": _verdict(record, winner)}


def _credits(work: Work, *, horizon: int) -> list[tuple[str, str, int]]:
    """Unit, arm and how many shown products came of it, each once."""
    types = ", ".join(map(text, COUNTS))
    work.db.execute(
        f"""CREATE TABLE done AS SELECT unit, product_id, request_id, asked_by, moment
        FROM happened WHERE event_type IN ({types}) AND product_id IS NOT NULL"""
    )
    found: list[tuple[str, str, int]] = work.db.execute(
        f"""SELECT unit, arm, count(*) FROM (
            SELECT k.unit, k.arm, k.request_id, k.product_id FROM done d JOIN kept k
            ON d.asked_by = k.unit AND d.request_id = k.request_id AND d.product_id = k.product_id
            UNION
            SELECT k.unit, k.arm, k.request_id, k.product_id
            FROM (SELECT * FROM done WHERE asked_by IS NULL AND unit IS NOT NULL) d
            ASOF JOIN (SELECT * FROM kept WHERE product_id IS NOT NULL) k
            ON d.unit = k.unit AND d.product_id = k.product_id AND d.moment >= k.moment
            WHERE d.moment <= k.moment + {horizon}
        ) GROUP BY unit, arm ORDER BY unit, arm"""
    ).fetchall()
    return found


def _coin(work: Work, a: str, b: str) -> dict[str, Any]:
    """Whether both rankers were first equally often, as a fair coin has it."""
    first = dict(
        work.db.execute(
            "SELECT arm, count(DISTINCT request_id) FROM kept WHERE position = 1 GROUP BY 1"
        ).fetchall()
    )
    one, other = first.get(a, 0), first.get(b, 0)
    p_value = float(binomtest(one, one + other).pvalue) if one + other else 0.0
    return {
        "code": "coin",
        "title": "Both rankers picked first equally often",
        "holds": p_value >= UNEVEN,
        "said": f"{a} {one:,}, {b} {other:,}; chance of so uneven a coin: {chance(p_value)}",
        "why": "A coin says who picks first, and what stands first is taken more often. Fails "
        "where so uneven a coin has a chance below 1 in 1,000.",
    }


def _verdict(record: dict[str, Any], winner: str | None) -> dict[str, Any]:
    """What follows, in words: `decision, headline, reasons`."""
    a, b = record["arms"]
    won, lost, ties = (record["votes"][key] for key in (b, a, "ties"))
    votes = f"{won:,} customers took more of {b}'s picks, {lost:,} more of {a}'s, {ties:,} as much"
    reasons = [f"{votes} of both, of {record['units']:,} who were shown the list."]
    share = record["share"]
    if share["mean"] is not None and share["low"] is not None:
        reasons.append(
            f"{b} has {share['mean']:.1%} of the votes (95 %: {share['low']:.1%} to "
            f"{share['high']:.1%}); 50 % is no preference. Chance if there is none: "
            f"{chance(record['p_value'])}."
        )
    if record["detectable"]:
        reasons.append(
            f"So many votes could have seen a share of {0.5 + record['detectable']:.1%} (in four "
            "of five tries)."
        )
    if failed := [one for one in record["checks"] if not one["holds"]]:
        reasons = [f"{one['title']}: no. {one['said']}." for one in failed]
        headline = "The test cannot be read, whatever its votes say."
    elif not record["finished"]:
        headline = "Too early: the votes are counted once, when the test is over."
        winner = None
    elif winner is None:
        headline = f"No preference between {a} and {b} can be told from chance."
    else:
        headline = f"Customers prefer {winner}. By how much it sells more, a test of arms says."
    decision = "hold" if failed or winner is None else {a: "fail", b: "ship"}[winner]
    return {"decision": decision, "headline": headline, "reasons": reasons}


def _number(value: float) -> float | None:
    return None if isinstance(value, float) and math.isnan(value) else value
