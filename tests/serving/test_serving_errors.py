"""What is refused, how it is said, and that nothing a caller sends makes the server fail."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from serving.app import create
from serving.problems import Refused
from serving.questions import from_body, from_query
from serving.settings import Settings

ASKED = "/v1/customers/c0/recommendations"
POSTED = "/v1/recommendations"


def problem(response, status: int) -> dict:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    ("query", "parameter", "says"),
    [
        ("n=0", "n", "n must be a whole number from 1 to 100, got '0'"),
        ("n=101", "n", "got '101'"),
        ("n=ten", "n", "got 'ten'"),
        ("n=1_0", "n", "got '1_0'"),
        ("n=%D9%A1", "n", "got '١'"),
        ("n=" + "9" * 5000, "n", "…"),
        ("n=1&n=2", "n", "n must stand once, got it 2 times"),
        ("seen=maybe", "seen", "seen must be drop or keep, got 'maybe'"),
        ("surface=Home%20page", "surface", "surface must be 1 to 40 of"),
        ("price_min=cheap", "price_min", "price_min must be a number such as 9.99"),
        ("price_max=nan", "price_max", "got 'nan'"),
        ("price_max=" + "9" * 400, "price_max", "price_max must be"),
        ("price_min=5&price_max=4", "price_min", "must not be above price_max, got 5.0 and 4.0"),
        ("category=", "category", "category must have 1 to 256 characters, got ''"),
        ("categroy=Toys", "categroy", "no parameter 'categroy'; there are n, exclude, among, seen"),
        ("exclude=" + ",".join(map(str, range(1001))), "exclude", "got 1001"),
        ("&".join(["brand=x"] * 101), "brand", "brand may stand 100 times, got 101"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_what_is_wanted(
    client, query, parameter, says
):
    body = problem(client.get(f"{ASKED}?{query}"), 400)
    assert body["parameter"] == parameter
    assert says in body["detail"]
    assert len(body["detail"]) < 300


@pytest.mark.parametrize(
    ("body", "status", "parameter"),
    [
        ("", 400, None),
        ("{", 400, None),
        ('{"products": ["\\ud800"]}', 400, None),
        (b'{"products": ["\xff"]}', 400, None),
        ("[]", 422, None),
        ("{}", 422, "products"),
        ('{"products": ["p0"], "customers": ["c0"]}', 422, "products"),
        ('{"products": []}', 422, "products"),
        ('{"products": [1]}', 422, "products[0]"),
        ('{"products": ["p0"], "n": 101}', 422, "n"),
        ('{"products": ["p0"], "N": 10}', 422, None),
        ('{"products": ["p0"], "filters": {"price_min": -1}}', 422, "filters.price_min"),
        ('{"products": ["p0"], "filters": {"price_min": 2, "price_max": 1}}', 422, "price_min"),
        (json.dumps({"customers": ["c0"] * 101}), 422, "customers"),
        (json.dumps({"products": ["p0"] * 201}), 422, "products"),
        (json.dumps({"products": ["p" * 257]}), 422, "products[0]"),
    ],
)
def test_a_wrong_body_is_a_problem_that_names_the_field(client, body, status, parameter):
    assert problem(client.post(POSTED, content=body), status).get("parameter") == parameter


def test_a_body_that_is_too_large_is_refused(client):
    body = b'{"products": ["' + b"x" * (1 << 20) + b'"]}'
    assert "1048576 bytes" in problem(client.post(POSTED, content=body), 413)["detail"]


def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(client):
    for method, url, allowed in (
        ("DELETE", ASKED, "GET, HEAD"),
        ("GET", POSTED, "POST"),
        ("POST", "/healthz", "GET, HEAD"),
    ):
        response = client.request(method, url)
        problem(response, 405)
        assert response.headers["allow"] == allowed


def test_a_path_that_is_nothing_is_a_problem(client):
    for url in ("/nothing", "/v1/customers/c0", "/v1/", "/pages/../settings.py", "/healthz/"):
        assert "see /docs" in problem(client.get(url), 404)["detail"]


def test_an_empty_or_endless_id_is_refused(client):
    for url in ("/v1/customers//recommendations", f"/v1/customers/{'x' * 257}/recommendations"):
        assert problem(client.get(url), 400)["parameter"] == "customer_id"
    assert problem(client.get("/v1/products//similar"), 400)["parameter"] == "product_id"


def test_of_similar_products_nobody_has_seen_any(client):
    assert problem(client.get("/v1/products/p0/similar?seen=drop"), 400)["parameter"] == "seen"


def test_without_a_bundle_every_answer_is_503_and_readyz_says_why(tmp_path):
    with TestClient(create(Settings(bundles=tmp_path / "none", poll_seconds=0.02))) as client:
        for response in (
            client.get(ASKED),
            client.get("/v1/products/p0/similar"),
            client.post(POSTED, json={"products": ["p0"]}),
        ):
            assert "publish one" in problem(response, 503)["detail"]
            assert response.headers["retry-after"] == "1"
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert "there is no bundle at" in ready.json()["reason"]
        assert client.get("/healthz").json() == {"status": "ok"}
        page = client.get("/inspect")
        assert (page.status_code, "Nothing is published yet" in page.text) == (503, True)


def test_our_own_mistake_is_a_500_without_our_innards(shop, monkeypatch):
    def fails(*_: object) -> None:
        raise RuntimeError("secret")

    client = shop()
    monkeypatch.setattr("serving.desk.rank", fails)
    body = problem(client.get(ASKED), 500)
    assert "secret" not in json.dumps(body)
    assert 'status="500"} 1.0' in client.get("/metrics").text


@given(st.binary(max_size=300))
def test_any_query_string_is_a_question_or_refused(query):
    with contextlib.suppress(Refused):
        assert 1 <= (from_query(query).n or 10) <= 100


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_body_is_a_question_or_refused(body):
    with pytest.raises(Refused):
        from_body(body)
