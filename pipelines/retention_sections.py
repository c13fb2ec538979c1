"""Sections of the retention page: whom to wake, who slips, what campaigns did, what brings back."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pipelines import retention_pictures as pictures
from pipelines.retention_words import LIST, between, money

FEW = 5  # that may be chance, shown where none is sure
WORDS = {"returned": "Customers who came back", "revenue": "Revenue", "orders": "Orders"}
Record = dict[str, Any]


def todo(record: Record) -> list[str]:
    """The customers worth most on today's list, by id: why, by what way, with what."""
    found = record["list"]
    if found is None or found["old"] or not found["first"]:
        return []
    items = []
    for one in found["first"]:
        with_ = f" with {', '.join(one['products'])}" if one["products"] else ""
        reason, way = one["reason"], one["best_channel"].replace("_", " ")
        said = f"{reason[:1].upper()}{reason[1:]}. By {way}{with_}."
        items.append(
            f"<li><b>{escape(one['customer_id'])}</b> "
            f"<small>{pictures.STAGES[one['stage']]}</small><br>{escape(said)}</li>"
        )
    n = found["counts"]["contact"]
    left = sum(found["counts"]["left_out"].values())
    return [
        "<details class=fold><summary><b>The first "
        f"{len(items)} of the list</b> ({n:,} to contact, worth most first)</summary>"
        f"<ol class=list>{''.join(items)}</ol>"
        f"<p>All contacts together are expected to bring {money(record, found['expected_gain'])} "
        f"({escape(found['why'])}). {left:,} customers are not worth a contact today; "
        "the list says why for each.</p>"
        "</details>"
    ]


def slipping(record: Record) -> list[str]:
    """Who slips by main channel and by category: never by person."""
    one = record["slipping"]
    made = [
        "<h2>Who is slipping</h2>",
        "<p class=about>Customers who are cooling or at risk, by what is at stake: what they "
        "brought in the year up to their last order less what is still expected of them.</p>",
    ]
    if not one["customers"]:
        return [*made, "<p>Nobody is slipping.</p>"]
    for title, key in (
        ("By the channel they mostly buy in", "by_channel"),
        ("By the category they buy most of", "by_category"),
    ):
        if len(record[key]) > 1:  # one group tells nothing apart
            made += [f"<h3>{title}</h3>", *_groups(record, record[key])]
    return made


def campaigns(record: Record) -> list[str]:
    """What the last campaigns did, by those held out; how to begin where there was none."""
    made = ["<h2>What campaigns did</h2>"]
    found = record["campaigns"]
    if found is None:
        return [
            *made,
            "<p>No campaign can be measured yet. Each list of <code>regulars activate</code> holds "
            "some customers out at random; when its time is over, <code>regulars activate "
            "report</code> says how many came back because of it.</p>",
            f"<pre><code>{LIST}</code></pre>",
        ]
    if found["decision"] is None:
        return [*made, *(f"<p>{escape(line)}</p>" for line in found["said"])]
    headline, *rest = found["said"]
    made += [f"<p><b>{escape(headline)}</b></p>", *(f"<p>{escape(line)}</p>" for line in rest)]
    told = [
        f"<li>{WORDS[name]} because of the contacts: {one['mean']:+,.0f}, likely "
        f"{one['low']:+,.0f} to {one['high']:+,.0f}</li>"
        for name, one in found["brought"].items()
        if one["low"] is not None
    ]
    made.append(f"<ul>{''.join(told)}</ul>" if told else "")
    for title, key in (("By stage", "stages"), ("By way of contact", "channels")):
        rows = [row for row in found[key] if row["low"] is not None]
        if rows:
            made += [f"<h3>{title}: how many more came back</h3>", *_effects(rows)]
    return [*made, "<p class=about>Checks, curves and all figures: <code>regulars activate "
            "report</code>.</p>"]  # fmt: skip


def bringing(record: Record) -> list[str]:
    """Products and categories that go together with coming back."""
    found = record["products"]
    made = [
        "<h2>Products that go together with coming back</h2>",
        f"<p class=about>Of those who bought it for the first time, how many ordered again within "
        f"{found['days']} days, beside customers alike who bought something else that day. Right "
        "of the dashed line they came back more often. It goes together; whether the product is "
        "why, only a test can tell.</p>",
    ]
    for kind, word in (("categories", "categories"), ("products", "products")):
        tested, rows = found["tested"][kind], found[kind]["more"]
        if not tested:
            if kind == "products":
                made.append("<p>No product has enough first-time buyers yet.</p>")
            continue
        sure = sum(row["sure"] for row in rows)
        said = f"{tested:,} {word} with at least 30 first-time buyers looked at; "
        said += (
            f"{sure} surely go together with coming back."
            if sure
            else "none surely: the differences below may be chance."
        )
        made += [f"<h3>{word.capitalize()}</h3>", f"<p>{said}</p>"]
        made += _bringing([row for row in rows if row["sure"]] or rows[:FEW])
        if found[kind]["less"]:
            lines = "".join(_bringing(found[kind]["less"]))
            made.append(
                "<details class=fold><summary>Those that surely go together with staying away"
                f"</summary>{lines}</details>"
            )
    return made


def _groups(record: Record, rows: Sequence[Record]) -> list[str]:
    """A bar a group: value at risk, or customers where no prices are known."""
    priced = all(row["at_risk"] is not None for row in rows)
    top = max(((row["at_risk"] if priced else row["customers"]) for row in rows), default=0)
    made = []
    for row in rows:
        some = f"{row['customers']:,} of {row['of']:,} customers"
        risk = f"{money(record, row['at_risk'])} at risk" if priced else ""
        value = row["at_risk"] if priced else row["customers"]
        name = str(row["name"]).replace("_", " ")
        picture = pictures.bar(value, top, f"{name}: {some}, {risk}".rstrip(", "))
        made.append(
            f"<div class=line><b>{escape(name)}</b>{picture}"
            f"<div class=n>{escape(risk)} <small>{some}</small></div></div>"
        )
    return made


def _effects(rows: Sequence[Record]) -> list[str]:
    """The added share of customers who came back, by kind; few customers are only counted."""
    told = [row for row in rows if row["sure"] is not None]
    reach = pictures.reach(told)
    made = []
    for row in rows:
        name = pictures.STAGES.get(row["name"], str(row["name"]).replace("_", " "))
        shares = f"{row['treated']:.0%} of {row['n']:,}; of {row['n_control']:,} held out "
        shares += f"{row['control']:.0%}"
        if row["sure"] is None:
            picture, said = "<span></span>", "too few to tell"
        else:
            said = between(row)
            picture = pictures.whisker(row, reach, f"{name}: {said}; {shares}")
        made.append(_line(name, picture, said, shares))
    return made


def _bringing(rows: Sequence[Record]) -> list[str]:
    reach = pictures.reach(rows)
    made = []
    for row in rows:
        shares = f"{row['returned']:.0%} of {row['buyers']:,}, customers alike {row['alike']:.0%}"
        said = between(row) if row["sure"] else "may be chance"
        picture = pictures.whisker(row, reach, f"{row['title']}: {between(row)}; {shares}")
        made.append(_line(row["title"], picture, said, shares, wide=True))
    return made


def _line(name: str, picture: str, said: str, more: str, *, wide: bool = False) -> str:
    kind = "'line wide'" if wide else "line"
    return (
        f"<div class={kind}><b>{escape(name)}</b>{picture}"
        f"<div class=n>{escape(said)}<br><small>{escape(more)}</small></div></div>"
    )
