"""/openapi.json is true: what it describes is there, and what is there it describes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs
from flask import Flask

from hie.fhir import routes
from hie.web import openapi
from tests.conformance.described import described, filled, is_of_fhir
from tests.one_database import ONE_DATABASE


@ONE_DATABASE
def test_the_document_is_openapi_with_schemas_that_are_schemas(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.1"
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.validator_for({**schema, "components": document["components"]})


@ONE_DATABASE
def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    found = set(walk(document))
    assert found
    assert found <= names
    assert names == found, "a schema that nothing uses"


@ONE_DATABASE
def test_every_rule_of_the_web_application_is_described(app: Flask, document: dict[str, Any]) -> None:
    rules = {
        (re.sub(r"<(?:[a-z]+:)?([a-z]+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "fhir.fhir"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    beside_fhir = {(path, method) for path, method in described(document) if not is_of_fhir(path)}
    assert beside_fhir == rules


@ONE_DATABASE
def test_every_route_of_the_fhir_api_is_described(document: dict[str, Any]) -> None:
    table = {
        ("/fhir/" + route.path.replace("[", "{").replace("]", "}") if route.path else "/fhir", route.method)
        for route in routes.ROUTES
        if route.interaction != "operation"
    }
    found = {(path, method) for path, method in described(document) if is_of_fhir(path) and "$" not in path}
    assert found == table


@ONE_DATABASE
def test_every_operation_is_described(app: Flask, document: dict[str, Any]) -> None:
    registry = app.extensions["hie"].registry
    expected = {
        (path, method)
        for operation in registry.operations
        for path in openapi.operation_paths(operation)
        for method in (("POST",) if operation.affects_state else ("GET", "POST"))
    }
    assert {pair for pair in described(document) if "$" in pair[0]} == expected
    assert expected


@ONE_DATABASE
def test_every_operation_leads_to_what_defines_it(app: Flask, document: dict[str, Any]) -> None:
    for path, method in described(document):
        if "$" in path:
            answer = app.test_client().get(document["paths"][path][method.lower()]["externalDocs"]["url"])
            assert (answer.status_code, answer.json["code"]) == (200, path.partition("$")[2])
            level = {0: "system", 1: "type"}.get(path.partition("$")[0].removeprefix("/fhir/").count("/"), "instance")
            assert answer.json[level], (path, level)


def test_what_is_described_as_public_needs_no_token_and_nothing_else_does_without(
    app: Flask, document: dict[str, Any]
) -> None:
    for path, method in sorted(described(document)):
        public = document["paths"][path][method.lower()].get("security") == []
        status = app.test_client().open(filled(path), method=method).status_code
        assert (status == 200) if public else (status == 401), (path, method, status)
        assert public == (path in openapi.PUBLIC_PATHS)


@ONE_DATABASE
def test_a_method_that_is_not_described_is_not_allowed(
    app: Flask, document: dict[str, Any], client: Callable[..., Any]
) -> None:
    headers = {"Authorization": f"Bearer {client('system/*.cruds', 'admin').token}"}
    for path in document["paths"]:
        if "$" in path:
            continue
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {m for p, m in described(document) if p == path}:
            status = app.test_client().open(filled(path), method=method, headers=headers).status_code
            # below /fhir the FHIR API itself answers for whatever is not described
            assert status == 405 or (status == 404 and ".well-known" in path), (path, method, status)
