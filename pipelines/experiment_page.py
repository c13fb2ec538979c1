"""The page of a live test: its record in, one self-contained page for a product manager out.

The verdict stands first, then whether it may be believed, then how much and how surely, then for
whom; every figure explains itself on a tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pipelines import experiment_pictures as pictures
from pipelines import report
from pipelines.experiment_checks import chance

MEANING = {
    "conversion": "customers who bought anything within the horizon",
    "revenue": "money per customer within the horizon, refunds taken out",
    "orders": "orders per customer within the horizon",
    "return": "customers who came back on a later day within the horizon",
    "order_value": "money per order: all money over all orders, not a mean of means",
    "click_rate": "answers that led to something, of all answers shown",
}
RULE = {
    "planned": "The intervals may be read on any day of the declared window without a penalty: "
    "all days together err in 5 of 100 tests without an effect (an error budget spent over the "
    "window, O'Brien and Fleming's shape).",
    "always": "The intervals may be read on any day, for as long as the test runs: all days "
    "together err in at most 5 of 100 tests without an effect (a confidence sequence).",
    "single": "The intervals are of a finished test that is read once; together over its arms "
    "they err in at most 5 of 100 tests without an effect.",
}
ENDS = ("control", "treated")
FEW = {True: " (few: an anecdote)", False: ""}
COLOUR = {"ship": "#1f7a68", "hold": "#8a5a12", "fail": "#a3262a"}
MARK = {True: ("✓", "good", "holds"), False: ("✗", "bad", "fails"), None: ("–", "", "unknown")}
STYLE = """
:root{color-scheme:light}body{overflow-wrap:break-word}
.verdict{border-left:6px solid;border-radius:.4rem;padding:.8rem 1.1rem;margin:1.2rem 0;
background:#f5f7f9}.verdict p{margin:.3rem 0}.verdict p:first-child{font-size:1.35rem;
font-weight:650}
ul.checks{list-style:none;padding:0;margin:0}.checks li{padding:.45rem 0;
border-bottom:1px solid #e6e9ef}
summary{cursor:pointer}details p{margin:.3rem 0 .3rem 1.2rem;color:#4b5565}
.card{border-bottom:1px solid #e6e9ef;padding:.7rem 0}.card h3{font-size:1rem;margin:0 0 .2rem}
.row{display:grid;gap:.2rem 1rem;grid-template-columns:minmax(12rem,24rem) 9rem 1fr;
align-items:center;padding:.15rem 0}.row svg{width:100%;height:26px}
.row small,.card small{color:#4b5565}.big{font-variant-numeric:tabular-nums;font-weight:600}
.fold{margin:.4rem 0}.chart{width:100%;height:auto;max-width:52rem}
@media(max-width:40rem){.chart text{font-size:22px}.row{grid-template-columns:1fr}
.row svg{max-width:24rem}}
@media print{body{margin:0;max-width:none}.card,.checks li{break-inside:avoid}}
"""


def page(record: dict[str, Any], *, title: str | None = None, more: Sequence[str] = ()) -> str:
    """HTML that needs nothing else; `record` is what `pipelines.experiment.read` gives.

    more: parts that stand behind the effects.
    """
    verdict = record["verdict"]
    lines = [verdict["headline"], *verdict["reasons"]]
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    colour = COLOUR[verdict["decision"]]
    return report.html(
        title or f"{record['experiment']}: a live test",
        [
            f"<style>{STYLE}</style>",
            f"<p class=about>{_about(record)}</p>",
            f'<div class=verdict style="border-color:{colour}">{said}</div>',
            "<h2>May it be believed?</h2>",
            f"<ul class=checks>{''.join(map(checked, record['checks']))}</ul>",
            *wrong(record["findings"]),
            "<h2>What it did</h2>",
            *_effects(record),
            *more,
            *_days(record),
            *_held_out(record),
            *_places(record),
            *_slices(record),
            "<h2>How this was reckoned</h2>",
            f"<p class=about>{escape(_method(record))}</p>",
        ],
    )


def _about(record: dict[str, Any]) -> str:
    arms = ", ".join(
        f"{escape(arm)}{' (control)' if arm == record['control'] else ''} {one['entered']:,}"
        for arm, one in record["arms"].items()
    )
    ripe = sum(one["units"] for one in record["arms"].values())
    ready = f" {ripe:,} have had their time and are counted." if ripe < record["entered"] else ""
    held = f" {record['holdout']:,} are held out of every test." if record["holdout"] else ""
    when = f" As of {str(record['as_of'])[:16]} UTC." if record["as_of"] else ""
    state = "finished" if record["finished"] else "still running"
    return f"{record['entered']:,} units: {arms}.{ready}{held}{when} The test is {state}."


def checked(check: dict[str, Any]) -> str:
    """One check as an item of a list, its reason on a tap."""
    mark, sign, word = MARK[check["holds"]]
    return (
        f"<li><details><summary><b class='{sign}'>{mark}<span hidden> {word}</span></b> "
        f"<b>{escape(check['title'])}</b>: {escape(check['said'])}</summary>"
        f"<p>{escape(check['why'])}</p></details></li>"
    )


def wrong(findings: Sequence[dict[str, Any]]) -> list[str]:
    """What was wrong with the logs, as a part of a page, where there was any."""
    items = "".join(
        f"<li><b{' class=bad' if one['grave'] else ''}>{escape(one['what'])}</b>: "
        f"{escape(one['did'])}.</li>"
        for one in findings
    )
    title = "<h2>What was wrong with the logs, and what was done</h2>"
    return [f"{title}<ul>{items}</ul>"] if findings else []


def _effects(record: dict[str, Any]) -> list[str]:
    if record["withheld"]:
        return [
            "<p>Not shown: a check failed, and outcomes would mislead. Mend the cause and run the "
            "test again.</p>"
        ]
    rows = record["effects"]
    if not rows:
        return ["<p>No customer's time is up yet.</p>"]
    names = list(dict.fromkeys(one["measure"] for one in rows))
    names.sort(key=lambda name: name != record["metric"])
    reach = pictures.reach(rows)
    scale = (
        f"<p class=about>Control → arm, then the change with its interval; left of the dashed line "
        f"is less than the control. The scale ends at ±{reach:.0%}.</p>"
    )
    return [scale, *(_card(record, name, rows, reach) for name in names)]


def _card(record: dict[str, Any], name: str, rows: Sequence[dict[str, Any]], reach: float) -> str:
    some = [one for one in rows if one["measure"] == name]
    role = {"decides": "decides · ", "guardrail": "guardrail · "}.get(some[0].get("role", ""), "")
    meaning = MEANING.get(name, "") if record["kind"] == "logged" else ""
    fallback = "share of the units" if name in record["shares"] else "a unit's mean"
    return (
        f"<div class=card><h3>{escape(_words(name))} <small>{role}"
        f"{escape(meaning or fallback)}</small></h3>"
        f"{''.join(_row(record, one, reach, one['arm']) for one in some)}</div>"
    )


def _row(record: dict[str, Any], one: dict[str, Any], reach: float, label: str) -> str:
    low, high = pictures.ends(one)
    sign = "good" if low is not None and low > 0 else "bad" if high is not None and high < 0 else ""
    figure = pictures.gain(one, "relative") or pictures.gain(one, "difference") or "–"
    old, new = (_amount(one[key], one["measure"] in record["shares"]) for key in ENDS)
    seen, left = one["relative_detectable"], one["variance_left"]
    among = one["adjusted"] if "slice" in one else None
    if among is not None and not among < 0.05:
        sign = ""  # some slice always looks well
    explained = (
        f"Control {old} over {one['n_control']:,} units, {one['arm']} {new} over {one['n']:,}."
        + ("" if seen is None else f" So many units could have seen a change of {seen:.1%}.")
        + (f" What was known before took out {1 - left:.0%} of the noise." if left < 0.995 else "")
        + ("" if among is None else f" Chance, over all slices together: {chance(among)}.")
    )
    return (
        f"<div class=row><details title='{escape(explained, quote=True)}'><summary>"
        f"{escape(label)}: <span class='big {sign}'>{figure}</span></summary>"
        f"<p>{escape(explained)}</p></details>"
        f"<small>{old} → {new}</small>{pictures.whisker(one, reach, sign)}</div>"
    )


def _days(record: dict[str, Any]) -> list[str]:
    charts = [
        pictures.chart(arm, looks) for arm, looks in record["looks"].items() if len(looks) > 2
    ]
    if not charts:
        return []
    about = (
        f"<p class=about>{escape(_words(record['metric']))}: the difference to the control with "
        " its interval, by the day until which units entered. Each day's interval is safe to "
        "read on that day.</p>"
    )
    return ["<h2>Day by day</h2>", about, *charts]


def _held_out(record: dict[str, Any]) -> list[str]:
    rows = sorted(record["held_out"], key=lambda one: one["measure"] != record["metric"])
    if not rows:
        return []
    reach = pictures.reach(rows)
    made = "".join(_row(record, one, reach, _words(one["measure"])) for one in rows)
    about = (
        "<p class=about>All units that were tested, in whatever arm, against those that no test "
        "touches. No part of the verdict: intervals of 95 % each, for a single look.</p>"
    )
    return ["<h2>Against those held out</h2>", about, f"<div class=card>{made}</div>"]


def _places(record: dict[str, Any]) -> list[str]:
    rows = record["places"]
    if not rows:
        return []
    reach = pictures.reach(rows)
    made = "".join(_row(record, one, reach, f"{one['measure']}, {one['arm']}") for one in rows)
    about = "<p class=about>Money by where it was spent, wherever the test was seen.</p>"
    return ["<h2>Where they bought</h2>", about, f"<div class=card>{made}</div>"]


def _slices(record: dict[str, Any]) -> list[str]:
    if not record["slices"]:
        return []
    made = [
        "<h2>For whom</h2>",
        "<p class=about>A hint where to look, no proof: among many slices some differ by chance."
        "</p>",
    ]
    names = list(dict.fromkeys(row["measure"] for row in record["slices"]))
    for measure in sorted(names, key=lambda name: name != record["metric"]):
        rows = [row for row in record["slices"] if row["measure"] == measure]
        reach = pictures.reach([row for row in rows if not row["small"]] or rows)
        cards = "".join(
            f"<div class=card><h3>{escape(_words(name))}</h3>"
            + "".join(
                _row(record, row, reach, f"{_words(row['value'])}, {row['arm']}{FEW[row['small']]}")
                for row in rows
                if row["slice"] == name
            )
            + "</div>"
            for name in dict.fromkeys(row["slice"] for row in rows)
        )
        state = " open" if measure == record["metric"] else ""
        title = f"<summary><b>{escape(_words(measure))}</b></summary>"
        made.append(f"<details class=fold{state}>{title}{cards}</details>")
    return made


def _method(record: dict[str, Any]) -> str:
    known = ", ".join(record["covariates"])
    return (
        RULE[record["rule"]]
        + (f" What was known before ({known}) was used to take noise out (CUPED)." if known else "")
        + " Ratios by the delta method; relative intervals on the logarithm's scale."
        + _cap(record["cap_revenue"])
        + " Every unit counts in the arm it was drawn for, whether or not it looked."
    )


def _cap(cap: dict[str, Any] | None) -> str:
    if cap is None:
        return ""
    return (
        f" A unit's revenue counts up to {cap['value']:,.2f}, the {100 * cap['quantile']:g}th "
        f"percentile of all arms together, in order value and by place too; {cap['units']:,} units "
        "spent more."
    )


def _amount(value: float | None, share: bool) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if share else f"{value:,.4g}"


def _words(name: str) -> str:
    return name.replace("_", " ")
