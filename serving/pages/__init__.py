"""Pages: a shelf in, HTML out; no build step, nothing from another host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving import clients
from serving.desk import Desk
from serving.openapi import document
from serving.pages.look import read
from serving.pages.reference import reference
from serving.pages.sent import file, html
from serving.pages.shop import nothing, shop
from serving.pages.welcome import welcome

HERE, CLIENTS = Path(__file__).parent, Path(clients.__file__).parent


def routes(desk_of: Callable[[Request], Desk], *, demo: bool = False) -> list[Route]:
    """The routes of every page. Their functions are not async: they run beside the hot path.

    demo: whether `/` is a shop to try everything in, or says what this server is.
    """

    def inspect(request: Request) -> Response:
        desk = desk_of(request)
        shelf, reason = desk.watch.shelf, desk.watch.reason
        if shelf is None:
            return html(nothing(reason or "no bundle was found"), 503)
        return html(shop(desk, shelf, read(request.query_params)))

    def docs(_: Request) -> Response:
        return html(reference(document()))

    def home(_: Request) -> Response:
        return html(welcome())

    if demo:
        from serving import storefront

        first = storefront.routes(desk_of)
    else:
        first = [Route("/", home)]
    return [
        *first,
        Route("/inspect", inspect),
        Route("/docs", docs),
        *map(file, (HERE / "inspect.js", HERE / "regulars.css", HERE / "icon.svg")),
        file(CLIENTS / "regulars.js"),
    ]
