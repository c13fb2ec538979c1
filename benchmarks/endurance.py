"""Endurance: publications, rollbacks and a million mixed requests in; failures and memory out.

    python benchmarks/endurance.py [--requests 1000000] [--publications 100] [--rollbacks 10]

Four bundles each sell a quarter of the products, and their version says which: an answer of two
bundles cannot hide. While requests run without a pause (customers, visits, batches, similar
products, events, stock), the pointer goes through the publications and back through the
rollbacks. Every answer is read. Memory is the server's resident set, before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

PARTS = 4
CONNECTIONS = 16


def main() -> None:
    """Publish, serve, ask without a pause, print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--publications", type=int, default=100)
    parser.add_argument("--rollbacks", type=int, default=10)
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--products", type=int, default=2_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bundles"
        ids = publish(root, given)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "REGULARS_BUNDLES": str(root),
            "REGULARS_PORT": str(port),
            "REGULARS_LOG_LEVEL": "error",
            "REGULARS_POLL_SECONDS": "0.05",
        }
        server = subprocess.Popen([sys.executable, "-m", "serving"], env=environment, cwd=ROOT)
        try:
            wait(port)
            report(asyncio.run(endure(port, root, ids, psutil.Process(server.pid), given)), given)
        finally:
            server.terminate()
            server.wait(timeout=60)


def publish(root: Path, given: argparse.Namespace) -> list[str]:
    """Four bundles of one small model; each has a quarter of the products available."""
    import numpy as np
    import pyarrow as pa

    from features.artifact import point
    from models import bundle
    from models.recommender import Recommender
    from models.scorer import make

    rng = np.random.default_rng(0)
    count = 20 * given.customers
    interactions = pa.table(
        {
            "customer_id": [f"c{i}" for i in rng.integers(0, given.customers, count)],
            "product_id": [f"p{i}" for i in rng.integers(0, given.products, count)],
            "weight": np.ones(count, np.float32),
        }
    )
    recommender = Recommender(make("als", {"factors": 32, "iterations": 3})).fit(interactions)
    products = recommender.products.to_pylist()
    ids = []
    for part in range(PARTS):
        table = {
            "product_id": products,
            "title": products,
            "available": [int(id[1:]) % PARTS == part for id in products],
        }
        id = bundle.write(
            root,
            recommender,
            products=pa.table(table),
            customers=pa.table(
                {"customer_id": recommender.customers, "lifecycle_stage": recommender.customers}
            ),
            popular=recommender.products,
            seen="keep",
            about={"model": {"name": "als", "version": str(part)}},
        )
        ids.append(id)
    point(root / "current", ids[0])
    return ids


def wait(port: int) -> None:
    """Until the server is ready."""
    for _ in range(2400):  # the first start compiles
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not get ready")


async def endure(
    port: int, root: Path, ids: list[str], server: psutil.Process, given: argparse.Namespace
) -> dict[str, Any]:
    """Ask and publish at the same time; gives what was counted."""
    from features.artifact import point

    seen: Counter[str] = Counter()
    versions: set[str] = set()
    left = itertools.count()
    warm = given.requests // 10
    memory: list[float] = []

    async def client(number: int) -> None:
        rng = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (turn := next(left)) < given.requests:
            if turn == warm:
                memory.append(server.memory_info().rss / 1e6)
            writer.write(asked(rng, turn, given))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            seen[str(status)] += 1
            if status == 200 and b'"model":' in body:
                check(msgspec.json.decode(body), seen, versions)
        writer.close()

    async def publishing() -> None:
        steps = itertools.cycle(ids)
        for _ in range(given.publications):
            point(root / "current", next(steps))
            await asyncio.sleep(0.25)
        for _ in range(given.rollbacks):
            point(root / "current", ids[0])
            await asyncio.sleep(0.25)
            point(root / "current", ids[1])
            await asyncio.sleep(0.25)

    started = time.monotonic()
    publisher = asyncio.create_task(publishing())
    await asyncio.gather(*(client(number) for number in range(CONNECTIONS)))
    ended = time.monotonic() - started
    done = publisher.done()
    publisher.cancel()
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode()
    swaps = next(line for line in text.splitlines() if line.startswith("regulars_bundle_swaps_t"))
    memory.append(server.memory_info().rss / 1e6)
    return {
        "seen": seen,
        "versions": versions,
        "seconds": ended,
        "published": done,
        "swaps": int(float(swaps.split()[1])),
        "memory": memory,
    }


def asked(rng: random.Random, turn: int, given: argparse.Namespace) -> bytes:
    """One request, of every kind in turn."""
    customer, product = rng.randrange(given.customers * 11 // 10), rng.randrange(given.products)
    kind = turn % 20
    if kind < 12:
        return get(f"/v1/customers/c{customer}/recommendations?n={1 + turn % 20}")
    if kind < 14:
        return get(f"/v1/products/p{product}/similar")
    if kind < 16:
        return send("POST", "/v1/recommendations", {"products": [f"p{product}"], "n": 5})
    if kind < 17:
        ids = [f"c{(customer + i) % given.customers}" for i in range(8)]
        return send("POST", "/v1/recommendations", {"customers": ids})
    if kind < 18:
        return get(f"/v1/customers/visitor-{turn}/recommendations")
    if kind < 19:
        event = {
            "event_id": str(turn),
            "event_type": "view_item",
            "customer_id": f"c{customer}",
            "product_id": f"p{product}",
        }
        return send("POST", "/v1/events", {"events": [event]})
    # A count that changes nothing of who is available: each bundle says that for itself.
    return get(f"/v1/stock/p{product}")


def get(path: str) -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def send(method: str, path: str, body: Any) -> bytes:
    """The bytes of a request with a body."""
    content = json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def check(answer: Any, seen: Counter[str], versions: set[str]) -> None:
    """Every product of an answer is of the bundle that it names; none is empty."""
    part = int(answer["model"]["version"])
    versions.add(answer["model"]["version"])
    lists = [one["items"] for one in answer.get("customers", (answer,))]
    seen["answers"] += 1
    if any(int(item["product_id"][1:]) % PARTS != part for items in lists for item in items):
        seen["mixed"] += 1
    if not all(lists) and answer["surface"] != "product":
        seen["empty"] += 1


def report(found: dict[str, Any], given: argparse.Namespace) -> None:
    """What was counted."""
    seen = found["seen"]
    failed = sum(count for name, count in seen.items() if name.isdigit() and name != "200")
    before, after = found["memory"][0], found["memory"][-1]
    print(f"{given.requests:,} requests in {found['seconds']:.0f} s over {CONNECTIONS} connections")
    print(f"failed                      {failed:,}")
    print(f"answers read                {seen['answers']:,}")
    print(f"of two bundles              {seen['mixed']:,}")
    print(f"empty                       {seen['empty']:,}")
    made = "all" if found["published"] else "NOT ALL"
    both = f"{given.publications} and {given.rollbacks}, {made} made"
    print(f"publications and rollbacks  {both}; {found['swaps']} bundles taken")
    print(f"resident memory             {before:,.0f} MB after a tenth, {after:,.0f} MB at the end")


if __name__ == "__main__":
    main()
