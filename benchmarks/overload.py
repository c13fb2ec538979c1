"""Overload: a server asked more than it can answer, with shedding and without, side by side out.

    python benchmarks/overload.py [--milliseconds 2] [--times 0.7 3] [--seconds 8]

The server is `serving.guard.Load` in front of a handler that computes for so many milliseconds (a
session ranked live costs about 2), on the uvicorn options of `python -m serving`. First a closed
loop over 16 connections finds its capacity. Then requests arrive by the clock at `times` that
rate, as behind a balancer that holds 1,024 connections: each takes a free one, or waits for one.
Latency counts from the moment a request was due. Who waits longer than 2 s gives up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

PATIENCE = 2.0  # seconds
CONNECTIONS = 1024
ASK = b"GET /v1/customers/c1/recommendations HTTP/1.1\r\nhost: shop\r\n\r\n"


def main() -> None:
    """Start, ask, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--milliseconds", type=float, default=2.0)
    parser.add_argument("--times", type=float, nargs="*", default=[0.7, 3.0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "SHED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(int(given.serve[0]), given.serve[1] == "yes", given.milliseconds / 1000)
        return
    import uvloop

    heads = ("answered/s", "turned away/s", "gave up/s", "p50 ms", "p99 ms", "503 p99 ms")
    print(f"{'':26}" + "".join(f"{head:>14}" for head in heads))
    for shed in ("no", "yes"):
        with running(shed, given.milliseconds) as port:
            capacity = uvloop.run(closed(port, seconds=3.0))
            for times in given.times:
                result = uvloop.run(crowd(port, capacity * times, given.seconds))
                name = f"shedding {shed:3} {times:g} x {capacity:.0f}/s"
                print(f"{name:26}" + "".join(f"{result[head]:14,.1f}" for head in heads))
                time.sleep(1.0)


def serve(port: int, shed: bool, seconds: float) -> None:
    """One process that answers after computing for so long."""
    import uvicorn

    from serving.guard import Load
    from serving.guard.load import SHED
    from serving.metrics import Process
    from serving.wire import Wire

    load = Load(128, Process())
    body, clock = b'{"items": []}' * 40, time.perf_counter
    headers = [(b"content-length", str(len(body)).encode())]
    watching: list[asyncio.Task[None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        now = clock()
        if not watching and shed:
            watching.append(asyncio.create_task(load.ticking()))
        if shed and not load.enter(now):
            start = {"type": "http.response.start", "status": 503, "headers": SHED.headers}
            await send(start)
            await send({"type": "http.response.body", "body": SHED.body})
            return
        while clock() - now < seconds:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        if shed:
            load.leave()

    uvicorn.run(
        app, port=port, http=Wire, loop="uvloop", ws="none", lifespan="off",
        log_level="error", access_log=False, server_header=False,
        timeout_graceful_shutdown=1, timeout_keep_alive=30,
    )  # fmt: skip


@contextlib.contextmanager
def running(shed: str, milliseconds: float) -> Iterator[int]:
    """The server in a process of its own; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, __file__, "--serve", str(port), shed]
    command += ["--milliseconds", str(milliseconds)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(15)


class Line(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.due: asyncio.Future[int] | None = None
        self._held = b""

    def connection_made(self, transport: Any) -> None:
        """Connected."""
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        """Gone: whoever waits gets 0."""
        self._done(0)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer."""
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]):
            self._held = b""
            self._done(int(head[9:12]))

    def ask(self) -> asyncio.Future[int]:
        """Send a request; its status will come."""
        self.due = asyncio.get_running_loop().create_future()
        self.transport.write(ASK)
        return self.due

    def _done(self, status: int) -> None:
        if self.due is not None and not self.due.done():
            self.due.set_result(status)


async def line(port: int) -> Line:
    """A new connection."""
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(Line, "127.0.0.1", port)
    return made


async def closed(port: int, *, seconds: float) -> float:
    """Requests a second over 16 connections, each asking again as soon as it was answered."""
    until, count = time.perf_counter() + seconds, 0

    async def one() -> None:
        nonlocal count
        to = await line(port)
        while time.perf_counter() < until:
            await to.ask()
            count += 1
        to.transport.close()

    await asyncio.gather(*(one() for _ in range(16)))
    return count / seconds


async def crowd(port: int, rate: float, seconds: float) -> dict[str, float]:
    """Requests by the clock for so long, the first second not counted."""
    free: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await line(port))
    seen: list[tuple[int, float]] = []
    start = time.perf_counter()

    async def one(due: float) -> None:
        status = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE - (time.perf_counter() - due)):
                to = await free.get()
                if to.transport.is_closing():  # it was idle too long for the server
                    to = await line(port)
                try:
                    status = await to.ask()
                finally:
                    if status:
                        free.put_nowait(to)
                    else:  # an answer that nobody waits for would come over it
                        to.transport.close()
                        again.append(asyncio.ensure_future(line(port)))
                        again[-1].add_done_callback(lambda made: free.put_nowait(made.result()))
        if due - start > 1.0:
            seen.append((status, time.perf_counter() - due))

    again: list[asyncio.Future[Line]] = []
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = start + number / rate
            while (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(due))
    await asyncio.gather(*again)
    while not free.empty():
        free.get_nowait().transport.close()
    counts, span = Counter(status for status, _ in seen), seconds - 1.0
    good = sorted(latency for status, latency in seen if status == 200)
    away = sorted(latency for status, latency in seen if status == 503)
    return {
        "answered/s": counts[200] / span,
        "turned away/s": counts[503] / span,
        "gave up/s": counts[0] / span,
        "p50 ms": 1000 * at(good, 0.5),
        "p99 ms": 1000 * at(good, 0.99),
        "503 p99 ms": 1000 * at(away, 0.99),
    }


def at(values: list[float], share: float) -> float:
    """A quantile; nan of nothing."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


if __name__ == "__main__":
    main()
