"""Style: nothing in, the retention page's look on a desk, a phone, paper and in the dark out."""

from __future__ import annotations

COLOUR = {
    "new": "#3b6fc4",
    "active": "#1f7a68",
    "cooling": "#a87208",
    "at_risk": "#c04a22",
    "lapsed": "#717a8a",
}
STYLE = (
    "".join(f".of-{name}{{fill:{ink};background:{ink}}}" for name, ink in COLOUR.items())
    + """
.verdict{border-color:#1f7a68}.verdict code,pre code{font-size:.95em}
pre{background:var(--panel);padding:.6rem .8rem;border-radius:.4rem;overflow-x:auto;margin:.4rem 0}
.dot{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin-right:.45rem;
print-color-adjust:exact;-webkit-print-color-adjust:exact}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.4rem 0;padding:0;list-style:none}
.line{display:grid;gap:.1rem 1rem;grid-template-columns:9.5rem 1fr 17rem;align-items:center;
padding:.28rem 0;border-bottom:1px solid var(--line)}
.line>svg{width:100%;height:16px}.line b{font-weight:600}.line .n{text-align:right;
font-variant-numeric:tabular-nums}.line.wide{grid-template-columns:16rem 1fr 17rem}
table.flow td.n{min-width:3.4rem}table.flow caption{text-align:left;color:var(--soft)}
.list li{margin:.45rem 0}
@media(max-width:40rem){.verdict dl{grid-template-columns:1fr;gap:0}.verdict dd{margin:0 0 .45rem}
.line,.line.wide{grid-template-columns:1fr max-content}
.line>svg{grid-column:1/-1;grid-row:2}.line .n{max-width:16.5rem}}
@media(max-width:40rem){table.flow{font-size:.85rem}table.flow th[scope=row]{min-width:0}
table.flow td.n,table.flow th.n{min-width:0;padding:.25rem .3rem}}
table.flow{margin:.6rem 0}
@media print{.line,.list li{break-inside:avoid}}
"""
)
