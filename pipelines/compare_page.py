"""The comparison page: compared runs in, one self-contained page for a product manager out.

Which is better comes first, then for whom and how surely; every figure says what it means.
"""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines import report
from pipelines.report import shown

MEANING = {
    "ndcg": "how much of what she bought next stood in her ten, worth more near the top",
    "recall": "how much of what she bought next stood in her ten",
    "hit_rate": "customers who bought something that stood in their ten",
    "map": "precision over the places where a hit stood, averaged",
    "mrr": "one over the place of the first hit",
    "revenue": "money she spent on products in her ten",
    "repeat_hit_rate": "hits among what she had bought before",
    "new_hit_rate": "hits among what was new to her",
}
SLICES = {
    "lifecycle_stage": "lifecycle stage",
    "channel": "main channel",
    "history_length": "orders before",
}
INK = ("#1f7a68", "#4759b3", "#b5512a", "#8c3f74", "#94631a", "#2a7397")
STYLE = """
:root{color-scheme:light}
.verdict{background:#eef6f3;border-left:5px solid #1f7a68;border-radius:.4rem;padding:.9rem 1.2rem;
margin:1.2rem 0}
.verdict p{margin:.25rem 0}.verdict p:first-child{font-size:1.25rem;font-weight:650}
.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em}
.scroll{overflow-x:auto}.who{white-space:nowrap}td small{color:#5b6575;display:block}
h2 small{font-weight:400;color:#5b6575}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}table{break-inside:avoid}}
"""


def page(compared: dict[str, Any]) -> str:
    """HTML that needs nothing else; `compared` is what `pipelines.compare.run` gives."""
    base, metric = compared["baseline"], compared["metric"]
    colour = {name: INK[i % len(INK)] for i, name in enumerate(compared["models"])}
    deciding = escape(shown(metric))
    return report.html(
        f"{', '.join(name for name in compared['models'] if name != base)} against {base}",
        [
            f"<style>{STYLE}</style>",
            f"<p class=about>{compared['customers']:,} customers, the same for every model. Each "
            "was given ten products from what was known then; what she bought next decides.</p>",
            f"<div class=verdict>{''.join(f'<p>{line}</p>' for line in _verdict(compared))}</div>",
            f"<h2>How surely <small>difference from {escape(base)}, customer by customer; the line "
            "is the 95 % interval, left of zero is worse</small></h2>",
            f"<div class=scroll>{_differences(compared, colour)}</div>",
            f"<h2>For whom <small>{deciding} by kind of customer</small></h2>",
            f"<div class=scroll>{_slices(compared, colour)}</div>",
            "<h2>All figures</h2>",
            f"<div class=scroll>{report.figures(compared['models'])}</div>",
        ],
    )


def _verdict(compared: dict[str, Any]) -> list[str]:
    """Which is better, in sentences, the best first."""
    base, metric = compared["baseline"], compared["metric"]
    found = {name: one[metric] for name, one in compared["differences"].items() if metric in one}
    lines = []
    for name, one in sorted(found.items(), key=lambda item: -item[1]["mean"]):
        share = "" if one["relative"] is None else f" by {abs(one['relative']):.0%}"
        said = f"[{one['low']:+.4f}, {one['high']:+.4f}]"
        if one["low"] > 0:
            lines.append(f"{escape(name)} is better than {escape(base)}{share} {said}.")
        elif one["high"] < 0:
            lines.append(f"{escape(name)} is worse than {escape(base)}{share} {said}.")
        else:
            lines.append(
                f"{escape(name)} and {escape(base)} cannot be told apart {said}: "
                f"{one['n']:,} customers are too few for so small a difference, or there is none."
            )
    worse = [line for name in found if (line := _worse_for(compared, name))]
    return [*lines, *worse, f"Judged by {shown(metric)}: {MEANING[metric.partition('_at_')[0]]}."]


