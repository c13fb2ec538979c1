"""The OpenAPI document against the server, by schemathesis: what it says is what is answered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.app import create
from serving.openapi import document

CHECKS = (
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)


@pytest.fixture(scope="module")
def url(tmp_path_factory, pytestconfig) -> Iterator[str]:
    conftest = pytestconfig.pluginmanager.getplugin(str(Path(__file__).with_name("conftest.py")))
    root = tmp_path_factory.mktemp("shop") / "bundles"
    conftest.published(root)
    with conftest.serving() as start:
        yield start(root)


PAGES = ("/docs", "/openapi.json", "/pages/", "/inspect", "/storefront/", "/clients/", "/demo/")
TAKES = {"parameters", "requestBody"}  # the rest cannot be asked wrongly
OPERATIONS = [(path, method) for path, some in document()["paths"].items() for method in some]


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        (path, method, mode)
        for path, method in OPERATIONS
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or TAKES & set(document()["paths"][path][method])
    ],
)
def test_every_request_is_answered_as_the_document_says(url, path, method, mode):
    operation = schemathesis.openapi.from_url(f"{url}/openapi.json")[path][method.upper()]

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=25 if path.startswith("/v1") else 5,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        response = case.call()
        case.validate_response(response, checks=list(CHECKS))
        assert response.status_code != 503

    ask()


def test_the_document_names_every_route_and_no_other(settings):
    described = set(document()["paths"])
    served = {route.path_format for route in create(settings).app.routes}
    assert described == {path for path in served if not path.startswith(PAGES) and path != "/"}


def test_every_reference_leads_to_a_type():
    text = repr(document())
    types = document()["components"]["schemas"]
    named = {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}
    assert named == set(types)


def test_a_page_describes_every_operation_without_any_other_host(client):
    page = client.get("/docs")
    assert page.status_code == 200
    for methods in document()["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page.text
    outside = page.text.replace("http://127.0.0.1:8000", "")
    assert "http://" not in outside
    assert "https://" not in outside
