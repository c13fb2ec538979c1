"""A bundle of about 1 GB in, what it costs to open and to swap it out.

    python benchmarks/opening.py --customers 1000000 --products 100000

Makes a bundle of drawn lists and factors (what stands in them does not change what opening costs),
starts `python -m serving` on it as a whole process, and prints the time from the start of the
process to the first `ready`, its memory with and without the mapped files, the time from a moved
pointer to answers from the other bundle, and the latency of requests meanwhile. `warm`: the files
are in the page cache, as they are where a bundle was just copied to the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))


def main() -> None:
    """Make two bundles, start, swap, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="make or find the bundles here")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ids = made(folder / "bundles", given)
        size = sum(f.stat().st_size for f in (folder / "bundles" / ids[0]).rglob("*"))
        print(
            f"bundle of {size / 1e9:.2f} GB: {given.customers:,} customers x lists of "
            f"{given.length}, {given.products:,} products, als of {given.factors} factors"
        )
        figures = {"bundle_gb": size / 1e9, **measured(folder / "bundles", ids, given)}
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def made(root: Path, given: argparse.Namespace) -> list[str]:
    """The ids of two bundles that differ in their version alone."""
    from features.artifact import point

    listed = root / "ids.json"
    if not listed.exists():
        root.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        ids = [drawn(root, given, version) for version in ("1", "2")]
        listed.write_text(json.dumps(ids))
        print(f"made in {time.monotonic() - started:.0f} s")
    ids = json.loads(listed.read_text())
    point(root / "current", ids[0])
    return list(ids)


def drawn(root: Path, given: argparse.Namespace, version: str) -> str:
    """One bundle, with drawn factors, histories, lists and similar products."""
    import numpy as np
    import pyarrow as pa

    from models import bundle
    from models.bundling import lists
    from models.bundling.files import filled
    from models.purchases import Purchases

    rng = np.random.default_rng(0)
    n, products = given.customers, given.products

    def block(shape: tuple[int, int]) -> tuple[Any, Any]:
        codes = rng.integers(products, size=shape, dtype=np.int32)
        scores = rng.random(shape, dtype=np.float32)
        return codes, -np.sort(-scores, axis=1)

    def fill(directory: Path, name: str, shape: tuple[int, int]) -> None:
        with filled(directory, name, shape) as (codes, scores):
            for start in range(0, shape[0], 100_000):
                part = slice(start, min(start + 100_000, shape[0]))
                codes[part], scores[part] = block((part.stop - start, shape[1]))

    def all_lists(folder: Path, *_: Any, **__: Any) -> None:
        fill(folder, "lists", (n, given.length))

    def all_similar(folder: Path, *_: Any) -> None:
        fill(folder, "similar", (products, lists.SIMILAR))

    with (
        mock.patch.object(bundle, "save_lists", all_lists),
        mock.patch.object(bundle, "save_similar", all_similar),
    ):
        recommender = learned(n, products, given.factors)
        lengths = rng.integers(0, 12, n)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        bought = rng.integers(products, size=starts[-1], dtype=np.int32)
        days = rng.integers(20_000, 20_400, len(bought), dtype=np.int32)
        ids = recommender.products
        return bundle.write(
            root,
            recommender,
            products=pa.table({"product_id": ids, "title": pa.array([f"The {id}" for id in ids])}),
            customers=pa.table(
                {
                    "customer_id": recommender.customers,
                    "lifecycle_stage": pa.array(["active"] * n),
                }
            ),
            popular=ids,
            seen="drop",
            about={"model": {"name": "als", "version": version}, "as_of": "2026-01-01"},
            together=block((products, 50)),
            bought=Purchases(starts, bought, days, np.ones(len(bought), np.int16)),
        )


def learned(customers: int, products: int, factors: int) -> Any:
    """A recommender whose factors were drawn, and histories of 12 products each."""
    import numpy as np
    import pyarrow as pa
    import scipy.sparse as sp

    from features.ids import IdMap
    from models.recommender import Recommender
    from models.scorer import History, make

    rng = np.random.default_rng(1)
    y = rng.standard_normal((products, factors), dtype=np.float32) / np.float32(factors**0.5)
    y *= np.exp(rng.normal(0, 0.5, (products, 1))).astype(np.float32)
    spread = np.square(y, dtype=np.float64).sum(axis=0)
    scorer = make("als", {"factors": factors})
    scorer.restore({"products": y, "spread": spread, "mean": np.ones(1)})
    indices = np.sort(rng.integers(products, size=(customers, 12), dtype=np.int32), axis=1)
    indices = indices.ravel()
    ones = np.ones(len(indices), np.float32)
    weights = sp.csr_matrix(
        (ones, indices, np.arange(0, len(indices) + 1, 12)), (customers, products)
    )
    recommender = Recommender(scorer)
    recommender._known = (
        IdMap(pa.array([f"customer-{row:07d}" for row in range(customers)])),
        IdMap(pa.array([f"product-{code:06d}" for code in range(products)])),
        History(weights, np.zeros(len(indices), np.float32)),
    )
    recommender._scored = products
    return recommender


