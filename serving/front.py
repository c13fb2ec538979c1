"""The front: every HTTP request in, let in, answered or passed on, and measured.

Before Starlette: a customer's recommendations, asked most, are answered here without a router, a
Request object or a middleware in between; `serving/wire.py` asks `quick` for them, without ASGI.
Everything else is passed on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.asked import Asked
from serving.desk import Desk
from serving.endpoints import encode
from serving.guard import Caller, Edges, Guard, Load, merged, needed
from serving.guard.edges import MOST_HEADERS, MOST_PATH
from serving.guard.headers import Given
from serving.guard.load import SHED
from serving.logs import Lines
from serving.messages import JSON, Header, Headers, Reply, send_reply
from serving.problems import MEDIA_TYPE, Refused
from serving.problems import body as problem
from serving.questions import checked_id, from_query
from serving.sources import Found
from serving.state.person import Person
from serving.told import Told
from serving.traces import Traces

CUSTOMERS, RECOMMENDATIONS = "/v1/customers/", "/recommendations"
ROUTE = "/v1/customers/{customer_id}/recommendations"
CALLER = "regulars.caller"
UNSHED = frozenset({"/healthz", "/readyz", "/metrics"})
_BEFORE, _BEHIND = CUSTOMERS.encode(), RECOMMENDATIONS.encode()


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

    def quick(self, scope: Scope, url: bytes, headers: Sequence[Header]) -> Reply | None:
        """The answer to GET `url` where nothing has to be awaited for it; None: ask with ASGI.

        scope: of that very request; what is found out of who asks is noted there.
        """
        path, _, query = url.partition(b"?")
        hot = path.endswith(_BEHIND) and path.startswith(_BEFORE)
        if not hot or len(url) > MOST_PATH or len(headers) > MOST_HEADERS or b"#" in url:
            return None
        text = path.decode("ascii")
        if (customer := _customer(unquote(text) if "%" in text else text)) is None:
            return None
        given = dict(headers)
        if b"content-length" in given or b"transfer-encoding" in given:
            return None
        told = Told(given, "GET", self.edges.headers(given), self.nobody)
        whole = True
        try:
            caller = self._admit(told, "storefront")
            if not self.load.enter(told.began):
                return self._shed(told)
            try:
                desk = self.desks[caller.shop]
                person = desk.store.peek(checked_id("customer_id", customer))
                if person is not None:
                    asked = self._ask(told, desk, customer, query, person)
                    if not asked.scores:
                        return self._answer(told, desk, asked)
                scope[CALLER], whole = caller, False
                return None
            finally:
                self.load.leave()
        except Refused as error:
            return self._refused(told, error)
        except Exception:
            return self._failed(told)
        finally:
            if whole:
                told.end(self.lines, self.traces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request by ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given: Given = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        told = Told(given, method, self.edges.headers(given), self.nobody)
        customer = _customer(path) if method in ("GET", "HEAD") else None
        entered = False
        try:
            preflight = self.edges.preflight(method, given)
            if preflight is not None:
                told.status = 204
                await send_reply(send, Reply(204, preflight, b""))
                return
            self.edges.check(scope)
            wanted = needed(method, path)
            caller = None if wanted is None else self._admit(told, wanted, scope.get(CALLER))
            if path not in UNSHED:
                entered = self.load.enter(told.began)
                if not entered:
                    await send_reply(send, self._shed(told))
                    return
            if customer is not None and caller is not None:
                desk = self.desks[caller.shop]
                person = await desk.person(checked_id("customer_id", customer))
                asked = self._ask(told, desk, customer, scope["query_string"], person)
                reply = self._answer(told, desk, asked, await desk.moment.scored(asked))
                await send_reply(send, reply)
                return
            scope[CALLER] = caller
            await self._pass(told, scope, receive, send)
        except Refused as error:
            await send_reply(send, self._refused(told, error))
        except Exception:
            if customer is None:
                raise
            await send_reply(send, self._failed(told))
        finally:
            if entered:
                self.load.leave()
            told.end(self.lines, self.traces)

    def _admit(self, told: Told, wanted: str, known: Caller | None = None) -> Caller:
        """Who asks, where that is not known yet; raises Refused."""
        caller = known
        if caller is None:
            reading = told.method in ("GET", "HEAD")
            caller = self.guard.admit(told.given, wanted, told.began, basic=reading)
        told.shop, told.key = caller.shop, caller.key_id
        told.metrics = self.desks[caller.shop].metrics
        return caller

    def _ask(self, told: Told, desk: Desk, customer: str, query: bytes, person: Person) -> Asked:
        """What the hot route's answer is made from."""
        told.route = ROUTE
        question = from_query(query)
        told.surface = question.surface
        return desk.ask(customer, question, person, at=time.time())

    def _answer(self, told: Told, desk: Desk, asked: Asked, scored: Found | None = None) -> Reply:
        """The hot route's answer."""
        ranked = desk.ranked(asked, scored)
        answer = desk.answer(asked, ranked, seconds=time.perf_counter() - told.began)
        if told.id is None:
            told.id = answer.request_id
        told.status = 200
        content = encode(answer)
        head = [
            *JSON,
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", told.id.encode()),
            *told.own,
        ]
        return Reply(200, head, content)

    async def _pass(self, told: Told, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer."""
        told.id = told.id or self._name()
        passed = _Passed(send, [(b"x-request-id", told.id.encode()), *told.own])
        try:
            await self.app(scope, receive, passed)
        finally:
            told.status = passed.status
            found = scope.get("route")
            told.route = "none" if found is None else found.path_format

    def _shed(self, told: Told) -> Reply:
        """Turned away: there is too much to do."""
        told.status = SHED.status
        return SHED._replace(headers=[*SHED.headers, *told.own])

    def _refused(self, told: Told, error: Refused) -> Reply:
        """A refusal as problem+json."""
        told.status, told.id = error.status, told.id or self._name()
        content = problem(error.status, error.detail, error.parameter)
        head: Headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(content)),
            (b"cache-control", b"no-store"),
            *((name.encode(), value.encode()) for name, value in error.headers.items()),
            (b"x-request-id", told.id.encode()),
            *told.own,
        ]
        return Reply(error.status, head, content)

    def _failed(self, told: Told) -> Reply:
        """What must not happen, logged."""
        told.id = told.id or self._name()
        _LOG.exception("%s failed", ROUTE, extra={"request_id": told.id})
        reply = self._refused(told, Refused(500, "the server failed; its log says why"))
        told.status = 500
        return reply

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


def _customer(path: str) -> str | None:
    """Whose recommendations a path asks for; None for any other path."""
    if not path.endswith(RECOMMENDATIONS) or not path.startswith(CUSTOMERS):
        return None
    if len(path) < len(CUSTOMERS) + len(RECOMMENDATIONS):
        return None
    return path[len(CUSTOMERS) : -len(RECOMMENDATIONS)]
