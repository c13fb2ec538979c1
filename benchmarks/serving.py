"""Serving: one als model in, requests per second of servers side by side out.

    python benchmarks/serving.py [--customers 100000] [--products 100000] [--json FILE]

ours    `python -m serving` on the published bundle with everything on: an API key, stock counts,
        seen products dropped, rules (a block, a boost, a share), at most three products of one
        category and brand, what is shown logged
session the same of a sequence model (sasrec, of fewer customers and as many products), asked what
        a visit of one to five products gets: nothing of it is published, each is ranked live
bare    hello as JSON, Starlette on the same uvicorn with the same options
naive   FastAPI calling implicit's `recommend` for each request, the same options
mlflow  `mlflow models serve` of the same model as a pyfunc

All start before the first is asked. The rounds are short and go over them in turn, and what is
compared is the middle of the rounds' ratios: a shared machine's speed changes within seconds. The
load comes from `benchmarks/load.py`, a closed loop in a process of its own. Where the machine has
two cores or more, a server has the first for itself and the load the second: left to the scheduler,
both may run on one for seconds, which halves any server's figure. BLAS has one thread in each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks"
sys.path[0] = str(ROOT)  # run as a script, benchmarks/features.py would stand before features
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "true"}

PAUSE = 1.0  # seconds after a round, for what a server has put off
MOST_ASKED = 100_000  # customers, each asked once before any is asked again
SERVER = ["--http", "httptools", "--loop", "uvloop", "--ws", "none", "--log-level", "warning"]
SERVER += ["--no-access-log", "--no-server-header", "--no-proxy-headers", "--timeout-keep-alive=30"]
TWO = (os.cpu_count() or 1) > 1 and shutil.which("taskset") is not None
ON_FIRST, ON_SECOND = (["taskset", "-c", "0"], ["taskset", "-c", "1"]) if TWO else ([], [])


@dataclass
class Server:
    """One server: how it is started, what it is asked, what it reached."""

    name: str
    command: list[str]
    environment: dict[str, str]
    asks: list[dict[str, Any]]
    port: int = 0
    results: list[dict[str, float]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def median(self, what: str) -> float:
        """The middle of its rounds."""
        return statistics.median(result[what] for result in self.results)

    def beside(self, other: Server, what: str) -> float:
        """The middle of its rounds' ratios to another's of the same round."""
        pairs = zip(self.results, other.results, strict=True)
        return statistics.median(mine[what] / its[what] for mine, its in pairs)


def main() -> None:
    """Make the model, start the servers, ask them in turn, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--without", nargs="*", default=[], help="servers to leave out")
    parser.add_argument("--folder", type=Path, help="keep what is made, and find it again")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        if not (folder / "asked.json").exists():
            make(folder, given)
        known = json.loads((folder / "asked.json").read_text())
        servers = [s for s in listed(folder, **known) if s.name not in given.without]
        for server in servers:
            stack.enter_context(running(server, folder))
        print(f"{'':11}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}")
        for _ in range(given.rounds):
            for server in servers:
                server.results.append(load(server, folder, given))
                time.sleep(PAUSE)
        report(servers, given)


def make(folder: Path, given: argparse.Namespace) -> None:
    """The bundles, the same model for the others, and what is asked."""
    import numpy as np
    import pyarrow as pa
    import scipy.sparse as sp
    from implicit.cpu.als import AlternatingLeastSquares

    from features.artifact import point
    from models import bundle
    from models.recommender import Recommender
    from models.scorer import make as scorer

    started = time.monotonic()
    rng = np.random.default_rng(0)
    popular = np.cumsum(1 / np.arange(10, given.products + 10))
    lengths = rng.integers(5, 40, given.customers)
    rows = np.repeat(np.arange(given.customers), lengths)
    near = rng.integers(0, given.products, given.customers)[rows]  # each has a taste of her own
    common = np.searchsorted(popular, rng.uniform(0, popular[-1], len(rows)))
    own = (near + rng.integers(0, 100, len(rows))) % given.products
    columns = np.where(rng.random(len(rows)) < 0.5, common, own)
    customers = np.array([f"customer-{row}" for row in range(given.customers)])
    products = np.array([f"product-{code}" for code in range(given.products)])
    interactions = pa.table(
        {
            "customer_id": customers[rows],
            "product_id": products[columns],
            "weight": np.ones(len(rows), np.float32),
        }
    )
    parameters = {"factors": given.factors, "iterations": 5}
    recommender = Recommender(scorer("als", parameters)).fit(interactions)
    ids = recommender.products.to_pylist()
    counts = np.bincount(recommender.history.weights.indices, minlength=len(ids))
    id = bundle.write(
        folder / "bundles",
        recommender,
        products=catalogue(ids),
        customers=pa.table(
            {"customer_id": recommender.customers, "lifecycle_stage": recommender.customers}
        ),
        popular=recommender.products.take(pa.array(np.argsort(-counts))),
        seen="drop",
        about={"model": {"name": "als", "version": "1"}},
    )
    point(folder / "bundles" / "current", id)

    model = AlternatingLeastSquares(factors=given.factors)
    model.item_factors = np.ascontiguousarray(recommender.scorer.product_factors)  # type: ignore[attr-defined]
    model.user_factors = recommender.scorer.customer_factors(recommender.history)  # type: ignore[attr-defined]
    (folder / "naive").mkdir()
    model.save(str(folder / "naive" / "model.npz"))
    sp.save_npz(folder / "naive" / "history.npz", recommender.history.weights)
    known = {"customers": recommender.customers.to_pylist(), "products": ids}
    (folder / "naive" / "ids.json").write_text(json.dumps(known))
    print(
        f"{len(known['customers']):,} customers, {len(ids):,} products, {given.factors} factors, "
        f"made in {time.monotonic() - started:.0f} s; {given.connections} connections, "
        f"{given.rounds} rounds of {given.seconds:g} s each\n"
    )
    sessions(folder / "session" / "bundles", interactions, ids)
    asked = rng.permutation(known["customers"])[:MOST_ASKED].tolist()
    visits = [rng.choice(ids, rng.integers(1, 6), replace=False).tolist() for _ in range(5000)]
    (folder / "asked.json").write_text(json.dumps({"asked": asked, "visits": visits}))


