"""Campaigns: a shop's workspace as of a moment in, today's list and what the last ones did out.

Who is held out never stands on the page: a customer who is named to those who contact customers
would sooner or later be contacted, and the campaign's effect could not be measured.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from pipelines import activation_past
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


def _report(workspace: Workspace, shop: Shop, at: datetime) -> Record | None:
    return None
