"""Pictures of what was foretold and what came: figures in, SVG that says itself in words out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

INK, GREY, GREEN, RED = "#1d2430", "#6b7484", "#1f7a68", "#a3262a"


def weeks(expected: Sequence[float], actual: Sequence[float], *, cut: int, title: str) -> str:
    """Two rising lines over weeks; what is right of the cut was not known to the model."""
    top = max(*expected, *actual)
    n = len(actual)

    def line(values: Sequence[float]) -> str:
        return " ".join(
            f"{70 + i * 560 / n:.1f},{290 - value / top * 250:.1f}"
            for i, value in enumerate([0.0, *values])
        )

    at = 70 + cut * 560 / n
    body = (
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="30" y2="290" stroke="{GREY}" '
        'stroke-dasharray="4 4"/>'
        f'<polyline points="{line(actual)}" fill="none" stroke="{INK}" stroke-width="2.5"/>'
        f'<polyline points="{line(expected)}" fill="none" stroke="{GREEN}" stroke-width="2.5" '
        'stroke-dasharray="7 4"/>'
        f'<g font-size="13" fill="{INK}"><text x="80" y="48">actual</text>'
        f'<text x="80" y="66" fill="{GREEN}">expected</text>'
        f'<text x="{at + 6:.1f}" y="284" fill="{GREY}">not known to the fit</text>'
        f'<text x="62" y="45" text-anchor="end">{top:,.0f}</text>'
        '<text x="62" y="294" text-anchor="end">0</text>'
        f'<text x="70" y="310">week 0</text><text x="{at:.1f}" y="310" text-anchor="middle">'
        f'{cut}</text><text x="630" y="310" text-anchor="end">{n}</text></g>'
    )
    said = f"{title}: after {n} weeks {actual[-1]:,.0f} came, {expected[-1]:,.0f} were expected"
    return _whole(body, 650, 320, said)


def reliability(parts: Sequence[tuple[str, Sequence[tuple[float, float, int]]]]) -> str:
    """A square for each moment: chance foretold against share that came, a dot for each bin.

    parts: name and (chance, share, customers) of each bin; a dot's area is its customers.
    """
    body, said = [], []
    for place, (name, bins) in enumerate(parts):
        left = 40 + place * 190
        everyone = sum(n for _, _, n in bins)
        body.append(
            f'<rect x="{left}" y="30" width="160" height="160" fill="none" stroke="{GREY}"/>'
            f'<line x1="{left}" y1="190" x2="{left + 160}" y2="30" stroke="{GREY}" '
            'stroke-dasharray="4 4"/>'
            f'<text x="{left}" y="22" font-size="13" fill="{INK}">{escape(name)}</text>'
        )
        for chance, share, n in bins:
            size = max(1.5, 14 * (n / everyone) ** 0.5)
            body.append(
                f'<circle cx="{left + 160 * chance:.1f}" cy="{190 - 160 * share:.1f}" '
                f'r="{size:.1f}" fill="{GREEN}" fill-opacity="0.75"/>'
            )
        body.append(
            f'<text x="{left}" y="206" font-size="12" fill="{GREY}">0</text>'
            f'<text x="{left + 160}" y="206" font-size="12" fill="{GREY}" '
            'text-anchor="end">chance 1</text>'
        )
        said.append(f"{name}: " + ", ".join(f"{c:.2f} foretold, {s:.2f} came" for c, s, _ in bins))
    return _whole("".join(body), 40 + 190 * len(parts), 215, "; ".join(said))


def _whole(body: str, width: int, height: int, said: str) -> str:
    said = escape(said, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{said}" font-family="system-ui, sans-serif"><title>{said}</title>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{body}</svg>\n'
    )
