"""Style: nothing in, the comparison page's look on a desk, a phone, paper and in the dark out."""

from __future__ import annotations

COLOUR = {"ship": "#1f7a68", "hold": "#8a5a12", "fail": "#a3262a"}
MARK = {"ship": "✓ ship", "hold": "‖ hold", "fail": "✗ fail"}
STYLE = """
:root{color-scheme:light dark;--panel:#f5f7f9;--faint:#4b5565;--zero:#6b7484;--share:#5b74a8}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e3e7ee;--soft:#aab4c3;--line:#333a46;
--rule:#4a5363;--good:#63cf93;--bad:#ff9a96;--bar:#3f5c94;--paper:#14181f;--panel:#1d232d;
--faint:#b4bdca;--zero:#8b95a5;--share:#7f9ad4}}
@media print{:root{color-scheme:light}}
body{overflow-wrap:break-word}
.verdict{border-left:6px solid;border-radius:.4rem;padding:.8rem 1.1rem;margin:1.2rem 0;
background:var(--panel)}.verdict p{margin:.3rem 0}
.verdict>p:first-child{font-size:1.35rem;font-weight:650}
.verdict dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:.4rem 0}
.verdict dt{font-weight:600;color:var(--soft)}.verdict dd{margin:0}
.verdict ul,.rails{margin:.3rem 0;padding-left:1.3rem}
.badge{color:#fff;border-radius:.3rem;padding:.05rem .45rem;font-weight:600;white-space:nowrap}
summary{cursor:pointer;padding:.15rem 0}
summary:focus-visible,.scroll:focus-visible{outline:3px solid #2a63c9;outline-offset:2px}
details p{margin:.3rem 0 .3rem 1.2rem;color:var(--faint)}
.card{border-bottom:1px solid var(--line);padding:.6rem 0}.card h3{font-size:1rem;margin:0 0 .2rem}
.row{display:grid;gap:.2rem 1rem;grid-template-columns:minmax(12rem,27rem) 9rem 1fr;
align-items:center;padding:.1rem 0}.row svg{width:100%;height:26px}
.whisker{color:var(--faint)}.whisker.good{color:var(--good)}.whisker.bad{color:var(--bad)}
.whisker .zero{stroke:var(--zero);stroke-dasharray:2 2}.share{fill:var(--share)}
small,h2 small,.card small{color:var(--faint);font-weight:400}
.big{font-variant-numeric:tabular-nums;font-weight:600}
.rails{list-style:none;padding:0}.rails li{padding:.15rem 0 .15rem 1.5rem;text-indent:-1.5rem}
.rails b{display:inline-block;width:1.5rem;text-indent:0}
.scroll{overflow-x:auto}.fold{margin:.4rem 0}
.faces{display:grid;gap:1rem;grid-template-columns:repeat(3,1fr)}.faces ol{margin:.2rem 0}
.faces li{margin:.15rem 0}
.moved{font-weight:600;font-size:.85em;white-space:nowrap;color:var(--faint)}
.moved.up{color:var(--good)}.moved.gone{color:var(--bad)}
@media(max-width:40rem){body{margin:1rem auto}h1{font-size:1.3rem}h2{margin-top:1.5rem}
.verdict{padding:.6rem .8rem;margin:.7rem 0}.verdict>p:first-child{font-size:1.2rem}
.verdict dl{gap:.3rem .7rem}
.row{grid-template-columns:1fr max-content;gap:0 .6rem;padding:.3rem 0}
.row svg{grid-column:1/-1;max-width:24rem;height:20px}
.faces{grid-template-columns:1fr}th,td{padding:.3rem .35rem}th[scope=row]{min-width:7rem}}
@media print{body{margin:0;max-width:none;font-size:12px}.card,.row,.verdict,.faces{
break-inside:avoid}h2,h3{break-after:avoid}details::details-content{content-visibility:visible;
display:block;height:auto}.scroll{overflow:visible}}
"""
