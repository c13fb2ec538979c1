"""Report: past campaigns in, what contacting did, checked first, out; also as a run of MLflow.

By intention to treat: everybody counts in the arm she was drawn into, whether or not the message
was sent or opened. Units are customers in campaigns: she enters at most once within a horizon.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.tables import Tables
from models.evaluation import uplift
from models.evaluation.abtest import Measure
from models.evaluation.intervals import numbers
from pipelines import activation_past, experiment, experiment_checks, experiment_runs
from pipelines.activation_channels import whose
from pipelines.activation_past import KNOWN, Campaign
from pipelines.activation_rules import ActivationError
from pipelines.build import last_event
from pipelines.experiment_trials import LEVEL, Trial
from pipelines.experiment_verdict import Question
from pipelines.settings import Shop
from pipelines.tracking import Tracking
from pipelines.workspace import Workspace

LAST = timedelta(days=365)  # campaigns older than this are another business
MEASURES = (
    Measure("returned", "returned"), Measure("revenue", "revenue"), Measure("orders", "orders"),
)  # fmt: skip
COVARIATES = (*KNOWN, "expected_value_without", "stage")
LEAK = 0.02  # of those held out, contacted all the same, beyond which the effect is watered down
HEADLINES = {
    "ship": "The contacts bring customers back.",
    "hold": "Not proven yet: go on, with the same hold-out.",
    "fail": "The contacts do harm: stop them and look at what was sent.",
}


def run(
    workspace: Workspace, shop: Shop, *, as_of: datetime | None = None, seed: int = 0
) -> tuple[dict[str, Any], pa.Table]:
    """The record of `experiment.read` and more, and its units; raises ActivationError.

    More: `campaigns` (each with its arms), `brought` {returned, revenue: {mean, low, high}}, what
    all contacts together changed, and `ranking`, how well the expected gain found those whom the
    contact changed; None where outcomes are withheld or an arm is too small.
    """
    del shop
    tables = workspace.tables
    as_of = as_of or last_event(tables)
    ripe, waiting, other = _counted(tables, as_of)
    units = activation_past.units(tables, ripe, as_of=as_of)
    if not units.num_rows:
        raise ActivationError(f"no customer was chosen in the campaigns up to {ripe[-1].day}")
    trial = _trial(tables, units, ripe)
    record = experiment.read(trial)
    record["as_of"] = as_of.isoformat()
    record["verdict"]["headline"] = _headline(record)
    record["campaigns"] = [_told(one, units) for one in ripe]
    record["waiting"], record["other_shares"] = waiting, other
    record["horizon_days"] = sorted({one.horizon_days for one in ripe})
    contacts = record["arms"]["contact"]["units"]
    record["brought"] = {
        one["measure"]: {
            "mean": one["difference"] * contacts,
            "low": None if one["low"] is None else one["low"] * contacts,
            "high": None if one["high"] is None else one["high"] * contacts,
        }
        for one in record["effects"]
    }
    record["ranking"] = None if record["withheld"] else _ranking(units, seed)
    return record, units


def track(tracking: Tracking, record: dict[str, Any], units: pa.Table, page: str) -> str:
    """Log it as a run of the shop's experiment `campaigns`; the same report is found again."""
    return experiment_runs.track_campaigns(tracking, record, units, page)


def _counted(tables: Tables, as_of: datetime) -> tuple[list[Campaign], int, int]:
    """Campaigns to be measured together, how many still wait, how many held out another share.

    Two shares in one sum would hold different days against each other.
    """
    every = [one for one in activation_past.campaigns(tables) if as_of - LAST <= one.at <= as_of]
    if not every:
        raise ActivationError(f"no campaign was made up to {as_of}: `regulars activate` first")
    over = [one for one in every if one.at + timedelta(days=one.horizon_days) <= as_of]
    if not over:
        first = min(one.at + timedelta(days=one.horizon_days) for one in every)
        raise ActivationError(
            f"no campaign can be measured before {first:%Y-%m-%d %H:%M} UTC, when the first one's "
            f"horizon is over; the newest event is of {as_of:%Y-%m-%d %H:%M}"
        )
    same = [one for one in over if one.holdout == over[-1].holdout]
    return same, len(every) - len(over), len(over) - len(same)


