"""Wire: bytes of a connection in, 431 for a head without end out; and a server that leaves well.

uvicorn with httptools reads heads of any length into memory; what has no end has to be refused
before there is a request. And what an app can answer at once (`quick`) needs none of the task,
the messages and the events that ASGI wants for a request: that is half of a request's time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.messages import Reply
from serving.problems import MEDIA_TYPE
from serving.problems import body as problem

MOST_HEAD = 64 * 1024  # bytes, beside the piece that it began in
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Wire(HttpToolsProtocol):
    """uvicorn's protocol with an end to what a head may have, and answers at once.

    An app with `quick(scope, url, headers) -> Reply | None` is asked that first for every plain
    GET of HTTP/1.1, and by ASGI where it gives None.
    """

    head = 0
    answered = False  # the request that is being read, by `quick`
    _held = b""  # answers that leave when all that has arrived is read

    def on_headers_complete(self) -> None:
        """Answer at once, or begin an ASGI request."""
        reply = self._quick() if self.parser.get_method() == b"GET" else None
        self.answered = reply is not None
        if reply is None:
            self._unset_keepalive_if_required()  # of an answer at once to the same piece of bytes
            super().on_headers_complete()
            return
        self.scope["method"] = "GET"
        if not self._held:
            self.loop.call_soon(self._flush)
        self._held += written(reply, self.server_state.default_headers)
        self.on_response_complete()

    def on_message_complete(self) -> None:
        """The end of a request that ASGI answers."""
        if not self.answered:
            super().on_message_complete()

    def shutdown(self) -> None:
        """Close as soon as nothing runs."""
        self._flush()
        super().shutdown()

    def _flush(self) -> None:
        """Send what is held; were it sent at once, whom it wakes would take the processor."""
        held, self._held = self._held, b""
        if held and not self.transport.is_closing():
            self.transport.write(held)

    def _quick(self) -> Reply | None:
        """The app's answer, where nothing about the request is out of the ordinary."""
        cycle, parser = self.cycle, self.parser
        if (
            self.flow.write_paused
            or (cycle is not None and not cycle.response_complete)
            or self.expect_100_continue
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
            or len(self._held) > HIGH_WATER_LIMIT
        ):
            return None
        quick: Callable[..., Reply | None] | None = getattr(self.app, "quick", None)
        return None if quick is None else quick(self.scope, self.url, self.headers)

    def data_received(self, data: bytes) -> None:
        """Parse; a head that arrives whole costs one look."""
        before = self.scope
        super().data_received(data)
        scope = self.scope
        if scope is None or "method" in scope:
            return
        self.head = self.head + len(data) if scope is before else 0  # its head is not whole
        if self.head > MOST_HEAD and not self.transport.is_closing():
            self._flush()
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP request is told as every other error is."""
        content = problem(400, msg)
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(content)}\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            "referrer-policy: no-referrer\r\nconnection: close\r\n\r\n"
        )
        self._flush()
        self.transport.write(head.encode() + content)
        self.transport.close()


def written(reply: Reply, before: Sequence[tuple[bytes, bytes]]) -> bytes:
    """An answer as HTTP/1.1, with more headers before its own."""
    parts = [STATUS_LINE[reply.status]]
    for name, value in before:
        parts += (name, b": ", value, b"\r\n")
    for name, value in reply.headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n", reply.body)
    return b"".join(parts)


class Leaving(uvicorn.Server):
    """Says that it leaves as soon as it is told to, then answers on for `drain` seconds.

    A balancer that asks /readyz sends nothing more by then; what runs is answered after that. A
    second signal ends the waiting.
    """

    def __init__(self, config: uvicorn.Config, *, drain: float, leaves: Callable[[], None]) -> None:
        super().__init__(config)
        self.drain, self.leaves = drain, leaves
        self._until: float | None = None
        self._signal: tuple[int, FrameType | None] = signal.SIGTERM, None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self.leaves()
        if self._until is None and self.drain:
            self._until, self._signal = time.monotonic() + self.drain, (sig, frame)
            return
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        if self._until is not None and time.monotonic() >= self._until and not self.should_exit:
            super().handle_exit(*self._signal)
        return await super().on_tick(counter)
