"""The page of past campaigns: the report's record in, one page for the retention lead out."""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines import experiment_page

WORDS = {"returned": "customers who came back", "revenue": "revenue", "orders": "orders"}


def page(record: dict[str, Any]) -> str:
    """HTML that needs nothing else; `record` is what `activation_report.run` gives."""
    return experiment_page.page(record, title=record["experiment"].capitalize(), more=_more(record))


def lines(record: dict[str, Any]) -> list[str]:
    """The same for a terminal, in short."""
    marks = {True: "✓", False: "✗", None: "–"}
    found = [f"[bold]{record['verdict']['headline']}[/bold]", f"  {_size(record)}"]
    found += [f"  {marks[one['holds']]} {one['title']}: {one['said']}" for one in record["checks"]]
    found += [f"  {line}" for line in brought(record)]
    ranking = record["ranking"]
    if ranking is not None:
        found.append(f"  {_ranked(ranking)}")
    return found


def brought(record: dict[str, Any]) -> list[str]:
    """What all contacts together changed, in words."""
    return [
        f"{WORDS[name]} because of the contacts: {one['mean']:+,.0f} "
        f"(between {one['low']:+,.0f} and {one['high']:+,.0f})"
        for name, one in record["brought"].items()
        if one["low"] is not None
    ]


def _size(record: dict[str, Any]) -> str:
    arms = record["arms"]
    days = " and ".join(map(str, record["horizon_days"]))
    said = (
        f"{len(record['campaigns'])} campaigns, {arms['contact']['units']:,} customers contacted, "
        f"{arms['holdout']['units']:,} held out, outcomes of {days} days"
    )
    if record["waiting"]:
        said += f"; {record['waiting']} more are too young"
    if record["other_shares"]:
        said += f"; {record['other_shares']} held out another share and are not in it"
    return said


def _ranked(ranking: dict[str, Any]) -> str:
    top = "; ".join(
        f"first {share}: {one['mean']:+.2%} ({one['low']:+.2%} to {one['high']:+.2%})"
        for share, one in ranking["at"].items()
        if one["low"] is not None
    )
    qini = ranking["qini"]
    if qini["low"] is None:
        return f"uplift of the ranking: {top}"
    return (
        f"uplift of the ranking: {top}; Qini {qini['mean']:+.3f} ({qini['low']:+.3f} to "
        f"{qini['high']:+.3f}; 0 is chance)"
    )


def _more(record: dict[str, Any]) -> list[str]:
    told = "".join(f"<li><b>{escape(line)}</b></li>" for line in brought(record))
    made = [f"<h2>What the contacts brought</h2><ul>{told}</ul>"] if told else []
    made.append(f"<p class=about>{escape(_size(record))}.</p>")
    ranking = record["ranking"]
    if ranking is not None:
        made += [
            "<h2>Whom the contact changed</h2>",
            "<p class=about>Customers in the order in which they were chosen. The line is what "
            "contacting the first so many brings back, of 100 contacted; a list in an order of "
            "chance would follow the dashed one.</p>",
            curve(ranking["curve"]),
            f"<p>{escape(_ranked(ranking))}.</p>",
        ]
    rows = "".join(
        f"<tr><td>{escape(one['campaign'])}</td><td class=n>{one['contact']:,}</td>"
        f"<td class=n>{one['holdout']:,}</td></tr>"
        for one in record["campaigns"]
    )
    head = "<tr><th>campaign</th><th class=n>contacted</th><th class=n>held out</th></tr>"
    made.append(f"<h2>The campaigns</h2><table>{head}{rows}</table>")
    return made


def curve(of: dict[str, list[float]]) -> str:
    """Radcliffe's curve with its band, in customers of 100 contacted."""
    shares = of["shares"]
    low, gains, high = (
        [0.0 if value is None else 100 * value for value in of[name]]
        for name in ("low", "gains", "high")
    )
    top, bottom = max([*high, 0.0]), min([*low, 0.0])
    reach = (top - bottom) or 1.0

    def at(share: float, value: float) -> str:
        return f"{60 + share * 530:.1f},{15 + (top - value) / reach * 160:.1f}"

    band = [at(s, v) for s, v in zip(shares, high, strict=True)]
    band += [at(s, v) for s, v in reversed(list(zip(shares, low, strict=True)))]
    line = " ".join(at(s, v) for s, v in zip(shares, gains, strict=True))
    straight = f"{at(0, 0)} {at(1, gains[-1])}"
    zero = at(0, 0).split(",")[1]
    said = f"contacting everybody chosen brings back {gains[-1]:+.2f} of 100"
    return (
        f'<svg class=chart viewBox="0 0 600 205" role="img" aria-label="{said}">'
        f'<title>{said}</title><polygon points="{" ".join(band)}" fill="#cfe3dc"/>'
        f'<line x1="60" x2="590" y1="{zero}" y2="{zero}" stroke="#c3cad4"/>'
        f'<polyline points="{straight}" fill="none" stroke="#6b7484" stroke-dasharray="4 4"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f7a68" stroke-width="2.5"/>'
        '<g font-size="13" fill="#4b5565">'
        f'<g text-anchor="end"><text x="54" y="20">{top:+.2f}</text>'
        f'<text x="54" y="178">{bottom:+.2f}</text><text x="590" y="200">all</text></g>'
        '<text x="60" y="200">the first chosen</text></g></svg>'
    )
