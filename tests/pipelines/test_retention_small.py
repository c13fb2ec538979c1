"""Retention of shops that are small, young or odd: an answer, or a refusal in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.artifact import digest
from features.schemas import EVENTS
from models.lifetime.outlook import NobodyOrdered
from pipelines import retention, retention_page, settings
from pipelines.retention_words import answers, headline
from pipelines.workspace import Workspace

START = datetime(2025, 1, 1, tzinfo=UTC)
SHOP = settings.read('[shop]\nname = "tea"\n[ingest]\nmapping = "synthetic"\n', source="tea")


def event(
    day: float, who: str, kind: str = "purchase", price: float | None = 10.0
) -> dict[str, Any]:
    row = {
        "event_time": START + timedelta(days=day),
        "event_type": kind,
        "channel": "web",
        "customer_id": who,
        "product_id": "tea",
        "quantity": 1.0,
        "unit_price": price,
        "source": "a test",
        "source_row": 1,
    }
    return {"event_id": digest(row), **row}


def told(root: Path, rows: list[dict[str, Any]], **how: Any) -> dict[str, Any]:
    place = Workspace(root)
    path = place.tables.beside("events")
    pq.write_table(pa.Table.from_pylist(rows, schema=EVENTS), path)
    part = place.tables.adopt("events", path, time="event_time")
    place.tables.commit("events", digest([part.sha256]), [part])
    return retention.run(place, SHOP, **how)


def regulars() -> list[dict[str, Any]]:
    """Thirty customers: a third came once, a third monthly until May, a third until July."""
    last = {0: 1, 1: 5, 2: 7}
    return [
        event(30 * month + customer / 30, f"c{customer:02}")
        for customer in range(30)
        for month in range(last[customer % 3])
    ]


def test_a_shop_of_thirty_gets_a_page(tmp_path: Path) -> None:
    record = told(tmp_path / "shop", regulars())
    assert record["customers"] == 30
    assert record["regulars"] == 10
    assert headline(record).startswith("Of 30 customers 10 are regulars today")
    said = answers(record)
    assert "No list is made yet" in said["Tomorrow morning"]
    page = retention_page.page(record)
    assert "No campaign can be measured yet" in page
    assert "No product has enough first-time buyers yet" in page
    assert "c01" not in page


def test_who_ordered_once_all_on_one_day_is_no_regular(tmp_path: Path) -> None:
    rows = [event(customer / 100, f"c{customer}") for customer in range(8)]
    record = told(tmp_path / "shop", [*rows, event(0.5, "c0", "view_item")])
    assert (record["customers"], record["regulars"]) == (8, 0)
    assert record["months"][-1]["came"] == 8
    retention_page.page(record)


def test_refunds_beyond_what_was_paid_leave_no_value_below_nothing(tmp_path: Path) -> None:
    rows = [*regulars(), *(event(200 + i / 10, "c01", "refund", 500.0) for i in range(3))]
    record = told(tmp_path / "shop", rows)
    assert record["slipping"]["at_risk"] >= 0
    assert all(one["at_risk"] >= 0 for one in record["by_channel"])
    retention_page.page(record)


def test_without_prices_the_page_counts_customers(tmp_path: Path) -> None:
    rows = [{**row, "unit_price": None} for row in regulars()]
    record = told(tmp_path / "shop", rows)
    assert record["slipping"]["brought"] in (None, 0.0)
    assert "nan" not in retention_page.page(record).lower().replace("retention", "")


def test_a_look_back_knows_nothing_of_what_came_later(tmp_path: Path) -> None:
    moment = START + timedelta(days=100)
    known = [row for row in regulars() if row["event_time"] <= moment]
    then = told(tmp_path / "then", known, as_of=moment)
    later = told(tmp_path / "now", regulars(), as_of=moment)
    for record in (then, later):
        record.pop("snapshots")
    assert then == later


def test_a_shop_where_nobody_ordered_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NobodyOrdered, match="nobody had ordered"):
        told(tmp_path / "shop", [event(0, "ann", "view_item")])
