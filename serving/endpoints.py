"""Endpoints: a request for recommendations in, its JSON answer out; plain ASGI, no ceremony.

The recommendation routes are the hot path: no Request object, no per-request validation beyond
the question, one encode, two messages.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.answers import Answer, Answers, ForCustomer
from serving.metrics import Metrics
from serving.problems import Refused
from serving.questions import Question, checked_id, from_body, from_query
from serving.ranker import Ranked, for_customer, for_session, similar
from serving.shelf import Shelf
from serving.watch import Watch

FEW = 4  # customers that are answered on the spot; more go to a thread, others need not wait


class Desk:
    """Where answers are made: takes the shelf once a request, numbers and counts the answers."""

    def __init__(self, watch: Watch, metrics: Metrics, *, largest_body: int) -> None:
        self.watch, self.metrics, self.largest_body = watch, metrics, largest_body
        self._encode = msgspec.json.Encoder().encode
        self._prefix = secrets.token_hex(5)
        self._next = itertools.count(1).__next__

    def request_id(self) -> str:
        """A name for one answer, unique over processes and restarts."""
        return f"{self._prefix}-{self._next():x}"

    def answer(self, shelf: Shelf, surface: str, ranked: Ranked, *, counted: bool = True) -> Answer:
        """The whole answer around what was ranked; our own pages are not counted."""
        if counted:
            self.metrics.answers[ranked.fallback] += 1
        return Answer(
            self.request_id(),
            shelf.model,
            surface,
            ranked.items,
            ranked.fallback,
            ranked.warnings,
        )

    async def customer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/customers/{customer_id}/recommendations."""
        shelf = self.watch.take()
        question = from_query(scope["query_string"])
        id = checked_id("customer_id", scope["path_params"]["customer_id"])
        ranked = for_customer(shelf, id, question)
        await _send(send, self._encode(self.answer(shelf, question.surface, ranked)))

    async def similar(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/products/{product_id}/similar."""
        shelf = self.watch.take()
        question = from_query(scope["query_string"], similar=True)
        id = checked_id("product_id", scope["path_params"]["product_id"])
        ranked = similar(shelf, id, question)
        await _send(send, self._encode(self.answer(shelf, question.surface, ranked)))

    async def many(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /v1/recommendations."""
        shelf = self.watch.take()
        ask, question = from_body(await _body(receive, self.largest_body))
        if ask.products is not None:
            ranked = for_session(shelf, ask.products, question)
            await _send(send, self._encode(self.answer(shelf, question.surface, ranked)))
            return
        customers = ask.customers or ()
        if len(customers) > FEW:
            answers = await asyncio.to_thread(self._answers, shelf, customers, question)
        else:
            answers = self._answers(shelf, customers, question)
        for part in answers.customers:
            self.metrics.answers[part.fallback] += 1
        await _send(send, self._encode(answers))

    def _answers(self, shelf: Shelf, customers: tuple[str, ...], question: Question) -> Answers:
        parts = []
        for customer_id in customers:
            ranked = for_customer(shelf, customer_id, question)
            parts.append(ForCustomer(customer_id, *ranked))
        return Answers(self.request_id(), shelf.model, question.surface, parts)


class Raw:
    """A plain ASGI function as a route's endpoint: Starlette wraps functions, not objects."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self.app(scope, receive, send)


async def _body(receive: Receive, largest: int) -> bytes:
    """The request's body; raises Refused (413) as soon as it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the caller went away before the body was read")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise Refused(413, f"the body may have {largest} bytes")
        more = message.get("more_body", False)
    return b"".join(parts)


async def _send(send: Send, body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
