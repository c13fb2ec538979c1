"""Through the whole application: shops kept apart, origins, limits, and the doors always open."""

import contextlib
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from features import keys
from serving.app import create
from serving.settings import Settings

SHOP = "https://shop.example"
PATH = "/v1/customers/c0/recommendations"
EVERY = keys.SCOPES[:3]


@pytest.fixture
def opened():
    """Open an app on settings of one's own."""
    with contextlib.ExitStack() as stack:

        def open(**settings):
            app = create(Settings(poll_seconds=0.02, retry_seconds=0.05, **settings))
            return stack.enter_context(TestClient(app, raise_server_exceptions=False)), app

        yield open


@pytest.fixture
def two(tmp_path, publish, opened):
    """Two shops in one server: its client and a key for everything in each."""
    secrets = {}
    for name in ("books", "toys"):
        home = tmp_path / "shops" / name
        (home / "bundles").mkdir(parents=True)
        publish.func(home / "bundles", version=name)
        now = datetime(2026, 5, 1, tzinfo=UTC)
        secrets[name] = keys.add(home / "keys.json", scopes=EVERY, now=now)[1]
    client, _ = opened(shops=tmp_path / "shops")
    return client, {name: {"x-api-key": secret} for name, secret in secrets.items()}


def test_a_key_is_answered_by_its_own_shop(two):
    client, key = two
    for name in ("books", "toys", "books"):
        answer = client.get(PATH, headers=key[name])
        assert answer.status_code == 200
        assert answer.json()["model"]["version"] == name
    assert client.get(PATH).status_code == 401


def test_what_one_shop_is_told_another_does_not_know(two):
    client, key = two
    items = [{"product_id": f"p{i}", "quantity": 0} for i in range(10)]
    told = client.put("/v1/stock", json={"items": items}, headers=key["books"])
    assert told.status_code == 200, told.text
    assert client.get(PATH, headers=key["books"]).json()["items"] == []
    assert client.get(PATH, headers=key["toys"]).json()["items"]


def test_metrics_are_the_asking_shops_alone(two):
    client, key = two
    for _ in range(3):
        client.get(PATH, headers=key["books"])
    route = 'regulars_requests_total{route="/v1/customers/{customer_id}/recommendations"'
    assert f'{route},status="200"}} 3.0' in client.get("/metrics", headers=key["books"]).text
    assert route not in client.get("/metrics", headers=key["toys"]).text
    assert client.get("/metrics").status_code == 401


def test_a_page_of_an_allowed_origin_can_read_answers_and_refusals(publish, bundles, opened):
    publish()
    client, _ = opened(bundles=bundles, origins=(SHOP,))
    for path, status in ((PATH, 200), (PATH + "?n=0", 400), ("/nothing", 404), ("/readyz", 200)):
        answer = client.get(path, headers={"origin": SHOP})
        assert (path, answer.status_code) == (path, status)
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["vary"] == "origin"
        other = client.get(path, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
    asks = {"origin": SHOP, "access-control-request-method": "POST"}
    preflight = client.options("/v1/events", headers=asks)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize("path", [PATH, PATH + "?n=0", "/nothing", "/healthz", "/", "/inspect"])
def test_every_answer_bears_the_security_headers_once(client, path):
    answer = client.get(path)
    for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")):
        assert answer.headers.get_list(name) == [value]


@pytest.mark.parametrize("path", [PATH, PATH + "?n=0", "/nothing", "/healthz", "/v1/customers/c0"])
def test_every_answer_names_its_request(client, path):
    assert client.get(path).headers["x-request-id"]
    given = client.get(path, headers={"x-request-id": "trace-7"})
    assert given.headers["x-request-id"] == "trace-7"
    forged = client.get(path, headers={"x-request-id": "a b"})
    assert forged.headers["x-request-id"] != "a b"


def test_the_callers_name_for_a_request_is_not_the_answers(client):
    answers = [client.get(PATH, headers={"x-request-id": "same"}) for _ in range(2)]
    names = {answer.json()["request_id"] for answer in answers}
    assert len(names) == 2
    assert "same" not in names


def test_a_query_longer_than_can_be_meant_is_414(client):
    answer = client.get(PATH + "?exclude=" + "x" * 9000)
    assert answer.status_code == 414
    assert answer.headers["content-type"] == "application/problem+json"


def test_with_too_much_to_do_requests_are_turned_away_and_the_doors_stay_open(
    publish, bundles, opened
):
    publish()
    client, app = opened(bundles=bundles, most_waiting=4)
    app.load.process.running = 4
    for path in (PATH, "/v1/products/p0/similar"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
    assert "regulars_requests_shed_total 2.0" in client.get("/metrics").text
    app.load.process.running = 0
    assert client.get(PATH).status_code == 200


def test_nothing_stays_in_the_works_whatever_the_answer(client):
    for path in (PATH, PATH + "?n=0", "/nothing", "/v1/products/none/similar", "/readyz"):
        client.get(path)
    client.post("/v1/recommendations", content=b"{")
    assert "regulars_requests_running 0.0" in client.get("/metrics").text
