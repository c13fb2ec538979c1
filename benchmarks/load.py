"""Load: a list of HTTP requests in, requests per second and latencies out.

A closed loop: each of `connections` keep-alive connections sends its next request when the last
answer is whole. It runs as a process of its own, the same for every server that is compared:

    python benchmarks/load.py --port 8000 --requests FILE --connections 32 --seconds 5

FILE: JSON, a list of {"path": ..., "body": ..., "headers": {...}}; a body makes it a POST. Prints
one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

HEAD = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection that asks until it is told to stop."""

    def __init__(self, asks: itertools.cycle[bytes], until: float) -> None:
        self.asks, self.until = asks, until
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends: list[float] = []
        self.taken: list[float] = []
        self.failed = 0
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        """Ask for the first time."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the next request."""
        self.started = time.perf_counter()
        self.transport.write(next(self.asks))

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; once it is whole, ask again."""
        self.buffer = self.buffer + data if self.buffer else data
        head = self.buffer.find(HEAD)
        if head < 0:
            return
        names = self.buffer[:head].lower()
        place = names.find(b"content-length:")
        if place < 0:
            raise SystemExit(f"no content-length in {names!r}")
        length = int(names[place + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) < head + 4 + length:
            return
        now = time.perf_counter()
        self.ends.append(now)
        self.taken.append(now - self.started)
        self.failed += not names.startswith(b"http/1.1 200")
        self.buffer = b""
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Count a server that hangs up too early as a failure."""
        if not self.done.done():
            self.failed += time.perf_counter() < self.until
            self.done.set_result(None)


def raw(ask: dict[str, Any], host: str) -> bytes:
    """The bytes of one request."""
    head = f"Host: {host}\r\nAccept: */*\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in ask.get("headers", {}).items())
    if "body" not in ask:
        return f"GET {ask['path']} HTTP/1.1\r\n{head}\r\n".encode()
    body = json.dumps(ask["body"]).encode()
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST {ask['path']} HTTP/1.1\r\n{head}\r\n".encode() + body


async def run(
    asks: list[bytes], port: int, *, connections: int, seconds: float, warmup: float
) -> dict[str, Any]:
    """One run against a server; what ends during the warm-up is not counted."""
    loop = asyncio.get_running_loop()
    counted = time.perf_counter() + warmup
    until = counted + seconds
    made = []
    for i in range(connections):
        start = i * len(asks) // connections
        turn = itertools.cycle(asks[start:] + asks[:start])
        connect = functools.partial(Connection, turn, until)
        _, one = await loop.create_connection(connect, "127.0.0.1", port)
        made.append(one)
    await asyncio.wait_for(asyncio.gather(*(one.done for one in made)), warmup + seconds + 60)
    ends = np.concatenate([one.ends for one in made])
    taken = np.concatenate([one.taken for one in made])[ends >= counted]
    return {
        "requests": len(taken),
        "failed": int(sum(one.failed for one in made)),
        "per_second": len(taken) / (ends.max() - counted),
        "p50_ms": float(np.percentile(taken, 50) * 1e3),
        "p99_ms": float(np.percentile(taken, 99) * 1e3),
        "max_ms": float(taken.max() * 1e3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warmup", type=float, default=1.0)
    given = parser.parse_args()
    asks = [raw(ask, f"127.0.0.1:{given.port}") for ask in json.loads(given.requests.read_text())]
    result = uvloop.run(
        run(
            asks,
            given.port,
            connections=given.connections,
            seconds=given.seconds,
            warmup=given.warmup,
        )
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
