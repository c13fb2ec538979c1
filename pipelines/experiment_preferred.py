"""The page of an interleaved test: its record in, one self-contained page out."""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines import report
from pipelines.experiment_page import COLOUR, STYLE, checked, wrong


def page(record: dict[str, Any]) -> str:
    """HTML that needs nothing else; `record` is what `experiment_interleaved.read` gives."""
    verdict = record["verdict"]
    said = "".join(f"<p>{escape(line)}</p>" for line in (verdict["headline"], *verdict["reasons"]))
    state = "finished" if record["finished"] else "still running"
    colour = COLOUR[verdict["decision"]]
    return report.html(
        f"{record['experiment']}: two rankers in one list",
        [
            f"<style>{STYLE}</style>",
            f"<p class=about>As of {str(record['as_of'])[:16]} UTC. The test is {state}.</p>",
            f'<div class=verdict style="border-color:{colour}">{said}</div>',
            "<h2>May it be believed?</h2>",
            f"<ul class=checks>{''.join(map(checked, record['checks']))}</ul>",
            *wrong(record["findings"]),
            "<h2>How this was reckoned</h2>",
            "<p class=about>Both rankers picked in turns, a coin says who is first. What a "
            "customer looked at, put into the cart or bought counts for the ranker that picked it; "
            "a customer is one vote. Exact sign test, one look at the end.</p>",
        ],
    )
