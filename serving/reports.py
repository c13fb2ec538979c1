"""Reports: the pages that comparisons and experiments left in the workspace in, HTML out.

They are whole by themselves: one file, styles and pictures inside, nothing from another host.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.desk import Desk
from serving.pages.html import header, page, tag
from serving.problems import Refused, shown

NAME = re.compile("[a-z0-9][a-z0-9-]{0,99}")
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"content-security-policy": POLICY, "cache-control": "no-store"}
HTML = "text/html; charset=utf-8"


def routes(desk_of: Callable[[Request], Desk]) -> list[Route]:
    """The list of pages, newest first, and each page; for the operator."""

    def every(request: Request) -> Response:
        folder = desk_of(request).place.pages
        found = sorted(folder.glob("*.html"), key=lambda path: -path.stat().st_mtime_ns)
        links = [
            tag("li", tag("a", path.stem, href=f"/inspect/pages/{path.stem}"))
            for path in found
            if NAME.fullmatch(path.stem)
        ]
        none = tag("p", "None yet: `regulars compare` and `regulars experiment report` make them.")
        body = tag("main", tag("h1", "Reports"), tag("ul", links) if links else none)
        return Response(page("Reports · Regulars", header(current="/inspect/pages"), body),
                        headers=_LISTED, media_type=HTML)  # fmt: skip

    def one(request: Request) -> Response:
        name = request.path_params["name"]
        path = desk_of(request).place.pages / f"{name}.html"
        if not NAME.fullmatch(name) or not path.is_file():
            raise Refused(404, f"there is no report {shown(name)}; /inspect/pages lists them")
        return Response(path.read_bytes(), headers=HEADERS, media_type=HTML)

    return [Route("/inspect/pages", every), Route("/inspect/pages/{name}", one)]


_LISTED = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
