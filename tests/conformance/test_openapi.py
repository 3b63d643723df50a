"""/openapi.json is true: what it describes is there, and what is there it describes, status by status."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import jsonschema_rs
import pytest
from flask import Flask

from hie.app import create_app
from hie.fhir import routes
from hie.fhir.profiles import read
from hie.interactions import asynchronous
from hie.registry import Model, Registry, built_in, with_plugins
from hie.settings import Settings
from hie.store import administration, packages
from hie.web import openapi
from tests.one_database import ONE_DATABASE
from tests.packages import element, profile, tarball

PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "1"}]}
TEMPLATED = re.compile(r"\{[a-z]+\}")
#: values for the templates of a path
SAMPLE = {"{type}": "Patient", "{compartment}": "Patient",
          "{id}": "one", "{vid}": "1", "{client}": "none", "{token}": "none", "{model}": "none",
          "{job}": "999999", "{package}": "none", "{version}": "1"}  # fmt: skip

NAMED = tarball(profile("named", "Patient", element("Patient.name")))

Probe = tuple[str, str, int, dict[str, Any]]


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    answer = app.test_client().get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json
    return found


def described(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(path, method.upper()) for path, item in document["paths"].items() for method in item}


def filled(path: str) -> str:
    return TEMPLATED.sub(lambda match: SAMPLE[match[0]], path)


# ---- addresses -------------------------------------------------------------------------------------------------------


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
    beside_fhir = {(path, method) for path, method in described(document) if not _is_fhir(path)}
    assert beside_fhir == rules


def _is_fhir(path: str) -> bool:
    return path.startswith("/fhir") and ".well-known" not in path


@ONE_DATABASE
def test_every_route_of_the_fhir_api_is_described(document: dict[str, Any]) -> None:
    table = {
        ("/fhir/" + route.path.replace("[", "{").replace("]", "}") if route.path else "/fhir", route.method)
        for route in routes.ROUTES
        if route.interaction != "operation"
    }
    found = {(path, method) for path, method in described(document) if _is_fhir(path) and "$" not in path}
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


# ---- statuses --------------------------------------------------------------------------------------------------------

BUNDLE = "/fhir"


def bundle(*entries: tuple[str, str, Any]) -> dict[str, Any]:
    made = [
        {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}
        for method, url, resource in entries
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": made}


def fhir_probes(etag: str) -> list[Probe]:
    """Requests that meet one status each: Patient/gone was deleted, Patient/held is pointed at."""
    twins = {"If-None-Exist": "identifier=urn:x|twin"}
    typed = "/fhir/{type}"
    single = "/fhir/{type}/{id}"
    vread = "/fhir/{type}/{id}/_history/{vid}"
    return [
        ("/fhir/metadata", "GET", 200, {}),
        ("/fhir/metadata", "GET", 400, {"query": "mode=wrong"}),
        (BUNDLE, "POST", 200, {"json": bundle(("GET", "Patient/one", None))}),
        (BUNDLE, "POST", 400, {"json": bundle(("POST", "Patient", {"resourceType": "Patient", "x": 1}))}),
        (BUNDLE, "POST", 404, {"json": bundle(("GET", "Patient/none", None))}),
        (BUNDLE, "POST", 409, {"json": bundle(("DELETE", "Patient/held", None))}),
        (BUNDLE, "POST", 410, {"json": bundle(("GET", "Patient/gone", None))}),
        (BUNDLE, "POST", 412, {"json": bundle(("PUT", "Patient?identifier=urn:x|twin", PATIENT))}),
        ("/fhir/_history", "GET", 200, {}),
        ("/fhir/_history", "GET", 400, {"query": "_count=x"}),
        (typed + "/_history", "GET", 200, {}),
        (typed + "/_history", "GET", 400, {"query": "_count=x"}),
        (single + "/_history", "GET", 200, {}),
        (single + "/_history", "GET", 400, {"query": "_count=x"}),
        (single + "/_history", "GET", 404, {"path": "/fhir/Patient/none/_history"}),
        *search_probes(),
        (typed, "GET", 200, {}),
        (typed, "GET", 400, {"query": "colour=red"}),
        (typed + "/_search", "POST", 200, {"data": {}}),
        (typed + "/_search", "POST", 400, {"data": {"colour": "red"}}),
        (typed, "POST", 201, {"json": PATIENT}),
        (typed, "POST", 200, {"json": PATIENT, "headers": {"If-None-Exist": "identifier=urn:x|one"}}),
        (typed, "POST", 400, {"json": {"resourceType": "Patient", "x": 1}}),
        (typed, "POST", 412, {"json": PATIENT, "headers": twins}),
        (typed, "PUT", 201, {"json": PATIENT, "query": "identifier=urn:x|new"}),
        (typed, "PUT", 200, {"json": {**PATIENT, "active": True}, "query": "identifier=urn:x|one"}),
        (typed, "PUT", 400, {"json": PATIENT, "query": "colour=red"}),
        (typed, "PUT", 412, {"json": PATIENT, "query": "identifier=urn:x|twin"}),
        *patch_probes(typed, single),
        *refused_writes(typed, single),
        *erasing_probes(single),
        (typed, "DELETE", 400, {"query": "colour=red"}),
        (typed, "DELETE", 200, {"query": "identifier=urn:x|nobody"}),
        (typed, "DELETE", 409, {"query": "identifier=urn:x|held"}),
        (typed, "DELETE", 412, {"query": "identifier=urn:x|twin"}),
        (single, "GET", 200, {}),
        (single, "GET", 304, {"path": "/fhir/Patient/t1", "headers": {"If-None-Match": etag}}),
        (single, "GET", 412, {"headers": {"If-Match": 'W/"99"'}}),
        (single, "GET", 400, {"path": "/fhir/Patient/A_B"}),
        (single, "GET", 404, {"path": "/fhir/Patient/none"}),
        (single, "GET", 410, {"path": "/fhir/Patient/gone"}),
        (vread, "GET", 200, {}),
        (vread, "GET", 304, {"headers": {"If-None-Match": etag}}),
        (vread, "GET", 412, {"headers": {"If-Match": 'W/"99"'}}),
        (vread, "GET", 400, {"path": "/fhir/Patient/A_B/_history/1"}),
        (vread, "GET", 404, {"path": "/fhir/Patient/one/_history/99"}),
        (vread, "GET", 410, {"path": "/fhir/Patient/gone/_history/2"}),
        (single, "PUT", 200, {"json": {**PATIENT, "id": "one"}}),
        (single, "PUT", 201, {"json": {**PATIENT, "id": "fresh"}, "path": "/fhir/Patient/fresh"}),
        (single, "PUT", 400, {"json": {**PATIENT, "id": "other"}}),
        (single, "PUT", 412, {"json": {**PATIENT, "id": "one"}, "headers": {"If-Match": 'W/"99"'}}),
        (single, "DELETE", 400, {"path": "/fhir/Patient/A_B"}),
        (single, "DELETE", 409, {"path": "/fhir/Patient/held"}),
        (single, "DELETE", 412, {"headers": {"If-Match": 'W/"99"'}}),
        (single, "DELETE", 200, {"path": "/fhir/Patient/fresh"}),
    ]


def refused_writes(typed: str, single: str) -> list[Probe]:
    """Writes of what is taken already, and of what may not be stored: a part of a resource, what cannot be indexed."""
    own = {"resourceType": "SearchParameter", "url": "http://x/own", "name": "Own", "status": "active", "code": "own",
           "description": "Own", "base": ["Patient"], "type": "token", "expression": "Patient.active"}
    part = {**PATIENT, "id": "one", "meta": {"tag": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]}}
    here = "/fhir/SearchParameter"
    return [
        (typed, "POST", 201, {"json": own, "path": here}),
        (typed, "POST", 409, {"json": own, "path": here}),
        (typed, "POST", 422, {"json": {**own, "code": "name"}, "path": here}),
        (typed, "PUT", 409, {"json": {**PATIENT, "id": "one"}, "query": "identifier=urn:x|nobody"}),
        (typed, "PUT", 422, {"json": part, "query": "identifier=urn:x|one"}),
        (single, "PUT", 409, {"json": {**own, "id": "two"}, "path": f"{here}/two"}),
        (single, "PUT", 422, {"json": part}),
        (BUNDLE, "POST", 422, {"json": bundle(("PUT", "Patient/one", part))}),
    ]


def search_probes() -> list[Probe]:
    """Searches over all types, and in a compartment."""
    place, basic = "/fhir/{compartment}/{id}", "/fhir/Basic/one"
    every, form = place + "/*", place + "/_search"
    typed, typed_form = place + "/{type}", place + "/{type}/_search"
    return [
        (BUNDLE, "GET", 200, {}),
        (BUNDLE, "GET", 400, {"query": "colour=red"}),
        ("/fhir/_search", "POST", 200, {"data": {}}),
        ("/fhir/_search", "POST", 400, {"data": {"colour": "red"}}),
        *((path, "GET", 200, {}) for path in (every, typed)),
        *((path, "GET", 400, {"query": "colour=red"}) for path in (every, typed)),
        *((path, "POST", 200, {"data": {}}) for path in (form, typed_form)),
        *((path, "POST", 400, {"data": {"colour": "red"}}) for path in (form, typed_form)),
        (every, "GET", 404, {"path": basic + "/*"}),
        (typed, "GET", 404, {"path": basic + "/Patient"}),
        (form, "POST", 404, {"path": basic + "/_search"}),
        (typed_form, "POST", 404, {"path": basic + "/Patient/_search"}),
    ]


def erasing_probes(single: str) -> list[Probe]:
    """Patient/gone has one superseded version; the third was its deletion."""
    history, version = single + "/_history", single + "/_history/{vid}"
    gone = "/fhir/Patient/gone/_history"
    return [
        (history, "DELETE", 400, {"path": "/fhir/Patient/A_B/_history"}),
        (history, "DELETE", 404, {"as": "both", "path": "/fhir/Patient/none/_history"}),
        (version, "DELETE", 400, {"path": "/fhir/Patient/A_B/_history/1"}),
        (version, "DELETE", 404, {"as": "both", "path": gone + "/99"}),
        (version, "DELETE", 409, {"as": "both", "path": gone + "/2"}),
        (version, "DELETE", 200, {"as": "both", "path": gone + "/1"}),
        (history, "DELETE", 200, {"as": "both", "path": gone}),
    ]


def patch_probes(typed: str, single: str) -> list[Probe]:
    """A merge patch in each case, on the instance and on what criteria match."""
    kind = {"Content-Type": "application/merge-patch+json"}

    def patch(template: str, status: int, document: Any, **more: Any) -> Probe:
        headers = {**kind, **more.pop("headers", {})}
        return template, "PATCH", status, {"data": json.dumps(document), "headers": headers, **more}

    return [
        patch(single, 200, {"active": True}),
        patch(single, 400, []),
        patch(single, 404, {}, path="/fhir/Patient/none"),
        (single, "PATCH", 409, {"data": '[{"op":"remove","path":"/photo"}]',
                                "headers": {"Content-Type": "application/json-patch+json"}}),
        patch(single, 410, {}, path="/fhir/Patient/gone"),
        patch(single, 412, {}, headers={"If-Match": 'W/"99"'}),
        patch(single, 422, {"gender": "x"}),
        patch(typed, 200, {"active": True}, query="identifier=urn:x|held"),
        patch(typed, 400, {}, query="colour=red"),
        patch(typed, 404, {}, query="identifier=urn:x|nobody"),
        (typed, "PATCH", 409, {"data": '[{"op":"remove","path":"/photo"}]', "query": "identifier=urn:x|held",
                               "headers": {"Content-Type": "application/json-patch+json"}}),
        patch(typed, 412, {}, query="identifier=urn:x|twin"),
        patch(typed, 422, {"gender": "x"}, query="identifier=urn:x|held"),
    ]


def admin_probes(client: str, token: str, job: int) -> list[Probe]:
    """Requests that meet one status each at the administration; revoking comes last."""
    one, tokens = f"/admin/clients/{client}", f"/admin/clients/{client}/tokens"
    model, retry, cancel = "/admin/models/{model}", "/admin/jobs/{job}/retry", "/admin/jobs/{job}/cancel"
    named = {"path": "/admin/models/example/activate"}
    package = "/admin/packages/{package}/{version}"
    upload = {"headers": {"Content-Type": "application/gzip"}}
    return [
        ("/admin/status", "GET", 200, {}),
        ("/admin/clients", "GET", 200, {}),
        ("/admin/clients", "POST", 201, {"json": {"name": "another"}}),
        ("/admin/clients", "POST", 400, {"json": {}}),
        ("/admin/clients", "POST", 409, {"json": {"name": "another"}}),
        ("/admin/clients/{client}", "GET", 200, {"path": one}),
        ("/admin/clients/{client}", "GET", 404, {}),
        ("/admin/clients/{client}", "DELETE", 404, {}),
        ("/admin/clients/{client}/tokens", "GET", 200, {"path": tokens}),
        ("/admin/clients/{client}/tokens", "GET", 404, {}),
        ("/admin/clients/{client}/tokens", "POST", 201, {"json": {"scope": "admin"}, "path": tokens}),
        ("/admin/clients/{client}/tokens", "POST", 400, {"json": {"scope": "root"}, "path": tokens}),
        ("/admin/clients/{client}/tokens", "POST", 404, {"json": {"scope": "admin"}}),
        ("/admin/clients/{client}/tokens/{token}", "DELETE", 200, {"path": f"{tokens}/{token}"}),
        ("/admin/clients/{client}/tokens/{token}", "DELETE", 404, {}),
        ("/admin/clients/{client}", "DELETE", 200, {"path": one}),
        ("/admin/models", "GET", 200, {}),
        (f"{model}/manifest", "GET", 200, {"path": "/admin/models/example/manifest"}),
        (f"{model}/manifest", "GET", 404, {}),
        (f"{model}/activate", "POST", 200, {"json": {"version": "1"}, **named}),
        (f"{model}/activate", "POST", 400, {"json": {}, **named}),
        (f"{model}/activate", "POST", 404, {"json": {"version": "1"}}),
        ("/admin/packages", "GET", 200, {}),
        ("/admin/packages", "POST", 200, {**upload, "data": NAMED}),
        ("/admin/packages", "POST", 409, {**upload, "data": tarball(profile("other", "Patient"))}),
        ("/admin/packages", "POST", 422, {**upload, "data": b"x"}),
        ("/admin/packages/validation", "POST", 200, {"json": {"validation": "warn"}}),
        ("/admin/packages/validation", "POST", 400, {"json": {"validation": "x"}}),
        (package, "DELETE", 200, {"path": "/admin/packages/example.profiles/1.0.0"}),
        (package, "DELETE", 404, {}),
        ("/admin/jobs", "GET", 200, {}),
        ("/admin/jobs", "GET", 400, {"query": "state=lost"}),
        ("/admin/jobs/{job}", "GET", 200, {"path": f"/admin/jobs/{job}"}),
        ("/admin/jobs/{job}", "GET", 400, {"path": "/admin/jobs/x"}),
        ("/admin/jobs/{job}", "GET", 404, {}),
        (retry, "POST", 409, {"path": f"/admin/jobs/{job}/retry"}),
        (cancel, "POST", 200, {"path": f"/admin/jobs/{job}/cancel"}),
        (cancel, "POST", 409, {"path": f"/admin/jobs/{job}/cancel"}),
        (retry, "POST", 200, {"path": f"/admin/jobs/{job}/retry"}),
        (retry, "POST", 404, {}),
        (cancel, "POST", 404, {}),
        ("/admin/audit", "GET", 200, {}),
        ("/admin/audit", "GET", 400, {"query": "since=x"}),
        ("/metrics", "GET", 200, {}),
        ("/health", "GET", 200, {}),
        ("/openapi.json", "GET", 200, {}),
        ("/.well-known/smart-configuration", "GET", 200, {}),
        ("/fhir/.well-known/smart-configuration", "GET", 200, {}),
    ]


def async_probes(done: str, waiting: str) -> list[Probe]:
    path = "/fhir/_async/{id}"
    return [
        (path, "GET", 200, {"path": f"/fhir/_async/{done}"}),
        (path, "GET", 202, {"path": f"/fhir/_async/{waiting}"}),
        (path, "GET", 400, {"query": "a=%ff"}),
        (path, "GET", 404, {}),
        (path, "DELETE", 400, {"query": "a=%ff"}),
        (path, "DELETE", 202, {"path": f"/fhir/_async/{done}"}),
        (path, "DELETE", 404, {"path": f"/fhir/_async/{done}"}),
    ]


def general_probes(document: dict[str, Any], too_large: bytes) -> list[Probe]:
    """Requests without a token, with the wrong one, with a wrong body, for a wrong format."""
    found: list[Probe] = []
    for path, method in sorted(described(document)):
        if path in openapi.PUBLIC_PATHS:
            if path == "/fhir/metadata":
                found.append((path, method, 406, {"headers": {"Accept": "text/plain"}}))
            continue
        is_fhir, body = _is_fhir(path), _body(path, method)
        is_conditional = path == "/fhir/{type}" and method in ("PUT", "PATCH", "DELETE")
        criteria = {"query": "identifier=urn:x|none"} if is_conditional else {}
        found.append((path, method, 401, {"as": "nobody", **criteria}))
        if "$" not in path and "_async" not in path:
            found.append((path, method, 403, {"as": "stranger", **criteria, **body}))
        if is_fhir and "_async" not in path:
            found.append((path, method, 202, {"headers": {"Prefer": "respond-async"}, **criteria, **body}))
        if is_fhir:
            found.append((path, method, 406, {"headers": {"Accept": "text/plain"}, **criteria, **body}))
        elif path.startswith("/admin"):
            found.append((path, method, 400, {"query": "colour=red", **body}))
        if body:
            kind = "application/x-www-form-urlencoded" if "data" in body else "application/json"
            found.append((path, method, 413, {"data": too_large, "headers": {"Content-Type": kind}, **criteria}))
            found.append((path, method, 415, {"data": b"x", "headers": {"Content-Type": "text/plain"}, **criteria}))
    return found


def _body(path: str, method: str) -> dict[str, Any]:
    """A valid body for a route that takes one."""
    if path == "/fhir" and method == "POST":
        return {"json": bundle(("POST", "Patient", PATIENT))}
    if path.endswith("_search"):
        return {"data": {"_id": "x"}}
    if path.startswith("/fhir/{type}") and method in ("POST", "PUT"):
        return {"json": {**PATIENT, "id": "one"}}
    if path.startswith("/fhir/{type}") and method == "PATCH":
        return {"json": {"resourceType": "Parameters"}}
    if method == "POST" and path.startswith("/admin") and not path.startswith("/admin/jobs"):
        return {"json": {}}
    return {}


def prepared(app: Flask) -> tuple[str, str, int]:
    """Store what the probes need; return a client, its token's id, and a job."""
    application = app.extensions["hie"]

    def work(store: Any) -> None:
        for id_, value in (("one", "one"), ("gone", "gone"), ("held", "held"), ("t1", "twin"), ("t2", "twin")):
            resource = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": value}]}
            store.update("Patient", id_, resource)
        holder = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient/held"}}
        store.create("Basic", holder)
        store.enqueue("kind", {})

    application.context().store.transact(work)
    job = application.store.jobs.list(count=1)[0]["id"]
    application.context().store.transact(lambda store: store.delete("Patient", "gone"))

    def administer(connection: Any) -> tuple[str, str]:
        now = application.clock()
        administration.add_model(connection, "example", "1", now)
        packages.add(connection, read(NAMED), now)
        client_id = administration.add_client(connection, 1, "probed", now)
        return client_id, administration.add_token(connection, 1, client_id, "admin", now, 2 * now)[0]

    client_id, token_id = application.store.database.write(administer)
    return client_id, token_id, job


