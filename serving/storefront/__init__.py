"""The demo storefront: a shop that anybody can shop in, served at `/` in the demo only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.desk import Desk
from serving.pages.sent import file, html, json
from serving.problems import Refused
from serving.storefront.goods import known, named, people, searched, shop

HERE = Path(__file__).parent
FILES = (
    "storefront.js",
    "views.js",
    "sections.js",
    "shopper.js",
    "lists.js",
    "behind.js",
    "pictures.js",
    "storefront.css",
)


def routes(desk_of: Callable[[Request], Desk]) -> list[Route]:
    """The shop's page, its files, and what a shop would know of its own products and customers."""
    page = (HERE / "storefront.html").read_bytes()

    async def home(_: Request) -> Response:
        return html(page)

    def about(request: Request) -> Response:
        return json(shop(desk_of(request).watch.take()))

    def products(request: Request) -> Response:
        desk, query = desk_of(request), request.query_params
        shelf = desk.watch.take()
        stock = desk.stock.mask(shelf)
        if "ids" in query:
            return json(named(shelf, stock, query["ids"].split(",")))
        if "q" in query:
            return json(searched(shelf, stock, query["q"][:100]))
        raise Refused(400, "want ids=ID,ID or q=TEXT", "ids")

    def customers(request: Request) -> Response:
        shelf, query = desk_of(request).watch.take(), request.query_params
        if "id" in query:
            return json(known(shelf, query["id"]))
        return json(people(shelf, query.get("q", ""), query.get("stage", "")))

    return [
        Route("/", home),
        Route("/demo/shop", about),
        Route("/demo/products", products),
        Route("/demo/customers", customers),
        *(file(HERE / name) for name in FILES),
    ]
