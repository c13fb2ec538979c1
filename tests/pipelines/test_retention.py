"""The retention page says who is a regular, who slips and what to do; it names nobody held out."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines import retention, retention_page, retention_products, retention_slipping
from pipelines.retention_ahead import ahead
from pipelines.retention_words import answers, headline
from pipelines.workspace import Workspace

START = datetime(2025, 1, 1, tzinfo=UTC)
CHROMIUM = Path("/usr/bin/chromium")


def baskets(*rows: tuple[str, int, list[str]], price: float | None = 10.0) -> pa.Table:
    """Customer, day, products; one order each, paid by the product."""
    return pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.string()),
            "order_time": pa.array(
                [START + timedelta(days=row[1]) for row in rows], pa.timestamp("us", "UTC")
            ),
            "products": pa.array([row[2] for row in rows], pa.list_(pa.string())),
            "revenue": pa.array(
                [None if price is None else price * len(row[2]) for row in rows], pa.float64()
            ),
        }
    )


def last_day(days: int) -> int:
    return (START + timedelta(days=days)).date().toordinal() - date(1970, 1, 1).toordinal()


@pytest.fixture(scope="module")
def record(ran: Any) -> dict[str, Any]:
    from pipelines.shopfile import open_shop

    workspace: Workspace = ran.workspace
    return retention.run(workspace, open_shop(workspace))


def test_stages_add_up_and_regulars_are_active_customers_who_came_back(
    record: dict[str, Any],
) -> None:
    stages = {one["stage"]: one for one in record["stages"]}
    assert list(stages) == ["new", "active", "cooling", "at_risk", "lapsed"]
    assert sum(one["customers"] for one in stages.values()) == record["customers"]
    assert 0 < record["regulars"] <= stages["active"]["customers"]
    slips = stages["cooling"]["customers"] + stages["at_risk"]["customers"]
    assert record["slipping"]["customers"] == slips


def test_months_end_in_todays_stages_and_moves_add_up(record: dict[str, Any]) -> None:
    months = record["months"]
    assert months[-1]["stages"] == {one["stage"]: one["customers"] for one in record["stages"]}
    for before, after in itertools.pairwise(months):
        left = dict.fromkeys(before["stages"], 0)
        for move in after["moves"]:
            if move["from"] is not None:
                left[move["from"]] += move["customers"]
        assert left == before["stages"]
        assert sum(after["stages"].values()) == sum(before["stages"].values()) + after["came"]


def test_groups_of_the_slipping_add_up_to_all_of_them(record: dict[str, Any]) -> None:
    for key in ("by_channel", "by_category"):
        assert sum(g["customers"] for g in record[key]) == record["slipping"]["customers"]
        risk = sum(group["at_risk"] for group in record[key])
        assert risk == pytest.approx(record["slipping"]["at_risk"])


def test_the_answer_stands_first_and_the_page_needs_no_network(record: dict[str, Any]) -> None:
    made = retention_page.page(record)
    assert made.index(headline(record)) < made.index("<h2>")
    assert not re.search(r"(?:src|href)\s*=|https?://|@import|url\(", made)
    for question in answers(record):
        assert f"<dt>{question}</dt>" in made
    for picture in re.findall("<svg[^>]*>", made):
        assert re.search('role="img".* aria-label="[^"]+"', picture)


def test_only_those_to_contact_are_named_never_those_held_out(shop: Any, run_command: Any) -> None:
    made = run_command("activate", "--workspace", shop.root, "--set", "activation.holdout=0.5")
    assert made.exit_code == 0, made.output
    to = shop.root.parent / "retention.json"
    done = run_command("retention", "--workspace", shop.root, "--json", to)
    assert done.exit_code == 0, done.output
    record = json.loads(to.read_text())
    table = shop.tables.need("activation").read(["customer_id", "arm"])
    held = set(table.filter(pc.equal(table["arm"], "holdout"))["customer_id"].to_pylist())
    named = {one["customer_id"] for one in record["list"]["first"]}
    assert held
    assert 0 < len(named) <= 20
    assert not held & named
    page = (shop.root / "pages" / "retention.html").read_text()
    assert {id for id in held if id in page} == set()
    everyone = set(table["customer_id"].to_pylist())
    assert {id for id in everyone if id in page} == named
    assert "can be measured before" in page  # the campaign is of today


def test_the_run_is_tracked_once_and_a_look_back_leaves_the_page_of_today(
    shop: Any, run_command: Any
) -> None:
    to = shop.root.parent / "retention.json"
    runs = []
    for words in ((), (), ("--as-of", "2025-10-01T00:00:00+00:00")):
        done = run_command("retention", "--workspace", shop.root, "--json", to, *words)
        assert done.exit_code == 0, done.output
        runs.append(json.loads(to.read_text())["run_id"])
    assert runs[0] == runs[1] != runs[2]
    assert "31 December 2025" in (shop.root / "pages" / "retention.html").read_text()
    from pipelines.steps import job

    metrics = job(shop.root).tracking.get(runs[0]).metrics
    assert metrics["customers"] == sum(v for k, v in metrics.items() if k.startswith("stage/"))


def test_a_shop_without_prices_is_counted_in_customers() -> None:
    ids = pa.array(["ann", "bob"])
    brought = retention_slipping.brought(baskets(("ann", 1, ["p"]), price=None), ids)
    assert np.isnan(brought).all()
    slips = np.array([True, False])
    found = retention_slipping.sums(slips, brought, brought)
    assert found == {"customers": 1, "brought": None, "expected": None, "at_risk": None}


def test_what_she_brought_is_of_the_year_before_her_last_order() -> None:
    table = baskets(("ann", 0, ["p"]), ("ann", 300, ["p", "q"]), ("ann", 400, ["p"]))
    assert retention_slipping.brought(table, pa.array(["ann"])).tolist() == [30.0]
    assert retention_slipping.at_risk(np.array([30.0, 5.0]), np.array([10.0, 9.0])).tolist() == [
        20.0,
        0.0,
    ]


def crowd(rng: np.random.Generator, *, magnet: float, customers: int = 1_500) -> pa.Table:
    """First orders of one of ten products; buyers of p0 return more often by `magnet`."""
    rows = []
    for place in range(customers):
        product = int(rng.integers(10))
        day = int(rng.integers(60))
        rows.append((f"c{place:04}", day, [f"p{product}"]))
        if rng.random() < 0.4 + (magnet if product == 0 else 0.0):
            rows.append((f"c{place:04}", day + int(rng.integers(1, 80)), [f"q{place % 7}"]))
    return baskets(*rows)


def brought_back(table: pa.Table) -> dict[str, dict[str, Any]]:
    found = retention_products.visits(table)
    rows = retention_products.bring_back(found, found.product, until=last_day(200)).to_pylist()
    return {row["name"]: row for row in rows}


def test_a_product_that_brings_back_is_found_and_its_interval_holds_the_truth() -> None:
    rows = brought_back(crowd(np.random.default_rng(0), magnet=0.3))
    assert rows["p0"]["adjusted"] < 0.01
    assert rows["p0"]["low"] <= 0.3 <= rows["p0"]["high"]
    assert next(iter(rows)) == "p0"


def by_hand(table: pa.Table, until: int) -> dict[str, tuple[int, int]]:
    """Buyers and returners of each product, a customer and product at a time."""
    days: dict[str, dict[int, set[str]]] = {}
    for row in table.to_pylist():
        day = row["order_time"].date().toordinal() - date(1970, 1, 1).toordinal()
        days.setdefault(row["customer_id"], {}).setdefault(day, set()).update(row["products"])
    found: dict[str, tuple[int, int]] = {}
    for hers in days.values():
        for product in set().union(*hers.values()):
            first = min(day for day, some in hers.items() if product in some)
            if first <= until - retention_products.DAYS:
                back = any(first < day <= first + retention_products.DAYS for day in hers)
                buyers, came = found.get(product, (0, 0))
                found[product] = (buyers + 1, came + back)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_buyers_and_returns_are_what_counting_by_hand_says(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_products, "OTHERS", 0.001)  # else lonely groups are left out
    rng = np.random.default_rng(seed)
    table = baskets(
        *(
            (
                f"c{rng.integers(20)}",
                int(rng.integers(250)),
                [f"p{p}" for p in rng.integers(6, size=3)],
            )
            for _ in range(120)
        )
    )
    monkeypatch.setattr(retention_products, "_alike", lambda owner, day, size: owner * 0)
    found = retention_products.visits(table)
    rows = retention_products.bring_back(
        found, found.product, until=last_day(250), buyers=1
    ).to_pylist()
    got = {row["name"]: (row["buyers"], round(row["returned"] * row["buyers"])) for row in rows}
    assert got == by_hand(table, last_day(250))


def test_where_no_product_differs_hardly_any_world_has_a_false_alarm() -> None:
    alarms = 0
    for seed in range(40):
        rows = brought_back(crowd(np.random.default_rng(seed), magnet=0.0, customers=600))
        alarms += any(row["adjusted"] < 0.05 for row in rows.values())
    assert alarms <= 6  # 2 are expected


def test_customers_who_come_often_anyway_make_no_product_look_good() -> None:
    """Buyers of p0 all are regulars; alike regulars who buy p1 return as often."""
    rng, rows = np.random.default_rng(0), []
    for place in range(800):
        often = place % 2 == 0
        for order in range(6 if often else 1):
            if order == 5 or (order == 0 and not often):
                product = f"p{int(rng.integers(2))}" if often else "p2"
            else:
                product = f"x{order}"
            rows.append((f"c{place}", 12 * order, [product]))
        if rng.random() < (0.9 if often else 0.2):
            rows.append((f"c{place}", 12 * (5 if often else 0) + 30, ["y"]))
    found = brought_back(baskets(*rows))
    assert found["p0"]["returned"] > 0.8
    assert found["p0"]["adjusted"] > 0.05
    assert abs(found["p0"]["difference"]) < 0.05


def test_what_could_not_be_returned_from_yet_is_not_looked_at() -> None:
    rows = [(f"c{i}", 150, ["p"]) for i in range(50)] + [(f"d{i}", 0, ["p"]) for i in range(50)]
    found = retention_products.visits(baskets(*rows, *((f"e{i}", 0, ["q"]) for i in range(50))))
    table = retention_products.bring_back(found, found.product, until=last_day(200))
    assert dict(zip(table["name"].to_pylist(), table["buyers"].to_pylist(), strict=True)) == {
        "p": 50,
        "q": 50,
    }


def test_a_shop_of_one_customer_has_no_products_and_no_range() -> None:
    found = retention_products.visits(baskets(("ann", 0, ["p"])))
    assert retention_products.bring_back(found, found.product, until=last_day(200)).num_rows == 0
    from features.orders import GROUPS, orders

    life = pa.table(
        {
            "expected_order_value": pa.array([None], pa.float64()),
            "expected_orders_90d": [0.5],
            "expected_orders_365d": [1.0],
        }
    )
    told = ahead(life, orders(baskets(("ann", 0, ["p"])).select(GROUPS)), START + timedelta(days=9))
    assert told["looks"] == []
    assert told["days"]["90"] == {
        "orders": 0.5, "low": None, "high": None, "value": None, "value_low": None,
        "value_high": None,
    }  # fmt: skip


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium here")
def test_the_page_fits_a_phone(record: dict[str, Any], tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here")
    path = tmp_path / "retention.html"
    path.write_text(retention_page.page(record))
    with playwright.sync_playwright() as here:
        browser = here.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        browser.close()
