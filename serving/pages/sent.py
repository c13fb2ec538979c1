"""Sent: markup, JSON or a file in, a response that allows nothing from elsewhere out."""

from __future__ import annotations

from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SECURE = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def html(markup: str | bytes, status: int = 200) -> Response:
    """A page; never kept, it shows what is now."""
    return Response(markup, status, {**SECURE, "cache-control": "no-store"}, KINDS[".html"])


def json(value: object) -> Response:
    """A value as JSON."""
    headers = {**SECURE, "cache-control": "no-store"}
    return Response(msgspec.json.encode(value), 200, headers, "application/json")


def file(path: Path) -> Route:
    """A file under /pages; a browser may keep it and asks whether it is still the same."""
    content, kind = path.read_bytes(), KINDS[path.suffix]

    async def served(_: Request) -> Response:
        return Response(content, 200, {**SECURE, "cache-control": "no-cache"}, kind)

    return Route(f"/pages/{path.name}", served)
