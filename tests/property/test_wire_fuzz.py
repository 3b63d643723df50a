"""Attacks on the wire, on both databases: no 5xx, valid OperationOutcomes, and a store that stays whole.

test_wire.py tries requests at large; here they are drawn from the definitions: every kind of route, every search
parameter with its modifiers and prefixes, whole Bundles, operations, /admin and pictures.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import brotli
from hypothesis import given
from hypothesis import strategies as st

from hie.fhir import json_format, xml_format
from hie.jobs.worker import Worker
from tests.builders import patient
from tests.property.caught import Target, read, target
from tests.property.thrown import JSON, RESOURCES, TEXTS, TYPES, anything, files, mutated
from tests.property.thrown_requests import HEADERS, URLS, bundles, searches

__all__ = ["target"]

DOCUMENTS = [xml_format.dump(json_format.parse(json.dumps(one).encode())) for one in RESOURCES]


@anything
@given(st.data())
def test_mutated_resources(target: Target, data: st.DataObject) -> None:
    resource = data.draw(st.composite(lambda draw: mutated(draw, draw(st.sampled_from(RESOURCES))))())
    known = resource if isinstance(resource, dict) else {}
    type_name, id_ = known.get("resourceType"), known.get("id")
    place = data.draw(
        st.sampled_from(
            [
                ("POST", f"/fhir/{type_name}"),
                ("PUT", f"/fhir/{type_name}/{id_}"),
                ("PUT", f"/fhir/{type_name}"),
                ("POST", f"/fhir/{type_name}/$validate"),
                ("POST", "/fhir/Patient"),
                ("POST", "/fhir"),
                ("POST", "/fhir/$validate"),
                ("POST", "/fhir/Patient/a/$everything"),
                ("PUT", "/fhir/Patient/a"),
                ("POST", "/fhir/Media/m/$diagnose"),
                ("POST", "/fhir/Patient/a/$recommend"),
                ("DELETE", f"/fhir/{type_name}/{id_}"),
            ]
        )
    )
    target(
        *place,
        query=data.draw(st.sampled_from(["", "", "identifier=1", "_pretty=true", "_format=json"])),
        body=resource,
    )


@anything
@given(st.data())
def test_mutated_xml(target: Target, data: st.DataObject) -> None:
    text = bytearray(data.draw(st.sampled_from(DOCUMENTS)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 4))] = data.draw(
            st.sampled_from([b"", b"<", b">", b"/>", b'"', b"&", b"&#0;", b"\x00", b"\xff", b"<!DOCTYPE a>", b"id"])
        )
    body, headers = bytes(text), {"Content-Type": "application/fhir+xml"}
    packed = {"gzip": gzip.compress, "br": brotli.compress}
    if coding := data.draw(st.sampled_from([None, "gzip", "br", "zstd"])):
        body, headers = packed.get(coding, bytes)(body), {**headers, "Content-Encoding": coding}
        body = body[: data.draw(st.sampled_from([len(body), len(body) - 1]))]
    place = data.draw(st.sampled_from(["/Patient", "", "/Patient/$validate", "/Binary", "/Basic", "/Bundle"]))
    accepted = data.draw(st.sampled_from(["*/*", "application/fhir+xml"]))
    target("POST", f"/fhir{place}", "", {"Accept": accepted, "Accept-Encoding": "br", **headers}, body)


@anything
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.one_of(URLS, st.sampled_from(["", "Patient", "Patient/a", "Patient/$validate", "Media/m/$diagnose"])),
    query=st.sampled_from(["", "identifier=1", "name=a", "_count=1"]),
    resource=st.composite(lambda draw: mutated(draw, draw(st.sampled_from(RESOURCES))))(),
)
def test_answers_that_come_later(target: Target, method: str, path: str, query: str, resource: Any) -> None:
    asked = target(method, f"/fhir/{path}".removesuffix("/"), query, {"Prefer": "respond-async"}, resource)
    if asked.status_code != 202 or "Content-Location" not in asked.headers:
        return
    worker = Worker(target.application, "fuzz")
    while worker.step():
        pass
    address = asked.headers["Content-Location"].removeprefix("http://localhost")
    answer = target("GET", address)
    assert answer.status_code == 200, answer.data
    target._look_into(read(answer), (method, path, query, resource))
    assert target("DELETE", address).status_code == 202


@anything
@given(
    body=st.one_of(st.binary(max_size=60), JSON, JSON.map(lambda value: {"resourceType": "Patient", "name": value})),
    path=st.sampled_from(
        ["", "/Patient", "/Bundle", "/Binary", "/Patient/$validate", "/Patient/_search", "/Patient/a/$recommend"]
    ),
)
def test_any_body(target: Target, path: str, body: Any) -> None:
    target("POST", f"/fhir{path}", body=body)


@anything
@given(
    data=st.data(),
    type_name=st.sampled_from(TYPES),
    method=st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT"]),
)
def test_searches(target: Target, type_name: str, method: str, data: st.DataObject) -> None:
    query = data.draw(searches(type_name))
    if method == "POST":
        target(
            method,
            f"/fhir/{type_name}/_search",
            "",
            {"Content-Type": "application/x-www-form-urlencoded"},
            query.encode("utf-8", "replace"),
        )
    else:
        target(method, f"/fhir/{type_name}", query, body={"resourceType": type_name} if method == "PUT" else b"")


@anything
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"]),
    path=st.one_of(
        URLS.map(lambda url: "/fhir/" + url),
        st.text(max_size=12),
        st.lists(TEXTS, max_size=4).map(lambda row: "/fhir/" + "/".join(row)),
    ),
    query=TEXTS,
    headers=HEADERS,
    body=st.sampled_from([b"", json.dumps(patient(id="a")).encode(), b"a=b"]),
)
def test_urls_and_headers(
    target: Target, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    target(method, path, query, headers, body)


@anything
@given(bundles())
def test_bundles(target: Target, resource: Any) -> None:
    target("POST", "/fhir", body=resource)


@anything
@given(
    data=st.data(),
    place=st.sampled_from(
        [
            "/fhir/$validate",
            "/fhir/Patient/$validate",
            "/fhir/Patient/a/$validate",
            "/fhir/Patient/a/$everything",
            "/fhir/Patient/a/$recommend",
            "/fhir/Media/m/$diagnose",
            "/fhir/Patient/$nonsense",
        ]
    ),
)
def test_operations(target: Target, place: str, data: st.DataObject) -> None:
    names = [
        "resource",
        "mode",
        "profile",
        "start",
        "end",
        "_since",
        "_type",
        "_count",
        "kind",
        "count",
        "model",
        "identifier",
        "_cursor",
    ]
    rows = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(names), st.one_of(TEXTS, st.sampled_from(["5", "condition", "delete", "Patient"]))
            ),
            max_size=3,
        )
    )
    if data.draw(st.booleans()):
        target("GET", place, "&".join(f"{name}={value}" for name, value in rows))
        return
    kinds = st.sampled_from(
        [
            "valueString",
            "valueCode",
            "valueInteger",
            "valueDate",
            "valueInstant",
            "valuePositiveInt",
            "valueBoolean",
            "part",
            "resource",
        ]
    )
    row = [
        {"name": name, data.draw(kinds): data.draw(st.one_of(st.just(value), st.integers(), JSON))}
        for name, value in rows
    ]
    target("POST", place, body={"resourceType": "Parameters", "parameter": row})


@anything
@given(data=st.data())
def test_administration(target: Target, data: st.DataObject) -> None:
    names = st.sampled_from(["name", "scopes", "scope", "expires_in_days", "days", "version", "client", "id", "x"])
    values = st.one_of(
        JSON, st.sampled_from(["admin", ["system/*.cruds"], ["x"], "system/Patient.r?name=x", 1, 10**30, 1e308, -1])
    )
    path = data.draw(
        st.sampled_from(
            [
                "status",
                "clients",
                "clients/{}",
                "clients/{}/tokens",
                "clients/{}/tokens/{}",
                "models",
                "models/{}/manifest",
                "models/{}/activate",
                "models/chest-xray/activate",
                "jobs",
                "jobs/{}",
                "jobs/{}/retry",
                "jobs/{}/cancel",
                "audit",
                "{}",
            ]
        )
    )
    while "{}" in path:
        path = path.replace("{}", data.draw(TEXTS), 1)
    filters = st.sampled_from(
        [
            "count",
            "before",
            "state",
            "since",
            "until",
            "client",
            "patient",
            "entity",
            "interaction",
            "status",
            "cursor",
            "x",
        ]
    )
    query = "&".join(f"{name}={value}" for name, value in data.draw(st.lists(st.tuples(filters, TEXTS), max_size=3)))
    method = data.draw(st.sampled_from(["GET", "GET", "POST", "DELETE", "PUT", "HEAD"]))
    body = data.draw(st.one_of(st.dictionaries(names, values, max_size=3), JSON))
    target(
        method,
        f"/admin/{path}",
        query,
        {"Content-Type": "application/json"},
        body if method in ("POST", "PUT") else b"",
    )


@anything
@given(
    data=st.data(),
    content=files(),
    content_type=st.sampled_from(["image/png", "image/jpeg", "application/dicom", "text/plain", "x"]),
)
def test_pictures(target: Target, data: st.DataObject, content: bytes, content_type: str) -> None:
    if data.draw(st.booleans()):
        target("POST", "/fhir/Binary", headers={"Content-Type": content_type}, body=content)
        return
    media = {**RESOURCES[6], "content": {"contentType": content_type, "data": base64.b64encode(content).decode()}}
    if target("PUT", "/fhir/Media/m", body=media).status_code < 300:
        target("POST", "/fhir/Media/m/$diagnose")
