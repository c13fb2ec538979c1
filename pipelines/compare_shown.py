"""What is shown and what it costs: a comparison in, the page's sections on both out."""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines import compare_parts as parts

ROWS = {
    "coverage": ("products shown to anyone", "share of the catalogue on at least one list", "%"),
    "new_share": ("new products", "share of places with a product first seen within 28 days", "%"),
    "price": ("price level", "mean price of what stands on the lists", "money"),
    "revenue": ("revenue@10", "money a customer spent on products in her ten", "money"),
    "novelty": ("novelty", "how few others bought what is shown, in bits; more is rarer", ""),
    "diversity": ("diversity", "pairs on a list that are of different categories", "%"),
    "fallback_share": (
        "lists that need the fallback",
        "customers for whom the model does not fill ten places",
        "%",
    ),
    "gini": ("concentration on products", "0: all shown alike; near 1: a few have everything", ""),
    "supplier_gini": ("concentration on suppliers", "the same for suppliers' places", ""),
}
COSTS = {
    "train_seconds": ("training, s", "seconds to fit on everything known"),
    "fit_seconds": ("training in the backtest, s", "seconds a fit, mean over the windows"),
    "train_peak_memory_mb": (
        "memory in training, MB",
        "the process at its highest while it fitted",
    ),
    "milliseconds_per_list": ("making a list, ms", "milliseconds a customer, many at once"),
    "model_megabytes": ("size, MB", "megabytes on disk, about what a server holds in memory"),
}
SUPPLIERS = 12


def shown(compared: dict[str, Any], names: list[str]) -> list[str]:
    """What changes in what is shown: a row a figure, then whose products are shown.

    names: the baseline, then the models, a column each.
    """
    rows = []
    for key, (title, meaning, unit) in ROWS.items():
        values = [compared["shown"][name].get(key) for name in names]
        if any(value is not None for value in values):
            cells = [_cell(value, values[0], unit) for value in values]
            rows.append(_line(title, meaning, cells))
    made = ["<h2>What changes in what is shown</h2>", _table(names, rows)]
    return [*made, *_suppliers(compared, names)]


def costs(compared: dict[str, Any], names: list[str]) -> list[str]:
    """What each model costs, as far as it was measured."""
    rows = []
    for key, (title, meaning) in COSTS.items():
        values = [compared["costs"][name].get(key) for name in names]
        if any(value is not None for value in values):
            cells = ["–" if value is None else f"{value:,.3g}" for value in values]
            rows.append(_line(title, meaning, cells))
    if not rows:
        return []
    about = "<p class=about>As measured on the machine that trained and judged them.</p>"
    return ["<h2>What it costs</h2>", about, _table(names, rows)]


def _suppliers(compared: dict[str, Any], names: list[str]) -> list[str]:
    """Each supplier's share of the places, as bars; most shown first."""
    held = {name: compared["suppliers"][name] for name in names}
    if not any(held.values()):
        return []
    base = held[compared["baseline"]]
    top = max(share for one in held.values() for share in one.values())
    total: dict[str, float] = {}
    for one in held.values():
        for name, value in one.items():
            total[name] = total.get(name, 0.0) + value
    order = sorted(total, key=lambda name: (-total[name], name))
    cards = []
    for id in order[:SUPPLIERS]:
        lines = []
        for name, one in held.items():
            value = one.get(id, 0.0)
            change = value - base.get(id, 0.0)
            more = "" if name == compared["baseline"] else f" ({change * 100:+.1f} points)"
            said = f"{value:.1%} of all places{more}"
            bar = parts.share(f"{id}, {name}", value, top, said)
            lines.append(
                f"<div class=row><span>{escape(name)}</span><small>{said}</small>{bar}</div>"
            )
        cards.append(f"<div class=card><h3>{escape(id)}</h3>{''.join(lines)}</div>")
    rest = len(order) - SUPPLIERS
    more = f"<p class=about>and {rest} more suppliers, in the JSON</p>" if rest > 0 else ""
    summary = "<summary>Suppliers: whose products stand on the lists</summary>"
    return [f"<details class=fold>{summary}{''.join(cards)}{more}</details>"]


def _cell(value: float | None, base: float | None, unit: str) -> str:
    """A figure, and below it the change from the first column's."""
    if value is None:
        return "–"
    form = {"%": f"{value:.1%}", "money": f"{value:,.2f}"}.get(unit, f"{value:.2f}")
    if base is None or value == base:
        return form
    change = f"{(value - base) * 100:+.1f} points" if unit == "%" else f"{value - base:+.2f}"
    return f"{form}<br><small>{change}</small>"


def _line(title: str, meaning: str, cells: list[str]) -> str:
    head = (
        f"<th scope=row><details><summary title='{escape(meaning, quote=True)}'>{escape(title)}"
        f"</summary><p>{escape(meaning)}</p></details></th>"
    )
    return f"<tr>{head}{''.join(f'<td class=n>{cell}</td>' for cell in cells)}</tr>"


def _table(names: list[str], rows: list[str]) -> str:
    heads = "".join(f"<th class=n scope=col>{escape(name)}</th>" for name in names)
    body = f"<tr><td></td>{heads}</tr>{''.join(rows)}"
    return (
        f"<div class=scroll tabindex=0 role=region aria-label=figures><table>{body}</table></div>"
    )