class Example:
    """A model with nothing but a manifest."""

    manifest: ClassVar[dict[str, str]] = {"name": "example", "version": "1"}


@pytest.fixture
def app(settings: Settings, clock: Any) -> Iterator[Flask]:
    built = with_plugins(built_in())
    example = Model("example", lambda _settings: Example())
    registry = Registry(built.operations, built.triggers, built.jobs, (*built.models, example))
    made = create_app(replace(settings, max_body_bytes=100_000), registry=registry, clock=clock)
    yield made
    made.extensions["hie"].close()


def test_every_status_that_is_described_is_met_and_no_other(
    app: Flask, document: dict[str, Any], client: Callable[..., Any]
) -> None:
    fhir, admin = client("system/*.cruds"), client("admin")
    both = client("system/*.cruds", "admin")
    patient = itertools.cycle(client("system/*.cruds", name=f"later {n}") for n in range(4))  # each may wait for 100
    client_id, token_id, job = prepared(app)
    etag = fhir.get("Patient/t1").headers["ETag"]
    later = [fhir.get("Patient", Prefer="respond-async").headers["Content-Location"].rpartition("/")[2] for _ in "ab"]
    asynchronous.perform({"request": later[0]}, app.extensions["hie"].context())
    probes = [
        *async_probes(*later),
        *general_probes(document, b" " * 100_001),
        *fhir_probes(etag),
        *admin_probes(client_id, token_id, job),
    ]
    met: set[tuple[str, str, int]] = set()
    wrong = []
    for path, method, status, given in probes:
        given = dict(given)
        right, other = (fhir, admin) if _is_fhir(path) else (admin, fhir)
        if "Prefer" in given.get("headers", ()):
            right = next(patient)
        token = {"nobody": None, "stranger": other.token, "both": both.token}.get(given.pop("as", ""), right.token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = given.pop("json", None)
        if content is not None:
            given["data"] = json.dumps(content)
            headers["Content-Type"] = "application/fhir+json" if _is_fhir(path) else "application/json"
        headers |= given.pop("headers", {})
        url, query = given.pop("path", filled(path)), given.pop("query", "")
        answer = app.test_client().open(url, method=method, headers=headers, query_string=query, **given)
        if answer.status_code != status:
            wrong.append((method, url, query, status, answer.status_code, answer.text[:300]))
        told = document["paths"][path][method.lower()]["responses"].get(str(answer.status_code), {}).get("headers", {})
        wrong += [(method, url, query, status, name) for name, one in told.items()
                  if one.get("required") and name not in answer.headers]
        met.add((path, method, answer.status_code))
    assert wrong == []
    documented = {
        (path, method.upper(), int(status))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for status in operation["responses"]
        if status != "default"
    }
    assert set(document["paths"]["/fhir/{type}"]["post"]["responses"]["201"]["headers"]) == {
        "ETag", "Last-Modified", "Location", "X-Request-Id"}  # fmt: skip
    # What an operation answers beside the refusals that all have is tested with the operation.
    plain = {row for row in documented if "$" not in row[0]}
    assert {row for row in met if "$" not in row[0]} == plain
    assert {row for row in met if "$" in row[0]} <= documented
