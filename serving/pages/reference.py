"""The reference at `/docs`: the OpenAPI document in, a page that works offline out."""

from __future__ import annotations

from typing import Any

from serving.pages.html import Markup, header, page, tag, together

Json = dict[str, Any]

EXAMPLES = {
    "recommend": "curl '{host}/v1/customers/CUSTOMER/recommendations?n=5'",
    "similar": "curl '{host}/v1/products/PRODUCT/similar?n=5'",
    "recommendMany": "curl -H 'content-type: application/json' {host}/v1/recommendations \\\n"
    '  -d \'{{"products": ["PRODUCT", "PRODUCT"], "n": 5}}\'',
    "recommendBatch": "curl -H 'content-type: application/json' "
    "{host}/v1/recommendations:batch \\\n"
    '  -d \'{{"customers": ["CUSTOMER", "CUSTOMER"], "surface": "win_back"}}\'',
    "collect": "curl -H 'content-type: application/json' {host}/v1/events \\\n"
    '  -d \'{{"events": [{{"event_id": "1", "event_type": "purchase", '
    '"customer_id": "CUSTOMER", "product_id": "PRODUCT"}}]}}\'',
    "putStock": "curl -X PUT -H 'content-type: application/json' {host}/v1/stock \\\n"
    '  -d \'{{"items": [{{"product_id": "PRODUCT", "quantity": 0}}]}}\'',
    "stock": "curl {host}/v1/stock/PRODUCT",
    "activations": "curl '{host}/v1/activations?stage=at_risk&limit=5'",
    "activation": "curl {host}/v1/activations/CUSTOMER",
    "rules": "curl {host}/v1/rules",
    "rulesLog": "curl {host}/v1/rules/log",
    "putRule": "curl -X PUT -H 'content-type: application/json' {host}/v1/rules/no-swords \\\n"
    '  -d \'{{"kind": "block", "where": ["category=Swords"]}}\'',
    "deleteRule": "curl -X DELETE {host}/v1/rules/no-swords",
    "tryRules": "curl -H 'content-type: application/json' {host}/v1/rules:dry-run \\\n"
    '  -d \'{{"rules": {{"no-swords": null}}, "customers": ["CUSTOMER"]}}\'',
    "healthz": "curl {host}/healthz",
    "readyz": "curl {host}/readyz",
    "metrics": "curl {host}/metrics",
}
HOST = "http://127.0.0.1:8000"


def reference(document: Json) -> Markup:
    """The page of a document."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    contents = [
        tag("li", tag("a", _verb(method), tag("span", operation["summary"]), href=f"#{id}"))
        for method, _, operation in operations
        for id in [operation["operationId"]]
    ]
    types = [tag("li", tag("a", name, href=f"#type-{name}")) for name in schemas]
    return page(
        "API · Regulars",
        header(current="/docs"),
        tag(
            "div",
            tag(
                "aside",
                tag("h2", "Requests"),
                tag("ul", contents),
                tag("h2", "Types"),
                tag("ul", types),
                tag("p", tag("a", "openapi.json", href="/openapi.json")),
                class_="side contents",
                aria_label="Contents",
            ),
            tag(
                "main",
                tag("h1", "The API"),
                tag("p", _words(document["info"]["description"]), class_="lead"),
                [_operation(*one) for one in operations],
                tag("h2", "Types", class_="divider"),
                [_type(name, schema) for name, schema in schemas.items()],
                id="main",
            ),
            class_="shop reference",
        ),
    )


def _words(text: str) -> Markup:
    """A description, what stands in `` as code."""
    return together(
        *(tag("code", part) if i % 2 else part for i, part in enumerate(text.split("`")))
    )


def _verb(method: str) -> Markup:
    return tag("span", method, class_=f"verb {method.lower()}")


def _operation(method: str, path: str, operation: Json) -> Markup:
    parameters = [
        tag(
            "tr",
            tag("td", tag("code", one["name"])),
            tag("td", one["in"], class_="quiet"),
            tag("td", _kind(one["schema"])),
            tag("td", _words(one.get("description", ""))),
        )
        for one in operation.get("parameters", [])
    ]
    body = operation.get("requestBody")
    if body:
        schema = body["content"]["application/json"]["schema"]
        parameters.append(
            tag("tr", tag("td", "body"), tag("td", "JSON"), tag("td", _kind(schema)), tag("td"))
        )
    responses = [
        tag(
            "tr",
            tag("td", tag("code", status), class_=f"status s{status[0]}"),
            tag("td", _content(response)),
            tag("td", _words(response["description"])),
        )
        for status, response in operation["responses"].items()
    ]
    example = EXAMPLES[operation["operationId"]].format(host=HOST)
    return tag(
        "section",
        tag("h2", _verb(method), " ", tag("code", path)),
        tag(
            "p", tag("b", operation["summary"], "."), " ", _words(operation.get("description", ""))
        ),
        tag("pre", tag("code", example), class_="json", tabindex=0),
        _table(("parameter", "in", "type", "what"), parameters) if parameters else None,
        _table(("status", "body", "when"), responses),
        class_="pane",
        id=operation["operationId"],
    )


def _type(name: str, schema: Json) -> Markup:
    required = set(schema.get("required", ()))
    rows = [
        tag(
            "tr",
            tag("td", tag("code", field)),
            tag("td", _kind(kind)),
            tag("td", "always" if field in required else _default(kind)),
        )
        for field, kind in schema.get("properties", {}).items()
    ]
    return tag(
        "section",
        tag("h3", name),
        tag("p", _words(schema.get("description", ""))),
        _table(("field", "type", "given"), rows),
        class_="pane",
        id=f"type-{name}",
    )


def _default(kind: Json) -> str:
    default = kind.get("default")
    return "optional" if default in (None, [], {}) else f"optional, {default}"


def _table(names: tuple[str, ...], rows: list[Markup]) -> Markup:
    head = tag("thead", tag("tr", [tag("th", name, scope="col") for name in names]))
    return tag("div", tag("table", head, tag("tbody", rows)), class_="scroll", tabindex=0)


def _content(response: Json) -> Markup:
    parts = [_kind(one["schema"]) for one in response.get("content", {}).values()]
    return together(parts)


def _kind(schema: Json) -> Markup:
    """A schema in a few words, types linked."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return tag("a", name, href=f"#type-{name}")
    if "anyOf" in schema:
        parts: list[Markup] = []
        for one in schema["anyOf"]:
            parts += [together(" or "), _kind(one)]
        return together(parts[1:])
    if "enum" in schema:
        words = " | ".join("null" if v is None else str(v) for v in schema["enum"])
        return together(words)
    if schema.get("type") == "array":
        most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
        return together("list of ", _kind(schema.get("items", {})), most)
    low, high = schema.get("minimum"), schema.get("maximum")
    text = str(schema.get("type", "any"))
    if low is not None:
        text += f", {low} to {high}" if high is not None else f", at least {low}"
    return together(text)
