"""The demo storefront: a shop that anybody can shop in, served at `/` in the demo only."""

from __future__ import annotations

from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.desk import Desk
from serving.problems import Refused
from serving.secure import SECURE
from serving.storefront.goods import known, named, people, searched, shop

HERE = Path(__file__).parent
FILES = {
    "storefront.js": "text/javascript; charset=utf-8",
    "pictures.js": "text/javascript; charset=utf-8",
    "behind.js": "text/javascript; charset=utf-8",
    "storefront.css": "text/css; charset=utf-8",
}


def routes(desk: Desk) -> list[Route]:
    """The shop's page, its files, and what a shop would know of its own products and customers."""
    page = (HERE / "storefront.html").read_bytes()

    async def home(_: Request) -> Response:
        headers = {**SECURE, "cache-control": "no-store"}
        return Response(page, 200, headers, "text/html; charset=utf-8")

    def about(_: Request) -> Response:
        return _json(shop(desk.watch.take()))

    def products(request: Request) -> Response:
        shelf, query = desk.watch.take(), request.query_params
        stock = desk.stock.mask(shelf)
        if "ids" in query:
            return _json(named(shelf, stock, query["ids"].split(",")))
        if "q" in query:
            return _json(searched(shelf, stock, query["q"][:100]))
        raise Refused(400, "want ids=ID,ID or q=TEXT", "ids")

    def customers(request: Request) -> Response:
        shelf, query = desk.watch.take(), request.query_params
        if "id" in query:
            return _json(known(shelf, query["id"]))
        return _json(people(shelf, query.get("q", ""), query.get("stage", "")))

    return [
        Route("/", home),
        Route("/demo/shop", about),
        Route("/demo/products", products),
        Route("/demo/customers", customers),
    ]


def _json(value: object) -> Response:
    headers = {**SECURE, "cache-control": "no-store"}
    return Response(msgspec.json.encode(value), 200, headers, "application/json")
