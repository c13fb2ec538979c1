"""The comparison page: compared runs in, one self-contained page for a product manager out.

The verdict comes first, then how surely, for whom, whether it lasts, what changes in what is shown
and what it costs; every figure explains itself on a tap.
"""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines import compare_parts as parts
from pipelines import report
from pipelines.compare_faces import faces
from pipelines.compare_shown import costs, shown
from pipelines.compare_verdict import power
from pipelines.report import shown as metric_name

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
    "lifecycle_stage": "By lifecycle stage",
    "channel": "By main channel",
    "history_length": "By orders before: new and heavy customers",
    "category": "By the category she has most to do with",
}
COLOUR = {"ship": "#1f7a68", "hold": "#8a5a12", "fail": "#a3262a"}
MARK = {"ship": "✓ ship", "hold": "‖ hold", "fail": "✗ fail"}
SCROLL = "<div class=scroll tabindex=0 role=region aria-label='all figures'>"
STYLE = """
:root{color-scheme:light}body{overflow-wrap:break-word}
.verdict{border-left:6px solid;border-radius:.4rem;padding:.8rem 1.1rem;margin:1.2rem 0;
background:#f5f7f9}.verdict p{margin:.3rem 0}.verdict p:first-child{font-size:1.35rem;
font-weight:650}.verdict ul{margin:.3rem 0;padding-left:1.3rem}
.badge{color:#fff;border-radius:.3rem;padding:.05rem .45rem;font-weight:600;white-space:nowrap}
summary{cursor:pointer;padding:.15rem 0}summary:focus-visible{outline:3px solid #2a63c9;
outline-offset:2px}details p{margin:.3rem 0 .3rem 1.2rem;color:#4b5565}
.card{border-bottom:1px solid #e6e9ef;padding:.6rem 0}.card h3{font-size:1rem;margin:0 0 .2rem}
.row{display:grid;gap:.2rem 1rem;grid-template-columns:minmax(12rem,27rem) 9rem 1fr;
align-items:center;padding:.1rem 0}.row svg{width:100%;height:26px}
small,h2 small,.card small{color:#4b5565;font-weight:400}
.big{font-variant-numeric:tabular-nums;font-weight:600}
.scroll{overflow-x:auto}.fold{margin:.4rem 0}
.faces{display:grid;gap:1rem;grid-template-columns:repeat(3,1fr)}.faces ol{margin:.2rem 0}
.faces li{margin:.15rem 0}.moved{font-weight:600;font-size:.85em;white-space:nowrap;color:#4b5565}
.moved.up{color:#1c7a43}.moved.gone{color:#a3262a}
@media(max-width:40rem){.row{grid-template-columns:1fr}.row svg{max-width:24rem}
.faces{grid-template-columns:1fr}th,td{padding:.3rem .35rem}}
@media print{body{margin:0;max-width:none;font-size:12px}.card,.row,.verdict,.faces{
break-inside:avoid}h2,h3{break-after:avoid}details::details-content{content-visibility:visible;
display:block;height:auto}.scroll{overflow:visible}}
"""


def page(compared: dict[str, Any]) -> str:
    """HTML that needs nothing else; `compared` is what `pipelines.compare.run` gives."""
    base = compared["baseline"]
    names = [name for name in compared["models"] if name != base]
    return report.html(
        f"{', '.join(names)} against {base}",
        [
            f"<style>{STYLE}</style>",
            f"<p class=about>{_about(compared)}</p>",
            _verdict(compared),
            *_surely(compared),
            *_whom(compared),
            *_lasting(compared),
            *shown(compared),
            *costs(compared),
            *faces(compared),
            "<h2>All figures</h2><details class=fold><summary>Every figure of every model, with "
            f"its own interval</summary>{SCROLL}{report.figures(compared['models'])}"
            "</div></details>",
            "<h2>How this was reckoned</h2>",
            f"<p class=about>{escape(_method(compared))}</p>",
        ],
    )


def _about(compared: dict[str, Any]) -> str:
    windows = compared["windows"]
    first, last = windows[0]["cut"][:10], windows[-1]["until"][:10]
    seen = compared["seen"]
    unlike = len(set(seen.values())) > 1
    note = f" Lists may hold what she bought: {seen}." if unlike else ""
    note += "".join(f" Left out: {why}." for why in compared.get("left_out", {}).values())
    return escape(
        f"{compared['customers']:,} customers, the same for every model, over "
        f"{len(windows)} window{'s' if len(windows) > 1 else ''} of time from {first} to {last}. "
        "Each was given ten products from what was known then; what she bought next decides." + note
    )


