"""Stock over HTTP: what a storefront sees after a count, and what is refused."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from serving.problems import Refused
from serving.state.store import StoreError
from serving.stocktaking import AHEAD, MOST, put

HOME = "/v1/customers/c0/recommendations"


def counted(client: TestClient, **quantities: float) -> Any:
    items = [{"product_id": id, "quantity": number} for id, number in quantities.items()]
    answer = client.put("/v1/stock", json={"items": items})
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(client: TestClient, query: str = "") -> set[str]:
    answer = client.get(f"{HOME}?n=10&seen=keep{query}").json()
    return {item["product_id"] for item in answer["items"]}


def test_what_runs_out_leaves_the_very_next_answer_and_comes_back_as_fast(
    client: TestClient,
) -> None:
    assert {"p2", "p3"} <= shown(client)
    assert counted(client, p2=0, p3=0)["accepted"] == 2
    assert not {"p2", "p3"} & shown(client)
    counted(client, p3=0.5)
    assert "p3" in shown(client)
    assert "p2" not in shown(client)


def test_what_the_bundle_had_not_is_shown_once_it_is_counted(
    shop: Callable[..., TestClient],
) -> None:
    ids, there = [f"p{j}" for j in range(10)], [j != 4 for j in range(10)]
    client = shop(products=pa.table({"product_id": ids, "available": there}))
    assert "p4" not in shown(client)
    counted(client, p4=1)
    assert "p4" in shown(client)


def test_a_store_has_its_own_stock(client: TestClient) -> None:
    items = [
        {"product_id": "p1", "quantity": 0, "store_id": "north"},
        {"product_id": "p1", "quantity": 2, "store_id": "south"},
    ]
    assert client.put("/v1/stock", json={"items": items}).status_code == 200
    assert "p1" in shown(client)
    assert "p1" not in shown(client, "&store=north")
    assert "p1" in shown(client, "&store=south")


def test_a_restart_and_another_bundle_know_the_stock(shop: Callable[..., TestClient]) -> None:
    counted(shop(), p2=0, new=0)
    client = shop(version="2")
    assert "p2" not in shown(client)
    assert client.get("/v1/stock/new").json()["counts"][0]["quantity"] == 0


def test_the_answer_says_what_became_of_the_counts(client: TestClient) -> None:
    early = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    new = {f"new {i:02}": 1.0 for i in range(30)}
    first = counted(client, p1=1, **new)
    assert (first["accepted"], first["stale"], len(first["unknown"])) == (31, 0, 20)
    assert first["unknown"][:2] == ["new 00", "new 01"]
    old = {"product_id": "p1", "quantity": 0, "observed_at": early}
    second = client.put("/v1/stock", json={"items": [old]}).json()
    assert second == {"accepted": 0, "stale": 1, "unknown": [], "version": first["version"]}
    assert "p1" in shown(client)


def test_a_products_stock_can_be_asked(client: TestClient) -> None:
    when = "2026-01-02T03:04:05.678901Z"
    items = [
        {"product_id": "p1", "quantity": 0, "observed_at": when},
        {"product_id": "p1", "quantity": 7, "store_id": "north", "observed_at": when},
    ]
    client.put("/v1/stock", json={"items": items})
    assert client.get("/v1/stock/p1").json() == {
        "product_id": "p1",
        "shown": False,
        "counts": [
            {"store_id": None, "quantity": 0.0, "observed_at": when},
            {"store_id": "north", "quantity": 7.0, "observed_at": when},
        ],
    }
    assert client.get("/v1/stock/p2").json() == {"product_id": "p2", "shown": True, "counts": []}
    assert client.get("/v1/stock/nothing").status_code == 404


GOOD = {"product_id": "p1", "quantity": 0}
LATE = (datetime.now(UTC) + timedelta(seconds=AHEAD + 3600)).isoformat()


@pytest.mark.parametrize(
    ("body", "status", "parameter"),
    [
        ({"items": []}, 422, "items"),
        ({"items": [GOOD] * (MOST + 1)}, 422, "items"),
        ({"items": [GOOD, GOOD | {"quantity": -1}]}, 422, "items[1].quantity"),
        ({"items": [GOOD, GOOD | {"quantity": "3"}]}, 422, "items[1].quantity"),
        ({"items": [GOOD, GOOD | {"quantity": 1e13}]}, 422, "items[1].quantity"),
        ({"items": [GOOD, GOOD | {"product_id": ""}]}, 422, "items[1].product_id"),
        ({"items": [GOOD, GOOD | {"store": "north"}]}, 422, "items[1]"),
        ({"items": [GOOD, {"product_id": "p2"}]}, 422, "items[1]"),
        ({"items": [GOOD, GOOD | {"observed_at": LATE}]}, 422, "items[1].observed_at"),
        ({"items": [GOOD | {"observed_at": "1960-01-01T00:00:00Z"}]}, 422, "items[0].observed_at"),
        ({"items": [GOOD | {"observed_at": "2026-01-01T00:00:00"}]}, 422, "items[0].observed_at"),
        ({}, 422, None),
        (b"{", 400, None),
    ],
)
def test_a_bad_count_is_refused_by_name_and_nothing_is_taken(
    client: TestClient, body: Any, status: int, parameter: str | None
) -> None:
    given = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = client.put("/v1/stock", **given)
    assert (answer.status_code, answer.json().get("parameter")) == (status, parameter), answer.text
    assert client.get("/v1/stock/p1").json()["counts"] == []


def test_a_clock_a_little_ahead_is_now(client: TestClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=AHEAD / 2)).isoformat()
    client.put("/v1/stock", json={"items": [GOOD | {"observed_at": soon}]})
    counted(client, p1=1)
    assert client.get("/v1/stock/p1").json()["shown"]


class Elsewhere:
    """A desk whose products are p0 of supplier s0 and p1 of s1."""

    def __init__(self, take: Callable[..., Any]) -> None:
        codes = {"p0": 0, "p1": 1}
        self.stock = SimpleNamespace(take=take)
        groups = {"supplier": ([0, 1], {"s0": 0, "s1": 1})}
        catalogue = SimpleNamespace(columns=groups)
        shelf = SimpleNamespace(code=lambda it: codes.get(it, -1), catalogue=catalogue)
        self.watch = SimpleNamespace(take=lambda: shelf)


@pytest.mark.parametrize(
    ("supplier", "product_id", "may"),
    [("s0", "p0", True), ("s0", "p1", False), ("s0", "p2", False), ("s2", "p2", False)],
)
def test_a_supplier_counts_its_own_products_alone(
    supplier: str, product_id: str, may: bool
) -> None:
    async def take(records: list[Any], **_: object) -> Any:
        return SimpleNamespace(accepted=len(records), stale=0, version=1)

    caller = SimpleNamespace(key_id="k", supplier=supplier)
    body = b'{"items": [{"product_id": "%s", "quantity": 1}]}' % product_id.encode()
    counting = put(Elsewhere(take), caller, {}, body)  # type: ignore[arg-type]
    if may:
        assert b'"accepted":1' in asyncio.run(counting)
        return
    with pytest.raises(Refused, match=f"'{product_id}' is no product of supplier") as refused:
        asyncio.run(counting)
    assert refused.value.status == 403


def test_counts_that_cannot_be_kept_are_not_acknowledged() -> None:
    async def take(*_: object, **__: object) -> Any:
        raise StoreError("the disk is full")

    caller = SimpleNamespace(key_id="", supplier=None)
    body = b'{"items": [{"product_id": "p0", "quantity": 1}]}'
    with pytest.raises(Refused, match="the disk is full") as refused:
        asyncio.run(put(Elsewhere(take), caller, {}, body))  # type: ignore[arg-type]
    assert refused.value.status == 503
