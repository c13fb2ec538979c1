"""Pictures of retention: counts and differences in, inline SVG that says itself in words out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STAGES = {
    "new": "new",
    "active": "active",
    "cooling": "cooling",
    "at_risk": "at risk",
    "lapsed": "lapsed",
}


def stacked(counts: Mapping[str, int], top: int, said: str) -> str:
    """A bar of stages side by side, to a common top; it stretches to the width there is."""
    parts, start = [], 0.0
    for name in STAGES:
        wide = 1000 * counts[name] / top if top else 0.0
        if wide:
            parts.append(
                f'<rect class="of-{name}" x="{start:.1f}" width="{max(wide - 2, 0.5):.1f}" '
                'height="16"/>'
            )
        start += wide
    return _svg(1000, 16, said, "".join(parts))


def bar(value: float, top: float, said: str, *, stage: str = "") -> str:
    """One bar to a common top; in its stage's colour where it is of one."""
    wide = 1000 * max(value, 0.0) / top if top > 0 else 0.0
    kind = f"of-{stage}" if stage else "share"
    return _svg(1000, 16, said, f'<rect class="{kind}" width="{wide:.1f}" height="16"/>')


def whisker(one: Mapping[str, Any], reach: float, said: str) -> str:
    """A difference as a dot with its interval as a line; zero stands in the middle."""
    sign = "" if not one["sure"] else "good" if one["difference"] > 0 else "bad"

    def at(value: float) -> str:
        return f"{160 + max(-1.0, min(1.0, value / reach)) * 150:.1f}"

    text = escape(said, quote=True)
    return (
        f'<svg viewBox="0 0 320 16" role="img" aria-label="{text}" class="whisker {sign}">'
        f'<title>{text}</title><line class="zero" x1="160" x2="160" y1="0" y2="16"/>'
        f'<line x1="{at(one["low"])}" x2="{at(one["high"])}" y1="8" y2="8" '
        'stroke="currentColor" stroke-width="2.5" stroke-linecap="round"/>'
        f'<circle cx="{at(one["difference"])}" cy="8" r="4" fill="currentColor"/></svg>'
    )


def legend() -> str:
    """The stages' colours by name."""
    items = "".join(
        f'<li><span class="dot of-{name}"></span>{word}</li>' for name, word in STAGES.items()
    )
    return f"<ul class=legend>{items}</ul>"


def reach(rows: Sequence[Mapping[str, Any]]) -> float:
    """What the ends of a scale of differences stand for."""
    return max((abs(row[end]) for row in rows for end in ("low", "high")), default=0.0) or 1.0


def _svg(wide: int, high: int, said: str, inner: str) -> str:
    text = escape(said, quote=True)
    return (
        f'<svg viewBox="0 0 {wide} {high}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text}"><title>{text}</title>{inner}</svg>'
    )
