"""The process: what it imports, how fast it is there, how it ends."""

import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

FOREIGN = ("prefect", "mlflow", "implicit", "pandas", "pyspark", "torch", "pipelines", "fastapi")
GUARD = """
import asyncio, os, sys, time
from serving.app import create
from serving.settings import read
app = create(read(os.environ))
async def main():
    async with app.app.router.lifespan_context(app.app):
        desk = next(iter(app.state.desks.values()))
        assert desk.watch.shelf is not None, desk.watch.reason
        from serving.questions import Question
        from serving.state import EMPTY, Event
        for question in (Question(), Question(exclude=("p1",), n=10), Question(surface="cart")):
            asked = desk.ask("c0", question, EMPTY, at=time.time())
            assert desk.answer(asked, desk.ranked(asked)).items
        asked = desk.ask_session(["p0"], Question(), at=time.time())
        assert desk.answer(asked, desk.ranked(asked)).items
        event = Event(event_id="1", event_type="view_item", customer_id="c0", product_id="p0")
        await desk.store.add([event], now=time.time())
        from serving.pages.look import Look
        from serving.pages.shop import shop
        assert shop(desk, desk.watch.shelf, Look(q="c", product="p0"))
asyncio.run(main())
print(",".join(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("kind", ["als", "neighbours"])
def test_serving_imports_no_trainer_and_no_tracker(kind, publish, learned, bundles):
    publish(recommender=learned(kind))
    environment = os.environ | {"REGULARS_BUNDLES": str(bundles)}
    done = subprocess.run(
        [sys.executable, "-c", GUARD], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.strip().split(",")
    assert "serving" in loaded
    assert sorted(set(FOREIGN) & set(loaded)) == []


def test_the_server_is_there_within_seconds_and_ends_gracefully(publish, serve, bundles):
    publish()
    started = time.monotonic()
    url = serve(bundles)
    assert time.monotonic() - started < 6  # 1 s on a quiet machine; this one may be busy
    with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
        assert response.status == 200


def test_a_wrong_setting_ends_the_start_with_its_name():
    environment = os.environ | {"REGULARS_PORT": "http"}
    done = subprocess.run(
        [sys.executable, "-m", "serving"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("REGULARS_PORT is 'http': ")


def test_a_request_that_runs_is_answered_before_the_end(publish, bundles):
    import socket

    publish()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"REGULARS_BUNDLES": str(bundles), "REGULARS_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "serving"], env=environment, stderr=subprocess.DEVNULL
    )
    for _ in range(200):
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            break
        except OSError:
            time.sleep(0.05)
    body = b'{"products": ["p0"], "n": 1}'
    head = f"POST /v1/recommendations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with connection:
        connection.sendall(head.encode() + body[:5])
        time.sleep(0.2)  # the request runs, its body is not whole
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(body[5:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert process.wait(timeout=15) in (0, -signal.SIGTERM)
