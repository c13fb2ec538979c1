"""Durability: a server killed at random moments under load in, events lost or doubled out.

    python benchmarks/durability.py --kills 50

Eight connections post batches of 1 to 20 events to `python -m serving` while it is ended by
SIGKILL. After the restart every batch that was acknowledged is sent again: the server must know all
its events. At the end the store's file and the exported parquet files are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

CONNECTIONS, LARGEST = 8, 20  # batches hold so many events at most
READY_SECONDS = 30.0
Batch = list[dict[str, str]]


def main() -> int:
    """Kill as often as asked and print the table; 1 where an event was lost or doubled."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), free_port()
        sent: list[str] = []
        acknowledged: list[str] = []
        starts: list[float] = []
        good: list[Batch] = []
        lost = 0
        for round in range(given.kills + 1):
            server, seconds = started(home, port)
            starts.append(seconds)
            lost += asyncio.run(missing(port, good))
            if round == given.kills:
                break
            moment = draw.uniform(0.05, 1.0)
            good, all = asyncio.run(under_load(server, port, round, draw, moment))
            sent += all
            acknowledged += [one["event_id"] for batch in good for one in batch]
        server.terminate()  # now all is exported
        server.wait(timeout=60)
        kept, exported = in_file(home), in_parquet(home)
    doubled = sum(n > 1 for n in kept.values()) + sum(n > 1 for n in exported.values())
    lost += sum(id not in kept for id in acknowledged) + sum(id not in exported for id in kept)
    rows = [
        ("kills under load", given.kills),
        ("events sent", len(sent)),
        ("events acknowledged", len(acknowledged)),
        ("of these lost", lost),
        ("events twice, in the store or in the export", doubled),
        ("kept without an acknowledgement that arrived", len(kept) - len(set(acknowledged))),
        ("start to answering, median ms", round_ms(statistics.median(starts))),
        ("start to answering, worst ms", round_ms(max(starts))),
    ]
    for name, value in rows:
        print(f"{name:46} {value:>10,}")
    return int(lost > 0 or doubled > 0)


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


def started(home: Path, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """A server that answers, and after how many seconds."""
    environment = os.environ | {
        "REGULARS_BUNDLES": str(home / "bundles"),
        "REGULARS_PORT": str(port),
        "REGULARS_LOG_LEVEL": "critical",
    }
    began = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "serving"], env=environment)
    while time.perf_counter() - began < READY_SECONDS:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, time.perf_counter() - began
        time.sleep(0.01)
    raise SystemExit(f"the server did not answer within {READY_SECONDS:g} s")


async def under_load(
    server: subprocess.Popen[bytes],
    port: int,
    round: int,
    draw: random.Random,
    seconds: float,
) -> tuple[list[Batch], list[str]]:
    """Batches that were acknowledged before the server was killed, and the ids of all sent."""
    good: list[Batch] = []
    sent: list[str] = []
    numbers = itertools.count()

    async def caller() -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in numbers:
                batch = [
                    event(f"{round}-{number}-{i}", draw) for i in range(draw.randint(1, LARGEST))
                ]
                sent.extend(one["event_id"] for one in batch)
                status, _ = await post(reader, writer, batch)
                if status != 200:
                    raise SystemExit(f"the server answered {status}")
                good.append(batch)

    callers = [asyncio.create_task(caller()) for _ in range(CONNECTIONS)]
    await asyncio.sleep(seconds)
    server.kill()
    await asyncio.gather(*callers)
    server.wait()
    return good, sent


async def missing(port: int, batches: list[Batch]) -> int:
    """Send batches again: how many of their events the server did not know."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    for batch in batches:
        status, answer = await post(reader, writer, batch)
        if status != 200:
            raise SystemExit(f"the server answered {status}")
        count += json.loads(answer)["accepted"]
    writer.close()
    return count


def event(id: str, draw: random.Random) -> dict[str, str]:
    """Somebody looks at something."""
    customer, product = f"c{draw.randrange(1000)}", f"p{draw.randrange(1000)}"
    said = {"event_id": id, "event_type": "view_item"}
    return said | {"customer_id": customer, "product_id": product}


async def post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, batch: Batch
) -> tuple[int, bytes]:
    """Status and body of an answer, whole; raises as the connection breaks."""
    body = json.dumps({"events": batch}).encode()
    writer.write(
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


def in_file(home: Path) -> Counter[str]:
    """How often each event stands in the store."""
    with contextlib.closing(sqlite3.connect(home / "state" / "state.sqlite")) as database:
        return Counter(id for (id,) in database.execute("SELECT event_id FROM events"))


def in_parquet(home: Path) -> Counter[str]:
    """How often each event stands in the files for the next training."""
    ids: Counter[str] = Counter()
    for path in (home / "collected").glob("*.parquet"):
        ids.update(pq.read_table(path, columns=["event_id"])["event_id"].to_pylist())
    return ids


def round_ms(seconds: float) -> int:
    """Milliseconds."""
    return int(seconds * 1000 + 0.5)


if __name__ == "__main__":
    sys.exit(main())
