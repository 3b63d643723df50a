"""GET /openapi.json: the OpenAPI 3.1 description of everything served, computed from the route tables.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
from flask import Blueprint, Response

from hie import __version__
from hie.app import Application
from hie.fhir import facts, operation_definitions, patching
from hie.fhir.routes import ROUTES as FHIR_ROUTES
from hie.fhir.routes import Route
from hie.interactions.operation import takes_form
from hie.registry import Operation, Registry
from hie.web import exchange, openapi_headers, openapi_parameters
from hie.web.admin.blueprint import JSON, PREFIX
from hie.web.admin.routes import ROUTES as ADMIN_ROUTES
from hie.web.admin.routes import Parameter as AdminParameter
from hie.web.admin.schemas import SCHEMAS, Schema, reference
from hie.web.negotiation import FHIR_JSON, FHIR_NDJSON, FHIR_XML, FORM

#: What each interaction answers, apart from 401, which all but the public ones give, and failures of the server.
STATUSES: dict[str, tuple[int, ...]] = {
    "capabilities": (200, 304, 400, 406),
    "definition": (200, 304, 400, 404, 406),
    "transaction": (200, 400, 403, 404, 406, 409, 410, 412, 413, 415, 422),
    "async-status": (200, 202, 400, 404, 406, 422),
    "async-cancel": (202, 400, 404, 406),
    "async-file": (200, 400, 404, 406),
    "history-system": (200, 400, 403, 406),
    "history-type": (200, 400, 403, 406),
    "history-instance": (200, 400, 403, 404, 406),
    "search-system": (200, 400, 403, 406),
    "search-type": (200, 400, 403, 406),
    "search-compartment": (200, 400, 403, 404, 406),
    "search-form": (200, 400, 403, 406, 413, 415),
    "search-compartment-form": (200, 400, 403, 404, 406, 413, 415),
    "create": (200, 201, 400, 403, 406, 409, 412, 413, 415, 422),
    "update": (200, 201, 400, 403, 406, 409, 412, 413, 415, 422),
    "conditional-update": (200, 201, 400, 403, 406, 409, 412, 413, 415, 422),
    "patch": (200, 400, 403, 404, 406, 409, 410, 412, 413, 415, 422),
    "conditional-patch": (200, 400, 403, 404, 406, 409, 412, 413, 415, 422),
    "delete": (200, 400, 403, 406, 409, 412),
    "delete-history": (200, 400, 403, 404, 406),
    "delete-history-version": (200, 400, 403, 404, 406, 409),
    "conditional-delete": (200, 400, 403, 406, 409, 412),
    "read": (200, 304, 400, 403, 404, 406, 410, 412),
    "vread": (200, 304, 400, 403, 404, 406, 410, 412),
    "operation": (200, 400, 403, 404, 406, 410, 413, 415, 422),
}
MEANINGS = {
    200: "Done.", 201: "Made.", 202: "Accepted, to be answered later.", 304: "Not modified.",
    400: "The request is invalid.", 401: "No valid token.", 403: "The token's scopes do not allow it.",
    404: "There is nothing there.",
    406: "Only FHIR JSON and XML are offered.", 409: "It conflicts with what is stored.", 410: "It was deleted.",
    412: "A condition does not hold.", 413: "The body is too large.", 415: "The body is not in a format that is taken.",
    422: "It cannot be answered from what is here, or what would come out of it may not be stored.",
}  # fmt: skip
#: Paths that answer without a token.
PUBLIC_PATHS = (
    "/fhir/metadata", "/fhir/OperationDefinition/{definition}", "/health", "/openapi.json",
    "/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration",
)  # fmt: skip
_SUMMARIES = {
    "async-status": "How far a request is that is answered later, or its answer",
    "async-cancel": "Cancel a request that is answered later, or remove its answer",
    "async-file": "A file of a bulk export", "capabilities": "What this server can do",
    "definition": "What an operation of this server takes and answers", "transaction": "Transaction or batch",
    "history-system": "History of everything", "history-type": "History of a type",
    "history-instance": "History of a resource", "search-type": "Search", "search-form": "Search by a form",
    "search-system": "Search over all types", "search-compartment": "Search in a compartment",
    "search-compartment-form": "Search in a compartment by a form",
    "create": "Create (conditional by If-None-Exist)", "update": "Update, or create by update",
    "conditional-update": "Conditional update", "patch": "Patch",
    "conditional-patch": "Conditional patch", "delete": "Delete",
    "delete-history": "Erase superseded versions", "delete-history-version": "Erase one superseded version",
    "conditional-delete": "Conditional delete",
    "read": "Read", "vread": "Read one version",
}  # fmt: skip
_TAKES_RESOURCE = frozenset({"transaction", "create", "update", "conditional-update"})
_FORM_CONTENT = {FORM: {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}}
#: XML says what the JSON of the schema says (https://hl7.org/fhir/R4/xml.html).
_XML: dict[str, Any] = {FHIR_XML: {"schema": {"type": "string"}}}
_RESOURCE_CONTENT = {FHIR_JSON: {"schema": reference("Resource")}, **_XML}
_MANIFEST: dict[str, Any] = {JSON: {"schema": {"type": "object", "required": [
    "transactionTime", "request", "requiresAccessToken", "output", "error"]}}}
_PATCH_CONTENT: dict[str, Any] = {
    patching.JSON_PATCH: {"schema": {"type": "array", "items": {"type": "object"}}},
    patching.MERGE_PATCH: {"schema": {"type": "object"}},
    patching.XML_PATCH: {"schema": {"type": "string"}},
    **_RESOURCE_CONTENT,
}
_REFUSAL = {FHIR_JSON: {"schema": reference("OperationOutcome")}, **_XML}
_TEMPLATES: dict[str, Schema] = {
    "compartment": {"type": "string", "enum": sorted(facts.COMPARTMENTS)},
    "type": {"type": "string", "enum": sorted(facts.RESOURCE_TYPES)},
    "id": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
    "definition": {"type": "string", "pattern": r"^-hie-[A-Za-z0-9\-.]{1,59}$"},
    "vid": {"type": "string", "pattern": r"^[1-9][0-9]{0,9}$"},
    "file": {"type": "string", "pattern": r"^[A-Z][A-Za-z]+\.[1-9][0-9]{0,7}\.ndjson$"},
    "job": {"type": "integer", "minimum": 1},
}


def make(application: Application) -> Blueprint:
    """Make the blueprint of /openapi.json."""
    blueprint = Blueprint("openapi", __name__)

    @cache
    def content() -> bytes:
        return orjson.dumps(document(application.registry))

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        exchange.current().audited = False
        return Response(content(), content_type=JSON)

    return blueprint


def document(registry: Registry) -> dict[str, Any]:
    """Return the whole description; GET addresses answer HEAD as well."""
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in (*_fhir(registry), *_admin(), *_others()):
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "FHIR R4 health information exchange",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "From `hie token create` or POST /admin/clients/{client}/tokens. Scopes: "
                    "system/[type].[cruds] for /fhir, admin for /admin and /metrics.",
                }
            },
        },
    }


_Entry = tuple[str, str, dict[str, Any]]


def _fhir(registry: Registry) -> Iterator[_Entry]:
    for route in FHIR_ROUTES:
        if route.interaction == "operation":
            continue
        key = _key(route)
        path = _path(route.path)
        takes = None
        if route.path.endswith("_search"):
            takes = _FORM_CONTENT
        elif key in _TAKES_RESOURCE:
            takes = _RESOURCE_CONTENT
        elif route.interaction == "patch":
            takes = _PATCH_CONTENT
        answers = {status: _content_of(key, status) for status in STATUSES[key] if status < 400}
        if key not in ("capabilities", "definition", "async-status", "async-cancel", "async-file"):
            answers[202] = _RESOURCE_CONTENT  # Prefer: respond-async
        refusals = [status for status in STATUSES[key] if status >= 400]
        if path not in PUBLIC_PATHS:
            refusals.append(401)
        described = _operation(path, key, _SUMMARIES[key], answers, refusals, takes)
        described["parameters"] += openapi_parameters.of_interaction(key)
        yield path, route.method, described
    for operation in registry.operations:
        yield from _fhir_operation(operation)


def _content_of(key: str, status: int) -> dict[str, Any] | None:
    """What an interaction answers with; of a bulk export its manifest, and its files."""
    if status >= 300:
        return None
    if key == "async-file":
        return {FHIR_NDJSON: {"schema": {"type": "string"}}}
    return _RESOURCE_CONTENT | (_MANIFEST if (key, status) == ("async-status", 200) else {})


def _key(route: Route) -> str:
    """The interaction, or what the table calls its special form."""
    if route.conditional:
        return f"conditional-{route.interaction}"
    if route.interaction == "delete-history" and route.path.endswith("[vid]"):
        return "delete-history-version"
    key = "search-compartment" if route.path.startswith("[compartment]") else route.interaction
    if not route.path.endswith("_search"):
        return key
    return "search-compartment-form" if key == "search-compartment" else "search-form"


def _fhir_operation(operation: Operation) -> Iterator[_Entry]:
    methods = ("POST",) if operation.affects_state else ("GET", "POST")
    refusals = [status for status in STATUSES["operation"] if status >= 400] + [401]
    for path in operation_paths(operation):
        for method in methods:
            takes = {**_RESOURCE_CONTENT, **_own_bodies(operation)} if method == "POST" else None
            if takes is not None and takes_form(operation):
                takes |= _FORM_CONTENT
            described = _operation(
                path, f"${operation.code}", f"${operation.code}: {operation.definition or _defined_at(operation)}",
                {202: _RESOURCE_CONTENT} if operation.files else {200: _answers_of(operation), 202: _RESOURCE_CONTENT},
                refusals, takes,
            )  # fmt: skip
            described["parameters"] += openapi_parameters.of_interaction("operation")
            described["externalDocs"] = {"description": "What it takes and answers.",
                                         "url": f"/fhir/{_defined_at(operation)}"}
            if operation.answers_in != FHIR_JSON:  # who asks for that is refused in it
                for status in (*map(str, refusals), "default"):
                    described["responses"][status]["content"] = _REFUSAL | _answers_of(operation)
            yield path, method, described


def _defined_at(operation: Operation) -> str:
    return f"{operation_definitions.TYPE}/{operation_definitions.id_of(operation)}"


def _own_bodies(operation: Operation) -> dict[str, Any]:
    """The bodies that an operation reads itself: objects in JSON, any other as a text."""
    return {name: {"schema": {"type": "object" if name.endswith("json") else "string"}}
            for name in sorted(operation.takes_body)}


def _answers_of(operation: Operation) -> dict[str, Any]:
    if operation.answers_in == FHIR_JSON:
        return _RESOURCE_CONTENT
    return {operation.answers_in: {"schema": {"type": "object"}}}


def operation_paths(operation: Operation) -> Iterator[str]:
    """Yield the addresses of an operation."""
    if "system" in operation.levels:
        yield f"/fhir/${operation.code}"
    for type_name in sorted(operation.types) if operation.types is not None else ["{type}"]:
        if "type" in operation.levels:
            yield f"/fhir/{type_name}/${operation.code}"
        if "instance" in operation.levels:
            yield f"/fhir/{type_name}/{{id}}/${operation.code}"
        if "version" in operation.levels:
            yield f"/fhir/{type_name}/{{id}}/_history/{{vid}}/${operation.code}"


def _path(path: str) -> str:
    return "/fhir/" + path.replace("[", "{").replace("]", "}") if path else "/fhir"


def _admin() -> Iterator[_Entry]:
    for route in ADMIN_ROUTES:
        path = PREFIX + route.path
        takes = {JSON: {"schema": reference(route.takes)}} if route.takes else None
        if route.media is not None:
            takes = {route.media: {"schema": {"type": "string", "format": "binary"}}}
        answers: dict[int, Any] = {route.status: {JSON: {"schema": reference(route.answer)}}}
        refusals = [400, 401, 403, *route.refusals]  # 400: every route refuses unknown parameters
        summary = (route.handler.__doc__ or "").strip().rstrip(".")
        operation = _operation(path, route.code, summary, answers, refusals, takes)
        operation["parameters"] += [_parameter(parameter) for parameter in route.parameters]
        yield path, route.method, operation


def _others() -> Iterator[_Entry]:
    health = {JSON: {"schema": {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}}}
    anything = {JSON: {"schema": {"type": "object"}}}
    yield "/health", "GET", _operation("/health", "health", "Whether this process answers", {200: health})
    for path in ("/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration"):
        yield path, "GET", _operation(path, f"smart:{path}", "SMART discovery", {200: anything})
    yield "/openapi.json", "GET", _operation("/openapi.json", "openapi", "This document", {200: anything})
    metrics = {"text/plain": {"schema": {"type": "string"}}}
    yield "/metrics", "GET", _operation("/metrics", "metrics", "Figures for Prometheus", {200: metrics}, [401, 403])


def _operation(
    path: str,
    code: str,
    summary: str,
    answers: dict[int, Any],
    refusals: list[int] | None = None,
    takes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, content in sorted(answers.items()):
        responses[str(status)] = {"description": MEANINGS[status], "headers": openapi_headers.of_answer(code, status),
                                  **({"content": content} if content else {})}
    for status in sorted(refusals or []):
        responses[str(status)] = {"description": MEANINGS[status], "headers": openapi_headers.of_answer(code, status),
                                  "content": _REFUSAL}
    responses["default"] = {"description": "The server failed, or is busy.", "headers": openapi_headers.of_failure(),
                            "content": _REFUSAL}
    operation: dict[str, Any] = {
        "operationId": f"{code} {path}",
        "summary": summary,
        "parameters": [_template(name) for name in _templated(path)],
        "responses": responses,
    }
    if takes is not None:
        operation["requestBody"] = {"required": not code.startswith(("$", "search")), "content": takes}
    if path in PUBLIC_PATHS:
        operation["security"] = []
    return operation


def _templated(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _template(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEMPLATES.get(name, {"type": "string"})}


def _parameter(parameter: AdminParameter) -> dict[str, Any]:
    schema: Schema = {"enum": list(parameter.words)} if parameter.words else {"type": parameter.kind}
    return {"name": parameter.name, "in": "query", "description": parameter.meaning, "schema": schema}
