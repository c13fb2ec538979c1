"""The page at `/` of a server that is no demo: nothing in, what this server is out."""

from __future__ import annotations

from serving.pages.html import Markup, header, page, tag

LINKS = (
    ("/docs", "The API", "every request, parameter and answer, with examples"),
    ("/openapi.json", "openapi.json", "the same for programs"),
    ("/inspect", "Inspect", "any customer beside her ranked products; asks for an operator's key"),
    ("/readyz", "Ready?", "which bundle answers, how old it is, what is amiss"),
)


def welcome() -> Markup:
    """The whole page; it names no product and no customer."""
    links = [
        tag("li", tag("a", name, href=href), tag("span", f": {about}", class_="quiet"))
        for href, name, about in LINKS
    ]
    return page(
        "Regulars",
        header(current="/"),
        tag(
            "main",
            tag("h1", "This is a Regulars server"),
            tag(
                "p", "It answers storefronts: for every customer, the products that bring her back."
            ),
            tag("ul", links),
            class_="empty",
            id="main",
        ),
    )
