"""The front: every HTTP request in, let in, answered or passed on, and measured.

Plain ASGI before Starlette: a customer's recommendations, asked most, are answered here without a
router, a Request object or a middleware in between. Everything else is passed on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.desk import Desk
from serving.endpoints import encode
from serving.guard import Caller, Edges, Guard, Load, merged, needed, request_id
from serving.guard.headers import Given
from serving.guard.load import SHED_BODY, SHED_HEADERS
from serving.logs import Lines
from serving.messages import Headers, send_json
from serving.problems import MEDIA_TYPE, Refused
from serving.problems import body as problem
from serving.questions import checked_id, from_query
from serving.traces import Traces

CUSTOMERS, RECOMMENDATIONS = "/v1/customers/", "/recommendations"
ROUTE = "/v1/customers/{customer_id}/recommendations"
CALLER = "regulars.caller"
UNSHED = frozenset({"/healthz", "/readyz", "/metrics"})


class Front:
    """Admits, sheds, answers the hot route, passes the rest to `app`, measures all."""

    def __init__(
        self,
        app: ASGIApp,
        desks: Mapping[str, Desk],
        guard: Guard,
        load: Load,
        edges: Edges,
        *,
        traces: Traces | None,
    ) -> None:
        self.app, self.desks, self.guard = app, desks, guard
        self.load, self.edges, self.traces = load, edges, traces
        self.lines = Lines()
        self.state: Any = getattr(app, "state", None)
        self.nobody = next(iter(desks.values())).metrics  # counts what no key belongs to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        given: Given = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        own = self.edges.headers(given)
        hot = (
            (method == "GET" or method == "HEAD")
            and path.endswith(RECOMMENDATIONS)
            and path.startswith(CUSTOMERS)
            and len(path) >= len(CUSTOMERS) + len(RECOMMENDATIONS)
        )
        status, route, metrics, shop, key, surface = 500, "none", self.nobody, "", "", ""
        id = request_id(given)
        entered = False
        try:
            preflight = self.edges.preflight(method, given)
            if preflight is not None:
                status = 204
                await send({"type": "http.response.start", "status": 204, "headers": preflight})
                await send({"type": "http.response.body", "body": b""})
                return
            self.edges.check(scope)
            wanted = needed(method, path)
            caller: Caller | None = None
            if wanted is not None:
                reading = method in ("GET", "HEAD")
                caller = self.guard.admit(given, wanted, began, basic=reading)
                shop, key = caller.shop, caller.key_id
                metrics = self.desks[shop].metrics
            if path not in UNSHED:
                entered = self.load.enter(began)
                if not entered:
                    status = 503
                    head: Headers = [*SHED_HEADERS, *own]
                    await send({"type": "http.response.start", "status": 503, "headers": head})
                    await send({"type": "http.response.body", "body": SHED_BODY})
                    return
            if hot and caller is not None:
                route = ROUTE
                desk = self.desks[caller.shop]
                question = from_query(scope["query_string"])
                surface = question.surface
                customer = checked_id("customer_id", path[len(CUSTOMERS) : -len(RECOMMENDATIONS)])
                person = desk.store.peek(customer)
                if person is None:
                    person = await desk.store.person(customer)
                asked = desk.ask(customer, question, person, at=time.time())
                ranked = desk.ranked(asked)
                answer = desk.answer(asked, ranked, seconds=time.perf_counter() - began)
                if id is None:
                    id = answer.request_id
                status = 200
                await send_json(send, encode(answer), [(b"x-request-id", id.encode()), *own])
                return
            id = id or self._name()
            passed = _Passed(send, [(b"x-request-id", id.encode()), *own])
            scope[CALLER] = caller
            try:
                await self.app(scope, receive, passed)
            finally:
                status = passed.status
                found = scope.get("route")
                route = "none" if found is None else found.path_format
        except Refused as error:
            status, id = error.status, id or self._name()
            await _refuse(send, error, own, id)
        except asyncio.CancelledError:
            raise
        except Exception:
            if not hot:
                raise
            id = id or self._name()
            _LOG.exception("%s failed", ROUTE, extra={"request_id": id})
            await _refuse(send, Refused(500, "the server failed; its log says why"), own, id)
        finally:
            if entered:
                self.load.leave()
            seconds = time.perf_counter() - began
            metrics.request(route, status, seconds)
            if self.lines.worth(status, seconds):
                self.lines.write(
                    status,
                    seconds,
                    request_id=id,
                    method=method,
                    route=route,
                    shop=shop,
                    key=key,
                    surface=surface,
                )
            if self.traces is not None:
                self.traces.request(
                    given,
                    method=method,
                    route=route,
                    status=status,
                    seconds=seconds,
                    shop=shop,
                    surface=surface,
                    request_id=id or "",
                )

    def _name(self) -> str:
        """A name for a request that is not an answer's."""
        return next(iter(self.desks.values())).request_id()


_LOG = logging.getLogger("regulars")


class _Passed:
    """`send` for what is passed on: adds headers, remembers the status."""

    __slots__ = ("headers", "send", "status")

    def __init__(self, send: Send, headers: Headers) -> None:
        self.send, self.headers, self.status = send, headers, 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = merged([*message.get("headers", ())], self.headers)
        await self.send(message)


async def _refuse(send: Send, error: Refused, own: Headers, id: str) -> None:
    """A refusal as problem+json."""
    content = problem(error.status, error.detail, error.parameter)
    head: Headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(content)),
        (b"cache-control", b"no-store"),
        *((name.encode(), value.encode()) for name, value in error.headers.items()),
        (b"x-request-id", id.encode()),
        *own,
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": head})
    await send({"type": "http.response.body", "body": content})