def _worse_for(compared: dict[str, Any], name: str) -> str:
    """For whom a model's mean is below the baseline's, of kinds with enough customers."""
    base = {(row["slice"], row["value"]): row for row in compared["slices"][compared["baseline"]]}
    worse = [
        f"{SLICES.get(row['slice'], row['slice'])} {row['value'].replace('_', ' ')}"
        for row in compared["slices"][name]
        if not row["small"]
        and (row["slice"], row["value"]) in base
        and (row["mean"] or 0) < (base[row["slice"], row["value"]]["mean"] or 0)
    ]
    return (
        f"{escape(name)} serves these worse on average: {escape(', '.join(worse))}."
        if worse
        else ""
    )


def _differences(compared: dict[str, Any], colour: dict[str, str]) -> str:
    rows = []
    metrics: dict[str, Any] = next(iter(compared["differences"].values()), {})
    for metric in metrics:
        some = {n: one[metric] for n, one in compared["differences"].items() if metric in one}
        reach = max(max(abs(one["low"]), abs(one["high"])) for one in some.values()) or 1.0
        meaning = MEANING[metric.partition("_at_")[0]]
        for place, (name, one) in enumerate(some.items()):
            sign = "good" if one["low"] > 0 else "bad" if one["high"] < 0 else ""
            label = f"{escape(shown(metric))}<small>{meaning}</small>" if place == 0 else ""
            relative = "–" if one["relative"] is None else f"{one['relative']:+.0%}"
            rows.append(
                f"<tr{' class=first' if place == 0 else ''}>"
                + (f"<td rowspan={len(some)}>{label}</td>" if place == 0 else "")
                + f"<td class=who>{_dot(colour[name])}{escape(name)}</td>"
                f"<td class='n {sign}'>{one['mean']:+.4f}</td><td class=n>{relative}</td>"
                f"<td>{_whisker(one, reach, colour[name])}</td></tr>"
            )
    head = "<tr><th>figure</th><th>model</th><th class=n>difference</th><th></th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _dot(ink: str) -> str:
    return f"<span class=dot style='background:{ink}'></span>"


def _whisker(one: dict[str, float], reach: float, ink: str, width: int = 260) -> str:
    """A difference as a dot with its interval as a line, on a scale with zero in the middle."""

    def at(value: float) -> str:
        return f"{(value / reach * 0.94 + 1) * width / 2:.1f}"

    said = f"{one['mean']:+.4f}, between {one['low']:+.4f} and {one['high']:+.4f}"
    return (
        f'<svg width="{width}" height="18" role="img" aria-label="{said}"><title>{said}</title>'
        f'<line x1="{width / 2}" x2="{width / 2}" y1="0" y2="18" stroke="#8a93a3" '
        'stroke-dasharray="2 2"/>'
        f'<line x1="{at(one["low"])}" x2="{at(one["high"])}" y1="9" y2="9" stroke="{ink}" '
        f'stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{at(one["mean"])}" cy="9" r="4.5" fill="{ink}"/></svg>'
    )


def _slices(compared: dict[str, Any], colour: dict[str, str]) -> str:
    """A row a kind of customer, a column a model; the best of a row in bold."""
    names = list(compared["models"])
    table = {
        name: {(row["slice"], row["value"]): row for row in compared["slices"][name]}
        for name in names
    }
    rows, last = [], None
    for slice_, value in table[names[0]]:
        cells = [table[name].get((slice_, value)) for name in names]
        means = [-1.0 if cell is None or cell["mean"] is None else cell["mean"] for cell in cells]
        one = table[names[0]][slice_, value]
        few = " (few: an anecdote)" if one["small"] else ""
        marked = (
            f"<td class=n>{'<b>' if mean == max(means) else ''}{report.number(max(mean, 0))}"
            f"{'</b>' if mean == max(means) else ''}</td>"
            for mean in means
        )
        rows.append(
            f"<tr{' class=first' if slice_ != last else ''}>"
            f"<td>{escape(SLICES.get(slice_, slice_)) if slice_ != last else ''}</td>"
            f"<td>{escape(value.replace('_', ' '))}</td><td class=n>{one['n']:,}{few}</td>"
            + "".join(marked)
            + "</tr>"
        )
        last = slice_
    heads = "".join(f"<th class='n who'>{_dot(colour[name])}{escape(name)}</th>" for name in names)
    head = f"<tr><th></th><th></th><th class=n>customers</th>{heads}</tr>"
    return f"<table>{head}{''.join(rows)}</table>"
