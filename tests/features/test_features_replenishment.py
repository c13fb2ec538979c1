"""Purchases and a time in; when each customer is due for what she bought out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import hazards, pooling
from features import replenishment as clocks
from features.engine import Engine
from features.replenishment import replenishment
from features.schemas import PRODUCTS, TIME
from features.tables import Missing, Tables

Stores = Callable[[], Tables]
Row = dict[str, Any]
PAIR = ("customer_id", "product_id")


@st.composite
def purchases(draw: st.DrawFn, shop: SimpleNamespace) -> list[Row]:
    """Mostly purchases, some given back, of few customers and products over 80 days."""
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "day": st.integers(0, 320).map(lambda quarter: quarter / 4),
                    "event_type": st.sampled_from(["purchase"] * 6 + ["refund", "view_item"]),
                    "customer_id": st.sampled_from(["anna", "ben", "carl", "cookie:1", None]),
                    "product_id": st.sampled_from(["tea", "jam", None]),
                    "quantity": st.sampled_from([None, 1.0, 2.0, 0.5]),
                }
            ),
            max_size=60,
        )
    )
    return [shop.event(id=f"e{number}", **row) for number, row in enumerate(rows)]


def catalogue(tables: Tables, *rows: tuple[str, str | None, bool | None]) -> None:
    """Products with a category and whether they are called replenishable."""
    named = [
        {"product_id": id, "category": category, "replenishable": said}
        for id, category, said in rows
    ]
    table = pa.Table.from_pylist(named, schema=PRODUCTS)
    tables.commit("products", f"c{abs(hash(rows)):x}", [tables.write("products", table)])


def kept_days(events: list[Row], as_of: datetime) -> dict[tuple[str, str], dict[int, datetime]]:
    """The days on which each pair was bought and kept: units on a pile, refunds from its top."""
    piles: dict[tuple[str, str], list[list[Any]]] = defaultdict(list)
    moments: Counter[tuple[datetime, str, str]] = Counter()
    for row in events:
        known = row["customer_id"] and ":" not in row["customer_id"] and row["product_id"]
        if known and row["event_time"] <= as_of and row["event_type"] in ("purchase", "refund"):
            sign = 1 if row["event_type"] == "purchase" else -1
            units = 1.0 if row["quantity"] is None else row["quantity"]
            moments[row["event_time"], row["customer_id"], row["product_id"]] += sign * units
    for (time, customer, product), net in sorted(moments.items()):
        pile = piles[customer, product]
        if net > 0:
            pile.append([net, time])
        while net < 0 and pile:
            taken = min(-net, pile[-1][0])
            pile[-1][0] -= taken
            net += taken
            if not pile[-1][0]:
                pile.pop()
    days: dict[tuple[str, str], dict[int, datetime]] = {}
    for pair, pile in piles.items():
        if pile:
            days[pair] = {int(time.timestamp() // 86_400): time for _, time in pile}
    return days


def slow(events: list[Row], as_of: datetime) -> dict[tuple[str, str], Row]:
    """The table's definition, a spell at a time; of products without a category."""
    today = int(as_of.timestamp() // 86_400)
    pairs = kept_days(events, as_of)
    products = sorted({product for _, product in pairs})
    spells: list[Row] = []
    for (customer, product), days in pairs.items():
        logs: list[int] = []
        ends = [*sorted(days)[1:], None]
        for number, (day, after) in enumerate(zip(sorted(days), ends, strict=True), 1):
            length = (today if after is None else after) - day
            one = {"customer": customer, "product": product, "number": number, "day": day}
            spells.append(one | {"length": length, "closed": after is not None})
            spells[-1]["before"] = sum(logs)
            if after is not None:
                logs.append(round(math.log(length) * 1000))
            spells[-1]["logs"] = list(logs)
    sums = dict.fromkeys(pooling.Sums._fields, np.zeros(len(products), np.int64))
    sums = {name: column.copy() for name, column in sums.items()}
    for one in spells:
        if not one["closed"]:
            place, logs = products.index(one["product"]), one["logs"]
            sums["buyers"][place] += 1
            sums["repeaters"][place] += bool(logs)
            sums["gaps"][place] += len(logs)
            sums["log"][place] += sum(logs)
            sums["square"][place] += sum(log * log for log in logs)
            sums["between"][place] += round(sum(logs) ** 2 / max(len(logs), 1))
            sums["even"][place] += len(logs) ** 2
    pooled = pooling.pooled(pooling.Sums(**sums))
    mean = dict(zip(products, pooled.mean, strict=True))

    def usual(one: Row) -> float:
        earlier = one["before"] / 1000 + pooled.prior * mean[one["product"]]
        return min(math.exp(earlier / (one["number"] - 1 + pooled.prior)), hazards.LONGEST)

    edges = [*hazards.EDGES, math.inf]
    bins = range(len(hazards.EDGES))
    events_, exposed = np.zeros((2, len(hazards.NUMBERS), len(hazards.EDGES)))
    for one in spells:
        one["usual"] = usual(one)
        one["age"] = one["length"] / one["usual"]
        one["class"] = sum(one["number"] >= least for least in hazards.NUMBERS) - 1
        for number in bins:
            inside = min(one["age"], edges[number + 1]) - edges[number]
            exposed[one["class"], number] += max(inside, 0.0)
            here = edges[number] <= one["age"] < edges[number + 1]
            events_[one["class"], number] += one["closed"] and here
    rate = np.zeros_like(events_)
    if events_.sum():
        by_bin = events_.sum(0) + 10.0
        by_bin /= exposed.sum(0) + 10.0 * exposed.sum() / events_.sum()
        rate = (events_ + 10.0) / (exposed + 10.0 / by_bin)

    def expected(one: Row, age: float) -> float:
        widths = [max(min(age, edges[n + 1]) - edges[n], 0.0) for n in bins]
        return float(sum(r * w for r, w in zip(rate[one["class"]], widths, strict=True)))

    def own(name: str, worth: Callable[[Row], float], size: float) -> dict[str, float]:
        """Of each product or customer: purchases over those expected, pulled to 1."""
        bought: Counter[str] = Counter()
        foretold: Counter[str] = Counter()
        for one in spells:
            bought[one[name]] += one["closed"]
            foretold[one[name]] += worth(one)
        beyond = sum((bought[x] - foretold[x]) ** 2 - size * foretold[x] for x in foretold)
        pull = hazards.MOST
        if round(beyond, 4) > 0:
            square = sum(value**2 for value in foretold.values())
            pull = min(max(square / beyond, hazards.LEAST), hazards.MOST)
        return {x: (bought[x] + size * pull) / (foretold[x] + size * pull) for x in foretold}

    of_product = own("product", lambda one: expected(one, one["age"]), 1.0)
    baskets = Counter((x["customer"], x["day"] + x["length"]) for x in spells if x["closed"])
    size = sum(n * n for n in baskets.values()) / max(sum(baskets.values()), 1) or 1.0
    of_customer = own(
        "customer", lambda one: of_product[one["product"]] * expected(one, one["age"]), size
    )
    lately = [0.0, 0.0]
    for one in spells:
        one["pace"] = of_product[one["product"]] * of_customer[one["customer"]]
        if one["day"] + one["length"] >= today - 28:
            begin = max(today - 28 - one["day"], 0) / one["usual"]
            lately[0] += one["closed"]
            lately[1] += one["pace"] * (expected(one, one["age"]) - expected(one, begin))
    season = (lately[0] + 10) / (lately[1] + 10)
    table: dict[tuple[str, str], Row] = {}
    for one in (one for one in spells if not one["closed"]):
        pair = one["customer"], one["product"]
        place, last = products.index(one["product"]), max(pairs[pair].values())
        gone = one["number"] - 1
        sure = pooled.spread[place] * math.sqrt(1 + 1 / (gone + pooled.prior))
        pace, in14 = season * one["pace"], 14 / one["usual"]
        soon = expected(one, one["age"] + in14) - expected(one, one["age"])
        due = {
            name: last + timedelta(days=one["usual"] * math.exp(sure * quantile))
            for name, quantile in (("due_from", -1.2816), ("due_at", 0), ("overdue_at", 0.6745))
        }
        common = pooled.known and pooled.again[place] >= 0.1
        state = "overdue" if due["overdue_at"] <= as_of else "due"
        here, due_bin = (max(n for n in bins if edges[n] <= age) for age in (one["age"], 1.0))
        rates = rate[one["class"]]
        if due["due_from"] > as_of and rates[here] < 0.25 * rates[due_bin]:
            state = "too_early"
        table[pair] = {
            "purchases": one["number"],
            "last_purchase_time": last,
            "interval_days": one["usual"] if pooled.known else None,
            "own_interval_days": math.exp(one["before"] / 1000 / gone) if gone > 1 else None,
            "product_interval_days": math.exp(mean[pair[1]]) if sums["gaps"][place] >= 5 else None,
            **(due if pooled.known else dict.fromkeys(due)),
            "state": state if common else None,
            "hazard": pace * rates[here] / one["usual"],
            "chance_14d": 1 - math.exp(-pace * soon),
            "replenishable": common,
        }
    return table


@given(data=st.data(), quarter=st.integers(-1, 360))
@settings(max_examples=6, deadline=None)
def test_the_table_agrees_with_its_definition_a_spell_at_a_time(
    shop: SimpleNamespace, engine: Engine, stores: Stores, data: st.DataObject, quarter: int
) -> None:
    rows, as_of = data.draw(purchases(shop)), shop.time(quarter / 4)
    tables = stores()
    shop.commit(tables, "events", [shop.table(rows)])
    made = replenishment(tables, as_of=as_of, engine=engine).read().to_pylist()
    found = {(row["customer_id"], row["product_id"]): row for row in made}
    wanted = slow(rows, as_of)
    assert found.keys() == wanted.keys()
    for pair, row in wanted.items():
        for name, value in row.items():
            if isinstance(value, datetime):
                assert abs(found[pair][name] - value) < timedelta(seconds=30), (pair, name)
                continue
            close = pytest.approx(value, rel=2e-3) if isinstance(value, float) else value
            assert found[pair][name] == close, (pair, name)


@given(data=st.data(), quarter=st.integers(0, 320))
@settings(max_examples=2, deadline=None)
def test_yesterday_rebuilt_from_todays_store_has_yesterdays_bytes(
    shop: SimpleNamespace, engine: Engine, stores: Stores, data: st.DataObject, quarter: int
) -> None:
    rows, as_of = data.draw(purchases(shop)), shop.time(quarter / 4)
    then, now = stores(), stores()
    everything = shop.table(rows)
    known = everything.filter(pc.less_equal(everything["event_time"], pa.scalar(as_of, TIME)))
    shop.commit(then, "events", [known])
    shop.commit(now, "events", [everything[1::2], everything[0::2]])
    one, other = (replenishment(t, as_of=as_of, engine=engine) for t in (then, now))
    assert shop.shas({"clock": one}) == shop.shas({"clock": other})


def history(shop: SimpleNamespace, seed: int = 0, customers: int = 40) -> list[Row]:
    """Everybody buys tea about every ten days, and jam once."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        day = rng.uniform(0, 10)
        buys = {"event_type": "purchase", "customer_id": f"c{number:02}"}
        rows.append(shop.event(day, product_id="jam", **buys))
        while day < 100:
            rows.append(shop.event(day, **buys))
            day += rng.uniform(8, 12)
    return rows


def clock_of(shop: SimpleNamespace, tables: Tables, rows: list[Row], day: float) -> Any:
    shop.commit(tables, "events", [shop.table(rows)])
    return replenishment(tables, as_of=shop.time(day))


def test_the_bytes_are_the_same_on_any_number_of_threads(
    shop: SimpleNamespace, stores: Stores, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(clocks, "BUCKET", 16)
    shas = []
    for threads in (1, 4):
        tables = stores()
        shop.commit(tables, "events", [shop.table(history(shop)[i::3]) for i in range(3)])
        with Engine(tmp_path / str(threads), threads=threads) as engine:
            made = replenishment(tables, as_of=shop.time(100), engine=engine)
        shas.append(shop.shas({"clock": made}))
    assert shas[0] == shas[1]
    assert len(shas[0]["clock"]) > 1, "a bucket of customers a part"


def test_tea_is_bought_every_ten_days_and_jam_is_not_replenished(
    shop: SimpleNamespace, stores: Stores
) -> None:
    rows = clock_of(shop, stores(), history(shop), 100).read().to_pylist()
    tea = [row for row in rows if row["product_id"] == "tea"]
    assert all(row["replenishable"] == (row["product_id"] == "tea") for row in rows)
    assert all(9 < row["interval_days"] < 11 for row in tea)
    assert all(row["due_from"] < row["due_at"] < row["overdue_at"] for row in tea)
    assert {row["state"] for row in tea} >= {"too_early", "due"}
    assert all(row["state"] is None for row in rows if row["product_id"] == "jam")
    late = [row for row in tea if row["state"] == "due"]
    early = [row for row in tea if row["state"] == "too_early"]
    assert np.mean([row["hazard"] for row in late]) > np.mean([row["hazard"] for row in early])


def test_who_stays_away_is_overdue_and_less_likely_by_the_month(
    shop: SimpleNamespace, stores: Stores
) -> None:
    rows, chances = history(shop, customers=80), []
    gone = [r for r in rows if r["customer_id"] != "c01" or r["event_time"] < shop.time(40)]
    tables = stores()
    for day in (52, 70, 100):
        made = clock_of(shop, tables, gone, day).read().to_pylist()
        (hers,) = [r for r in made if (r["customer_id"], r["product_id"]) == ("c01", "tea")]
        chances.append(hers["chance_14d"])
    assert hers["state"] == "overdue"
    assert chances[0] > chances[1] > chances[2]


def test_a_refund_takes_back_what_was_bought_last_before_it(
    shop: SimpleNamespace, stores: Stores
) -> None:
    def did(day: float, kind: str, units: float, product: str = "tea") -> Row:
        return shop.event(day, event_type=kind, quantity=units, product_id=product)

    rows = [
        did(0, "purchase", 1),
        did(10, "purchase", 1),
        did(11, "refund", 1),  # the second is no purchase
        did(30, "purchase", 2),
        did(31, "refund", 1),  # half is kept
        did(0, "purchase", 1, "jam"),
        did(1, "refund", 1, "jam"),
    ]
    (tea,) = clock_of(shop, stores(), rows, 40).read().to_pylist()
    assert (tea["product_id"], tea["purchases"]) == ("tea", 2)
    assert tea["last_purchase_time"] == shop.time(30)
    assert tea["interval_days"] == pytest.approx(30, rel=1e-3)


def test_the_catalogue_says_what_is_replenishable_and_of_what_kind(
    shop: SimpleNamespace, stores: Stores
) -> None:
    tables = stores()
    catalogue(tables, ("tea", "drinks", False), ("jam", "drinks", True))
    rows = history(shop)
    made = clock_of(shop, tables, rows, 100).read().to_pylist()
    assert {(r["product_id"], r["replenishable"]) for r in made} == {("tea", False), ("jam", True)}
    jam = next(row for row in made if row["product_id"] == "jam")
    assert 9 < jam["interval_days"] < 11, "nobody came back for jam: pooled with its category"
    assert jam["product_interval_days"] is None
    assert jam["state"] is not None


def test_a_shop_where_nobody_came_back_knows_no_interval(
    shop: SimpleNamespace, stores: Stores
) -> None:
    rows = [shop.event(n, event_type="purchase", customer_id=f"c{n}") for n in range(3)]
    for row in clock_of(shop, stores(), rows, 20).read().to_pylist():
        assert row["interval_days"] is row["due_at"] is row["state"] is None
        assert row["chance_14d"] == 0


def test_a_repeated_build_is_found_and_a_look_back_leaves_the_newest(
    shop: SimpleNamespace, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = stores()
    made = clock_of(shop, tables, history(shop, customers=4), 90)
    older = replenishment(tables, as_of=shop.time(50), current=False)
    assert older.id != made.id == tables.need("replenishment").id
    monkeypatch.setattr(clocks, "Engine", None)
    assert replenishment(tables, as_of=shop.time(90)).id == made.id


def test_what_cannot_be_built_is_said(shop: SimpleNamespace, stores: Stores) -> None:
    with pytest.raises(Missing, match="no events in"):
        replenishment(stores(), as_of=shop.time(0))
    with pytest.raises(ValueError, match="as_of must have a time zone, got 2025-03-01T00:00:00"):
        replenishment(stores(), as_of=datetime(2025, 3, 1))
    assert datetime(2025, 3, 1, tzinfo=UTC) == shop.time(0)