def sessions(root: Path, interactions: Any, ids: list[str]) -> None:
    """A sequence model that knows every product; barely trained, which takes no time to answer."""
    import pyarrow as pa

    from features.artifact import point
    from models import bundle
    from models.recommender import Recommender
    from models.scorer import make as scorer

    some = interactions.slice(0, 100_000)
    shelf = pa.table(
        {
            "customer_id": [f"shelf-{place // 50}" for place in range(len(ids))],
            "product_id": ids,
            "weight": pa.array([1.0] * len(ids), pa.float32()),
        }
    )
    parameters = {"factors": 64, "length": 20, "epochs": 1, "negatives": 64, "batch": 512}
    recommender = Recommender(scorer("sasrec", parameters)).fit(pa.concat_tables([some, shelf]))
    people = {"customer_id": recommender.customers, "lifecycle_stage": recommender.customers}
    id = bundle.write(
        root,
        recommender,
        products=catalogue(recommender.products.to_pylist()),
        customers=pa.table(people),
        popular=recommender.products,
        seen="drop",
        about={"model": {"name": "sasrec", "version": "1"}},
    )
    point(root / "current", id)


def catalogue(ids: list[str]) -> Any:
    """A catalogue with what rules and diversity look at."""
    import pyarrow as pa

    count = range(len(ids))
    return pa.table(
        {
            "product_id": ids,
            "title": [f"The {id}" for id in ids],
            "category": [f"category {i % 40}" for i in count],
            "brand": [f"brand {i % 700}" for i in count],
            "supplier_id": [f"supplier {i % 150}" for i in count],
            "price": [1 + i % 90 + 0.99 for i in count],
        }
    )


SHOP = """
[surfaces.home]
limits = { category = 3, brand = 3 }
"""
RULES = {
    "no-seven": {"kind": "block", "where": ["brand=brand 7"]},
    "season": {"kind": "boost", "where": ["category=category 3|category 9"], "factor": 1.2},
    "partner": {"kind": "share", "where": ["supplier=supplier 11"], "share": 0.1},
}


def dress(server: Server, folder: Path) -> None:
    """What a shop does while its server runs: counts of stock, and rules."""
    products = json.loads((folder / "naive" / "ids.json").read_text())["products"]
    items = [{"product_id": id, "quantity": i % 20} for i, id in enumerate(products)]
    for start in range(0, len(items), 10_000):
        put(server, "/v1/stock", {"items": items[start : start + 10_000]})
    for name, rule in RULES.items():
        put(server, f"/v1/rules/{name}", rule)


