"""Endpoints: a desk and a question for many, for a visit or for products alike in, JSON out."""

from __future__ import annotations

import asyncio
import time

import msgspec
from starlette.types import Scope

from serving.answers import MOST_BATCH, MOST_CUSTOMERS, Answers, ForCustomer
from serving.asked import Asked
from serving.at_once import Ranked
from serving.desk import Desk
from serving.guard import Caller
from serving.moment import scored
from serving.questions import checked_id, from_body, from_query

FEW = 4  # customers that are answered on the spot; more go to a thread, others need not wait
BLOCK = 50  # customers that a thread answers at once

encode = msgspec.json.Encoder().encode


async def similar(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """GET /v1/products/{product_id}/similar."""
    began = time.perf_counter()
    question = from_query(scope["query_string"], similar=True)
    id = checked_id("product_id", scope["path_params"]["product_id"])
    asked = desk.ask_similar(id, question, at=time.time())
    ranked = desk.ranked(asked)
    return encode(desk.answer(asked, ranked, seconds=time.perf_counter() - began))


async def many(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """POST /v1/recommendations."""
    return await _many(desk, body, MOST_CUSTOMERS)


async def batch(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """POST /v1/recommendations:batch."""
    return await _many(desk, body, MOST_BATCH)


async def _many(desk: Desk, body: bytes, most: int) -> bytes:
    began, at = time.perf_counter(), time.time()
    ask, question = from_body(body, most=most)
    if ask.products is not None:
        asked = desk.ask_session(ask.products, question, at=at)
        ranked = desk.ranked(asked, await desk.moment.scored(asked))
        return encode(desk.answer(asked, ranked, seconds=time.perf_counter() - began))
    id, shelf = desk.request_id(), desk.watch.take()
    parts: list[ForCustomer] = []
    customers = ask.customers or ()
    for start in range(0, len(customers), BLOCK):
        block = customers[start : start + BLOCK]
        every = [
            desk.ask(one, question, await desk.person(one), at=at, shelf=shelf) for one in block
        ]
        if len(every) > FEW:
            found = await asyncio.to_thread(_ranked, desk, every)
        else:
            found = _ranked(desk, every)
        parts += [desk.part(id, one, it) for one, it in zip(every, found, strict=True)]
    return encode(Answers(id, shelf.model, question.surface, parts))


def _ranked(desk: Desk, every: list[Asked]) -> list[Ranked]:
    return [desk.ranked(one, its) for one, its in zip(every, scored(every), strict=True)]
