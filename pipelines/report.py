"""Report: a run's judgement in, one self-contained HTML page out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.artifact import write_text
from pipelines.tracking import Run
from pipelines.workspace import Workspace

STYLE = """
:root{--ink:#1d2430;--soft:#5b6575;--line:#e6e9ef;--rule:#c9d0dc;--good:#1c7a43;--bad:#a3262a;
--bar:#b9cdf2;--paper:#fff}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:64rem;
margin:2.5rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}
h2{font-size:1.1rem;margin:2.2rem 0 .5rem}p.about{color:var(--soft);margin:.2rem 0}
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:600;color:var(--soft)}
th,td{padding:.32rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr.first td{border-top:2px solid var(--rule)}
svg{display:block}.bad{color:var(--bad)}.good{color:var(--good)}
.bar{fill:var(--bar)}.reach{stroke:var(--ink);stroke-width:1.6}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1.5rem}ol{margin:.2rem 0;padding-left:1.4rem}
"""
NOTHING: dict[str, float | None] = {"mean": None, "low": None, "high": None}


def page(run: Run, summary: dict[str, Any], slices: pa.Table, personas: Sequence[Any]) -> str:
    """All figures of one model, its slices, its folds and what some customers would be shown."""
    metric = summary["protocol"]["metric"]
    return html(
        f"{run.tags['regulars.model']} judged",
        [
            f"<p class=about>{escape(_about(run, summary))}</p>",
            *_faults(summary["findings"]),
            "<h2>Figures</h2>",
            figures({run.tags["regulars.model"]: summary["metrics"]}),
            *_back(summary),
            f"<h2>{escape(shown(metric))} by kind of customer</h2>",
            _slices(slices.filter(pc.equal(slices["metric"], metric))),
            "<h2>Folds</h2>",
            _folds(summary["folds"]),
            "<h2>What customers would be shown</h2>",
            *map(_persona, personas),
        ],
    )


def html(title: str, parts: Sequence[str]) -> str:
    """A page that needs nothing else."""
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


def keep(workspace: Workspace, name: str, page: str) -> Path:
    """Write a page where the server shows it to operators, over an older one of its name."""
    safe = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:64].strip("-") or "page"
    path = workspace.root / "pages" / f"{safe}.html"
    write_text(path, page)
    return path


def figures(models: dict[str, dict[str, dict[str, float | None]]]) -> str:
    """A table of all metrics, a row a model and metric, with intervals drawn on one scale each."""
    rows = []
    for metric in dict.fromkeys(name for model in models.values() for name in model):
        some = [model.get(metric, NOTHING) for model in models.values()]
        top = max((f["high"] or f["mean"] or 0.0) for f in some)
        for place, (name, model) in enumerate(models.items()):
            figure = model.get(metric, NOTHING)
            first = " class=first" if place == 0 else ""
            rows.append(
                f"<tr{first}><td>{escape(shown(metric)) if place == 0 else ''}</td>"
                f"<td>{escape(name)}</td><td class=n>{number(figure['mean'])}</td>"
                f"<td class=n>{between(figure)}</td><td>{bar(figure, top)}</td></tr>"
            )
    head = (
        "<tr><th>metric</th><th>model</th><th class=n>mean</th><th class=n>95 %</th><th></th></tr>"
    )
    return f"<table>{head}{''.join(rows)}</table>"


def bar(figure: dict[str, float | None], top: float, width: int = 220) -> str:
    """A mean as a bar with its interval as a line, drawn to a common top."""
    mean = figure["mean"]
    if mean is None or top <= 0:
        return ""
    scale = width / top
    line = ""
    if figure["low"] is not None and figure["high"] is not None:
        low, high = max(figure["low"], 0) * scale, figure["high"] * scale
        line = f'<line class="reach" x1="{low:.1f}" x2="{high:.1f}" y1="8" y2="8"/>'
    return (
        f'<svg width="{width}" height="16" role="img" aria-label="{mean:.4f}">'
        f'<rect width="{max(mean, 0) * scale:.1f}" height="16" class="bar"/>{line}</svg>'
    )


def shown(metric: str) -> str:
    """A metric's name for a person: `ndcg@10` for `ndcg_at_10`."""
    return metric.replace("_at_", "@")


