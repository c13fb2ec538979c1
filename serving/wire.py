"""Wire: bytes of a connection in, 431 for a head without end out; and a server that leaves well.

uvicorn with httptools reads heads of any length into memory; what has no end has to be refused
before there is a request.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.problems import MEDIA_TYPE
from serving.problems import body as problem

MOST_HEAD = 64 * 1024  # bytes, beside the piece that arrived last
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol with an end to what a head may have."""

    head = 0

    def data_received(self, data: bytes) -> None:
        """Parse; a head that arrives whole costs one look."""
        super().data_received(data)
        scope = self.scope
        if scope is not None and "method" not in scope:  # its head is not whole
            self.head += len(data)
            if self.head > MOST_HEAD and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()
        elif self.head:
            self.head = 0

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP request is told as every other error is."""
        content = problem(400, msg)
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(content)}\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            "referrer-policy: no-referrer\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.close()


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
