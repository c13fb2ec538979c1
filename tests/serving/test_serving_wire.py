"""What is answered at the wire is what ASGI answers, in the order asked, on one connection."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.serving.conftest import serving

Answer = tuple[int, dict[bytes, bytes], bytes]
CUSTOMER = "/v1/customers/{}/recommendations"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """One server for all: no test changes what another one asks."""
    from tests.serving.conftest import published

    root = tmp_path_factory.mktemp("wire") / "bundles"
    root.mkdir()
    published(root)
    with serving() as start:
        host, port = start(root).removeprefix("http://").split(":")
        yield host, int(port)


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: shop", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def answers(address: tuple[str, int], sent: bytes, *, heads: int = 0) -> Iterator[Answer]:
    """Every answer until the server closes, or nothing comes for a while; heads: without body."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(sent)
        connection.settimeout(1.0)
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                try:
                    part = connection.recv(65536)
                except TimeoutError:
                    return
                if not part:
                    return
                held += part
            head, _, held = held.partition(b"\r\n\r\n")
            status, *lines = head.split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            length = 0 if heads else int(headers[b"content-length"])
            while len(held) < length:
                held += connection.recv(65536)
            yield int(status.split()[1]), headers, held[:length]
            held = held[length:]


def items(answer: Answer) -> list[str]:
    assert answer[0] == 200, answer
    return [item["product_id"] for item in json.loads(answer[2])["items"]]


def test_requests_sent_at_once_are_answered_in_their_order(address):
    asked = [CUSTOMER.format(f"c{i}") for i in range(8)]
    found = list(answers(address, b"".join(map(request, asked))))
    alone = [next(answers(address, request(path))) for path in asked]
    assert [items(one) for one in found] == [items(one) for one in alone]
    assert len({json.loads(one[2])["request_id"] for one in found}) == 8


def test_what_asgi_answers_keeps_its_place_between_what_the_wire_does(address):
    hot, other = CUSTOMER.format("c0"), "/v1/products/p1/similar"
    sent = [hot, other, hot, hot, "/healthz", hot, "/nothing", hot]
    found = list(answers(address, b"".join(map(request, sent))))
    assert [status for status, _, _ in found] == [200, 200, 200, 200, 200, 200, 404, 200]
    mine = items(found[0])
    assert [items(found[place]) for place in (2, 3, 5, 7)] == [mine] * 4
    assert items(found[1]) != mine
    assert json.loads(found[4][2]) == {"status": "ok"}


@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        (("Connection: close",), False),
        (("Expect: 100-continue",), True),
        (("Content-Length: 0",), True),
        (("Upgrade: h2c", "Connection: Upgrade"), False),  # what stands behind may be of h2c
    ],
)
def test_a_request_out_of_the_ordinary_is_answered_the_same_by_asgi(address, change, goes_on):
    path = CUSTOMER.format("c3")
    plain = next(answers(address, request(path)))
    found = list(answers(address, request(path, *change) + request(path)))
    assert items(found[0]) == items(plain)
    assert set(found[0][1]) - {b"connection"} == set(plain[1])
    assert len(found) == (2 if goes_on else 1)


def test_http_1_0_is_answered_and_closed(address):
    path = CUSTOMER.format("c3")
    (found,) = answers(address, request(path, version="1.0"))
    assert items(found) == items(next(answers(address, request(path))))


def test_head_has_the_headers_and_no_body(address):
    (found,) = answers(address, request(CUSTOMER.format("c3"), method="HEAD"), heads=1)
    status, headers, body = found
    plain = next(answers(address, request(CUSTOMER.format("c3"))))
    assert (status, body) == (200, b"")
    assert set(headers) == set(plain[1])


@pytest.mark.parametrize("id", ["never/seen", "ä é", "a?b#c", "100%", "c0/recommendations"])
def test_an_id_of_any_characters_is_the_same_by_wire_and_by_asgi(address, id):
    path = CUSTOMER.format(quote(id, safe=""))
    found = json.loads(next(answers(address, request(path)))[2])
    other = json.loads(next(answers(address, request(path, "Content-Length: 0")))[2])
    assert found["warnings"] == other["warnings"]
    assert [note["code"] for note in found["warnings"]] == ["unknown_customer"]
    assert repr(id)[1:-1] in found["warnings"][0]["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (CUSTOMER.format("c0") + "?n=0", 400),
        (CUSTOMER.format("c0") + "?n=3", 200),
        (CUSTOMER.format(""), 400),
        (CUSTOMER.format("x" * 300), 400),
        (CUSTOMER.format("x" * 5000), 414),
        (CUSTOMER.format("c0") + "?surface=" + "x" * 9000, 414),
        ("/v1/customers/recommendations", 404),
    ],
)
def test_a_refusal_is_the_same_by_wire_and_by_asgi(address, path, status):
    found = next(answers(address, request(path)))
    other = next(answers(address, request(path, "Content-Length: 0")))
    assert found[0] == other[0] == status
    if status != 200:
        assert found[1][b"content-type"] == b"application/problem+json"
        assert json.loads(found[2]) == json.loads(other[2])
        assert set(found[1]) == set(other[1])


def test_more_than_a_hundred_headers_are_refused_though_they_bear_one_name(address):
    many = [f"x-more: {i}" for i in range(150)]
    assert next(answers(address, request(CUSTOMER.format("c0"), *many)))[0] == 431


def test_the_name_of_a_request_is_repeated_and_each_answer_bears_a_date(address):
    found = next(answers(address, request(CUSTOMER.format("c0"), "X-Request-Id: mine-7")))
    assert found[1][b"x-request-id"] == b"mine-7"
    assert found[1][b"date"].endswith(b"GMT")
    own = next(answers(address, request(CUSTOMER.format("c0"))))
    assert own[1][b"x-request-id"].decode() == json.loads(own[2])["request_id"]


def test_a_head_in_two_pieces_is_one_request(address):
    sent = request(CUSTOMER.format("c0"))
    with socket.create_connection(address, timeout=10) as connection:
        for start in range(0, len(sent), 7):
            connection.sendall(sent[start : start + 7])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_caller_who_does_not_read_gets_every_answer_once_she_does(address):
    sent = request(CUSTOMER.format("c0") + "?n=10") * 3000
    count = sum(status == 200 for status, _, _ in answers(address, sent))
    assert count == 3000


def test_what_is_nonsense_after_an_answer_is_told_behind_it(address):
    found = list(answers(address, request(CUSTOMER.format("c0")) + b"nonsense\r\n\r\n"))
    assert [status for status, _, _ in found] == [200, 400]


def test_counted_and_logged_as_by_asgi(serve: Callable[[Path], str], publish, bundles):
    publish()
    host, port = serve(bundles).removeprefix("http://").split(":")
    there = host, int(port)
    for path in (CUSTOMER.format("c0"), CUSTOMER.format("c0") + "?n=0"):
        next(answers(there, request(path)))
        next(answers(there, request(path, "Content-Length: 0")))
    (metrics,) = answers(there, request("/metrics"))
    route = 'route="/v1/customers/{customer_id}/recommendations"'
    lines = [line for line in metrics[2].decode().splitlines() if route in line]
    assert any('status="200"' in line and line.endswith(" 2.0") for line in lines)
    assert any('status="400"' in line and line.endswith(" 2.0") for line in lines)
