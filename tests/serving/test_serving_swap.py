"""Swapping bundles while requests run."""

import asyncio
import itertools
import json
import shutil
import time
from pathlib import Path

import httpx

from features.artifact import point

ASKED = "/v1/customers/c0/recommendations"


def until(holds, seconds: float = 5.0) -> None:
    """Wait until something holds; fail when it does not within the time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def version(client) -> str:
    return client.get(ASKED).json()["model"]["version"]


def about(number: str) -> dict:
    return {"about": {"model": {"name": "near", "version": number}}}


def test_a_new_publication_is_taken_and_an_old_one_again(client, publish):
    first = client.get("/readyz").json()["bundle"]
    second = publish(**about("2"))
    until(lambda: version(client) == "2")
    said = client.get("/readyz").json()
    assert (said["ready"], said["bundle"], said["reason"]) == (True, second, None)
    assert said["troubles"] == []
    point(Path(publish.args[0]) / "current", first)
    until(lambda: version(client) == "1")
    metrics = client.get("/metrics").text
    assert "regulars_bundle_swaps_total 3.0" in metrics
    assert f'regulars_bundle_info{{bundle="{first}",model="near",version="1"}} 1.0' in metrics
    assert second not in metrics


def test_a_damaged_bundle_is_refused_and_the_old_one_goes_on(client, publish, bundles):
    old = client.get("/readyz").json()["bundle"]
    new = publish(**about("2"))
    until(lambda: version(client) == "2")
    point(bundles / "current", old)
    until(lambda: version(client) == "1")
    path = bundles / new / "lists_scores.npy"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    point(bundles / "current", new)
    until(lambda: client.get("/readyz").json()["reason"])
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["bundle"]) == (200, old)
    assert "lists_scores.npy is not what its manifest says" in ready.json()["reason"]
    assert version(client) == "1"
    assert "regulars_bundle_refused_total 0.0" not in client.get("/metrics").text
    path.write_bytes(good)  # mended: it is tried again and taken
    until(lambda: version(client) == "2")
    assert client.get("/readyz").json()["reason"] is None


def test_pointers_that_lead_nowhere_are_refused_in_words(client, publish, bundles):
    for name, says in (
        ("../elsewhere", "holds no bundle's name"),
        ("0123456789abcdef", "has no manifest.json"),
    ):
        point(bundles / "current", name)
        until(lambda says=says: says in (client.get("/readyz").json()["reason"] or ""))
        assert version(client) == "1"
    (bundles / "current").write_bytes(b"\xff\xfe")
    until(lambda: "cannot be read" in (client.get("/readyz").json()["reason"] or ""))
    (bundles / "current").unlink()
    until(lambda: "there is no bundle" in (client.get("/readyz").json()["reason"] or ""))
    assert version(client) == "1"


def test_a_bundle_that_is_deleted_while_it_serves_goes_on_serving(client, bundles):
    shutil.rmtree(bundles / client.get("/readyz").json()["bundle"])
    until(lambda: True)
    assert version(client) == "1"
    assert client.get(f"{ASKED}?category=Books").status_code == 200


def test_no_request_fails_and_no_answer_mixes_bundles_while_many_are_published(
    serve, publish, bundles
):
    """Each bundle of ours sells one product only, and its version says which."""
    import pyarrow as pa

    products = [f"p{j}" for j in range(10)]
    ids = []
    for only in (1, 3, 5, 7):  # what c0 has not taken
        available = [j == only for j in range(10)]
        table = pa.table({"product_id": products, "available": available})
        ids.append(publish(products=table, **about(str(only))))
    url = serve(bundles)

    async def run() -> tuple[list[tuple[int, str]], int]:
        answers: list[tuple[int, str]] = []
        over = asyncio.Event()

        async def ask(client: httpx.AsyncClient, ask: dict | None) -> None:
            while not over.is_set():
                if ask is None:
                    response = await client.get(f"{url}{ASKED}")
                else:
                    response = await client.post(f"{url}/v1/recommendations", json=ask)
                answers.append((response.status_code, response.text))

        async with httpx.AsyncClient(timeout=10) as client:
            many = {"customers": ["c0", "c2", "c0", "c2", "nobody"]}
            asks = [asyncio.create_task(ask(client, body)) for body in (None, None, many)]
            swaps = itertools.cycle(ids)
            for _ in range(40):
                await asyncio.to_thread(point, bundles / "current", next(swaps))
                await asyncio.sleep(0.05)
            over.set()
            await asyncio.gather(*asks)
            metrics = (await client.get(f"{url}/metrics")).text
        swapped = next(x for x in metrics.splitlines() if x.startswith("regulars_bundle_swaps_t"))
        return answers, int(float(swapped.split()[1]))

    answers, swapped = asyncio.run(run())
    assert len(answers) > 100
    assert swapped > 10
    seen = set()
    for status, text in answers:
        assert status == 200, text
        answer = json.loads(text)
        only = f"p{answer['model']['version']}"
        seen.add(only)
        for part in answer.get("customers", [answer]):
            assert [item["product_id"] for item in part["items"]] == [only]
    assert len(seen) == 4
