"""For whom, and for how long: a comparison in, the page's sections kind by kind and by time out."""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines import compare_parts as parts
from pipelines.compare_head import sums

SLICES = {
    "lifecycle_stage": "By lifecycle stage",
    "history_length": "By orders before: new and heavy customers",
    "channel": "By main channel",
    "category": "By the category she has most to do with",
}


def whom(compared: dict[str, Any], names: list[str]) -> list[str]:
    """Better and worse in a sentence, then kind by kind, the stages open and the rest folded."""
    kinds = {name: compared["kinds"][name] for name in names}
    if not any(kinds.values()):
        why = "These runs were judged before customers' kinds were kept: judge them anew."
        return ["<h2>For whom</h2>", f"<p>{why}</p>"]
    made = ["<h2>For whom</h2>"]
    made += [f"<p>{escape(f'{name}: {sums(rows)}')}</p>" for name, rows in kinds.items()]
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
        state = " open" if slice_ == "lifecycle_stage" else ""
        summary = f"<summary><b>{title}</b></summary>"
        made.append(f"<details class='fold card'{state}>{summary}{''.join(lines)}</details>")
    return made


def lasting(compared: dict[str, Any], names: list[str]) -> list[str]:
    """Each window of time by itself, behind the sentence that says what they come to."""
    made = ["<h2>Does it last?</h2>"]
    found = {name: compared["folds"][name] for name in names}
    reach = parts.reach([one for some in found.values() for one in some["windows"]])
    for name, some in found.items():
        rows = "".join(
            parts.row(f"{one['cut'][:10]} to {one['until'][:10]}", one, reach)
            for one in some["windows"]
        )
        said = escape(f"{name}: {some['said']}")
        made.append(f"<details class='fold card'><summary>{said}</summary>{rows}</details>")
    return made
