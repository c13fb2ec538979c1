"""The Python client: what it sends, what it makes of the answers, and when it tries again."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serving.clients import regulars
from serving.clients.regulars import Event, Failed, Refused, Regulars

ANSWER = {
    "request_id": "r1",
    "model": {"name": "als", "version": "4"},
    "surface": "home",
    "experiments": [{"experiment": "mixed", "arm": "b"}],
    "items": [
        {"product_id": "p1", "rank": 1, "score": 0.5, "source": "als", "reason": "you chose it"},
        {
            "product_id": "p2",
            "rank": 2,
            "score": None,
            "source": "popular",
            "reason": "popular in the shop",
            "substitute_for": "p9",
            "explain": {
                "sources": {"popular": 1},
                "boost": 1.0,
                "pinned": False,
                "since": True,
                "shown_before": 2,
            },
        },
    ],
    "fallback": False,
    "warnings": [{"code": "filled", "detail": "one popular product"}],
}
PART = ("experiments", "items", "fallback", "warnings")
MANY = {name: ANSWER[name] for name in ("request_id", "model", "surface")} | {
    "customers": [{"customer_id": "c1"} | {name: ANSWER[name] for name in PART}]
}
PROBLEM = {
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "n must be a whole number from 1 to 100, got '0'",
    "parameter": "n",
}


class Till:
    """A server that gives the answers it was told, then the last one again, and notes all asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], object]] = [(200, {}, ANSWER)]
        self.asked: list[tuple[str, str, object, dict[str, str]]] = []
        self.connections: set[object] = set()
        till = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                till.connections.add(self.client_address)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sent = json.loads(body) if body else None
                till.asked.append((self.command, self.path, sent, dict(self.headers)))
                status, headers, given = till.answers[0]
                if len(till.answers) > 1:
                    till.answers.pop(0)
                content = given if isinstance(given, bytes) else json.dumps(given).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def till() -> Iterator[Till]:
    till = Till()
    threading.Thread(target=till.server.serve_forever, daemon=True).start()
    yield till
    till.server.shutdown()
    till.server.server_close()


@pytest.fixture
def shop(till: Till) -> Iterator[Regulars]:
    with contextlib.closing(Regulars(till.url, key="rk_secret")) as shop:
        yield shop


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """Waits between two tries, noted instead of slept."""
    noted: list[float] = []
    monkeypatch.setattr(regulars.time, "sleep", noted.append)
    return noted


def test_an_answer_is_typed_to_its_last_field(shop):
    answer = shop.recommend("c1")
    assert answer.model.version == "4"
    assert answer.experiments[0].arm == "b"
    assert answer.items[0].explain is None
    assert answer.items[1].explain.sources == {"popular": 1}
    assert answer.items[1].substitute_for == "p9"
    assert answer.warnings[0].code == "filled"


def test_what_a_newer_server_adds_is_passed_over(till, shop):
    till.answers = [(200, {}, ANSWER | {"colour": "green"})]
    assert shop.recommend("c1").request_id == "r1"


def test_questions_are_sent_as_the_api_wants_them(till, shop):
    shop.recommend("ann/1 ü", surface="cart", n=3, filter=["price<=30", "brand!=A|B"], explain=True)
    shop.similar("p/1", exclude=("p2", "p3"), substitutes=False)
    shop.visit(("p1",), surface="product")
    till.answers = [(200, {}, MANY)]
    assert shop.many(["c1"], filter=["price<=30"]).customers[0].items[0].product_id == "p1"
    assert [(method, path, body) for method, path, body, _ in till.asked] == [
        (
            "GET",
            "/v1/customers/ann%2F1%20%C3%BC/recommendations"
            "?surface=cart&n=3&filter=price%3C%3D30&filter=brand%21%3DA%7CB&explain=true",
            None,
        ),
        ("GET", "/v1/products/p%2F1/similar?exclude=p2&exclude=p3&substitutes=false", None),
        ("POST", "/v1/recommendations", {"products": ["p1"], "surface": "product"}),
        ("POST", "/v1/recommendations", {"customers": ["c1"], "where": ["price<=30"]}),
    ]
    assert {headers["Authorization"] for *_, headers in till.asked} == {"Bearer rk_secret"}


