"""Edges: whose pages may ask, what every answer bears, how large a request's head may be."""

import gc
import json
import socket
import threading
import time

import pytest
import uvicorn

from serving.guard import Edges, merged, request_id
from serving.guard.edges import MOST_HEADERS, MOST_PATH, MOST_QUERY
from serving.problems import Refused
from serving.wire import MOST_HEAD, Wire

SHOP = "https://shop.example"


def origin(text):
    return {b"host": b"x", b"origin": text.encode()}


def allowed(headers):
    return {name: value for name, value in headers if name.startswith(b"access-control")}


def test_every_answer_bears_the_security_headers_and_keeps_its_own():
    extra = Edges().headers({})
    assert (b"x-content-type-options", b"nosniff") in extra
    page = [(b"referrer-policy", b"origin")]
    assert merged(page, extra) == [*page, (b"x-content-type-options", b"nosniff")]


@pytest.mark.parametrize("other", [SHOP, "https://evil.example", "null", "*"])
def test_without_origins_no_page_of_another_host_may_read(other):
    assert not allowed(Edges().headers(origin(other)))


def test_an_allowed_page_may_read_and_no_other():
    edges = Edges([SHOP])
    headers = edges.headers(origin(SHOP))
    assert allowed(headers)[b"access-control-allow-origin"] == SHOP.encode()
    assert (b"vary", b"origin") in headers
    for other in (
        "https://shop.example.evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://SHOP.example",
        "https://shop.example/",
        "null",
        "*",
    ):
        headers = edges.headers(origin(other))
        assert not allowed(headers)
        assert (b"vary", b"origin") in headers, "a cache must not mix them"


def test_a_preflight_is_answered_without_a_key_and_says_nothing_to_others():
    asked = {b"access-control-request-method": b"POST"}
    headers = allowed(Edges([SHOP]).preflight("OPTIONS", origin(SHOP) | asked))
    assert b"POST" in headers[b"access-control-allow-methods"]
    assert b"x-api-key" in headers[b"access-control-allow-headers"]
    evil = Edges([SHOP]).preflight("OPTIONS", origin("https://evil.example") | asked)
    assert evil is not None
    assert not allowed(evil)
    assert Edges([SHOP]).preflight("OPTIONS", origin(SHOP)) is None, "an OPTIONS of another kind"
    assert Edges([SHOP]).preflight("POST", origin(SHOP) | asked) is None


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"query_string": b"a" * MOST_QUERY}, None),
        ({"query_string": b"a" * (MOST_QUERY + 1)}, 414),
        ({"raw_path": b"/" * MOST_PATH}, None),
        ({"raw_path": b"/" * (MOST_PATH + 1)}, 414),
        ({"headers": [(b"x", b"y")] * MOST_HEADERS}, None),
        ({"headers": [(b"x", b"y")] * (MOST_HEADERS + 1)}, 431),
    ],
)
def test_a_head_larger_than_can_be_meant_is_refused(more, status):
    scope = {"query_string": b"", "raw_path": b"/", "headers": []} | more
    if status is None:
        Edges().check(scope)
        return
    with pytest.raises(Refused) as caught:
        Edges().check(scope)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (b"0af7651916cd43dd-8448eb.211c:1/a+b=", True),
        (b"x" * 64, True),
        (b"x" * 65, False),
        (b"", False),
        (b"two words", False),
        (b"a\nb", False),
        (b"a\xe9", False),
        (b'"}', False),
    ],
)
def test_a_request_id_is_repeated_only_where_it_is_harmless(sent, taken):
    assert request_id({b"x-request-id": sent}) == (sent.decode("latin-1") if taken else None)


def test_without_a_request_id_there_is_none():
    assert request_id({}) is None


@pytest.fixture
def port():
    """A bare app behind the bounded protocol."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=Wire, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listening.close()
    gc.collect()


def test_a_head_without_end_is_cut_off(port):
    piece = b"x-much: " + b"y" * 8000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        sent = 0
        try:
            while sent < 50 * MOST_HEAD:
                caller.sendall(piece)
                sent += len(piece)
                time.sleep(0.0005)
        except OSError:
            pass
        assert sent < 50 * MOST_HEAD


def test_a_slow_head_within_the_bound_is_read_each_time(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        for _ in range(4):
            caller.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"y" * (MOST_HEAD // 3))
            time.sleep(0.02)
            caller.sendall(b"y" * 10 + b"\r\n\r\n")
            assert caller.recv(4096).startswith(b"HTTP/1.1 200")


def test_what_is_no_request_is_told_as_a_problem(serve, publish, bundles):
    publish()
    host, port = serve(bundles).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        answer = b""
        while part := connection.recv(4096):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["status"] == 400
