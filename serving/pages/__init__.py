"""Pages: a shelf in, HTML out; no build step, nothing from another host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.desk import Desk
from serving.openapi import document
from serving.pages.html import Markup
from serving.pages.look import read
from serving.pages.reference import reference
from serving.pages.shop import nothing, shop

HERE = Path(__file__).parent
FILES = {
    "regulars.css": "text/css; charset=utf-8",
    "inspect.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
SECURE = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


def routes(desk_of: Callable[[Request], Desk]) -> list[Route]:
    """The routes of every page. Their functions are not async: they run beside the hot path."""

    def home(request: Request) -> Response:
        desk = desk_of(request)
        shelf, reason = desk.watch.shelf, desk.watch.reason
        if shelf is None:
            return _html(nothing(reason or "no bundle was found"), 503)
        return _html(shop(desk, shelf, read(request.query_params)))

    def docs(_: Request) -> Response:
        return _html(reference(document()))

    def file(name: str, kind: str) -> Route:
        content = (HERE / name).read_bytes()

        async def served(_: Request) -> Response:
            headers = {**SECURE, "cache-control": "no-cache"}
            return Response(content, headers=headers, media_type=kind)

        return Route(f"/pages/{name}", served)

    return [
        Route("/inspect", home),
        Route("/docs", docs),
        *(file(name, kind) for name, kind in FILES.items()),
    ]


def _html(markup: Markup, status: int = 200) -> Response:
    headers = {**SECURE, "cache-control": "no-store"}
    return Response(markup, status, headers, "text/html; charset=utf-8")
