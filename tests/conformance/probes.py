"""Requests that meet each status that /openapi.json describes, one each."""

from __future__ import annotations

import json
from typing import Any

from hie.web import openapi
from tests.conformance.described import described, is_of_fhir
from tests.packages import element, profile, tarball

PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "1"}]}
NAMED = tarball(profile("named", "Patient", element("Patient.name")))
BUNDLE = "/fhir"

Probe = tuple[str, str, int, dict[str, Any]]


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
    defined = "/fhir/OperationDefinition/{definition}"
    return [
        ("/fhir/metadata", "GET", 200, {}),
        ("/fhir/metadata", "GET", 304, {"headers": {"If-None-Match": "*"}}),
        ("/fhir/metadata", "GET", 400, {"query": "mode=wrong"}),
        (defined, "GET", 200, {}),
        (defined, "GET", 304, {"headers": {"If-None-Match": "*"}}),
        (defined, "GET", 400, {"query": "mode=full"}),
        (defined, "GET", 404, {"path": "/fhir/OperationDefinition/-hie-none"}),
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


def async_probes(done: str, waiting: str, exported: str, impossible: str) -> list[Probe]:
    path, file = "/fhir/_async/{id}", "/fhir/_async/{id}/{file}"
    return [
        (file, "GET", 200, {"path": f"/fhir/_async/{exported}/Patient.1.ndjson"}),
        (file, "GET", 400, {"query": "a=b"}),
        (file, "GET", 404, {}),
        (path, "GET", 200, {"path": f"/fhir/_async/{done}"}),
        (path, "GET", 202, {"path": f"/fhir/_async/{waiting}"}),
        (path, "GET", 400, {"query": "a=%ff"}),
        (path, "GET", 404, {}),
        (path, "GET", 422, {"path": f"/fhir/_async/{impossible}"}),
        (path, "DELETE", 400, {"query": "a=%ff"}),
        (path, "DELETE", 202, {"path": f"/fhir/_async/{done}"}),
        (path, "DELETE", 404, {"path": f"/fhir/_async/{done}"}),
    ]


def general_probes(document: dict[str, Any], too_large: bytes) -> list[Probe]:
    """Requests without a token, with the wrong one, with a wrong body, for a wrong format."""
    found: list[Probe] = []
    for path, method in sorted(described(document)):
        if path in openapi.PUBLIC_PATHS:
            if path in ("/fhir/metadata", "/fhir/OperationDefinition/{definition}"):
                found.append((path, method, 406, {"headers": {"Accept": "text/plain"}}))
            continue
        is_fhir, body = is_of_fhir(path), _body(path, method)
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
