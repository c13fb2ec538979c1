"""The comparison says which is better, for whom and how surely, and never contradicts the gate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.evaluation.slices import SLICES
from pipelines import compare, gate, judgement, report
from pipelines.compare_figures import steady
from pipelines.compare_page import page
from pipelines.compare_people import changes
from pipelines.compare_sides import Side, refuse
from pipelines.compare_verdict import Facts
from pipelines.personas import pick
from pipelines.settings import Shop, read
from pipelines.steps import job
from pipelines.tracking import TrackingError
from pipelines.workspace import Workspace

CHROMIUM = Path("/usr/bin/chromium")
N = 80
SHOP: Shop = read(
    '[shop]\nname = "s"\n[ingest]\nmapping = "synthetic"\n[judge]\nresamples = 200\n', source="test"
)
ENOUGH = gate.Enough(interactions=5_000, repeat_customers=100)
FACTS = Facts(None, ENOUGH)
STAGES = ["active"] * 40 + ["lapsed"] * 40
CUSTOMERS = [f"c{i:02}" for i in range(N)]
OLD = np.random.default_rng(0).random(N) * 0.3 + 0.2


def side(label: str, gain: Any = 0.0, *, model: str = "", findings: tuple[str, ...] = ()) -> Side:
    """A judged run over two windows; gain: over popularity, a number or one a customer."""
    noise = np.random.default_rng(len(label)).normal(0, 0.02, N)
    values = OLD + (noise if np.any(gain) else 0) + gain
    per = pa.table({"customer_id": CUSTOMERS, "ndcg_at_10": values, "revenue_at_10": values * 30})
    per_fold = pa.concat_tables(
        [per.append_column("fold", pa.array([n] * N, pa.int32())) for n in (1, 2)]
    )
    kinds = {"customer_id": CUSTOMERS, "lifecycle_stage": STAGES}
    figure = {"mean": float(values.mean()), "low": 0.1, "high": 0.9}
    whole = {"mean": 0.5, "low": None, "high": None}
    cuts = [("2025-01-01", "2025-02-01"), ("2025-02-01", "2025-03-01")]
    summary = {
        "metrics": {
            "ndcg_at_10": figure, "revenue_at_10": figure, "coverage_at_10": whole,
            "new_share_at_10": whole,
        },
        "findings": list(findings),
        "folds": [{"cut": a, "until": b, "snapshots": {"interactions": a}} for a, b in cuts],
        "protocol": {"horizon_days": 28, "folds": 2, "k": 10, "seed": 0, "customers": 9},
        "suppliers": {"s1": 0.7, "s2": 0.3},
    }  # fmt: skip
    shown = [{"product_id": p, "title": f"Product {p}"} for p in "pqr"]
    persona = {
        "name": "The regular", "customer_id": "c00", "lifecycle_stage": "active", "orders": 3,
        "history": shown[:1], "list": shown if label == "popularity" else shown[::-1],
    }  # fmt: skip
    return Side(
        label=label,
        run_id=f"run-{label}",
        model=model or label,
        recipe=f"recipe-{label}",
        summary=summary,
        per_customer=per,
        slices=SLICES.empty_table(),
        per_fold=per_fold,
        kinds=pa.table(kinds),
        personas=[persona],
        costs={"train_seconds": 1.5},
    )


def compared(*sides: Side, facts: Facts = FACTS) -> dict[str, Any]:
    return compare.assemble(SHOP, sides, facts, suppliers={"s1": "Ann & co"})


POPULARITY = side("popularity")


@pytest.mark.parametrize(
    ("gain", "decision", "headline"),
    [
        (0.05, "ship", "Ship: als is better than popularity."),
        (-0.05, "fail", "Fail: als is worse than popularity."),
        (0.0001, "hold", "Hold: als does not pass the gate."),
    ],
)
def test_the_verdict_stands_first_in_words(gain: float, decision: str, headline: str) -> None:
    record = compared(POPULARITY, side("als", gain))
    assert record["verdict"]["decision"] == decision
    made = page(record)
    assert headline in made
    assert made.index(headline) < made.index("<h2>")


def test_what_cannot_be_told_apart_says_what_could_have_been_seen() -> None:
    record = compared(POPULARITY, side("als", 0.0001))
    (reasons,) = [one["reasons"] for one in record["verdict"]["models"].values()]
    assert re.search(r"80 customers could have seen a difference of \d+\.\d%", reasons[0])


@pytest.mark.parametrize("seed", range(12))
def test_what_the_gate_holds_never_ships_and_what_ships_the_gate_publishes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = ["als", "bpr", "ease"]
    sides = [side(name, float(rng.normal(0.005, 0.02))) for name in names]
    champion = [None, "recipe-als", "recipe-gone"][seed % 3]
    facts = Facts(champion, gate.Enough(5_000 if seed % 4 else 10, 100), [POPULARITY])
    verdict = compared(*sides, facts=facts)["verdict"]
    entries = [
        gate.Entry(one.label, one.run_id, one.recipe, float(one.summary["metrics"]["ndcg_at_10"]
                   ["mean"]), one.per_customer, figures={n: f["mean"] for n, f in
                   one.summary["metrics"].items()}, costs=one.costs, kinds=one.kinds)
        for one in (*sides, POPULARITY)
    ]  # fmt: skip
    asked = gate.decide(
        entries, champion=champion, enough=facts.enough, gate=SHOP.gate, judge=SHOP.judge
    )
    assert verdict["gate"]["action"] == asked.action
    assert verdict["gate"]["said"] == asked.verdict
    for name, one in verdict["models"].items():
        if one["decision"] == "ship":
            assert (asked.action, asked.model) == ("publish", name)


def test_faults_fail_and_what_serves_is_held() -> None:
    faulty = compared(POPULARITY, side("als", 0.05, findings=("twice: p stands twice",)))
    assert faulty["verdict"]["headline"] == "Fail: als's lists have faults."
    serves = compared(POPULARITY, side("als", 0.05), facts=Facts("recipe-als", ENOUGH))
    assert serves["verdict"]["headline"] == "Hold: als serves already."


def test_a_candidate_that_loses_to_what_serves_fails_though_it_beats_popularity() -> None:
    serving = side("bpr", 0.1)
    facts = Facts(serving.recipe, ENOUGH, [serving])
    verdict = compared(POPULARITY, side("als", 0.05), facts=facts)["verdict"]
    assert verdict["headline"] == "Fail: als is worse than what serves now."
    assert verdict["gate"]["action"] == "refresh"


def test_what_serves_stands_beside_the_baseline() -> None:
    made = page(compared(POPULARITY, side("als", 0.03), side("bpr", 0.08),
                         facts=Facts("recipe-als", ENOUGH)))  # fmt: skip
    assert re.search(r"<dt>What serves</dt><dd>Against als: \+1\d\.\d% \(", made)
    alone = page(compared(POPULARITY, side("bpr", 0.08)))
    assert "<dt>What serves</dt>" not in alone


def test_without_popularity_the_gate_cannot_be_asked() -> None:
    verdict = compared(side("bpr", 0.01), side("als", 0.05))["verdict"]
    assert (verdict["decision"], verdict["gate"]) == ("hold", None)
    assert "popularity was not judged on the same" in verdict["models"]["als"]["reasons"][1]


def test_of_two_that_pass_the_better_ships() -> None:
    record = compared(POPULARITY, side("bpr", 0.03), side("als", 0.08))
    said = {name: one["decision"] for name, one in record["verdict"]["models"].items()}
    assert said == {"bpr": "hold", "als": "ship"}
    assert "als is ahead of bpr" in page(record)


def test_unlike_runs_are_refused_with_the_reason() -> None:
    later = side("als")
    fold = {**later.summary["folds"][0], "cut": "2024-12-31"}
    later.summary["folds"] = [fold, later.summary["folds"][1]]
    with pytest.raises(TrackingError, match=r"the cut of window 1 is 2025-01-01 for popularity"):
        refuse([POPULARITY, later])
    other = side("als")
    other.summary["folds"][1]["snapshots"]["interactions"] = "ffff"
    with pytest.raises(TrackingError, match=r"the interactions of window 2 is .* and ffff for als"):
        refuse([POPULARITY, other])
    short = side("als")
    short.summary["protocol"] = {**short.summary["protocol"], "horizon_days": 7}
    with pytest.raises(TrackingError, match=r"judge\.horizon_days is 28 .* and 7 for als"):
        refuse([POPULARITY, short])
    with pytest.raises(TrackingError, match="want two runs to compare"):
        refuse([POPULARITY, replace(POPULARITY, label="again")])
    refuse([POPULARITY, side("als")])


def test_a_stage_that_surely_loses_is_named_and_few_customers_are_an_anecdote() -> None:
    gain = np.array([0.2] * 40 + [-0.06] * 40)
    record = compared(POPULARITY, side("als", gain))
    cautions = record["verdict"]["models"]["als"]["cautions"]
    assert "It serves these surely worse: lifecycle stage lapsed." in cautions
    made = page(record)
    said = "Surely worse for lifecycle stage lapsed; surely better for lifecycle stage active."
    assert said in made
    assert record["verdict"]["headline"] == "Fail: als breaks a guardrail: lifecycle stage lapsed."
    few = replace(
        POPULARITY,
        kinds=pa.table({"customer_id": CUSTOMERS, "channel": ["web"] * 70 + ["store"] * 10}),
    )
    rows = compared(few, side("als", 0.05))["kinds"]["als"]
    assert [(row["value"], row["small"], row["chance"] is None) for row in rows] == [
        ("web", False, False),
        ("store", True, True),
    ]


def test_guardrails_are_told_one_by_one_the_broken_ones_first() -> None:
    record = compared(POPULARITY, side("als", np.array([0.2] * 40 + [-0.06] * 40)))
    rails = record["verdict"]["models"]["als"]["rails"]
    assert {one["name"]: one["holds"] for one in rails}["lifecycle stage lapsed"] is False
    made = page(record)
    assert "1 broken: lifecycle stage lapsed;" in made
    section = made[made.index("<h2>Guardrails</h2>") :]
    order = ("lifecycle stage lapsed: ", "may lose 5%", "One by one", "lifecycle stage active: ")
    places = [section.index(words) for words in order]
    assert places == sorted(places)


def test_many_models_are_drawn_two_and_stand_in_the_table_all() -> None:
    gains = {"als": 0.08, "bpr": 0.05, "ease": 0.03, "graph": 0.02}
    record = compared(POPULARITY, *(side(name, gain) for name, gain in gains.items()))
    assert list(record["verdict"]["models"]) == list(gains)
    made = page(record)
    surely = made[made.index("How much, and how surely") : made.index("What changes")]
    assert "als: <span class='big" in surely
    assert "bpr: <span class='big" in surely
    assert "ease" not in surely.partition("</p>")[2]
    assert made.index("<b>graph</b>") > made.index("The other models")
    assert "<td>graph</td>" in made[made.index("All figures") :]
    assert "What bpr shows" in made
    assert "What ease shows" in made
    assert "What graph shows" not in made


def test_memory_and_latency_are_costs() -> None:
    costs = {"train_peak_memory_mb": 812.0, "milliseconds_per_list": 0.31}
    made = page(compared(POPULARITY, replace(side("als", 0.05), costs=costs)))
    assert "memory in training, MB" in made
    assert ">812<" in made
    assert ">0.31<" in made


def test_a_page_is_kept_for_the_server_under_a_safe_name(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert (
        report.keep(workspace, "compare-../Two Tower_1", "old").name == "compare-two-tower-1.html"
    )
    kept = report.keep(workspace, "compare-../Two Tower_1", "new")
    assert kept.parent == tmp_path / "pages"
    assert kept.read_text() == "new"
    assert report.keep(workspace, "../..", "x").name == "page.html"
    assert len(report.keep(workspace, "a" * 300, "x").stem) == 64


def test_looking_at_more_makes_each_less_sure() -> None:
    one = compared(POPULARITY, side("als", 0.004))["differences"]["als"]["ndcg_at_10"]
    many = compared(POPULARITY, side("als", 0.004), side("bpr", 0.05), side("ease", 0.06))
    row = many["differences"]["als"]["ndcg_at_10"]
    assert one["adjusted"] == one["chance"] == row["chance"]
    assert row["adjusted"] >= row["chance"]
    assert (one["among"], row["among"]) == (1, 3)


def window(mean: float, low: float) -> dict[str, Any]:
    return {"cut": "2025-01-01", "until": "2025-02-01", "mean": mean, "low": low}


@pytest.mark.parametrize(
    ("windows", "stable", "said"),
    [
        ([], None, "cannot be said"),
        ([window(0.1, 0.05)], None, "One window only"),
        ([window(0.1, 0.05)] * 3, True, "surely better in each of the 3"),
        ([window(0.1, 0.05), window(0.01, -0.1)], True, "each of the 2 windows, surely in 1."),
        ([window(0.3, 0.2), window(-0.01, -0.1)], False, "One lucky window"),
        ([window(-0.1, -0.2)] * 2, False, "Better in none"),
        ([window(0.1, 0), window(0.1, 0), window(-0.05, -1)], False, "better in 2 of the 3"),
    ],
)
def test_a_gain_is_stable_or_one_lucky_window(windows: Any, stable: Any, said: str) -> None:
    found = steady(windows)
    assert found["stable"] is stable
    assert said in found["said"]


def test_what_moved_between_two_lists_is_said() -> None:
    before, after = ([{"product_id": p} for p in word] for word in ("pqr", "xp"))
    assert changes(before, after) == {
        "x": {"from": None, "to": 1},
        "p": {"from": 1, "to": 2},
        "q": {"from": 2, "to": None},
        "r": {"from": 3, "to": None},
    }


def test_twelve_customers_stand_for_every_stage() -> None:
    stages = ["new", "active", "cooling", "at_risk", "lapsed"]
    rows = [(f"{s}{i:02}", s, i) for s in stages for i in range(20)] + [("z", "active", 99)]
    names = ("customer_id", "lifecycle_stage", "products")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    chosen = pick(table)
    assert len(chosen) == len({one["customer_id"] for one in chosen}) == 12
    assert list(dict.fromkeys(one["lifecycle_stage"] for one in chosen)) == stages
    assert [one["which"] for one in chosen[:2]] == ["", ", short history"]
    assert len(pick(table.slice(0, 1))) == 1


def test_a_name_is_text_and_never_markup() -> None:
    made = page(compared(POPULARITY, side("<b>als", 0.05)))
    assert "<b>als" not in made
    assert "&lt;b&gt;als" in made
    assert "Ann &amp; co" in made


def test_the_page_needs_nothing_from_elsewhere_and_the_record_is_json() -> None:
    record = compared(POPULARITY, side("als", 0.05))
    made = page(json.loads(json.dumps(record, allow_nan=False)))
    assert "http" not in made
    assert "<script" not in made
    assert made.count("<svg") == made.count('role="img" aria-label')


def test_the_run_holds_the_page_and_the_windows_add_up(
    shop: Workspace, run_command: Any, tmp_path: Path
) -> None:
    to, out = tmp_path / "out.json", tmp_path / "page.html"
    at = ["--workspace", shop.root, "--json", to, "--out", out]
    assert run_command("compare", "popularity", "als", *at).exit_code == 0
    record = json.loads(to.read_text())
    tracking = job(shop.root).tracking
    als, base = (tracking.get(record["run_ids"][name]) for name in ("als", "popularity"))
    kept = tracking.fetch(als, f"comparison/{base.id}.html")
    assert kept.read_text() == out.read_text()
    assert (shop.root / "pages" / "compare-popularity-als.html").read_text() == out.read_text()
    assert json.loads(tracking.fetch(als, f"comparison/{base.id}.json").read_text()) == record
    with pytest.raises(TrackingError, match="has no artifact"):
        tracking.fetch(base, "comparison")
    assert record["people"]
    assert {row["slice"] for row in record["kinds"]["als"]} == {
        "lifecycle_stage", "channel", "history_length", "category",
    }  # fmt: skip
    whole, parts = (
        judgement.per_customer(tracking, als),
        judgement.detail(tracking, als, "per_fold"),
    )
    assert parts is not None
    means = parts.group_by("customer_id").aggregate([("ndcg_at_10", "mean")])
    means = means.sort_by("customer_id")["ndcg_at_10_mean"].to_numpy()
    assert means == pytest.approx(whole["ndcg_at_10"].to_numpy())
    assert 0 < sum(record["suppliers"]["als"].values()) <= 1 + 1e-9
    assert set(record["costs"]["als"]) >= {
        "train_seconds", "train_peak_memory_mb", "model_megabytes", "milliseconds_per_list",
    }  # fmt: skip


CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => {
    v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
    return .2126 * r + .7152 * g + .0722 * b };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (c !== 'rgba(0, 0, 0, 0)') return c } return 'rgb(255, 255, 255)' };
  const faint = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) faint.push(e.outerHTML.slice(0, 80)) }
  return faint }"""


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_read_on_a_phone_and_by_keyboard(
    browser: Any, tmp_path: Path, scheme: str
) -> None:
    from playwright.sync_api import expect

    sides = [side(name, gain) for name, gain in (("bpr", 0.03), ("als", 0.08), ("ease", 0.02))]
    made = page(compared(POPULARITY, *sides, side("graph", np.array([0.2] * 40 + [-0.06] * 40))))
    (tmp_path / "page.html").write_text(made, "utf-8")
    shown = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    said: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.goto((tmp_path / "page.html").as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    expect(shown.get_by_text("Ship: als is better than popularity.")).to_be_in_viewport()
    for question in ("How much", "How sure", "For whom", "Lasting", "Guardrails", "Why"):
        expect(shown.locator("dt", has_text=question)).to_be_in_viewport()
    why = shown.locator("div.card").first.locator("details p").first
    expect(why).to_be_hidden()
    shown.locator("div.card").first.locator("summary").first.press("Enter")
    expect(why).to_be_visible()
    expect(why).to_contain_text("could have seen a difference of")
    pictures = shown.locator("svg")
    assert all(pictures.nth(n).get_attribute("aria-label") for n in range(pictures.count()))
    assert pictures.count() > 10
    shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert shown.evaluate(CONTRAST) == []
    assert said == []


def test_the_page_is_printed_light_and_whole(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(compared(POPULARITY, side("als", 0.05))), "utf-8")
    shown = browser.new_page(viewport={"width": 794, "height": 1123}, color_scheme="dark")
    shown.goto((tmp_path / "page.html").as_uri())
    shown.emulate_media(media="print")
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    assert shown.locator(".rails li").last.bounding_box()["height"] > 0
    assert shown.evaluate(CONTRAST) == []
