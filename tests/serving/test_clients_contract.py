"""Both clients against the API's own document: what they use exists, what it answers is typed."""

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from serving.clients import regulars
from serving.openapi import document

SCRIPT = Path(regulars.__file__).with_suffix(".js").read_text()
TYPES = {
    name: getattr(regulars, {"CollectedNote": "Note"}.get(name, name))
    for name in (
        "Answer",
        "Answers",
        "Assigned",
        "Collected",
        "CollectedNote",
        "Explain",
        "ForCustomer",
        "Item",
        "Model",
        "Note",
        "StockTaken",
    )
}


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document()


def taken(api: dict[str, Any], path: str) -> set[str]:
    return {one["name"] for one in api["paths"][path]["get"]["parameters"] if one["in"] == "query"}


def fields(api: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The fields of a request's body."""
    schema = api["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    return resolved(api, schema)["properties"]


def resolved(api: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return api["components"]["schemas"][name] if name else schema


@pytest.mark.parametrize("name", TYPES)
def test_every_field_of_an_answer_is_typed_and_no_other(api, name):
    """Fails when the API gains a field that the client lacks."""
    described = set(api["components"]["schemas"][name]["properties"])
    assert set(TYPES[name]._fields) - described == ({"count"} if name == "Note" else set())
    assert described - set(TYPES[name]._fields) == set()


def test_every_type_that_an_answer_holds_is_among_these(api):
    text = repr([api["components"]["schemas"][name] for name in TYPES])
    assert set(re.findall(r"schemas/(\w+)", text)) <= set(TYPES)


def test_a_field_that_may_be_null_or_missing_is_typed_so(api):
    for name, kind in TYPES.items():
        schema = api["components"]["schemas"][name]
        hints = get_type_hints(kind)
        for field, described in schema["properties"].items():
            absent = field not in schema.get("required", ())
            null = {"type": "null"} in described.get("anyOf", ())
            if (name, field) != ("CollectedNote", "count"):  # a Note, of whatever it is said
                assert null == (type(None) in get_args(hints[field])), (name, field)
            assert not absent or field in kind._field_defaults, (name, field)


def test_customers_take_every_parameter_that_the_client_knows(api):
    path = "/v1/customers/{customer_id}/recommendations"
    assert set(regulars.Asked.__annotations__) <= taken(api, path)


def test_similar_and_bodies_take_all_but_what_is_said_of_one_customer(api):
    asked = set(regulars.Asked.__annotations__) - {"product", "cart"}
    assert asked - {"seen"} <= taken(api, "/v1/products/{product_id}/similar")
    body = set(fields(api, "post", "/v1/recommendations"))
    assert asked - {"filter"} | {"where", "products", "customers"} <= body


def test_events_have_exactly_the_fields_of_the_api(api):
    event = resolved(api, fields(api, "post", "/v1/events")["events"]["items"])["properties"]
    assert set(regulars.Event.__dataclass_fields__) == set(event)
    sent = re.search(r"\.slice\(-499\), \{(.*?)\.\.\.more", SCRIPT, re.DOTALL)
    assert sent
    named = {part.split(":")[0].strip() for part in sent[1].split(",") if part.strip()}
    ids = {"event_id", "customer_id", "product_id", "session_id", "request_id"}
    assert named == ids | {"event_type", "channel"} <= set(event)


def test_stock_has_the_fields_that_the_client_sends(api):
    item = resolved(api, fields(api, "put", "/v1/stock")["items"]["items"])["properties"]
    assert {"product_id", "quantity", "store_id"} <= set(item)


def test_every_path_that_the_script_asks_exists(api):
    asked = {
        f"/v1/{things}/{{}}/{what}"
        for things, what in re.findall(r'ask\("(\w+)", [\w.]+, "(\w+)"', SCRIPT)
    } | {f"/v1/{path}" for path in re.findall(r'call\("(\w+)"', SCRIPT)}
    assert asked == {
        "/v1/customers/{}/recommendations",
        "/v1/products/{}/similar",
        "/v1/events",
    }
    assert asked <= {re.sub(r"\{\w+\}", "{}", path) for path in api["paths"]}


def test_the_script_is_one_file_under_3_kb_as_shipped_and_needs_nothing():
    assert len(SCRIPT.encode()) < 3000
    assert "import" not in SCRIPT
    assert "localStorage" not in SCRIPT
    assert "cookie" not in SCRIPT.replace('"cookie:"', "")
