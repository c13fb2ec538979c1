"""Filters over HTTP: in a query string and in a body."""

from typing import Any

import pytest
from starlette.testclient import TestClient

HOME = "/v1/customers/c0/recommendations"


def shown(answer: dict[str, Any]) -> list[str]:
    return sorted(item["product_id"] for item in answer["items"])


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (["price<=3"], ["p0", "p1", "p2", "p3"]),
        (["price>3", "category=Books"], ["p5", "p7"]),  # p9 has neither
        (['category="Toys & Games"|Books', "supplier!=s0"], ["p1", "p3", "p5", "p7"]),
        (["product_id=p2|p4|none"], ["p2", "p4"]),
        (["replenishable!=true"], []),
    ],
)
def test_all_filters_hold_in_queries_and_in_bodies(
    client: TestClient, where: list[str], ids: list[str]
) -> None:
    got = client.get(HOME, params={"filter": where, "n": 10, "seen": "keep"})
    assert shown(got.json()) == ids
    body = {"customers": ["c0"], "where": where, "n": 10, "seen": "keep"}
    posted = client.post("/v1/recommendations", json=body)
    assert shown(posted.json()["customers"][0]) == ids


def test_a_filter_that_cannot_be_read_names_itself(client: TestClient) -> None:
    problem = client.get(HOME, params={"filter": ["price<3", "colour=red"]}).json()
    assert (problem["status"], problem["parameter"]) == (400, "filter")
    assert "no column 'colour' at character 1" in problem["detail"]


def test_a_value_that_no_product_has_is_told(client: TestClient) -> None:
    answer = client.get(HOME, params={"filter": "brand!=branb 1", "n": 2}).json()
    assert [note["code"] for note in answer["warnings"]] == ["unknown_value"]
    assert "branb 1" in answer["warnings"][0]["detail"]
