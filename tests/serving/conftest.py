"""A shop that fits on the screen, published as often as a test likes."""

import contextlib
import functools
import os
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.exceptions import StarletteDeprecationWarning

from features.artifact import point
from models import bundle
from models.recommender import Recommender
from models.scorer import make
from serving.app import create
from serving.settings import Settings

with warnings.catch_warnings():  # it would rather have httpx2
    warnings.simplefilter("ignore", StarletteDeprecationWarning)
    from starlette.testclient import TestClient

CUSTOMERS, PRODUCTS = 8, 10


def fitted(kind: str = "neighbours", **parameters: object) -> Recommender:
    """Customer c0 … c7 take products p0 … p9 of their own colour, and each leaves out one."""
    pairs = [
        (f"c{i}", f"p{j}")
        for i in range(CUSTOMERS)
        for j in range(PRODUCTS)
        if i % 2 == j % 2 and j != (i + 2) % PRODUCTS
    ]
    interactions = pa.table(
        {
            "customer_id": [customer for customer, _ in pairs],
            "product_id": [product for _, product in pairs],
            "weight": pa.array([1 + i / 10 for i in range(len(pairs))], pa.float32()),
        }
    )
    return Recommender(make(kind, parameters)).fit(interactions)


def catalogue(**change: list[object]) -> pa.Table:
    """Even products are toys, odd ones are books; p9 has neither category nor price."""
    columns: dict[str, list[object]] = {
        "product_id": [f"p{j}" for j in range(PRODUCTS)],
        "title": [f"<b>Product</b> {j}" for j in range(PRODUCTS)],
        "category": [["Toys & Games", "Books"][j % 2] for j in range(PRODUCTS - 1)] + [None],
        "brand": [f"brand {j % 3}" for j in range(PRODUCTS)],
        "supplier_id": [f"s{j % 2}" for j in range(PRODUCTS)],
        "price": [float(j) for j in range(PRODUCTS - 1)] + [None],
        "available": [True] * PRODUCTS,
    }
    return pa.table(columns | change)


def published(root: Path, **change: object) -> str:
    """Publish a bundle and point at it; any argument of `bundle.write` may be changed."""
    version = change.pop("version", "1")
    given: dict[str, object] = {
        "recommender": fitted(),
        "products": catalogue(),
        "customers": pa.table({"customer_id": ["c0", "c1"], "lifecycle_stage": ["active", "new"]}),
        "popular": pa.array([f"p{j}" for j in (3, 0, 1, 2, 4, 5, 6, 7, 8, 9)]),
        "seen": "drop",
        "about": {"model": {"name": "near", "version": version}, "as_of": "2026-01-01"},
    } | change
    id = bundle.write(root, **given)  # type: ignore[arg-type]
    point(root / "current", id)
    return id


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is compiled at the first use is compiled before the first test, which may wait less."""
    from serving.shelf import put_up

    root = tmp_path_factory.mktemp("compiled")
    put_up(root / published(root))


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """The folder of bundles in a workspace of its own."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(bundles: Path) -> Settings:
    return Settings(bundles=bundles, poll_seconds=0.02, retry_seconds=0.05)


@pytest.fixture
def publish(bundles: Path) -> Callable[..., str]:
    """Publish the shop, changed as said, and point at it."""
    return functools.partial(published, bundles)


@pytest.fixture
def learned() -> Callable[..., Recommender]:
    return fitted


@pytest.fixture
def shop(bundles: Path, settings: Settings) -> Iterator[Callable[..., TestClient]]:
    """A client of an app that serves the shop, changed as said."""
    with contextlib.ExitStack() as stack:

        def open(**change: object) -> TestClient:
            stack.close()  # a shop's state is one server's
            published(bundles, **change)
            client = TestClient(create(settings), raise_server_exceptions=False)
            return stack.enter_context(client)

        yield open


@pytest.fixture
def client(shop: Callable[..., TestClient]) -> TestClient:
    """A client of an app that serves the shop as it is."""
    return shop()


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Start `python -m serving` on a folder of bundles; gives its address once it answers."""
    with serving() as start:
        yield start


@contextlib.contextmanager
def serving() -> Iterator[Callable[[Path], str]]:
    """The same for as long as it is wanted."""
    running: list[subprocess.Popen[bytes]] = []

    def start(bundles: Path) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "REGULARS_BUNDLES": str(bundles),
            "REGULARS_PORT": str(port),
            "REGULARS_POLL_SECONDS": "0.02",
            "REGULARS_LOG_LEVEL": "warning",
        }
        running.append(subprocess.Popen([sys.executable, "-m", "serving"], env=environment))
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return url
        raise AssertionError("the server did not answer within 10 s")

    yield start
    for process in running:
        process.terminate()
        process.wait(timeout=15)