def number(value: float | None) -> str:
    """Four digits that matter, or a dash."""
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def between(figure: dict[str, float | None]) -> str:
    """An interval, or nothing."""
    if figure["low"] is None:
        return ""
    return f"{number(figure['low'])} to {number(figure['high'])}"


def _about(run: Run, summary: dict[str, Any]) -> str:
    protocol = summary["protocol"]
    return (
        f"run {run.id} · {run.tags['regulars.kind']} {run.tags['regulars.parameters']} · "
        f"data as of {run.tags['regulars.as_of']} · {summary['customers']:,} customers "
        f"judged over {len(summary['folds'])} folds of {protocol['horizon_days']} days · "
        f"lists of {protocol['k']}"
    )


def _back(summary: dict[str, Any]) -> list[str]:
    """One sentence for those who came back."""
    metric = f"return_hit_rate_at_{summary['protocol']['k']}"
    figure = summary["metrics"].get(metric, NOTHING)
    if figure["mean"] is None:
        return ["<p>For those who came back: nobody who had drifted away came back here.</p>"]
    sure = f" ({between(figure)})" if figure["low"] is not None else ""
    return [
        f"<p>For those who came back after drifting away: {number(figure['mean'])}{sure} of them "
        "had a product of the order they came back with in their list.</p>"
    ]


def _faults(findings: Sequence[str]) -> list[str]:
    if not findings:
        return ["<p class=good>No fault was found in its lists.</p>"]
    items = "".join(f"<li>{escape(finding)}</li>" for finding in findings)
    return [f"<h2 class=bad>Faults in its lists</h2><ul>{items}</ul>"]


def _slices(slices: pa.Table) -> str:
    rows, last = [], None
    top = max((row["high"] or row["mean"] or 0.0 for row in slices.to_pylist()), default=0.0)
    for row in slices.to_pylist():
        first = " class=first" if row["slice"] != last else ""
        few = " (few)" if row["small"] else ""
        rows.append(
            f"<tr{first}><td>{escape(row['slice']) if first else ''}</td>"
            f"<td>{escape(row['value'])}</td><td class=n>{row['n']:,}{few}</td>"
            f"<td class=n>{number(row['mean'])}</td><td class=n>{between(row)}</td>"
            f"<td>{bar(row, top)}</td></tr>"
        )
        last = row["slice"]
    head = (
        "<tr><th>slice</th><th></th><th class=n>customers</th><th class=n>mean</th>"
        "<th class=n>95 %</th><th></th></tr>"
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _folds(folds: Sequence[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(fold['cut'])}</td><td>{escape(fold['until'])}</td>"
        f"<td class=n>{fold['customers']['buyers']:,}</td>"
        f"<td class=n>{fold['customers']['known']:,}</td>"
        f"<td class=n>{fold['customers']['judged']:,}</td></tr>"
        for fold in folds
    )
    head = (
        "<tr><th>known up to</th><th>truth until</th><th class=n>buyers</th>"
        "<th class=n>of them known</th><th class=n>judged</th></tr>"
    )
    return f"<table>{head}{rows}</table>"


def _persona(persona: dict[str, Any]) -> str:
    sides = [
        f"<div><b>{title}</b><ol>"
        + "".join(f"<li>{escape(item['title'])}</li>" for item in persona[key])
        + "</ol></div>"
        for title, key in (("her history, newest first", "history"), ("her list", "list"))
    ]
    who = f"{persona['name']}: {persona['customer_id']}, orders: {persona['orders']}"
    return f"<h3>{escape(who)}</h3><div class=pair>{''.join(sides)}</div>"
