"""Visits of one moment share a pass over the products and get what each gets alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import serving.moment
from serving.app import create
from serving.settings import Settings
from serving.sources import score

VISITS = [["p1"], ["p2", "p4"], ["p1", "p3", "p5"], ["p8"], ["p4"], ["p1"], ["nothing"]]


async def ask(app: Any, visit: list[str] | None, **more: object) -> dict[str, Any]:
    """One POST by ASGI, on the loop that runs."""
    asked = more if visit is None else {"products": visit, **more}
    body, sent = json.dumps(asked).encode(), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/recommendations", "query_string": b"",
        "raw_path": b"/v1/recommendations", "headers": [(b"content-type", b"application/json")],
        "http_version": "1.1", "scheme": "http", "server": ("shop", 80), "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    answer: dict[str, Any] = json.loads(sent[1]["body"])
    return {"status": sent[0]["status"], **answer}


@pytest.fixture
def run(settings: Settings, publish: Any) -> Any:
    """Runs what takes the app while its lifespan lasts."""
    publish()

    def run(what: Any) -> Any:
        async def whole() -> Any:
            front = create(settings)
            async with front.app.router.lifespan_context(front.app):  # type: ignore[attr-defined]
                return await what(front)

        return asyncio.run(whole())

    return run


def items(answer: dict[str, Any]) -> list[Any]:
    assert answer["status"] == 200, answer
    return [answer["items"], answer["warnings"], answer["fallback"]]


@pytest.mark.parametrize("seen", ["drop", "keep"])
def test_visits_at_once_get_what_each_gets_alone(run, seen):
    async def both(app):
        alone = [items(await ask(app, visit, seen=seen)) for visit in VISITS]
        together = await asyncio.gather(*(ask(app, visit, seen=seen) for visit in VISITS))
        return alone, [items(one) for one in together]

    alone, together = run(both)
    assert together == alone
    assert alone[0] != alone[1]


def test_visits_at_once_share_passes_of_at_most_so_many(run, monkeypatch):
    passes: list[int] = []

    def counted(visits: Any) -> Any:
        passes.append(len(visits))
        return score(visits)

    monkeypatch.setattr(serving.moment, "score", counted)
    monkeypatch.setattr(serving.moment, "MOST", 3)

    async def crowd(app):
        return await asyncio.gather(*(ask(app, visit) for visit in VISITS[:6] + VISITS[:1]))

    assert all(one["status"] == 200 for one in run(crowd))
    assert passes == [3, 3, 1]


def test_a_visit_that_left_keeps_nobody_else_waiting(run):
    async def one_leaves(app):
        leaving = asyncio.create_task(ask(app, ["p1"]))
        staying = asyncio.create_task(ask(app, ["p2"]))
        await asyncio.sleep(0)  # both have asked, nothing is scored
        leaving.cancel()
        return await staying

    assert items(run(one_leaves))[0]


def test_a_model_that_fails_is_a_500_for_each_and_the_next_is_answered(run, monkeypatch):
    def fails(visits: Any) -> Any:
        raise RuntimeError("no memory")

    async def crowd(app):
        with monkeypatch.context() as broken:
            broken.setattr(serving.moment, "score", fails)
            bad = await asyncio.gather(
                *(ask(app, visit) for visit in VISITS[:3]), return_exceptions=True
            )
        return bad, await ask(app, VISITS[0])

    bad, good = run(crowd)
    assert all(isinstance(one, RuntimeError) or one["status"] == 500 for one in bad)
    assert items(good)[0]


def test_two_bundles_are_not_mixed_in_one_moment(run, publish, learned, bundles: Path):
    async def swapped(app):
        desk = next(iter(app.desks.values()))
        first = [items(await ask(app, visit))[0] for visit in VISITS[:3]]
        asking = [asyncio.create_task(ask(app, visit)) for visit in VISITS[:3]]
        await asyncio.sleep(0)
        publish(recommender=learned("popularity"), version="2")
        await asyncio.to_thread(desk.watch.look)
        late = [items(await task)[0] for task in asking]
        return first, late, await ask(app, VISITS[0])

    first, late, after = run(swapped)
    assert late == first
    assert after["model"]["version"] == "2"


def test_an_answer_for_many_is_of_one_bundle_though_another_comes_into_use(
    run, publish, learned, monkeypatch
):
    customers = [f"c{i % 8}" for i in range(120)]  # more than a thread ranks at once

    async def swapped(app):
        desk = next(iter(app.desks.values()))
        first = await ask(app, None, customers=customers[:8])
        asked: list[str] = []

        async def person(one: str) -> Any:
            asked.append(one)
            if len(asked) in (1, 60):
                count = len(asked)
                publish(recommender=learned("popularity"), version=f"{count + 1}")
                await asyncio.to_thread(desk.watch.look)
            return await desk.store.person(one)

        monkeypatch.setattr(type(desk), "person", lambda _, one: person(one))
        late = await ask(app, None, customers=customers[:100])
        return first, late, await ask(app, None, customers=customers[:8])

    first, late, after = run(swapped)
    assert late["model"] == first["model"]
    assert after["model"]["version"] == "61"
    wanted = {one["customer_id"]: one["items"] for one in first["customers"]}
    assert [one["items"] for one in late["customers"]] == [
        wanted[one["customer_id"]] for one in late["customers"]
    ]
    assert wanted != {one["customer_id"]: one["items"] for one in after["customers"]}
