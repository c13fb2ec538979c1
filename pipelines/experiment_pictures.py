"""Pictures of a live test: effects and looks in, inline SVG that says itself in words out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def whisker(one: dict[str, Any], reach: float, sign: str) -> str:
    """A gain as a dot with its interval as a line; zero stands in the middle."""
    low, high = ends(one)
    if low is None or high is None:
        return "<small>nothing varies</small>"
    mean = one["relative"] if one["relative_low"] is not None else one["difference"]
    ink = {"good": "#1c7a43", "bad": "#a3262a"}.get(sign, "#4b5565")
    said = escape(f"{one['arm']}: {gain(one, 'relative') or gain(one, 'difference')}", quote=True)

    def at(value: float) -> str:
        return f"{160 + max(-1.0, min(1.0, value / reach)) * 150:.1f}"

    return (
        f'<svg viewBox="0 0 320 26" role="img" aria-label="{said}"><title>{said}</title>'
        '<line x1="160" x2="160" y1="1" y2="25" stroke="#6b7484" stroke-dasharray="2 2"/>'
        f'<line x1="{at(low)}" x2="{at(high)}" y1="13" y2="13" stroke="{ink}" stroke-width="3" '
        f'stroke-linecap="round"/><circle cx="{at(mean)}" cy="13" r="5" fill="{ink}"/></svg>'
    )


def chart(arm: str, looks: Sequence[dict[str, Any]]) -> str:
    """A band that narrows, the difference as a line in it; days as wide as a wall are left out."""
    end = looks[-1]
    some = [one for one in looks if one["high"] - one["low"] < 12 * (end["high"] - end["low"])]
    top = max(max(abs(one["low"]), abs(one["high"])) for one in some) or 1.0
    wide = max(len(some) - 1, 1)

    def at(place: int, value: float) -> str:
        return f"{80 + place * 510 / wide:.1f},{92 - value / top * 80:.1f}"

    band = [at(i, one["high"]) for i, one in enumerate(some)]
    band += [at(i, one["low"]) for i, one in reversed(list(enumerate(some)))]
    line = " ".join(at(i, one["difference"]) for i, one in enumerate(some))
    first, last = some[0]["day"], end["day"]
    said = escape(
        f"{arm} from {first} to {last}: at the end {end['difference']:+.4g}, between "
        f"{end['low']:+.4g} and {end['high']:+.4g}",
        quote=True,
    )
    return (
        f"<p class=about><b>{escape(arm)}</b></p>"
        f'<svg class=chart viewBox="0 0 600 200" role="img" aria-label="{said}">'
        f'<title>{said}</title><polygon points="{" ".join(band)}" fill="#cfe3dc"/>'
        '<line x1="80" x2="590" y1="92" y2="92" stroke="#6b7484" stroke-dasharray="3 3"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f7a68" stroke-width="2.5"/>'
        '<g font-size="13" fill="#4b5565"><g text-anchor="end">'
        f'<text x="72" y="18">{top:+.3g}</text><text x="72" y="97">0</text>'
        f'<text x="72" y="176">{-top:+.3g}</text><text x="590" y="196">{escape(last)}</text></g>'
        f'<text x="80" y="196">{escape(first)}</text></g></svg>'
    )


def ends(one: dict[str, Any]) -> tuple[float | None, float | None]:
    """The interval that is shown: the relative one where there is one."""
    if one["relative_low"] is not None and one["relative_high"] is not None:
        return one["relative_low"], one["relative_high"]
    return one["low"], one["high"]


def reach(rows: Sequence[dict[str, Any]]) -> float:
    """What the ends of the scale stand for."""
    every = [abs(end) for one in rows for end in ends(one) if end is not None]
    return max(every, default=1.0) or 1.0


def gain(one: dict[str, Any], key: str) -> str:
    """A change with its interval in words; nothing where it cannot be said."""
    ends = ("relative_low", "relative_high") if key == "relative" else ("low", "high")
    low, high = (one[end] for end in ends)
    if one[key] is None or low is None:
        return ""
    form = "+.1%" if key == "relative" else "+.4g"
    return f"{one[key]:{form}} ({low:{form}} to {high:{form}})"