def _verdict(compared: dict[str, Any]) -> str:
    verdict, metric = compared["verdict"], compared["metric"]
    ink = COLOUR[verdict["decision"]]
    made = [f"<p>{escape(verdict['headline'])}</p>"]
    several = len(verdict["models"]) > 1
    order = sorted(verdict["models"].items(), key=lambda item: item[0] != verdict["model"])
    for name, one in order:
        lines = "".join(f"<li>{escape(line)}</li>" for line in one["reasons"])
        lines += "".join(f"<li><b>Mind:</b> {escape(line)}</li>" for line in one["cautions"])
        badge = f"<span class=badge style='background:{COLOUR[one['decision']]}'>"
        title = f"{badge}{MARK[one['decision']]}</span> {escape(one['headline'])}"
        if not several:
            made.append(f"<ul>{lines}</ul>")
        else:
            state = " open" if name == verdict["model"] else ""
            made.append(f"<details{state}><summary>{title}</summary><ul>{lines}</ul></details>")
    if verdict["gate"] is not None:
        made.append(f"<p>The gate, asked of these: {escape(verdict['gate']['said'])}.</p>")
    meaning = MEANING[metric.partition("_at_")[0]]
    made.append(f"<p>Judged by {escape(metric_name(metric))}: {meaning}.</p>")
    return f'<div class=verdict style="border-color:{ink}">{"".join(made)}</div>'


def _surely(compared: dict[str, Any]) -> list[str]:
    """The metric that decides for every candidate, then the others behind a fold."""
    metric, found = compared["metric"], compared["differences"]
    metrics = list(dict.fromkeys(name for rows in found.values() for name in rows))
    metrics.sort(key=lambda name: name != metric)
    cards = [_card(compared, name) for name in metrics]
    base = escape(compared["baseline"])
    return [
        "<h2>How much, and how surely</h2>",
        f"<p class=about>The difference from {base}, customer by customer, with its 95 % interval; "
        "left of the dashed line is worse. Tap a figure for what it means.</p>",
        *cards[:1],
        *(f"<p class=about>{escape(line)}</p>" for line in _powers(compared)),
        f"<details class=fold><summary>The other figures</summary>{''.join(cards[1:])}</details>",
    ]


def _powers(compared: dict[str, Any]) -> list[str]:
    """How small a difference each comparison could have seen."""
    rows = {name: one.get(compared["metric"]) for name, one in compared["differences"].items()}
    return [f"{name}: {power(row)}" for name, row in rows.items() if row is not None]


def _card(compared: dict[str, Any], metric: str) -> str:
    some = {n: rows[metric] for n, rows in compared["differences"].items() if metric in rows}
    reach = parts.reach(list(some.values()))
    kind = metric.partition("_at_")[0]
    rows = "".join(
        parts.row(name, one, reach, money=kind == "revenue") for name, one in some.items()
    )
    role = "decides · " if metric == compared["metric"] else ""
    title = f"{escape(metric_name(metric))} <small>{role}{MEANING[kind]}</small>"
    return f"<div class=card><h3>{title}</h3>{rows}</div>"


def _whom(compared: dict[str, Any]) -> list[str]:
    """Better and worse in a sentence, then kind by kind."""
    kinds = compared["kinds"]
    if not any(kinds.values()):
        why = "These runs were judged before customers' kinds were kept: judge them anew."
        return ["<h2>For whom</h2>", f"<p>{why}</p>"]
    made = ["<h2>For whom</h2>", *(f"<p>{escape(_sums(n, rows))}</p>" for n, rows in kinds.items())]
    for slice_, title in SLICES.items():
        rows = [(n, one) for n, some in kinds.items() for one in some if one["slice"] == slice_]
        if not rows:
            continue
        reach = parts.reach([one for _, one in rows if not one["small"]] or [o for _, o in rows])
        lines = []
        for value in dict.fromkeys(one["value"] for _, one in rows):
            for name, one in rows:
                if one["value"] == value:
                    few = f" · {one['n']:,}" + (" (few: an anecdote)" if one["small"] else "")
                    label = value.replace("_", " ") + (f", {name}" if len(kinds) > 1 else "")
                    lines.append(parts.row(label, one, reach, note=few))
        made.append(f"<div class=card><h3>{title}</h3>{''.join(lines)}</div>")
    return made


def _sums(name: str, rows: list[dict[str, Any]]) -> str:
    """For whom one candidate is surely better and surely worse, after correction."""
    found: dict[str, list[str]] = {"good": [], "bad": []}
    for one in rows:
        if not one["small"] and parts.tone(one):
            kind = one["slice"].replace("_", " ")
            found[parts.tone(one)].append(f"{kind} {one['value'].replace('_', ' ')}")
    every = sum(not one["small"] for one in rows)
    if found["good"] and not found["bad"]:
        said = f"surely better for {len(found['good'])} of {every} kinds of customers"
        return f"{name}: {said}, surely worse for none."
    better, worse = (", ".join(found[key]) or "nobody" for key in ("good", "bad"))
    return f"{name}: surely better for {better}; surely worse for {worse}."


def _lasting(compared: dict[str, Any]) -> list[str]:
    """Each window of time by itself."""
    made = ["<h2>Does it last?</h2>"]
    every = [one for found in compared["folds"].values() for one in found["windows"]]
    reach = parts.reach(every)
    for name, found in compared["folds"].items():
        rows = "".join(
            parts.row(f"{one['cut'][:10]} to {one['until'][:10]}", one, reach)
            for one in found["windows"]
        )
        said = escape(f"{name}: {found['said']}")
        made.append(f"<div class=card><h3>{said}</h3>{rows}</div>")
    return made


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
        "together, and for all kinds of customers together. Kinds are coloured only where they "
        "still differ then. The effect size is the mean difference over the differences' own "
        "spread. All this is the past, in which nobody saw these lists: it says which model "
        "understands customers better, not how much more they will buy. That takes a live test."
    )
