"""Campaigns: a shop's workspace as of a moment in, today's list and what the last ones did out.

Who is held out never stands on the page: a customer who is named to those who contact customers
would sooner or later be contacted, and the campaign's effect could not be measured.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from models.evaluation.slices import SMALL
from pipelines import activation_past, activation_report
from pipelines.activate import ActivationError
from pipelines.settings import Shop
from pipelines.workspace import Workspace

NAMED = 20  # customers of the list that the page names
TITLES = 3  # products named with each
Record = dict[str, Any]


def known(workspace: Workspace, shop: Shop, *, at: datetime, titles: dict[str, str]) -> Record:
    """`list`, the newest campaign made by `at`, None without one, and `campaigns`, the report.

    list: `campaign, counts, why, expected_gain, valid_until, old` (not to be sent any more) and
    `first`, the NAMED worth most, each with why, by what way and with what.
    """
    made = [one for one in activation_past.campaigns(workspace.tables) if one.at <= at]
    if not made:
        return {"list": None, "campaigns": None}
    return {
        "list": _list(made[-1], at, titles),
        "campaigns": _report(workspace, shop, at),
    }


def _list(one: activation_past.Campaign, at: datetime, titles: dict[str, str]) -> Record:
    said = one.snapshot.manifest["about"]
    rows = one.snapshot.read()
    rows = rows.filter(pc.equal(rows["arm"], "contact")).sort_by("rank")
    until = rows["valid_until"][0].as_py() if rows.num_rows else None
    return {
        "campaign": said["campaign"],
        "counts": said["counts"],
        "why": said["why"],
        "expected_gain": said["expected_gain"],
        "valid_until": None if until is None else until.isoformat(),
        "old": until is not None and until < at,
        "first": [
            {
                "customer_id": row["customer_id"],
                "stage": row["stage"],
                "reason": row["reason"],
                "best_channel": row["best_channel"],
                "products": [titles.get(id) or id for id in row["products"][:TITLES]],
                "worth": row["expected_value_with"] - row["expected_value_without"],
                "stake": row["expected_value_with"],
            }
            for row in rows.slice(0, NAMED).to_pylist()
        ],
    }


def _report(workspace: Workspace, shop: Shop, at: datetime) -> Record:
    """What `regulars activate report` says: `said` in words, and the figures where there are any.

    Figures: `brought` {MEASURE: {mean, low, high}}, what all contacts together changed, and
    `stages` and `channels`, the added share of customers who came back, by kind.
    """
    try:
        found, _ = activation_report.run(workspace, shop, as_of=at)
    except ActivationError as error:
        return {"said": [_sentence(str(error))], "decision": None}
    arms = found["arms"]
    size = (
        f"{len(found['campaigns'])} measured: {arms['contact']['units']:,} customers contacted, "
        f"{arms['holdout']['units']:,} held out."
    )
    return {
        "said": [found["verdict"]["headline"], size],
        "decision": found["verdict"]["decision"],
        "brought": found["brought"],
        "stages": _kinds(found, "stage"),
        "channels": _kinds(found, "best_channel"),
    }


def _kinds(found: Record, slice_: str) -> list[Record]:
    """`name, n, n_control, control, treated, difference, low, high, sure` by kind of customer.

    sure: None where an arm has too few to tell, else whether chance, corrected for the kinds looked
    at, is below 5 %.
    """
    keys = ("n", "n_control", "control", "treated", "difference", "low", "high")
    return [
        {
            "name": one["value"],
            **{key: one[key] for key in keys},
            "sure": None
            if min(one["n"], one["n_control"]) < SMALL or one["adjusted"] is None
            else one["adjusted"] < 0.05,
        }
        for one in found["slices"]
        if one["measure"] == "returned" and one["slice"] == slice_
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
