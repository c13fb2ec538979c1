"""The retention page: a record of `pipelines.retention` in, one page for the retention lead out.

The answer comes first: how many are regulars, who is slipping, what that is worth, what to do
tomorrow morning. Then stages and how customers move between them, what is ahead, who slips, the
list, what campaigns did, and the products that go together with coming back.
"""

from __future__ import annotations

from html import escape
from typing import Any

from features.schemas import STAGES
from pipelines import report
from pipelines import retention_pictures as pictures
from pipelines.compare_style import STYLE
from pipelines.retention_sections import bringing, campaigns, slipping, todo
from pipelines.retention_style import STYLE as OWN
from pipelines.retention_words import answers, day, expected, headline, money, month

MEANING = {
    "new": "ordered once, not long ago",
    "active": "in time by her own rhythm",
    "cooling": "later than usual",
    "at_risk": "much later than usual: it is time to act",
    "lapsed": "so late that hardly any such customer returns by herself",
}
DETAILED = 4  # months of which every move is shown
FLOW = "<div class=scroll tabindex=0 role=region aria-label='moves between stages'>"
Record = dict[str, Any]


def page(record: Record) -> str:
    """HTML that needs nothing else."""
    return report.html(
        f"Retention: {record['shop']}",
        [
            f"<style>{STYLE}{OWN}</style>",
            _answer(record),
            f"<p class=about>As of {day(record['as_of'])}. Customers are those who have ordered at "
            "least once.</p>",
            *todo(record),
            *_standing(record),
            *_moving(record),
            *_ahead(record),
            *slipping(record),
            *campaigns(record),
            *bringing(record),
            *_method(record),
        ],
    )


def _answer(record: Record) -> str:
    lines = "".join(
        f"<dt>{name}</dt><dd>{_code(text)}</dd>" for name, text in answers(record).items()
    )
    return f"<div class=verdict><p>{escape(headline(record))}</p><dl>{lines}</dl></div>"


def _standing(record: Record) -> list[str]:
    """Customers by stage: how many, what changed this month, what is expected."""
    top = max((one["customers"] for one in record["stages"]), default=0)
    rows = []
    for one in record["stages"]:
        n, name = one["customers"], pictures.STAGES[one["stage"]]
        share = n / max(1, record["customers"])
        said = f"{n:,} ({share:.0%})"
        if one["before"] is not None:
            said += f", {n - one['before']:+,} this month"
        more = f"{one['back_90d']:,.0f} expected back within 90 days"
        if one["expected"] is not None:
            more += f"; {money(record, one['expected'])} within a year"
        picture = pictures.bar(n, top, f"{name}: {said}", stage=one["stage"])
        rows.append(
            f"<div class='line wide'><div><b><span class='dot of-{one['stage']}'></span>{name}</b>"
            f"<br><small>{MEANING[one['stage']]}</small></div>{picture}"
            f"<div class=n><b>{said}</b><br><small>{escape(more)}</small></div></div>"
        )
    return [
        "<h2>Where your customers stand</h2>",
        "<p class=about>A stage goes by each customer's own rhythm: three weeks of silence are "
        "nothing for one and a farewell for another.</p>",
        *rows,
    ]


def _moving(record: Record) -> list[str]:
    """Stages month by month as bars, then who moved from where to where."""
    months = record["months"]
    if not months:
        return []
    top = max(sum(one["stages"].values()) for one in months)
    rows = []
    for one in months:
        name = month(one["month"])
        ends = ", ".join(f"{pictures.STAGES[s]} {n:,}" for s, n in one["stages"].items())
        said = f"{one['slipped']:,} slipped, {one['won_back']:,} came back, {one['came']:,} new"
        rows.append(
            f"<div class=line><b>{name}</b>"
            f"{pictures.stacked(one['stages'], top, f'{name}: {ends}')}"
            f"<div class=n><small>{said}</small></div></div>"
        )
    tables = [_matrix(one) for one in reversed(months[-DETAILED:])]
    return [
        "<h2>How they move</h2>",
        "<p class=about>Customers by stage at the end of each month, and what happened in it. "
        "<b>Slipped</b>: new or active before, not any more. <b>Came back</b>: the other way. "
        f"{month(months[-1]['month'])} goes to {day(record['as_of'])}.</p>",
        pictures.legend(),
        *rows,
        "<details class=fold><summary><b>Who moved from where to where, in the last "
        f"months</b></summary>{''.join(tables)}</details>",
    ]