def test_events_bear_an_id_of_their_own_and_nothing_that_was_not_said(till, shop):
    till.answers = [(200, {}, {"accepted": 1, "known": 1})]
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    bought = Event("purchase", "p1", "c1", quantity=2, unit_price=9.5, event_time=at)
    assert shop.events([bought, bought]) == (1, 1, [])
    first, second = till.asked[0][2]["events"]
    assert first == second
    assert first == {
        "event_id": bought.event_id,
        "event_type": "purchase",
        "product_id": "p1",
        "customer_id": "c1",
        "channel": "web",
        "quantity": 2,
        "unit_price": 9.5,
        "event_time": "2026-01-02T03:04:05+00:00",
    }
    assert Event("view_item", "p1").event_id != Event("view_item", "p1").event_id


def test_stock_is_told_for_the_shop_or_for_one_store(till, shop):
    till.answers = [(200, {}, {"accepted": 2, "stale": 0, "unknown": ["p2"], "version": 9})]
    assert shop.stock({"p1": 0, "p2": 7.5}).unknown == ["p2"]
    shop.stock({"p1": 3}, store="s1")
    assert [body for *_, body, _ in till.asked] == [
        {"items": [{"product_id": "p1", "quantity": 0}, {"product_id": "p2", "quantity": 7.5}]},
        {"items": [{"product_id": "p1", "quantity": 3, "store_id": "s1"}]},
    ]


def test_a_refusal_has_the_problems_fields_and_is_not_tried_again(till, shop):
    till.answers = [(400, {}, PROBLEM)]
    with pytest.raises(Refused, match="n must be a whole number") as caught:
        shop.recommend("c1", n=0)
    assert (caught.value.status, caught.value.parameter) == (400, "n")
    assert len(till.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(till, shop, pauses, status):
    till.answers = [(status, {"Retry-After": "2"}, PROBLEM), (200, {}, ANSWER)]
    assert shop.recommend("c1").request_id == "r1"
    assert len(till.asked) == 2
    assert 2 <= pauses[0] <= 3


def test_a_server_that_stays_busy_is_a_refusal_after_three_tries(till, shop):
    till.answers = [(503, {"Retry-After": "1"}, b"<html>a gateway</html>")]
    with pytest.raises(Refused) as caught:
        shop.recommend("c1")
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert len(till.asked) == 3


def test_more_patience_than_a_page_has_is_left_to_the_caller(till, shop):
    till.answers = [(429, {"Retry-After": "60"}, PROBLEM)]
    with pytest.raises(Refused) as caught:
        shop.recommend("c1")
    assert caught.value.retry_after == 60
    assert len(till.asked) == 1


def test_one_connection_serves_every_call_of_a_thread(till, shop):
    for _ in range(5):
        shop.recommend("c1")
    assert len(till.connections) == 1


def test_a_connection_that_the_server_has_closed_is_opened_again(till, shop):
    till.answers = [(200, {}, ANSWER)]
    shop.recommend("c1")
    shop._here.connection.sock.shutdown(socket.SHUT_RDWR)
    assert shop.recommend("c1").request_id == "r1"


def test_no_server_at_all_is_a_failure_after_three_tries(pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Failed, match="/v1/customers/c1"):
        Regulars(url).recommend("c1")
    assert len(pauses) == 2


def test_a_silent_server_is_a_failure_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(Failed):
            Regulars(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05).recommend("c1")
        assert time.monotonic() - started >= 0.15


def test_an_address_that_is_none_is_refused_at_once():
    with pytest.raises(ValueError, match="url must be such as https://host:8000, got 'shop'"):
        Regulars("shop")
