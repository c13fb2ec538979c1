"""What a simulation says: its record in, the tables and lines of the console and the page out."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

from pipelines import report

JUDGES = {
    "offline": "offline ndcg@10 on the log before",
    "off_policy": "off-policy estimate from an exploring log",
    "live": "live test, one arm a policy",
}
Record = dict[str, Any]


class Told(NamedTuple):
    """A table: heads that end in `>` stand to the right; line ends part a figure's interval."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def kept(record: Record) -> Told:
    """Every policy: whom it keeps and what it earns."""
    rows = [
        [
            name,
            _share(one["retained"]),
            _money(one["revenue"]),
            _share(one["bought"], interval=False),
            _plain(one["supplier_gini"]),
            _share(one["supplier_top"], interval=False),
        ]
        for name, one in record["figures"].items()
    ]
    heads = [
        "policy",
        f"still customers\nafter {record['days']} days>",
        "revenue\na customer>",
        "lists\nbought from>",
        "suppliers'\ngini>",
        "top tenth of\nsuppliers>",
    ]
    shops = len(record["runs"])
    title = f"{record['customers']:,} customers in each of {shops} shops; means with 95 %"
    return Told(title, heads, rows)


def gains(record: Record) -> list[str]:
    """Each policy against the first, and which keeps most."""
    first = record["policies"][0]
    return [
        *(
            f"{name} keeps {_points(gain)} more than {first}"
            for name, gain in record["gains"].items()
        ),
        f"{record['best']} keeps most.",
    ]


def judged(record: Record) -> Told:
    """Who would have known it."""
    rows = [
        [
            JUDGES[judge],
            ", ".join(f"{name} {count}" for name, count in one["chosen"].items()),
            f"{one['right']} of {len(record['runs'])}",
            _points(one["regret"]),
        ]
        for judge, one in record["judges"].items()
    ]
    return Told("", ["judge", "chose", "right>", "customers lost by it>"], rows)


def refused(record: Record) -> list[str]:
    """Judges that gave no answer, and why."""
    runs, first = record["runs"], record["policies"][0]
    return [
        f"{JUDGES[judge]}: no answer in {one['refused']} of {len(runs)}, so {first} stays: "
        + next(run["refused"] for run in runs if run["refused"])
        for judge, one in record["judges"].items()
        if one["refused"]
    ]


def page(record: Record) -> str:
    """HTML that needs nothing else."""
    *compared, best = gains(record)
    said = "".join(f"<p>{escape(line)}</p>" for line in compared)
    left = "".join(f"<p class=about>{escape(line)}</p>" for line in refused(record))
    return report.html(
        f"Simulated: {', '.join(record['policies'])}",
        [
            f"<p><b>{escape(best)}</b></p>{said}",
            "<h2>Whom they keep</h2>",
            _table(kept(record)),
            "<h2>Who would have known it</h2>",
            _table(judged(record)),
            left,
            "<p class=about>Shops that never were: what is assumed of their customers stands in "
            "docs/experiments.md and models/evaluation/reactions.py.</p>",
        ],
    )


def _table(told: Told) -> str:
    numbers = [" class=n" if head.endswith(">") else "" for head in told.heads]

    def row(cells: list[str], tag: str) -> str:
        inner = "".join(
            f"<{tag}{number}>{escape(cell).replace(chr(10), '<br>')}</{tag}>"
            for cell, number in zip(cells, numbers, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = row([head.rstrip(">") for head in told.heads], "th") + "".join(
        row(one, "td") for one in told.rows
    )
    about = f"<p class=about>{escape(told.title)}</p>" if told.title else ""
    return f"{about}<div style='overflow-x:auto' tabindex=0><table>{body}</table></div>"


def _share(one: dict[str, Any], *, interval: bool = True) -> str:
    if one["mean"] is None:
        return "–"
    shown = f"{one['mean']:.1%}"
    if interval and one["low"] is not None:
        shown += f"\n{one['low']:.1%} to {one['high']:.1%}"
    return shown


def _money(one: dict[str, Any]) -> str:
    shown = f"{one['mean']:,.1f}"
    return shown if one["low"] is None else f"{shown}\n{one['low']:,.1f} to {one['high']:,.1f}"


def _plain(one: dict[str, Any]) -> str:
    if one["mean"] is None:
        return "–"
    shown = f"{one['mean']:.2f}"
    return shown if one["low"] is None else f"{shown}\n{one['low']:.2f} to {one['high']:.2f}"


def _points(one: dict[str, Any]) -> str:
    """A difference of shares in percentage points."""
    shown = f"{100 * one['mean']:.1f} points"
    if one["low"] is None:
        return shown
    return f"{shown} ({100 * one['low']:.1f} to {100 * one['high']:.1f})"
