"""The application: settings in, the ASGI app with every route out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving import pages, problems
from serving.answers import Health, Ready
from serving.endpoints import Desk, Raw
from serving.metrics import Metrics
from serving.middleware import Measured
from serving.openapi import document
from serving.settings import Settings
from serving.watch import Watch

JSON = "application/json"
CUSTOMER = "/v1/customers/{customer_id:id}/recommendations"
SIMILAR = "/v1/products/{product_id:id}/similar"


class IdConvertor(Convertor[str]):
    """An id in a path: anything, slashes and line ends too."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """The id as it stands."""
        return value

    def to_string(self, value: str) -> str:
        """The same."""
        return value


def create(settings: Settings) -> Starlette:
    """An app of its own: nothing is shared with another but the bundle's files."""
    register_url_convertor("id", IdConvertor())
    metrics = Metrics()
    watch = Watch(settings, metrics)
    desk = Desk(watch, metrics, largest_body=settings.max_body_bytes)
    openapi = msgspec.json.encode(document())

    async def healthz(_: Request) -> Response:
        return Response(msgspec.json.encode(Health()), media_type=JSON)

    async def readyz(_: Request) -> Response:
        shelf, reason = watch.shelf, watch.reason
        id, as_of = (shelf.bundle.id, shelf.as_of) if shelf else (None, None)
        ready = Ready(shelf is not None, id, as_of, reason)
        return Response(msgspec.json.encode(ready), 200 if ready.ready else 503, media_type=JSON)

    async def prometheus(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def described(_: Request) -> Response:
        return Response(openapi, media_type=JSON)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with watch.watching():
            yield

    app = Starlette(
        routes=[
            Route(CUSTOMER, Raw(desk.customer), methods=["GET"]),  # first: asked most
            Route(SIMILAR, Raw(desk.similar), methods=["GET"]),
            Route("/v1/recommendations", Raw(desk.many), methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", prometheus),
            Route("/openapi.json", described),
            *pages.routes(desk),
        ],
        middleware=[Middleware(Measured, metrics=metrics)],
        exception_handlers={
            problems.Refused: problems.refused,
            HTTPException: problems.not_served,
            Exception: problems.failed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.watch = watch
    return app
