"""Hostile: requests that nobody should send in, what the server answered out.

    python benchmarks/hostile.py [--requests 100000] [--seed 0]

Hypothesis makes paths, queries, headers and bodies: raw bytes, near misses of every endpoint, wrong
types, numbers at the limits, text of every plane, JSON without end. A 500, an answer over the
limits or a server that is gone fails the run. The shop has no keys: everything can be reached.
"""

from __future__ import annotations

import argparse
import json
import os
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

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

MOST_ITEMS, LARGEST = 100, 4 << 20  # an answer's items and bytes


def main() -> None:
    """Serve a small shop, send, print what came back."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    from benchmarks.endurance import publish, wait

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bundles"
        publish(root, argparse.Namespace(customers=200, products=100))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "REGULARS_BUNDLES": str(root),
            "REGULARS_PORT": str(port),
            "REGULARS_LOG_LEVEL": "error",
        }
        server = subprocess.Popen([sys.executable, "-m", "serving"], env=environment, cwd=ROOT)
        try:
            wait(port)
            started = time.monotonic()
            seen, wrong = attack(port, given.requests, given.seed)
            took = time.monotonic() - started
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as ready:
                alive = json.load(ready)["ready"]
        finally:
            server.terminate()
            server.wait(timeout=60)
    state = "ready" if alive else "NOT ready"
    print(f"{sum(seen.values()):,} requests in {took:.0f} s; the server is {state} afterwards")
    for status, count in sorted(seen.items()):
        print(f"{status:>14} {count:,}")
    print(f"{'500 or over the limits':>14}: {len(wrong)}")
    for one in wrong[:5]:
        print(one)
    raise SystemExit(bool(wrong) or not alive)


def attack(port: int, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Statuses by how often, and what must not have happened."""
    import hypothesis
    from hypothesis import HealthCheck, Phase, given

    seen: Counter[str] = Counter()
    wrong: list[str] = []
    connection = _Connection(port)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy())
    def ask(request: bytes) -> None:
        status, body = connection.ask(request)
        seen[status] += 1
        if status in ("500", "NO ANSWER") or len(body) > LARGEST or _over(body):
            wrong.append(f"{status} to {request[:300]!r}: {body[:200]!r}")

    ask()
    return seen, wrong


def strategy() -> Any:
    """Requests as bytes."""
    from urllib.parse import quote

    from hypothesis import strategies as st

    from serving.openapi import document

    paths = list(document()["paths"])
    text = st.text(max_size=40) | st.sampled_from(
        ["", "c1", "p1", "\x00", "a" * 300, "%", "🛒" * 70]
    )
    names = [
        "n",
        "surface",
        "filter",
        "exclude",
        "among",
        "seen",
        "price_min",
        "price_max",
        "store",
    ]
    names += ["cart", "product", "explain", "substitutes", "category", "after", "channel", "x"]
    tiny = st.sampled_from(["0", "1", "100", "101", "-1", "1e9", "nan", "true", "price<=3", "a=b"])
    pair = st.tuples(st.sampled_from(names) | text, text | tiny)
    query = st.lists(pair, max_size=6).map(
        lambda pairs: "&".join(f"{quote(a, safe='')}={quote(b, safe='')}" for a, b in pairs)
    )
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | text
    tree = st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
        max_leaves=20,
    )
    fields = ["products", "customers", "events", "items", "rules", "n", "where", "among", "filters"]
    fields += ["kind", "place", "factor", "share", "product_id", "quantity", "event_id", "surface"]
    fields += ["event_type", "customer_id", "event_time", "store_id", "observed_at"]
    near = st.dictionaries(st.sampled_from(fields), tree | st.lists(tree, max_size=3), max_size=5)
    event = st.fixed_dictionaries(
        {"event_id": text, "event_type": st.sampled_from(["purchase", "view_item", "x"]),
         "customer_id": text, "product_id": text},
        optional={"quantity": leaf, "unit_price": leaf, "event_time": text},
    )  # fmt: skip
    count = st.fixed_dictionaries({"product_id": text, "quantity": leaf})
    almost = st.lists(event, max_size=3).map(lambda e: {"events": e}) | st.lists(
        count, max_size=3
    ).map(lambda i: {"items": i})
    deep = st.integers(1, 5000).map(lambda depth: b"[" * depth)
    body = (
        (near | almost | tree).map(lambda value: json.dumps(value).encode())
        | st.binary(max_size=200)
        | deep
    )
    method = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
    header = st.sampled_from(
        ["", "X-Request-Id: a b\r\n", "Origin: null\r\n", "Authorization: Bearer x\r\n",
         "X-API-Key: \x7f\r\n", "Expect: 100-continue\r\n", "Content-Type: text/xml\r\n"]
    )  # fmt: skip

    def filled(path: str, id: str) -> str:
        for name in ("{customer_id}", "{product_id}", "{rule_id}"):
            path = path.replace(name, quote(id, safe=""))
        return path

    path = st.builds(filled, st.sampled_from(paths), text) | text.map(lambda t: "/" + quote(t))

    def request(method: str, path: str, query: str, header: str, body: bytes) -> bytes:
        target = f"{path}?{query}" if query else path
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: x\r\n{header}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1", "replace") + body

    made = st.builds(request, method, path, query, header, body)
    return (
        made | made | made | st.binary(min_size=1, max_size=300).map(lambda raw: raw + b"\r\n\r\n")
    )


class _Connection:
    """One keep-alive connection, opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None

    def ask(self, request: bytes) -> tuple[str, bytes]:
        """Status and body; a status in words where there is none."""
        whole = b" HTTP/1.1\r\nHost: x\r\n" in request  # else the server may wait for the rest
        for _ in range(2 if whole else 1):
            if self.socket is None:
                self.socket = socket.create_connection(("127.0.0.1", self.port))
            self.socket.settimeout(30 if whole else 0.05)
            try:
                self.socket.sendall(request)
                return self._read(request.startswith(b"HEAD "))
            except OSError:
                self._close()
        return "NO ANSWER" if whole else "waits for more", b""

    def _read(self, bodiless: bool) -> tuple[str, bytes]:
        assert self.socket is not None
        head, body = self._head(b"")
        while head[9:12] == b"100":  # what Expect asked for; the answer follows
            head, body = self._head(body)
        if not head:
            self._close()
            return "closed", b""
        lower = head.lower()
        length = 0
        if b"content-length:" in lower and not bodiless:
            length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            part = self.socket.recv(65536)
            if not part:
                break
            body += part
        status = head[9:12].decode("latin-1")
        if b"connection: close" in lower or len(body) > length:
            self._close()
        return status, body[:length]

    def _head(self, buffer: bytes) -> tuple[bytes, bytes]:
        """The next head, and what came behind it; nothing where the server closed."""
        assert self.socket is not None
        while b"\r\n\r\n" not in buffer:
            part = self.socket.recv(65536)
            if not part:
                return b"", b""
            buffer += part
        head, _, rest = buffer.partition(b"\r\n\r\n")
        return head, rest

    def _close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def _over(body: bytes) -> bool:
    """Whether an answer holds a list that is longer than any may be."""
    if not body.startswith(b'{"request_id"'):
        return False
    answer = msgspec.json.decode(body)
    lists = [one["items"] for one in answer.get("customers", (answer,))]
    return any(len(items) > MOST_ITEMS for items in lists)


if __name__ == "__main__":
    main()
