"""OpenAPI: the answers' types in, the document that describes every route out."""

from __future__ import annotations

from typing import Any

import msgspec

from features.schemas import CHANNELS
from serving import activation, stocktaking
from serving.answers import (
    LONGEST,
    MOST,
    MOST_BATCH,
    MOST_CUSTOMERS,
    MOST_EXCLUDED,
    MOST_VALUES,
    MOST_WHERE,
    Answer,
    Answers,
    Ask,
    Health,
)
from serving.problems import MEDIA_TYPE, Problem
from serving.readiness import Readiness
from serving.rules import document as rules
from serving.state import collect

VERSION = "1"
KEYED = (401, 403, 429)

Json = dict[str, Any]


def document() -> Json:
    """OpenAPI 3.1, every schema made from the type that is encoded."""
    own = (Answer, Answers, Ask, Readiness, Health, Problem)
    types = dict.fromkeys(
        (*own, *collect.TYPES, *stocktaking.TYPES, *rules.TYPES, *activation.TYPES)
    )
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Regulars",
            "version": VERSION,
            "description": "Ranked products for every customer. Errors are "
            "application/problem+json; an unknown customer is no error, she gets popular products.",
        },
        "paths": {
            "/v1/customers/{customer_id}/recommendations": {"get": _customer()},
            "/v1/products/{product_id}/similar": {"get": _similar()},
            "/v1/recommendations": {"post": _many(MOST_CUSTOMERS, "recommendMany")},
            "/v1/recommendations:batch": {"post": _many(MOST_BATCH, "recommendBatch")},
            **collect.paths(),
            **stocktaking.paths(),
            **rules.paths(),
            **activation.paths(),
            "/healthz": {"get": _plain("healthz", "The process is alive", "Health")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _metrics()},
        },
        "security": [{"bearer": []}, {"key": []}, {}],  # {}: a server without keys asks for none
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _customer() -> Json:
    return {
        "operationId": "recommend",
        "summary": "Products for one customer",
        "description": "Best first. An unknown customer gets popular products, `fallback` true "
        "and the warning `unknown_customer`.",
        "tags": ["recommendations"],
        "parameters": [
            _id("customer_id", "the shop's own id; a slash in it is written %2F"),
            *_narrowing(),
            _query(
                "seen",
                {"type": "string", "enum": ["drop", "keep"]},
                "whether products of her history may be shown; as published when absent",
            ),
            _query("product", _ID, "the product that is shown: for the surface product"),
            _query("cart", _IDS, "what is in the cart, where no events say so"),
            _surface("home"),
        ],
        "responses": {
            "200": _json("Answer", "ranked products"),
            **_problems(400, 414, *KEYED, 503),
        },
    }


def _similar() -> Json:
    return {
        "operationId": "similar",
        "summary": "Products like one product",
        "description": "Best first; never filled with products that are not alike.",
        "tags": ["recommendations"],
        "parameters": [
            _id("product_id", "the shop's own id; a slash in it is written %2F"),
            *_narrowing(),
            _surface("product"),
        ],
        "responses": {
            "200": _json("Answer", "ranked products"),
            **_problems(400, 404, 414, *KEYED, 503),
        },
    }


def _many(most: int, id: str) -> Json:
    both = {"anyOf": [{"$ref": _ref("Answer")}, {"$ref": _ref("Answers")}]}
    return {
        "operationId": id,
        "summary": "Products for a visit, or for many customers at once",
        "description": "With `products`, what a visit looked at, one Answer; with `customers`, "
        f"{most} at most, Answers, in the order asked. Exactly one of the two.",
        "tags": ["recommendations"],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _ref("Ask")}}},
        },
        "responses": {
            "200": {
                "description": "ranked products",
                "content": {"application/json": {"schema": both}},
            },
            **_problems(400, 413, 422, *KEYED, 503),
        },
    }


def _ready() -> Json:
    operation = _plain(
        "readyz", "Whether answers can be used, and what is wrong with them", "Readiness"
    )
    operation["responses"]["503"] = _json("Readiness", "not to be asked; `reason` says why")
    return operation


def _metrics() -> Json:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "metrics",
        "summary": "Prometheus text",
        "tags": ["operation"],
        "responses": {"200": {"description": "Prometheus text", "content": text}},
    }


def _plain(id: str, summary: str, schema: str) -> Json:
    return {
        "operationId": id,
        "summary": summary,
        "tags": ["operation"],
        "responses": {"200": _json(schema, "yes")},
    }


def _narrowing() -> list[Json]:
    """What every GET takes to say how many products, and which."""
    most = {"minimum": 1, "maximum": MOST}
    texts = {"type": "array", "items": {"type": "string"}, "maxItems": MOST_WHERE}
    price = {"type": "number", "minimum": 0}
    return [
        _query("n", {"type": "integer", **most}, "how many; the surface's slots when absent"),
        _query("exclude", _IDS, "products never to show; repeated, or with commas between"),
        _query("among", _IDS, "the only products that may be shown; the same"),
        _query("filter", texts, "COLUMN OP VALUE such as price<=30 or brand!=Acme; all must hold"),
        _query("store", _ID, "a store whose own stock counts"),
        _query("substitutes", {"type": "boolean"}, "in place of a sold-out one its most alike"),
        _query("explain", {"type": "boolean"}, "the parts of each score"),
        _query("channel", {"type": "string", "enum": list(CHANNELS)}, "where it is shown"),
        _values("category", "of the catalogue; repeated: any of them"),
        _values("brand", "of the catalogue; repeated: any of them"),
        _values("supplier", "supplier_id of the catalogue; repeated: any of them"),
        _query("price_min", price, "the shop's currency"),
        _query("price_max", price, "the shop's currency"),
    ]


_ID: Json = {"type": "string", "minLength": 1, "maxLength": LONGEST}
_IDS: Json = {"type": "array", "items": {"type": "string"}, "maxItems": MOST_EXCLUDED}


def _values(name: str, about: str) -> Json:
    value = {"type": "string", "minLength": 1, "maxLength": LONGEST}
    return _query(name, {"type": "array", "items": value, "maxItems": MOST_VALUES}, about)


def _surface(default: str) -> Json:
    schema = {"type": "string", "pattern": "^[a-z0-9_-]{1,40}$", "default": default}
    return _query("surface", schema, "the place that shows the products, repeated in the answer")


def _query(name: str, schema: Json, about: str) -> Json:
    return {"name": name, "in": "query", "description": about, "schema": schema}


def _id(name: str, about: str) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST}
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _json(schema: str, about: str) -> Json:
    content = {"application/json": {"schema": {"$ref": _ref(schema)}}}
    return {"description": about, "content": content}


def _problems(*statuses: int) -> Json:
    about = {
        400: "a parameter or the body cannot be read; `parameter` names it",
        404: "the model does not know the product",
        401: "no API key, or none of this server's",
        403: "the key's scopes do not hold this",
        413: "the body is too large",
        414: "the query is too long; send a POST",
        422: "a value in the body cannot be meant; `parameter` names it",
        429: "more requests than the key may send; `Retry-After` says when",
        503: "no bundle is loaded yet, or more to do than can be done in time; `Retry-After`",
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": _ref("Problem")}}}
    return {str(s): {"description": about[s], "content": content} for s in statuses}


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"