def _trial(tables: Tables, units: pa.Table, ripe: list[Campaign]) -> Trial:
    held = ripe[-1].holdout
    shares = {"holdout": held, "contact": 1 - held}
    checks = [
        experiment_checks.ratio(units, shares),
        experiment_checks.before(units, KNOWN, control="holdout"),
        _untouched(tables, units, ripe),
    ]
    first, last = ripe[0].day, ripe[-1].day
    name = f"campaign of {last}" if first == last else f"campaigns of {first} to {last}"
    return Trial(
        name, "external", units, shares, "holdout", MEASURES, COVARIATES,
        ("stage", "best_channel"), (), Question("returned", 0.0, {}, finished=True), checks,
        "single", LEVEL, {},
    )  # fmt: skip


def _untouched(tables: Tables, units: pa.Table, ripe: list[Campaign]) -> dict[str, Any]:
    """Whether those held out were left in peace, where the shop tells whom it contacted."""
    check = {
        "code": "untouched",
        "title": "Those held out were left in peace",
        "why": "Whoever was held out and contacted all the same makes the two arms alike, and the "
        f"effect look smaller than it is. Fails beyond {LEAK:.0%}. Whom the shop wrote to stands "
        "in its table contacts, by the campaign's day.",
    }
    contacts = tables.current("contacts")
    if contacts is None:
        return {**check, "holds": None, "said": "no table contacts says who was written to"}
    sent = contacts.read(["customer_id", "campaign"])
    days = pa.array([one.day.isoformat() for one in ripe])
    sent = sent.filter(pc.is_in(sent["campaign"], value_set=days))
    customer = whose(tables, sent["customer_id"], as_of=ripe[-1].at)
    key = pc.binary_join_element_wise(sent["campaign"].combine_chunks(), customer, "/")
    mine = pc.binary_join_element_wise(units["campaign"], units["customer_id"], "/")
    told = pc.is_in(mine, value_set=key)
    shares = {
        arm: float(
            pc.mean(told.filter(pc.equal(units["arm"], arm)).cast(pa.float64())).as_py() or 0
        )
        for arm in activation_past.ARMS
    }
    said = (
        f"{shares['holdout']:.1%} of those held out were contacted, {shares['contact']:.1%} of "
        "those to be contacted"
    )
    return {**check, "holds": shares["holdout"] <= LEAK, "said": said}


def _headline(record: dict[str, Any]) -> str:
    if record["withheld"]:
        return "The campaigns cannot be measured: a check failed."
    if not record["effects"]:
        return "Too few customers: one of the two arms has fewer than two."
    return HEADLINES[record["verdict"]["decision"]]


def _told(one: Campaign, units: pa.Table) -> dict[str, Any]:
    rows = units.filter(pc.equal(units["campaign"], one.day.isoformat()))
    arms = {
        arm: pc.sum(pc.equal(rows["arm"], arm).cast(pa.int64())).as_py() or 0
        for arm in activation_past.ARMS
    }
    return {"campaign": one.day.isoformat(), **arms, "snapshot": one.snapshot.id}


def _ranking(units: pa.Table, seed: int) -> dict[str, Any] | None:
    """Qini and uplift@k of the expected gain, the order in which customers were chosen."""
    gain = numbers(units["expected_value_with"]) - numbers(units["expected_value_without"])
    contacted = numbers(pc.equal(units["arm"], "contact").cast(pa.int8()))
    if min(contacted.sum(), (1 - contacted).sum()) < 2:
        return None
    found = uplift.judge(gain, contacted, numbers(units["returned"]), seed=seed)
    curve = found.curve
    told: dict[str, Any] = experiment.clean(
        {
            "qini": asdict(found.qini),
            "auuc": asdict(found.auuc),
            "effect": asdict(found.effect),
            "at": {f"{share:.0%}": asdict(one) for share, one in found.at.items()},
            "curve": {
                name: getattr(curve, name).tolist() for name in ("shares", "gains", "low", "high")
            },
        }
    )
    return told
