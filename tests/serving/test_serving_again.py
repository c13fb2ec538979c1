"""What is due again is shown with how often she buys it; what is too early waits. Over HTTP.

Customer c0 took p0, p4, p6 and p8, c1 odd ones; today is the server's own day.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.purchases import Clock, Purchases
from serving.due import span, when

TODAY = int(time.time() // 86_400)
ids = itertools.count().__next__
Entry = dict[str, Any]


def timed(**products: Entry) -> tuple[Purchases, Clock]:
    """What c0 bought: by product last, lasts, hers, early, waits, chance; all else of nobody."""
    kinds = {"lasts": "f4", "hers": "?", "early": "i4", "due": "i4", "overdue": "i4"}
    kinds |= {"waits": "?", "chance": "f4"}
    rows = [products[name] for name in sorted(products)]
    codes = np.array([int(name[1:]) for name in sorted(products)], np.int32)
    days = np.array([TODAY - row["last"] for row in rows], np.int32)
    starts = np.minimum(np.arange(9), 1) * len(rows)
    columns = [
        np.array([row.get(name, 0) for row in rows], np.dtype(kind)) for name, kind in kinds.items()
    ]
    for place in (2, 3, 4):  # days after the last purchase
        columns[place] = np.where(columns[place] > 0, days + columns[place], 0).astype(np.int32)
    orders = np.ones(len(rows), np.int16)
    return Purchases(starts.astype(np.int64), codes, days, orders), Clock(*columns)


EVERY_SIX_WEEKS = {"last": 49, "lasts": 42.3, "hers": True, "early": 30, "chance": 0.3}
FOUR_DAYS_AGO = {"last": 4, "lasts": 30, "hers": True, "early": 20, "waits": True, "chance": 0.5}


@pytest.fixture
def timely(shop: Callable[..., Any]) -> Callable[..., Any]:
    """A shop that keeps what was taken in its lists, published an hour ago, with c0's clock."""

    def open(**products: Entry) -> Any:
        bought, clock = timed(**products)
        as_of = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        about = {"model": {"name": "near", "version": "1"}, "as_of": as_of}
        return shop(seen="keep", bought=bought, clock=clock, about=about)

    return open