def put(server: Server, path: str, body: Any) -> None:
    """One change; raises where it is refused."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **server.headers},
        method="PUT",
    )
    urllib.request.urlopen(request, timeout=30).close()


def listed(folder: Path, asked: list[str], visits: list[list[str]]) -> list[Server]:
    """The servers, asked for the same customers; the sequence model's for visits."""
    from datetime import UTC, datetime

    from features import keys

    uvicorn = [sys.executable, "-m", "uvicorn", *SERVER, "--app-dir", str(HERE), "--port", "{port}"]
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    path = "/customers/{}/recommendations"
    record = [
        {"path": "/invocations", "body": {"dataframe_records": [{"customer_id": id}]}}
        for id in asked
    ]
    (folder / "shop.toml").write_text(SHOP)
    (folder / "keys.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "exposures", ignore_errors=True)  # an earlier run's
    scopes = ["storefront", "operator"]
    _, secret = keys.add(folder / "keys.json", scopes=scopes, now=datetime.now(UTC))
    key = {"X-API-Key": secret}
    return [
        Server(
            "ours",
            [sys.executable, "-m", "serving"],
            {"REGULARS_BUNDLES": str(folder / "bundles"), "REGULARS_LOG_LEVEL": "warning"},
            [{"path": "/v1" + path.format(id), "headers": key} for id in asked],
            headers=key,
        ),
        Server("bare", [*uvicorn, "hello_app:app"], {}, [{"path": "/"}]),
        Server(
            "session",
            [sys.executable, "-m", "serving"],
            {
                "REGULARS_BUNDLES": str(folder / "session" / "bundles"),
                "REGULARS_LOG_LEVEL": "warning",
            },
            [{"path": "/v1/recommendations", "body": {"products": visit}} for visit in visits],
        ),
        Server(
            "naive",
            [*uvicorn, "naive_app:app"],
            {"NAIVE_MODEL": str(folder / "naive")},
            [{"path": path.format(id)} for id in asked],
        ),
        Server("mlflow", [*mlflow, "-m", str(folder / "mlflow"), "-p", "{port}"], {}, record),
    ]


@contextlib.contextmanager
def running(server: Server, folder: Path) -> Iterator[None]:
    """The server, until the end; it has answered once."""
    if server.name == "mlflow":
        save_pyfunc(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server.port = free.getsockname()[1]
    command = [part.format(port=server.port) for part in server.command]
    environment = os.environ | server.environment | {"REGULARS_PORT": str(server.port)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / f"{server.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*ON_FIRST, *command],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait(server, process, folder)
        if server.name == "ours":
            dress(server, folder)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(timeout=30)


def wait(server: Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the first request is answered with ten products."""
    first = server.asks[0]
    body = json.dumps(first["body"]).encode() if "body" in first else None
    url = f"http://127.0.0.1:{server.port}{first['path']}"
    for _ in range(2400):
        request = urllib.request.Request(
            url, body, {"Content-Type": "application/json", **server.headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answer = response.read().decode()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
            continue
        if server.name != "bare" and answer.count("product_id") != 10:
            raise SystemExit(f"{server.name} answers {answer[:300]}")
        return
    log = (folder / f"{server.name}.log").read_text()
    raise SystemExit(f"{server.name} does not answer; its log ends with\n{log[-2000:]}")


def save_pyfunc(folder: Path) -> None:
    """The same model as MLflow serves it."""
    import warnings

    shutil.rmtree(folder / "mlflow", ignore_errors=True)  # an earlier run's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        mlflow.pyfunc.save_model(
            str(folder / "mlflow"),
            python_model=str(HERE / "mlflow_model.py"),
            artifacts={"folder": str(folder / "naive")},
            pip_requirements=[],
        )


def load(server: Server, folder: Path, given: argparse.Namespace) -> dict[str, float]:
    """One round of load on a server."""
    asks = folder / f"{server.name}.json"
    asks.write_text(json.dumps(server.asks))
    command = [*ON_SECOND, sys.executable, str(HERE / "load.py"), "--port", str(server.port)]
    command += ["--requests", str(asks), "--connections", str(given.connections)]
    command += ["--seconds", str(given.seconds), "--warmup", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    if result["failed"]:
        raise SystemExit(f"{server.name}: {result['failed']:.0f} requests failed")
    print(
        f"{server.name:11}{result['per_second']:11,.0f}{result['p50_ms']:9.2f}{result['p99_ms']:9.2f}",
        flush=True,
    )
    return result


def report(servers: list[Server], given: argparse.Namespace) -> None:
    """Ours beside each of the others, the middle of the rounds."""
    pairs = [(servers[0], other) for other in servers[1:]]
    named = {server.name: server for server in servers}
    if "session" in named and "bare" in named:
        pairs.append((named["session"], named["bare"]))
    case = f"{given.customers:,} customers x {given.products:,} products"
    rows = []
    print(f"\n{'middle of the rounds':28}{'one':>10}{'other':>10}{'ratio':>9}")
    for ours, other in pairs:
        for what, unit in (("per_second", "requests/s"), ("p50_ms", "ms"), ("p99_ms", "ms")):
            one, two = ours.median(what), other.median(what)
            ratio = ours.beside(other, what)
            ratio = ratio if unit == "requests/s" else 1 / ratio  # above 1, ours is better
            name = what.removesuffix("_ms")
            rows.append(
                {
                    "case": f"{case}, {ours.name}, {name}",
                    "ours": one,
                    "other": two,
                    "other_name": other.name,
                    "ratio": ratio,
                    "unit": unit,
                }
            )
            label = f"{ours.name}, {other.name}, {name}"
            print(f"{label:28}{one:10,.2f}{two:10,.2f}{ratio:9.2f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
