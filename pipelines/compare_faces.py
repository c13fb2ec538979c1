"""Faces: customers with their lists in, the page's section that shows them side by side out."""

from __future__ import annotations

from html import escape
from typing import Any

AGAIN = ' <span role="img" title="from her history" aria-label="from her history">↺</span>'
CANDIDATES = 3


def faces(compared: dict[str, Any]) -> list[str]:
    """Each customer's history, the baseline's list, the best model's, the next ones' on a tap."""
    base = compared["baseline"]
    model, *more = list(compared["verdict"]["models"])[:CANDIDATES]
    people = compared["people"]
    if not people:
        why = "The runs show no customer in common."
        return ["<h2>Customers side by side</h2>", f"<p class=about>{why}</p>"]
    also = f"; {' and '.join(more)} on a tap" if more else ""
    return [
        f"<h2>{len(people)} customers side by side</h2>",
        f"<p class=about>Her history, what {escape(base)} shows, what {escape(model)} shows"
        f"{escape(also)}. Marks say where a product moved; ↺ is something from her history.</p>",
        *(_face(one, base, model, more, first=True) for one in people[:1]),
        *_rest([_face(one, base, model, more, first=False) for one in people[1:]]),
    ]


def _rest(faces: list[str]) -> list[str]:
    """All but the first, behind one fold."""
    title = f"<summary>{len(faces)} more customers</summary>"
    return [f"<details class=fold>{title}{''.join(faces)}</details>"] if faces else []


def _face(one: dict[str, Any], base: str, model: str, more: list[str], *, first: bool) -> str:
    moved = one["moved"][model]
    new = sum(step["from"] is None for step in moved.values())
    orders = f"{one['orders']:,} order{'' if one['orders'] == 1 else 's'}"
    same = len(one["lists"][model]) - new
    title = f"{one['name']}, {orders}: {new} new to the list, {same} on both"
    history = "".join(f"<li>{escape(item['title'])}</li>" for item in one["history"])
    columns = [
        f"<div><h3>Her history <small>newest first</small></h3><ol>{history}</ol></div>",
        _list(base, one["lists"][base], {id: _left(step) for id, step in moved.items()}),
        _list(model, one["lists"][model], {id: _came(step) for id, step in moved.items()}),
    ]
    folded = "".join(
        f"<details><summary>What {escape(name)} shows</summary>"
        + _list(name, one["lists"][name], {i: _came(s) for i, s in one["moved"][name].items()})
        + "</details>"
        for name in more
    )
    return (
        f"<details class='fold card'{' open' if first else ''}><summary><b>{escape(title)}</b> "
        f"<small>{escape(one['customer_id'])}</small></summary>"
        f"<div class=faces>{''.join(columns)}</div>{folded}</details>"
    )


def _list(name: str, items: list[dict[str, Any]], marks: dict[str, str]) -> str:
    lines = "".join(
        f"<li>{escape(item['title'])}{AGAIN if item['bought'] else ''}"
        f" {marks.get(item['product_id'], '')}</li>"
        for item in items
    )
    return f"<div><h3>{escape(name)}</h3><ol>{lines}</ol></div>"


def _came(step: dict[str, int | None]) -> str:
    """Where a product of the new list comes from."""
    before, after = step["from"], step["to"]
    if before is None:
        return "<span class='moved up'>new</span>"
    if after is None or after == before:
        return ""
    way, word = ("up", "▲ up from") if after < before else ("", "▼ down from")
    return f"<span class='moved {way}'>{word} {before}</span>"


def _left(step: dict[str, int | None]) -> str:
    """What became of a product of the old list."""
    return "<span class='moved gone'>gone</span>" if step["to"] is None else ""