def ask(client: Any, surface: str, customer: str = "c0", **query: object) -> list[dict[str, Any]]:
    query = {"surface": surface, **query}
    answer = client.get(f"/v1/customers/{customer}/recommendations", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def again(client: Any, **query: object) -> list[str]:
    """What `buy_again` shows of its own source."""
    items = ask(client, "buy_again", n=10, **query)
    return [item["product_id"] for item in items if item["source"] == "again"]


def buy(client: Any, product: str, customer: str = "c0") -> None:
    event = {
        "event_id": f"b{ids()}",
        "event_type": "purchase",
        "customer_id": customer,
        "product_id": product,
    }
    assert client.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1


def test_what_is_due_stands_by_its_chance_and_says_how_often_she_buys_it(timely):
    pooled = {"last": 60, "lasts": 58, "early": 20, "chance": 0.4}
    client = timely(p0=EVERY_SIX_WEEKS, p4=pooled, p6={"last": 400, "chance": 0.01})
    items = ask(client, "buy_again", n=3)
    assert [item["product_id"] for item in items] == ["p4", "p0", "p6"]
    assert [item["source"] for item in items] == ["again"] * 3
    assert [item["reason"] for item in items] == [
        "usually bought again after 8 weeks; you bought it 9 weeks ago",
        "you usually buy this every 6 weeks; last time 7 weeks ago",
        "you bought it before",
    ]
    assert items[0]["score"] == pytest.approx(0.4)


def test_what_is_too_early_is_not_in_buy_again_not_even_among_what_fills_it(timely):
    client = timely(p0=EVERY_SIX_WEEKS, p4=FOUR_DAYS_AGO)
    found = [item["product_id"] for item in ask(client, "buy_again", n=10)]
    assert found[0] == "p0"
    assert "p4" not in found
    assert len(found) > 5, "the fallback fills the rest"


def test_what_was_too_early_at_the_publication_comes_once_its_day_has_come(timely):
    client = timely(p0=FOUR_DAYS_AGO | {"last": 21})
    assert again(client) == ["p0"]


def test_what_she_gave_back_is_not_offered_again(timely):
    assert again(timely(p0=EVERY_SIX_WEEKS, p4={"last": 30, "chance": 0})) == ["p0"]


def test_a_purchase_sets_the_clock_back_at_once(timely):
    client = timely(p0=EVERY_SIX_WEEKS, p6=EVERY_SIX_WEEKS | {"chance": 0.2})
    assert again(client) == ["p0", "p6"]
    buy(client, "p0")
    assert again(client) == ["p6"]
    assert "p0" not in [item["product_id"] for item in ask(client, "buy_again", n=10)]
    buy(client, "p2")
    assert "p2" not in [item["product_id"] for item in ask(client, "buy_again", n=10)]


def test_home_and_win_back_put_what_is_too_early_behind_the_rest(timely):
    before = [item["product_id"] for item in ask(timely(p0=EVERY_SIX_WEEKS), "home", n=10)]
    first = before[0]
    client = timely(**{first: FOUR_DAYS_AGO})
    after = [item["product_id"] for item in ask(client, "home", n=10)]
    own = [item for item in ask(client, "home", n=10) if item["source"] == "near"]
    assert own[-1]["product_id"] == first
    assert [id for id in after if id != first] == [id for id in before if id != first]
    assert first not in [item["product_id"] for item in ask(client, "win_back", n=3)]
    event = {"event_id": "v", "event_type": "view_item", "customer_id": "c0", "product_id": "p2"}
    client.post("/v1/events", json={"events": [event]})
    live = [item for item in ask(client, "home", n=10) if item["source"] == "near"]
    assert live[-1]["product_id"] == first, "also when scored anew"


def test_win_back_shows_a_lapsed_customer_what_she_used_to_buy_and_what_is_new(shop):
    bought, clock = timed(p0=EVERY_SIX_WEEKS | {"last": 300}, p8=EVERY_SIX_WEEKS | {"last": 290})
    launched = [datetime(2026, 1, 1 + day, tzinfo=UTC) for day in range(10)]
    products = pa.table(
        {
            "product_id": [f"p{j}" for j in range(10)],
            "category": [["toys", "books"][j % 2] for j in range(10)],
            "available": [j != 8 for j in range(10)],
            "launched_at": pa.array(launched, pa.timestamp("us", tz="UTC")),
        }
    )
    about = {"model": {"name": "near"}, "as_of": datetime.now(UTC).isoformat()}
    client = shop(seen="drop", bought=bought, clock=clock, about=about, products=products)
    items = ask(client, "win_back", n=9, explain="true")
    assert "p0" in [item["product_id"] for item in items[:4] if item["source"] == "again"]
    assert "p8" not in [item["product_id"] for item in items], "it cannot be had"
    place = {item["product_id"]: item["explain"]["sources"].get("new") for item in items}
    books = [place[id] for id in ("p1", "p3", "p5", "p7", "p9") if id in place]
    assert place["p2"] < min(books), "the newest of her own category come first"
    assert "p0" not in [item["product_id"] for item in ask(client, "win_back", n=9, seen="drop")]


def test_a_bundle_without_a_clock_ranks_by_how_often_and_how_long_ago(shop):
    bought, _ = timed(p0=EVERY_SIX_WEEKS, p4=FOUR_DAYS_AGO)
    client = shop(seen="keep", bought=bought)
    assert again(client) == ["p0", "p4"]
    assert {item["reason"] for item in ask(client, "buy_again", n=2)} == {"you bought it before"}


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0.4, "day"), (1, "day"), (1.6, "2 days"), (7.4, "week"), (8, "8 days"), (10.4, "10 days"),
        (10.6, "2 weeks"), (42, "6 weeks"), (86, "12 weeks"), (91, "3 months"), (365, "12 months"),
        (690, "23 months"), (731, "2 years"), (3650, "10 years"),
    ],
)  # fmt: skip
def test_a_span_is_said_in_the_unit_it_is_spoken_of_in(days: float, said: str) -> None:
    assert span(days) == said


def test_how_long_ago_it_was() -> None:
    said = [when(days) for days in (0, 1, 2, 7, 21, 100)]
    assert said == [
        "today", "yesterday", "2 days ago", "a week ago", "3 weeks ago", "3 months ago"
    ]  # fmt: skip
