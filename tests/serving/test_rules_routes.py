"""Rules changed over HTTP, and what shoppers see of it.

c0 took p0, p4, p6, p8 and left out p2; most popular first the shop has 3 0 1 2 4 5 6 7 8 9.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from serving.openapi import document
from serving.rules import document as rules

NOBODY = "/v1/customers/nobody/recommendations?n=4"
POPULAR = ["p3", "p0", "p1", "p2"]


def shown(client: TestClient, url: str = NOBODY) -> list[str]:
    return [item["product_id"] for item in client.get(url).json()["items"]]


def put(client: TestClient, id: str, **rule: Any) -> Any:
    response = client.put(f"/v1/rules/{id}", json=rule)
    assert response.status_code == 200, response.text
    return response.json()


def codes(rule: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in rule["warnings"]]


def test_a_rule_changes_the_very_next_answer_and_so_does_its_removal(client: TestClient) -> None:
    assert shown(client) == POPULAR
    stored = put(client, "a", kind="block", where=["category=Books"])
    assert stored == {
        "version": 1,
        "rule": {
            "id": "a",
            "rule": {"kind": "block", "where": ["category=Books"]},
            "active": True,
            "touches": 4,
            "warnings": [],
        },
    }
    assert shown(client) == ["p0", "p2", "p4", "p6"]
    assert client.delete("/v1/rules/a").json() == {"version": 2, "rule": None}
    assert shown(client) == POPULAR


def test_a_pin_stands_at_its_place_and_a_share_and_a_boost_move_products_up(
    client: TestClient,
) -> None:
    put(client, "a", kind="pin", products=["p9"], place=2)
    assert shown(client) == ["p3", "p9", "p0", "p1"]
    put(client, "b", kind="share", where=["brand=brand 2"], share=0.5)
    assert shown(client) == ["p3", "p9", "p2", "p5"]
    for id in "ab":
        client.delete(f"/v1/rules/{id}")
    hers = "/v1/customers/c0/recommendations?n=5&seen=keep"
    *better, last = shown(client, hers)
    put(client, "c", kind="boost", products=[last], factor=1000)
    assert shown(client, hers) == [last, *better]


def test_a_rule_for_one_surface_leaves_the_others_alone(client: TestClient) -> None:
    put(client, "a", kind="block", products=["p3"], surfaces=["live"])
    assert shown(client) == POPULAR
    assert shown(client, f"{NOBODY}&surface=live") == ["p0", "p1", "p2", "p4"]


def test_all_rules_are_listed_with_what_they_touch_and_what_contradicts(
    client: TestClient,
) -> None:
    put(client, "b", kind="pin", products=["p3"], place=1)
    answer = put(client, "a", kind="block", where=["category=Books"])
    assert codes(answer["rule"]) == ["pin_blocked"]
    put(client, "c", kind="block", products=["gone"], end="2020-01-01T00:00:00Z", note="old")
    listed = client.get("/v1/rules").json()
    assert listed["version"] == 3
    assert [(rule["id"], rule["touches"], rule["active"]) for rule in listed["rules"]] == [
        ("a", 4, True),
        ("b", 1, True),
        ("c", 0, False),
    ]
    assert [codes(rule) for rule in listed["rules"]] == [
        ["pin_blocked"],
        ["pin_blocked"],
        ["over", "unknown_products", "no_products"],
    ]
    assert listed["skipped"] == []


def test_the_log_says_who_changed_what_from_what_to_what(client: TestClient) -> None:
    put(client, "a", kind="block", products=["p1"])
    put(client, "a", kind="block", products=["p2"], note="better")
    client.delete("/v1/rules/a")
    before, after = {"kind": "block", "products": ["p1"]}, {"kind": "block", "products": ["p2"]}
    log = client.get("/v1/rules/log").json()
    assert [(e["version"], e["rule_id"], e["before"], e["after"]) for e in log["changes"]] == [
        (1, "a", None, before),
        (2, "a", before, after | {"note": "better"}),
        (3, "a", after | {"note": "better"}, None),
    ]
    assert {e["at"][-6:] for e in log["changes"]} == {"+00:00"}
    assert log["more"] is False
    later = client.get("/v1/rules/log?after=2").json()
    assert later["changes"] == log["changes"][2:]


def test_the_log_comes_in_parts(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.rules import routes

    monkeypatch.setattr(routes, "MOST_ENTRIES", 2)
    for id in "abc":
        put(client, id, kind="block", products=["p1"])
    first = client.get("/v1/rules/log").json()
    assert ([e["rule_id"] for e in first["changes"]], first["more"]) == (["a", "b"], True)
    second = client.get("/v1/rules/log?after=2").json()
    assert ([e["rule_id"] for e in second["changes"]], second["more"]) == (["c"], False)


def test_a_dry_run_says_what_would_be_shown_and_stores_nothing(client: TestClient) -> None:
    put(client, "a", kind="block", products=["p3"])
    asked = {"rules": {"a": None, "b": {"kind": "pin", "products": ["p9"], "place": 1}}, "n": 3}
    tried = client.post("/v1/rules:dry-run", json=asked).json()
    assert tried["lists"] == [
        {"customer_id": None, "before": ["p0", "p1", "p2"], "after": ["p9", "p3", "p0"]}
    ]
    assert [(rule["id"], rule["touches"]) for rule in tried["rules"]] == [("b", 1)]
    hers = client.post("/v1/rules:dry-run", json=asked | {"customers": ["c0", "nobody"]}).json()
    assert [one["customer_id"] for one in hers["lists"]] == ["c0", "nobody"]
    assert hers["lists"][0]["before"][0] == "p2"
    assert hers["lists"][0]["after"][:2] == ["p9", "p2"]
    assert shown(client) == ["p0", "p1", "p2", "p4"]
    assert len(client.get("/v1/rules/log").json()["changes"]) == 1


def test_a_dry_run_leaves_nothing_to_chance(shop: Callable[..., TestClient], bundles: Path) -> None:
    (bundles.parent / "shop.toml").write_text("[surfaces.home]\nexplore = 1.0\n")
    client = shop()
    asked = {"rules": {"a": None}, "customers": ["c0"], "n": 3}
    hers = "/v1/customers/c0/recommendations?n=3&seen=keep"
    assert len({tuple(shown(client, hers)) for _ in range(30)}) > 1
    lists = [client.post("/v1/rules:dry-run", json=asked).json()["lists"][0] for _ in range(30)]
    assert len({tuple(one[side]) for one in lists for side in ("before", "after")}) == 1


def test_a_dry_run_holds_to_what_a_shop_may_have(client: TestClient) -> None:
    share = {"kind": "share", "products": ["p1"], "share": 0.01}
    response = client.post("/v1/rules:dry-run", json={"rules": {f"s{i}": share for i in range(21)}})
    assert response.status_code == 422
    assert response.json()["detail"] == "a shop may have 20 shares, got 21"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "parameter"),
    [
        ("PUT", "/v1/rules/a", b"{", 400, None),
        ("PUT", "/v1/rules/a", b'{"kind": "ban"}', 422, "kind"),
        ("PUT", "/v1/rules/a", b'{"kind": "block", "where": ["x=1"]}', 422, "where"),
        ("PUT", "/v1/rules/a%20b", b'{"kind": "block", "products": ["p1"]}', 400, "rule_id"),
        ("PUT", "/v1/rules/log", b'{"kind": "block", "products": ["p1"]}', 400, "rule_id"),
        ("DELETE", "/v1/rules/a", b"", 404, "rule_id"),
        ("GET", "/v1/rules/log?after=-1", b"", 400, "after"),
        ("GET", "/v1/rules/log?n=1", b"", 400, "n"),
        ("POST", "/v1/rules:dry-run", b'{"rules": {}}', 422, "rules"),
        ("POST", "/v1/rules:dry-run", b'{"rules": {"a": {"kind": "block"}}}', 422, "rules"),
        ("POST", "/v1/rules:dry-run", b'{"rules": {"a\\n": null}}', 400, "rule_id"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_that_names_it(
    client: TestClient, method: str, path: str, body: bytes, status: int, parameter: str | None
) -> None:
    response = client.request(method, path, content=body)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem.get("parameter")) == (status, parameter), problem
    assert client.get("/v1/rules").json()["rules"] == []


def test_rules_are_there_again_after_a_restart(shop: Callable[..., TestClient]) -> None:
    put(shop(), "a", kind="block", products=["p3"])
    assert shown(shop()) == ["p0", "p1", "p2", "p4"]


def test_without_a_bundle_rules_can_be_changed_and_nothing_is_said_of_products(
    shop: Callable[..., TestClient], bundles: Path
) -> None:
    client = shop()
    client.app.state.desks[next(iter(client.app.state.desks))].watch.shelf = None  # type: ignore[attr-defined]
    (bundles / "current").unlink()
    stored = put(client, "a", kind="block", products=["gone"])
    assert (stored["rule"]["touches"], stored["rule"]["warnings"]) == (None, [])
    tried = client.post("/v1/rules:dry-run", json={"rules": {"a": None}})
    assert tried.status_code == 503


def test_every_route_and_type_is_in_the_openapi_document() -> None:
    described = document()
    for path, operations in rules.paths().items():
        assert described["paths"][path].keys() == operations.keys()
    text = msgspec.json.encode(rules.paths()).decode()
    for name in ("Rule", "RuleSet", "RuleLog", "StoredRule", "TryRules", "TriedRules", "Problem"):
        assert name in described["components"]["schemas"]
        assert f'"#/components/schemas/{name}"' in text
