"""What /openapi.json describes of headers and parameters is heard; conditions that it does not describe are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import bundle, entry
from tests.conformance.conftest import Fhir

PATIENT = {"resourceType": "Patient", "id": "one", "identifier": [{"system": "urn:x", "value": "1"}]}
PROVENANCE = '{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}'
MERGE, FORM = "application/merge-patch+json", "application/x-www-form-urlencoded"
HEADERS = {
    "If-Match": "*", "If-None-Match": '"9"', "If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT",
    "If-Unmodified-Since": "Sun, 06 Nov 2095 08:49:37 GMT",
    "If-None-Exist": "identifier=urn:x|none", "Prefer": "return=minimal", "X-Cascade": "delete",
    "X-Provenance": PROVENANCE, "X-Security-Context": "Patient/one",
}  # fmt: skip
QUERY = {
    "_format": "xml", "_pretty": "true", "_summary": "true", "_elements": "id", "_count": "3", "_since": "2020",
    "_at": "ge2020", "_list": "l", "_sort": "_lastUpdated", "_total": "none", "_type": "Patient",
    "_cascade": "delete", "mode": "full", "_offset": "0",
}  # fmt: skip
CONDITIONS = ("If-Match", "If-None-Match", "If-None-Exist")
FILLED = {"{type}": "Patient", "{compartment}": "Patient", "{id}": "one", "{vid}": "1",
          "{definition}": "-hie-diff"}  # fmt: skip


@pytest.fixture
def routes(app: Any) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Path, method and parameters of each interaction; operations and answers to come apart."""
    paths = app.test_client().get("/openapi.json").json["paths"]
    return [
        (path, method.upper(), operation["parameters"])
        for path, item in paths.items() for method, operation in item.items()
        if path.startswith("/fhir") and not any(part in path for part in ("$", "_async", ".well-known"))
    ]  # fmt: skip


@pytest.fixture
def send(client: Callable[..., Fhir]) -> Callable[..., int]:
    """Send what succeeds by itself, with one header or parameter beside it; return the status."""
    token = client("system/*.cruds", "admin")

    def sent(path: str, method: str, name: str = "", value: str = "") -> int:
        url = path.removeprefix("/fhir").removeprefix("/")
        for template, text in FILLED.items():
            url = url.replace(template, text)
        token.delete("Patient/one")
        token.put("Patient/one", PATIENT)
        vid = token.get("Patient/one").vid
        token.put("List/l", {"resourceType": "List", "id": "l", "status": "current", "mode": "working"})
        query = {name: value} if value and not name[:1].isupper() else {}
        if path == "/fhir/{type}" and method in ("PUT", "PATCH", "DELETE"):
            query["_id"] = "one"
        if path.endswith("{vid}") and method == "GET":
            url = url.removesuffix("1") + (vid or "")
        bodies = {"PUT": (PATIENT, None), "PATCH": ({"active": True}, MERGE), "POST": (PATIENT, None)}
        body, kind = bodies.get(method, (None, None))
        if path.endswith("_search"):
            body, kind = "_id=one", FORM
        elif path == "/fhir" and method == "POST":
            body = bundle(entry("GET", "Patient/one"))
        headers = {name: value} if value and name[:1].isupper() else {}
        if headers.get("If-None-Match") and method == "PUT":
            headers, query = {"If-None-Match": "*"}, {"_id": "none"} if "_id" in query else {}
            body = {**PATIENT, "id": "new"} if not query else {"resourceType": "Patient"}
            url = url.replace("one", "new")
            token.delete("Patient/new")
        if kind is not None:
            headers["Content-Type"] = kind
        asked = "&".join(f"{key}={text}" for key, text in query.items())
        return token(method, url + (f"?{asked}" if asked else ""), body, **headers).status

    return sent


def test_what_is_described_is_heard(routes, send, subtests):
    assert len(routes) > 20
    for path, method, parameters in routes:
        names = [one["name"] for one in parameters if one["in"] != "path"]
        assert len(set(names)) == len(names) > 0, (path, method)
        for name in names:
            value = HEADERS.get(name) or QUERY.get(name) or "2026-01-01T00:00:00Z"
            with subtests.test(f"{method} {path} {name}"):
                status = send(path, method, name, value)
                expected = {200, 201} | ({404} if name == "_asOf" or "/_history" in path else set())
                assert status in expected, status


def test_conditions_that_are_not_described_are_refused(routes, send, subtests):
    """Of lists If-None-Match holds always, as nothing there has an ETag."""
    for path, method, parameters in routes:
        names = {one["name"] for one in parameters}
        for condition in CONDITIONS:
            is_list = condition == "If-None-Match" and method in ("GET", "POST") and (
                "_history" in path or "_search" in path or (method == "GET" and "{id}/_" not in path))
            if condition not in names and not is_list:
                with subtests.test(f"{method} {path} {condition}"):
                    assert send(path, method, condition, HEADERS[condition]) == 400
