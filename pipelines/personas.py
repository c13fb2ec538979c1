"""Personas: a fitted model in, a few customers' histories beside their lists out.

Some customers of each lifecycle stage, so that a person can see what each kind would be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.schemas import STAGES
from features.tables import Snapshot
from models.recommender import Recommender, Seen

NAMES = {
    "new": "The newcomer",
    "active": "The regular",
    "cooling": "The one who slows down",
    "at_risk": "The one about to go",
    "lapsed": "The one who left",
}
SHOWN = 10
CUSTOMERS = 12
PLACES = ((0.5, ""), (0.1, ", short history"), (0.9, ", long history"))  # in a stage, by products


def show(
    fitted: Recommender,
    *,
    customers: pa.Table,
    interactions: pa.Table,
    titles: Snapshot | None,
    among: pa.Array | None,
    seen: Seen,
) -> list[dict[str, Any]]:
    """Up to twelve customers: name, customer_id, stage, orders, her history, her list.

    customers, interactions: the feature tables. among: products at hand, None for all. Both lists
    hold product_id and title; the history is newest first, the list best first.
    """
    chosen = pick(customers.filter(pc.is_in(customers["customer_id"], value_set=fitted.customers)))
    ids = pa.array([row["customer_id"] for row in chosen], pa.string())
    lists = fitted.recommend(ids, SHOWN, among=among, seen=seen)
    past = interactions.filter(pc.is_in(interactions["customer_id"], value_set=ids))
    past = past.sort_by([("last_time", "descending"), ("product_id", "ascending")])
    named = _titles(titles, [*lists["product_id"].to_pylist(), *past["product_id"].to_pylist()])
    return [
        {
            "name": NAMES[row["lifecycle_stage"]] + row["which"],
            "customer_id": row["customer_id"],
            "lifecycle_stage": row["lifecycle_stage"],
            "orders": row["frequency"],
            "history": _of(past, row["customer_id"], named),
            "list": _of(lists, row["customer_id"], named),
        }
        for row in chosen
    ]


def pick(customers: pa.Table) -> list[dict[str, Any]]:
    """Of each stage that has any, the customer of median history, then a short and a long one.

    Twelve at most: every stage has its first before any has its third; ties by id.
    """
    chosen: dict[str, tuple[int, int, dict[str, Any]]] = {}
    for turn, (share, which) in enumerate(PLACES):
        for place, stage in enumerate(STAGES):
            some = customers.filter(pc.equal(customers["lifecycle_stage"], stage))
            order = pc.sort_indices(some, [("products", "ascending"), ("customer_id", "ascending")])
            row = some.take(order[int(some.num_rows * share) :][:1]).to_pylist()
            if row and row[0]["customer_id"] not in chosen and len(chosen) < CUSTOMERS:
                chosen[row[0]["customer_id"]] = (place, turn, {**row[0], "which": which})
    return [row for *_, row in sorted(chosen.values(), key=lambda one: one[:2])]


def _of(rows: pa.Table, customer: str, titles: Mapping[str, str]) -> list[dict[str, str]]:
    hers = rows.filter(pc.equal(rows["customer_id"], customer)).slice(0, SHOWN)
    return [
        {"product_id": id, "title": titles.get(id) or id} for id in hers["product_id"].to_pylist()
    ]


def _titles(products: Snapshot | None, wanted: list[str]) -> dict[str, str]:
    if products is None:
        return {}
    table = products.read(["product_id", "title"])
    table = table.filter(pc.is_in(table["product_id"], value_set=pa.array(wanted, pa.string())))
    return dict(zip(table["product_id"].to_pylist(), table["title"].to_pylist(), strict=True))
