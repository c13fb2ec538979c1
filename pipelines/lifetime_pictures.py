"""Pictures of stages: the rows of `stage_moves` in, inline SVG and a table that say it out."""

from __future__ import annotations

from collections import Counter
from datetime import date
from html import escape

import pyarrow as pa

from features.schemas import STAGES

INKS = dict(zip(STAGES, ("#2f6fb0", "#1f7a68", "#c9a227", "#c8662b", "#8a8f99"), strict=True))
NONE = "not yet here"


def months(moves: pa.Table) -> str:
    """Customers by stage at the end of each month, as bars; the last month may not be over."""
    ends = _ends(moves)
    top = max((sum(end.values()) for end in ends.values()), default=1)
    wide = 600 / max(len(ends), 1)
    bars, said = [], []
    for place, (month, end) in enumerate(ends.items()):
        x, low = 10 + place * wide, 200.0
        for stage in STAGES:
            tall = end[stage] / top * 180
            low -= tall
            told = f"{month:%Y-%m}: {end[stage]:,} {_shown(stage)}"
            bars.append(
                f'<rect x="{x:.1f}" y="{low:.1f}" width="{wide * 0.8:.1f}" height="{tall:.1f}" '
                f'fill="{INKS[stage]}"><title>{escape(told)}</title></rect>'
            )
        bars.append(
            f'<text x="{x + wide * 0.4:.1f}" y="215" text-anchor="middle" font-size="11" '
            f'fill="#4b5565">{month:%b}</text>'
        )
        words = ", ".join(f"{end[stage]:,} {_shown(stage)}" for stage in STAGES)
        said.append(f"{month:%Y-%m}: {words}")
    keys = "".join(
        f'<rect x="{10 + place * 120}" y="228" width="12" height="12" fill="{INKS[stage]}"/>'
        f'<text x="{27 + place * 120}" y="239" font-size="13" fill="#1d2430">{_shown(stage)}</text>'
        for place, stage in enumerate(STAGES)
    )
    label = escape("; ".join(said), quote=True)
    return (
        f'<svg class=stages viewBox="0 0 620 246" role="img" aria-label="{label}">'
        f"{''.join(bars)}{keys}</svg>"
    )


def whence(moves: pa.Table, *, month: date | None = None) -> str:
    """One month's moves as a table of counts, the last whole one's: from in rows, to in columns.

    A cell is the darker, the larger its share of the row.
    """
    month = month or last_whole(moves)
    counts = _counts(moves, month)
    head = "".join(f"<th scope=col>{_shown(stage)}</th>" for stage in STAGES)
    lines = []
    for source in (*STAGES, None):
        row = [counts[source, target] for target in STAGES]
        every = sum(row) or 1
        cells = "".join(
            f'<td style="background:rgba(31,122,104,{0.55 * n / every:.2f})">{n:,}</td>'
            for n in row
        )
        lines.append(f"<tr><th scope=row>{_shown(source)}</th>{cells}</tr>")
    return (
        f"<table class=moves><caption>From the stage in the row to that in the column, "
        f"{month:%B %Y}</caption><tr><td></td>{head}</tr>{''.join(lines)}</table>"
    )


def sentence(moves: pa.Table, *, month: date | None = None) -> str:
    """What a retention lead reads first: who slipped away in a month, and who came back."""
    month = month or last_whole(moves)
    counts = _counts(moves, month)
    order = {stage: place for place, stage in enumerate(STAGES)}
    late = ("cooling", "at_risk", "lapsed")
    slipped = sum(
        n for (a, b), n in counts.items() if a is not None and b in late and order[b] > order[a]
    )
    lapsed = sum(n for (a, b), n in counts.items() if b == "lapsed" and a not in (b, None))
    back = sum(n for (a, b), n in counts.items() if a in late and b == "active")
    came = sum(n for (a, _), n in counts.items() if a is None)
    return (
        f"In {month:%B %Y} {slipped:,} customers slipped by a stage or more, {lapsed:,} of them to "
        f"lapsed; {back:,} came back from cooling, at risk or lapsed; {came:,} ordered for the "
        "first time."
    )


def last_whole(moves: pa.Table) -> date:
    """The last month that is over for certain; in a shop of one month, that month."""
    months = sorted(set(moves["month"].to_pylist()))
    last: date = months[-2] if len(months) > 1 else months[-1]
    return last


def _ends(moves: pa.Table) -> dict[date, Counter[str]]:
    """Customers in each stage at the end of each month."""
    ends: dict[date, Counter[str]] = {}
    for row in moves.sort_by("month").to_pylist():
        ends.setdefault(row["month"], Counter())[row["to_stage"]] += row["customers"]
    return ends


def _counts(moves: pa.Table, month: date) -> Counter[tuple[str | None, str]]:
    counts: Counter[tuple[str | None, str]] = Counter()
    for row in moves.to_pylist():
        if row["month"] == month:
            counts[row["from_stage"], row["to_stage"]] += row["customers"]
    return counts


def _shown(stage: str | None) -> str:
    return NONE if stage is None else stage.replace("_", " ")
