"""The head of the comparison page: a comparison in, what a product manager asks first out.

Which, how much, how sure, for whom, for how long, at what price: a line each, so that the first
screen of a phone holds the answer. The other models and the guardrails one by one follow folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipelines import compare_parts as parts
from pipelines.compare_style import COLOUR, MARK
from pipelines.compare_verdict import WORSE, power
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
    "return_hit_rate": "for those who came back after drifting away: shown what they came for",
}
STATES = {True: ("✓", "good", "kept"), False: ("✗", "bad", "broken"), None: ("–", "", "open")}
Rows = Sequence[Mapping[str, Any]]


def verdict(compared: dict[str, Any]) -> str:
    """The decision in words, then a line for each question."""
    found, model = compared["verdict"], compared["verdict"]["model"]
    one = found["models"][model]
    row = compared["differences"][model].get(compared["metric"])
    said: dict[str, str] = {}
    if row is not None:
        metric = metric_name(compared["metric"])
        said["How much"] = f"{metric} {parts.gain(row)}, from {row['baseline']:.3f} to "
        said["How much"] += f"{row['candidate']:.3f}"
        said["How sure"] = _sure(row)
    serving = _serving(compared, model)
    if serving:
        said["What serves"] = serving
    said["For whom"] = sums(compared["kinds"][model])
    said["Lasting"] = compared["folds"][model]["said"]
    if one["rails"]:
        said["Guardrails"] = rails_said(one["rails"])
    said["Why"] = _why(compared, model)
    lines = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in said.items())
    known = " ".join(said.values())
    minds = "".join(
        f"<p><b>Mind:</b> {escape(line)}</p>"
        for line in one["cautions"]
        if line not in known and not line.startswith(WORSE)  # For whom and Lasting say it
    )
    why = "".join(f"<li>{escape(line)}</li>" for line in one["reasons"])
    reasons = f"<details><summary>Every reason</summary><ul>{why}</ul></details>"
    return (
        f"<div class=verdict style='border-color:{COLOUR[found['decision']]}'>"
        f"<p>{escape(found['headline'])}</p><dl>{lines}</dl>{minds}{reasons}</div>"
    )


def others(compared: dict[str, Any]) -> list[str]:
    """Each other model: its decision and gain in a line, its reasons when it is opened."""
    found = compared["verdict"]
    made = []
    for name, one in found["models"].items():
        if name == found["model"]:
            continue
        row = compared["differences"][name].get(compared["metric"])
        much = "" if row is None else f" {parts.gain(row)}."
        lines = "".join(f"<li>{escape(line)}</li>" for line in one["reasons"])
        lines += "".join(f"<li><b>Mind:</b> {escape(line)}</li>" for line in one["cautions"])
        badge = f"<span class=badge style='background:{COLOUR[one['decision']]}'>"
        made.append(
            f"<details class=fold><summary>{badge}{MARK[one['decision']]}</span> "
            f"<b>{escape(name)}</b>{escape(much)} {escape(one['headline'])}</summary>"
            f"<ul>{lines}</ul></details>"
        )
    return ["<h2>The other models</h2>", *made] if made else []


def guardrails(compared: dict[str, Any]) -> list[str]:
    """What the model of the verdict must not make worse, one by one; kept ones are folded."""
    found, model = compared["verdict"], compared["verdict"]["model"]
    rails = found["models"][model]["rails"]
    if not rails:
        return []
    against = found["gate"]["against"]
    about = (
        f"What {model} must not make worse than {against}: a loss breaks a guardrail when it is "
        "sure and larger than the shop tolerates."
    )
    if against == model:
        about = f"{model} serves now, so there is only how it serves."
    shown = "".join(_rail(one) for one in rails if one["holds"] is False)
    rest = "".join(_rail(one) for one in rails if one["holds"] is not False)
    title = f"{rails_said(rails)} One by one"
    return [
        "<h2>Guardrails</h2>",
        f"<p class=about>{escape(about)}</p>",
        f"<ul class=rails>{shown}</ul>" if shown else "",
        f"<details class=fold><summary>{escape(title)}</summary><ul class=rails>{rest}</ul>"
        "</details>",
    ]


def rails_said(rails: Rows) -> str:
    """How many guardrails are kept, broken and open, the broken ones by name."""
    broken = [str(one["name"]) for one in rails if one["holds"] is False]
    kept = sum(one["holds"] is True for one in rails)
    left = sum(one["holds"] is None for one in rails)
    end = f"; {left} cannot be told (few customers, or not measured)." if left else "."
    if broken:
        return f"{len(broken)} broken: {', '.join(broken)}; {kept} kept{end}"
    return f"{kept} kept, none broken{end}"


def sums(rows: Rows) -> str:
    """For which kinds of customers a model is surely better and surely worse, after correction."""
    found: dict[str, list[str]] = {"good": [], "bad": []}
    for one in rows:
        if not one["small"] and parts.tone(one):
            kind = str(one["slice"]).replace("_", " ")
            found[parts.tone(one)].append(f"{kind} {str(one['value']).replace('_', ' ')}")
    every = sum(not one["small"] for one in rows)
    if not every:
        return "Not known: judge these runs anew."
    for here, there, way, other in (
        ("good", "bad", "better", "worse"),
        ("bad", "good", "worse", "better"),
    ):
        some = len(found[here])
        if not found[there] and (here == "good" or some > 4):
            many = "all" if some == every else f"{some} of"
            return f"Surely {way} for {many} {every} kinds of customers, surely {other} for none."
    better = ", ".join(found["good"]) or "nobody"
    return f"Surely worse for {', '.join(found['bad'])}; surely better for {better}."


def _sure(row: Mapping[str, Any]) -> str:
    """Whether chance could have done it, and what so many customers could have shown."""
    if row["low"] > 0 or row["high"] < 0:
        often = row["adjusted"]
        if often is None:
            return "Sure: zero lies outside the 95 % interval."
        share = "less than 0.1 %" if often < 0.001 else f"{often:.1%}"
        return f"Sure: chance alone would do as much in {share} of such comparisons."
    return f"Not sure: the interval holds zero. {power(dict(row))}"


def _serving(compared: dict[str, Any], model: str) -> str:
    """The difference from what serves, where that is neither popularity nor the baseline."""
    found = compared["verdict"]
    one = found["models"][model]["against"].get("champion")
    if one is None or found["gate"]["against"] == compared["baseline"] or not one["relative"]:
        return ""
    low, high = (one[end] * one["relative"] / one["mean"] for end in ("low", "high"))
    return f"Against {found['gate']['against']}: {one['relative']:+.1%} ({low:+.1%} to {high:+.1%})"


def _why(compared: dict[str, Any], model: str) -> str:
    """What decided, and what the gate would do."""
    found = compared["verdict"]
    if found["decision"] == "ship":
        return (
            "It gains at least what the shop asks for, its lists have no fault and no guardrail "
            "breaks: the gate would publish it."
        )
    one = found["models"][model]
    decided = " ".join(one["reasons"][1:2]) or one["headline"]
    if found["gate"] is None:
        return decided
    does = {
        "publish": "publish another of these", "refresh": "keep what serves, on new data",
        "fallback": "let popularity serve until a model passes", "hold": "change nothing",
    }[found["gate"]["action"]]  # fmt: skip
    end = "" if decided.endswith(".") else "."
    return f"{decided[:1].upper()}{decided[1:]}{end} The gate would {does}."


def _rail(one: Mapping[str, Any]) -> str:
    mark, sign, word = STATES[one["holds"]]
    sign = f"<b class='{sign}' role=img aria-label={word}>{mark}</b>"
    return f"<li>{sign}{escape(str(one['said']))}</li>"
