"""Parts of the comparison page: one difference in, a row that explains itself, drawn, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipelines.compare_verdict import power
from pipelines.experiment_checks import chance

Row = Mapping[str, Any]


def row(label: str, one: Row, reach: float, *, money: bool = False, note: str = "") -> str:
    """A line with the difference, what stood before and after, and a picture of the interval.

    Opened by tap or key, it says all that is known of the difference. label: text, not markup.
    """
    sign = tone(one)
    words = explained(one)
    before, after = (amount(one[key], money) for key in ("baseline", "candidate"))
    return (
        f"<div class=row><details><summary title='{escape(words, quote=True)}'>"
        f"{escape(label)}{escape(note)}: <span class='big {sign}'>{gain(one)}</span></summary>"
        f"<p>{escape(words)}</p></details><small>{before} → {after}</small>"
        f"{whisker(label, one, reach)}</div>"
    )


def whisker(label: str, one: Row, reach: float) -> str:
    """The difference as a dot with its interval as a line; zero stands in the middle."""
    said = escape(
        f"{label}: {one['mean']:+.4f}, between {one['low']:+.4f} and {one['high']:+.4f}", quote=True
    )

    def at(value: float) -> str:
        return f"{160 + max(-1.0, min(1.0, value / reach)) * 150:.1f}"

    return (
        f'<svg viewBox="0 0 320 26" role="img" aria-label="{said}" class="whisker {tone(one)}">'
        f'<title>{said}</title><line class="zero" x1="160" x2="160" y1="1" y2="25"/>'
        f'<line x1="{at(one["low"])}" x2="{at(one["high"])}" y1="13" y2="13" '
        'stroke="currentColor" stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{at(one["mean"])}" cy="13" r="5" fill="currentColor"/></svg>'
    )


def share(label: str, value: float, top: float, said: str) -> str:
    """A share as a bar, drawn to a common top."""
    text = escape(f"{label}: {said}", quote=True)
    return (
        f'<svg viewBox="0 0 320 18" role="img" aria-label="{text}"><title>{text}</title>'
        f'<rect width="{320 * value / top if top > 0 else 0:.1f}" height="14" y="2" rx="2" '
        'class="share"/></svg>'
    )


def explained(one: Row) -> str:
    """All that is known of one difference, in sentences."""
    said = [
        f"From {one['baseline']:.4f} to {one['candidate']:.4f} over {one['n']:,} customers: "
        f"{one['mean']:+.4f}; on other customers like these it would very likely lie between "
        f"{one['low']:+.4f} and {one['high']:+.4f} (95 %)."
    ]
    if one.get("chance") is not None:
        often = f"Were there no difference, chance would do as much in {chance(one['chance'])}"
        many = one.get("among", 1)
        more = f", and {chance(one['adjusted'])} over all {many} looked at here" if many > 1 else ""
        said.append(f"{often}{more}.")
    if one["better"] is not None:
        said.append(
            f"{one['better']:.0%} of the customers are served better, {one['worse']:.0%} worse, "
            "the rest alike."
        )
    if one["size"] is not None:
        said.append(f"Effect size {one['size']:+.2f} ({_size(abs(one['size']))}).")
    return " ".join([*said, power(dict(one))])


def gain(one: Row) -> str:
    """The change with its interval: relative where that says something."""
    before = one["baseline"]
    if one["relative"] is None or not before > 0 or abs(one["relative"]) >= 10:
        return f"{one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"
    low, high = one["low"] / before, one["high"] / before
    return f"{one['relative']:+.1%} ({low:+.1%} to {high:+.1%})"


def tone(one: Row) -> str:
    """`good`, `bad` or nothing: by the interval and, among several, by the corrected chance."""
    if "slice" in one and not (one["adjusted"] is not None and one["adjusted"] < 0.05):
        return ""
    return "good" if one["low"] > 0 else "bad" if one["high"] < 0 else ""


def reach(rows: Sequence[Row]) -> float:
    """What the ends of a scale stand for."""
    ends = [abs(one[end]) for one in rows for end in ("low", "high") if one[end] is not None]
    return max(ends, default=1.0) or 1.0


def amount(value: float | None, money: bool = False) -> str:
    """A figure, or a dash; money with two decimals."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if money or abs(value) >= 10 else f"{value:.4f}"


def _size(value: float) -> str:
    """Cohen's words for it."""
    for most, word in ((0.1, "hardly any"), (0.35, "small"), (0.65, "medium")):
        if value < most:
            return word
    return "large"
