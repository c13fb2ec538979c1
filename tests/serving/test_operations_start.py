"""The process: what it refuses to start with, what it writes, how it leaves."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest

from features import keys


def run(**environment):
    """`python -m serving` that is to end by itself: its code and what it said."""
    given = {f"REGULARS_{name.upper()}": str(value) for name, value in environment.items()}
    done = subprocess.run(
        [sys.executable, "-m", "serving"],
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stderr


@contextlib.contextmanager
def started(**environment):
    """A server, its address, and its stderr as a file once it has ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {f"REGULARS_{name.upper()}": str(value) for name, value in environment.items()}
    given |= {"REGULARS_PORT": str(port), "REGULARS_POLL_SECONDS": "0.02"}
    process = subprocess.Popen(
        [sys.executable, "-m", "serving"], env=os.environ | given, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.05)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def ask(url, **headers):
    """Status, headers and body of an answer."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_without_keys_it_refuses_to_listen_where_others_reach_it(tmp_path):
    code, said = run(bundles=tmp_path / "bundles", host="0.0.0.0")
    assert code == 2
    assert said.startswith("REGULARS_HOST is '0.0.0.0', which others reach")
    assert "regulars keys add" in said
    assert "REGULARS_OPEN=true" in said
    assert said.count("\n") == 1


def test_a_damaged_file_of_keys_ends_the_start(tmp_path):
    (tmp_path / "keys.json").write_text('{"version": 1, "keys": [{}]}')
    code, said = run(bundles=tmp_path / "bundles")
    assert code == 2
    assert said.startswith(f"{tmp_path / 'keys.json'} is not a file of keys: ")


def test_several_shops_want_keys_each(tmp_path):
    for name in ("books", "toys"):
        (tmp_path / name / "bundles").mkdir(parents=True)
    code, said = run(shops=tmp_path)
    assert code == 2
    assert "keys.json" in said
    assert "regulars keys add" in said


def test_every_line_it_writes_is_json_where_that_was_asked_for(publish, tmp_path):
    publish()
    logged = {"log_format": "json", "log_level": "debug", "traces": "console"}
    with started(bundles=tmp_path / "bundles", **logged) as (process, url):
        status, headers, _ = ask(
            f"{url}/v1/customers/c0/recommendations", **{"x-request-id": "r-1"}
        )
        assert (status, headers["x-request-id"]) == (200, "r-1")
        ask(f"{url}/nothing", **{"x-request-id": "two words"})
        process.terminate()
        _, said = process.communicate(timeout=20)
    lines = [json.loads(line) for line in said.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    (answered,) = [line for line in lines if line.get("request_id") == "r-1"]
    assert answered["status"] == 200
    assert answered["route"] == "/v1/customers/{customer_id}/recommendations"
    assert "two words" not in said
    spans = [line for line in lines if "attributes" in line]
    assert [span["attributes"]["http.response.status_code"] for span in spans][-2:] == [200, 404]


def test_a_key_made_while_it_runs_shuts_it_and_opens_it_to_its_holder(publish, tmp_path):
    publish()
    with started(bundles=tmp_path / "bundles") as (_, url):
        path = f"{url}/v1/customers/c0/recommendations"
        assert ask(path)[0] == 200
        now = datetime(2026, 5, 1, tzinfo=UTC)
        _, secret = keys.add(tmp_path / "keys.json", scopes=["storefront"], now=now, rate=0.1)
        for _ in range(200):
            status, headers, body = ask(path)
            if status == 401:
                break
            time.sleep(0.05)
        assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="regulars"')
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["status"] == 401
        key = {"authorization": f"Bearer {secret}"}
        statuses = [ask(path, **key)[0] for _ in range(2)]
        assert statuses == [200, 429]
        assert ask(f"{url}/metrics", **key)[0] == 403
        for open in ("/healthz", "/readyz", "/openapi.json", "/docs"):
            assert ask(url + open)[0] == 200


def test_told_to_leave_it_is_unready_at_once_and_answers_on_until_it_goes(publish, tmp_path):
    publish()
    with started(bundles=tmp_path / "bundles", drain_seconds=1.5) as (process, url):
        assert ask(f"{url}/readyz")[0] == 200
        process.send_signal(signal.SIGTERM)
        for _ in range(50):
            status, _, body = ask(f"{url}/readyz")
            if status == 503:
                break
            time.sleep(0.02)
        assert status == 503
        assert json.loads(body)["reason"] == "the server is shutting down"
        assert ask(f"{url}/v1/customers/c0/recommendations")[0] == 200
        assert ask(f"{url}/healthz")[0] == 200
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("times", [1, 2])
def test_without_a_drain_or_told_twice_it_goes_at_once(publish, tmp_path, times):
    publish()
    with started(bundles=tmp_path / "bundles", drain_seconds=0 if times == 1 else 600) as (
        process,
        url,
    ):
        assert ask(f"{url}/healthz")[0] == 200
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)