@contextlib.contextmanager
def serving(root: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], float, float]]:
    """A whole server process: where it answers, seconds and CPU seconds until it was ready."""
    import psutil

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "REGULARS_BUNDLES": str(root),
        "REGULARS_PORT": str(port),
        "REGULARS_POLL_SECONDS": "0.05",
        "REGULARS_LOG_LEVEL": "warning",
    }
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "serving"], env=environment, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        while not ready(url):
            if process.poll() is not None or time.monotonic() - started > 120:
                raise SystemExit("the server did not get ready")
            time.sleep(0.005)
        used = psutil.Process(process.pid).cpu_times()
        yield url, process, time.monotonic() - started, used.user + used.system
    finally:
        process.terminate()
        process.wait(timeout=30)


def ready(url: str) -> bool:
    """Whether /readyz says so."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as response:
            return bool(json.load(response)["ready"])
    except OSError:
        return False


def measured(root: Path, ids: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """Starts, memory, one swap under requests."""
    with serving(root):  # what is compiled once on a machine, is now; files are in the cache
        pass
    seconds, cpu = [], []
    for _ in range(given.starts):
        with serving(root) as (_, _, took, used):
            seconds.append(took)
            cpu.append(used)
    print(
        f"start to ready: {', '.join(f'{s:.2f}' for s in seconds)} s, of "
        f"{', '.join(f'{s:.2f}' for s in cpu)} s of CPU on {os.cpu_count()} cores, warm"
    )
    with serving(root) as (url, process, _, _):
        whole, own = memory(process.pid)
        millions = given.customers / 1e6
        print(
            f"memory: {own:,.0f} MB of its own and {whole - own:,.0f} MB of mapped files read so "
            f"far; of its own per million customers {own / millions:,.0f} MB"
        )
        before = asked(url, given.customers, lambda: time.sleep(2))
        swap = [0.0]
        during = asked(url, given.customers, lambda: swap.append(swapped(url, root, ids[1])))
        _, after = memory(process.pid)
    print(f"swap: {swap[-1]:.2f} s from the pointer to answers of the other bundle")
    for name, some in (("before", before), ("during a swap", during)):
        print(f"one request after another, {name}: {len(some):,} requests, {told(some)}")
    print(f"memory after the swap: {after:,.0f} MB of its own")
    return {
        "ready_s": seconds,
        "ready_cpu_s": cpu,
        "own_mb": own,
        "own_mb_after_swap": after,
        "swap_s": swap[-1],
        "p99_ms_before": quantile(before, 99),
        "p99_ms_during": quantile(during, 99),
        "max_ms_during": max(during) * 1e3,
    }


def memory(pid: int) -> tuple[float, float]:
    """Resident MB of a process, and of them those that are no file's."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: int(line.split()[1]) / 1e3 for line in lines if (name := line.split(":")[0])
             in ("VmRSS", "RssAnon")}  # fmt: skip
    return found["VmRSS"], found["RssAnon"]


def swapped(url: str, root: Path, id: str) -> float:
    """Move the pointer; seconds until the other bundle answers."""
    from features.artifact import point

    started = time.monotonic()
    point(root / "current", id)
    while time.monotonic() - started < 120:
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as response:
            if json.load(response)["bundle"] == id:
                return time.monotonic() - started
        time.sleep(0.01)
    raise SystemExit("the other bundle was not taken")


def asked(url: str, customers: int, meanwhile: Any) -> list[float]:
    """Seconds of each request, one after another, while something else is done."""
    import http.client
    import random

    took: list[float] = []
    over = threading.Event()
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)

    def ask() -> None:
        random_row = random.Random(0)
        while not over.is_set():
            path = f"/v1/customers/customer-{random_row.randrange(customers):07d}/recommendations"
            started = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            took.append(time.perf_counter() - started)
            if answer.status != 200:
                raise SystemExit(f"{answer.status}: {body[:200]!r}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        meanwhile()
    finally:
        over.set()
        thread.join()
    return took


def quantile(seconds: list[float], percent: int) -> float:
    """In milliseconds."""
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1e3


def told(seconds: list[float]) -> str:
    """Middle, p99 and slowest."""
    return (
        f"p50 {quantile(seconds, 50):.2f} ms, p99 {quantile(seconds, 99):.2f} ms, "
        f"slowest {max(seconds) * 1e3:.0f} ms"
    )


if __name__ == "__main__":
    main()
