"""Routes: a request's method and path in, the scope its key must carry out; unknown is closed."""

from __future__ import annotations

from features.keys import Scope

OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/docs"})
SHOWN = ("/v1/customers/", "/v1/products/", "/v1/recommendations")
STOCK = ("/v1/stock", "/v1/stock/")


def needed(method: str, path: str) -> Scope | None:
    """The scope for a request; None where everybody may ask. Anything unknown is the operator's.

    Who may change stock is `supplier`, which every operator's key carries too: the handler
    compares `caller.supplier`, None for an operator, with the products.
    """
    if path.startswith(SHOWN):
        return "storefront"
    if path in OPEN or path.startswith("/pages/"):
        return None
    if path == "/v1/events":
        return "events"
    if path.startswith(STOCK) and method != "GET":
        return "supplier"
    return "operator"