def _matrix(one: Record) -> str:
    """Customers by stage at a month's beginning (rows) and at its end (columns)."""
    counts = {(move["from"], move["to"]): move["customers"] for move in one["moves"]}
    head = "".join(f"<th class=n scope=col>{pictures.STAGES[name]}</th>" for name in STAGES)
    rows = []
    for source in (*STAGES, None):
        total = sum(counts.get((source, target), 0) for target in STAGES)
        if not total:
            continue
        cells = []
        for target in STAGES:
            n = counts.get((source, target), 0)
            shade = f"color-mix(in srgb,var(--share) {40 * n / total:.0f}%,transparent)"
            share = f"<br><small>{n / total:.0%}</small>" if n and source else ""
            cells.append(f"<td class=n style='background:{shade}'>{n or '–':,}{share}</td>"
                         if n else "<td class=n>–</td>")  # fmt: skip
        name = "first order" if source is None else pictures.STAGES[source]
        rows.append(f"<tr><th scope=row>{name}</th>{''.join(cells)}</tr>")
    caption = f"{month(one['month'])}: from the stage on the left to the stage above"
    return (
        f"{FLOW}<table class=flow><caption>{caption}</caption>"
        f"<tr><td></td>{head}</tr>{''.join(rows)}</table></div>"
    )


def _ahead(record: Record) -> list[str]:
    """Orders and value to come, and how far off such expectations were."""
    looks = record["ahead"]["looks"]
    made = ["<h2>What is ahead</h2>", f"<p>{escape(expected(record, '90'))}</p>"]
    made.append(
        f"<p>{escape(expected(record, '365'))} How far off that may be is not known: to look "
        "back would take years.</p>"
    )
    if not looks:
        return [
            *made,
            "<p class=about>The shop's history is too short to look back: how far off these "
            "figures may be is not known yet.</p>",
        ]
    rows = "".join(
        f"<li>{day(one['at'])}: {one['expected']:,.0f} orders expected within 90 days, "
        f"{one['came']:,.0f} came ({one['ratio'] - 1:+.0%}).</li>"
        for one in looks
    )
    return [
        *made,
        f"<p class=about>The range is as wide as the same reckoning was off before:</p>"
        f"<ul>{rows}</ul>",
    ]


def _method(record: Record) -> list[str]:
    said = (
        "A customer's stage compares the days since her last order with the gap between her "
        "orders (the shop's usual gap where she has too few) and is worsened where she has "
        "probably left for good. Expected orders come from a model of buying and leaving fitted to "
        "all customers' order days and put right by what it foretold a year ago, where the shop is "
        "old enough. Value is expected orders times what her order is expected to be worth, "
        "refunds taken out. At risk is what a customer brought in the year up to her last order "
        "less what is still expected of her in the coming year. An order of several baskets on one "
        "day counts once in expectations. Products: first-time buyers are compared with customers "
        "who that quarter were at the same number of orders, as long after the one before and "
        "with as many products in the basket, and bought something else; differences are pulled "
        "towards none as far as chance explains them, and sure means below 5 % of false alarms "
        "among all products looked at (Benjamini and Hochberg). A product that goes together with "
        "coming back need not be why: only a test tells."
    )
    ids = ", ".join(f"{name} {id}" for name, id in record["snapshots"].items())
    return [
        "<details class=fold><summary><b>How this was reckoned</b></summary>"
        f"<p>{escape(said)}</p><p>Tables: {escape(ids)}.</p></details>"
    ]


def _code(text: str) -> str:
    """Text whose backquoted words are commands."""
    parts = escape(text).split("`")
    return "".join(f"<code>{one}</code>" if i % 2 else one for i, one in enumerate(parts))
