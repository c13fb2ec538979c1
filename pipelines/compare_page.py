"""The comparison page: compared runs in, one self-contained page for a product manager out.

The verdict comes first, then the other models, how surely, for whom, whether it lasts, what
changes in what is shown and what it costs. Only the two best are drawn; every model stands in the
table of all figures, and every figure explains itself on a tap.
"""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines import compare_parts as parts
from pipelines import report
from pipelines.compare_faces import faces
from pipelines.compare_head import MEANING, guardrails, others, verdict
from pipelines.compare_shown import costs, shown
from pipelines.compare_style import STYLE
from pipelines.compare_verdict import power
from pipelines.compare_whom import lasting, whom
from pipelines.report import shown as metric_name

DRAWN = 2
BACK = "return_hit_rate"  # never folded: it is what the product is for
SCROLL = "<div class=scroll tabindex=0 role=region aria-label='all figures'>"


def page(compared: dict[str, Any]) -> str:
    """HTML that needs nothing else; `compared` is what `pipelines.compare.run` gives."""
    base = compared["baseline"]
    best = list(compared["verdict"]["models"])  # best first
    drawn = best[:DRAWN]
    return report.html(
        f"{', '.join(best)} against {base}",
        [
            f"<style>{STYLE}</style>",
            verdict(compared),
            f"<p class=about>{_about(compared)}</p>",
            *others(compared),
            *guardrails(compared),
            *_surely(compared, drawn),
            *whom(compared, drawn),
            *lasting(compared, drawn),
            *shown(compared, [base, *best]),
            *costs(compared, [base, *best]),
            *faces(compared),
            "<h2>All figures</h2><details class=fold><summary>Every figure of every model, with "
            f"its own interval</summary>{SCROLL}"
            f"{report.figures({name: compared['models'][name] for name in (base, *best)})}"
            "</div></details>",
            "<details class=fold><summary><b>How this was reckoned</b></summary>"
            f"<p>{escape(_method(compared))}</p></details>",
        ],
    )


def _about(compared: dict[str, Any]) -> str:
    windows = compared["windows"]
    first, last = windows[0]["cut"][:10], windows[-1]["until"][:10]
    seen = compared["seen"]
    unlike = len(set(seen.values())) > 1
    note = f" Lists may hold what she bought: {seen}." if unlike else ""
    note += "".join(f" Left out: {why}." for why in compared.get("left_out", {}).values())
    metric = compared["metric"]
    return escape(
        f"{compared['customers']:,} customers, the same for every model, over "
        f"{len(windows)} window{'s' if len(windows) > 1 else ''} of time from {first} to {last}. "
        "Each was given ten products from what was known then; what she bought next decides. "
        f"Judged by {metric_name(metric)}: {MEANING[metric.partition('_at_')[0]]}." + note
    )


def _surely(compared: dict[str, Any], drawn: list[str]) -> list[str]:
    """The metric that decides for the models drawn, then the other metrics behind a fold."""
    metric, found = compared["metric"], compared["differences"]
    metrics = list(dict.fromkeys(name for rows in found.values() for name in rows))
    metrics.sort(key=lambda name: (name != metric, not name.startswith(BACK)))
    cards = [_card(compared, name, drawn) for name in metrics]
    first = 1 + any(name.startswith(BACK) for name in metrics[1:2])
    base = escape(compared["baseline"])
    left = f"; of {len(found)} models the two best" if len(found) > len(drawn) else ""
    return [
        "<h2>How much, and how surely</h2>",
        f"<p class=about>The difference from {base}, customer by customer, with its 95 % interval; "
        f"left of the dashed line is worse{left}. Tap a figure for what it means.</p>",
        *cards[:1],
        *(f"<p class=about>{escape(line)}</p>" for line in _powers(compared, drawn)),
        *cards[1:first],
        "<details class=fold><summary>The other figures</summary>"
        f"{''.join(cards[first:])}</details>",
    ]


def _powers(compared: dict[str, Any], drawn: list[str]) -> list[str]:
    """How small a difference each comparison could have seen."""
    rows = {name: compared["differences"][name].get(compared["metric"]) for name in drawn}
    return [f"{name}: {power(row)}" for name, row in rows.items() if row is not None]


def _card(compared: dict[str, Any], metric: str, drawn: list[str]) -> str:
    every = {n: compared["differences"][n] for n in drawn}
    some = {name: rows[metric] for name, rows in every.items() if metric in rows}
    reach = parts.reach(list(some.values()))
    kind = metric.partition("_at_")[0]
    rows = "".join(
        parts.row(name, one, reach, money=kind == "revenue") for name, one in some.items()
    )
    role = "decides · " if metric == compared["metric"] else ""
    title = f"{escape(metric_name(metric))} <small>{role}{MEANING[kind]}</small>"
    return f"<div class=card><h3>{title}</h3>{rows}</div>"


def _method(compared: dict[str, Any]) -> str:
    many = max((len(rows) for rows in compared["kinds"].values()), default=0)
    models = len(compared["differences"])
    return (
        "All differences are paired: the same customers, the same windows, the same truth. "
        "Intervals are bootstrapped over customers. Beside them stands a paired randomisation "
        "test: were both models alike, each customer's difference could as well have had the other "
        f"sign. As {models} model{'s' if models > 1 else ''}, {len(MEANING)} figures and {many} "
        "kinds of customers are looked at, some would differ by chance; Holm's correction takes "
        "that into account: for the models in the figure that decides, for all other figures "
        "together, for all kinds of customers together, and for the guardrails of each model. "
        "Kinds are coloured only where they still differ then. The effect size is the mean "
        "difference over the differences' own spread. All this is the past, in which nobody saw "
        "these lists: it says which model understands customers better, not how much more they "
        "will buy. That takes a live test."
    )
