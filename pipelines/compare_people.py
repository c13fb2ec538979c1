"""People: judged sides in, up to twelve customers with each side's list and what moved out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.compare_sides import Side

MOST = 12


def beside(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Customers whom every side shows: name, customer_id, stage, orders, history, lists, moved.

    lists: label -> [{product_id, title, bought}], bought: it stands in the history shown. moved:
    label -> `changes` from the first side's list.
    """
    hers = [{one["customer_id"]: one for one in side.personas} for side in sides]
    found: list[dict[str, Any]] = []
    for id, one in hers[0].items():
        if any(id not in side for side in hers[1:]) or len(found) == MOST:
            continue
        past = {item["product_id"] for item in one["history"]}
        lists = {
            side.label: [
                {**item, "bought": item["product_id"] in past} for item in mine[id]["list"]
            ]
            for side, mine in zip(sides, hers, strict=True)
        }
        base = lists[sides[0].label]
        about = ("name", "customer_id", "lifecycle_stage", "orders", "history")
        found.append(
            {
                **{key: one[key] for key in about},
                "lists": lists,
                "moved": {side.label: changes(base, lists[side.label]) for side in sides[1:]},
            }
        )
    return found


def changes(
    before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> dict[str, dict[str, int | None]]:
    """product_id -> {from, to}: ranks from 1, None where it is not on the list."""
    old = {item["product_id"]: place for place, item in enumerate(before, start=1)}
    new = {item["product_id"]: place for place, item in enumerate(after, start=1)}
    return {id: {"from": old.get(id), "to": new.get(id)} for id in (*new, *(set(old) - set(new)))}
