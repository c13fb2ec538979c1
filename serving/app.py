"""The application: settings in, the ASGI app with every route out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serving import activation, endpoints, opening, pages, problems, reports
from serving import stocktaking as stock
from serving.answers import Health
from serving.desk import Desk
from serving.front import CALLER, ROUTE, Front
from serving.guard import Caller, Edges, Guard, Load
from serving.messages import body, send_json
from serving.metrics import Process
from serving.openapi import document
from serving.place import places
from serving.readiness import Readiness, readiness
from serving.rules import routes as rules
from serving.rules.dry_run import dry_run
from serving.settings import Settings
from serving.state import collect
from serving.traces import traces

JSON = "application/json"
_SEVERAL = Readiness(
    ready=False, reason=None, bundle=None, as_of=None, bundle_hours=None, tables={},
    stock_seconds=None, troubles=[],
)  # fmt: skip
KEYS_SECONDS = 1.0  # between two looks at the files of keys

Handler = Callable[[Desk, Caller, Scope, bytes], Awaitable[bytes]]


class IdConvertor(Convertor[str]):
    """An id in a path: anything, slashes and line ends too."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """The id as it stands."""
        return value

    def to_string(self, value: str) -> str:
        """The same."""
        return value


def create(settings: Settings) -> Front:
    """An app of its own: nothing is shared with another but the files of its shops."""
    register_url_convertor("id", IdConvertor())
    process = Process()
    desks = {place.name: opening.desk(place, settings, process) for place in places(settings)}
    guard = Guard([desk.place for desk in desks.values()], process, now=time.perf_counter())
    load = Load(settings.most_waiting, process)
    spans = traces(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for desk in desks.values():
                await stack.enter_async_context(opening.running(desk, settings))
            ticking = [asyncio.create_task(load.ticking()), asyncio.create_task(_looking(guard))]
            try:
                yield
            finally:
                for task in ticking:
                    task.cancel()
                await asyncio.gather(*ticking, return_exceptions=True)
                if spans is not None:
                    await asyncio.to_thread(spans.close)

    def handled(path: str, handler: Handler, method: str) -> Route:
        return Route(path, _Handled(handler, desks, settings.max_body_bytes), methods=[method])

    app = Starlette(
        routes=[
            Route(ROUTE.replace("}", ":id}"), _never, methods=["GET"]),  # the front answers it
            handled("/v1/products/{product_id:id}/similar", endpoints.similar, "GET"),
            handled("/v1/recommendations", endpoints.many, "POST"),
            handled("/v1/recommendations:batch", endpoints.batch, "POST"),
            handled("/v1/events", collect.collect, "POST"),
            handled("/v1/stock", stock.put, "PUT"),
            handled("/v1/stock/{product_id:id}", stock.get, "GET"),
            handled("/v1/activations", activation.many, "GET"),
            handled("/v1/activations/{customer_id:id}", activation.one, "GET"),
            handled("/v1/rules", rules.rules, "GET"),
            handled("/v1/rules:dry-run", dry_run, "POST"),
            handled("/v1/rules/log", rules.changes, "GET"),
            handled("/v1/rules/{rule_id}", rules.put, "PUT"),
            handled("/v1/rules/{rule_id}", rules.remove, "DELETE"),
            *_operation(desks, guard, settings),
            *reports.routes(lambda request: _desk(desks, request.scope)),
            *pages.routes(lambda request: _desk(desks, request.scope), demo=settings.demo),
        ],
        exception_handlers={
            problems.Refused: problems.refused,
            HTTPException: problems.not_served,
            Exception: problems.failed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.desks, app.state.leaving = desks, False
    return Front(app, desks, guard, load, Edges(settings.origins), traces=spans)


def _desk(desks: dict[str, Desk], scope: Scope) -> Desk:
    """The caller's shop, or the only one; the first where nobody said."""
    caller: Caller | None = scope.get(CALLER)
    return next(iter(desks.values())) if caller is None else desks[caller.shop]


def _operation(desks: dict[str, Desk], guard: Guard, settings: Settings) -> list[Route]:
    openapi = msgspec.json.encode(document())

    async def healthz(_: Request) -> Response:
        return Response(msgspec.json.encode(Health()), media_type=JSON)

    async def readyz(request: Request) -> Response:
        found = {
            name: readiness(
                opening.parts(
                    desk,
                    keys=guard.process.keys_trouble,
                    leaving=request.app.state.leaving,
                ),
                now=time.time(),
                most_hours=settings.most_hours,
            )
            for name, desk in desks.items()
        }
        ready = any(one.ready for one in found.values())  # one shop's trouble is not the others'
        said = next(iter(found.values()))
        if len(found) > 1:  # the names of shops are nobody's business here
            count = sum(one.ready for one in found.values())
            said = replace(_SEVERAL, ready=ready, reason=f"{count} of {len(found)} shops are ready")
        return Response(msgspec.json.encode(said), 200 if ready else 503, media_type=JSON)

    async def prometheus(request: Request) -> Response:
        desk = desks[request.scope[CALLER].shop]
        opening.count(desk)
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(desk.metrics.text(), media_type=kind)

    async def described(_: Request) -> Response:
        return Response(openapi, media_type=JSON)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", prometheus),
        Route("/openapi.json", described),
    ]


class _Handled:
    """A handler as a route's endpoint: Starlette wraps functions, not objects."""

    def __init__(self, handler: Handler, desks: dict[str, Desk], largest: int) -> None:
        self.handler, self.desks, self.largest = handler, desks, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller = scope[CALLER]
        content = await body(receive, self.largest)
        found = await self.handler(self.desks[caller.shop], caller, scope, content)
        await send_json(send, found, [])


async def _looking(guard: Guard) -> None:
    """Read keys that changed, until cancelled."""
    while True:
        await asyncio.sleep(KEYS_SECONDS)
        guard.look(time.perf_counter())


async def _never(request: Request) -> Response:
    raise AssertionError(f"the front answers {request.url.path}")
