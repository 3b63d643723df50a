"""The audit trail at the administration API: what is recorded, and how it is found."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from hie.app import Application
from hie.fhir import validation
from hie.store import administration
from hie.store.tenants import DEFAULT_TENANT
from hie.web.admin.blueprint import PREFIX
from tests.conformance.administration import Admin, make_token
from tests.one_database import ONE_DATABASE


def events(admin: Admin, query: str = "") -> list[dict[str, Any]]:
    bundle = admin.ok("GET", f"/audit{query}")
    return [entry["resource"] for entry in bundle.get("entry", [])]


def interactions(found: list[dict[str, Any]]) -> list[str]:
    return [event["subtype"][0]["code"] for event in found]


def test_requests_to_the_administration_are_audited_refused_ones_too(
    admin: Admin, app: Flask, application: Application
) -> None:
    admin.ok("GET", "/status")
    app.test_client().get("/admin/clients")
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.rs')}"}
    app.test_client().get("/admin/clients", headers=headers)
    admin.ok("POST", "/clients", 201, json={"name": "new"})
    found = events(admin)
    assert interactions(found)[:4] == ["client-create", "admin-clients", "admin-clients", "admin-status"]
    assert [event["outcomeDesc"] for event in found[:4]] == ["HTTP 201", "HTTP 403", "HTTP 401", "HTTP 200"]
    assert found[2]["agent"][0]["who"] == {"display": "not authenticated"}


def test_the_audit_trail_is_found_by_patient_entity_client_status_and_interaction(
    admin: Admin, app: Flask, application: Application
) -> None:
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.cruds', 'reader')}"}
    client = app.test_client()
    for path in ("/fhir/Patient/one", "/fhir/Patient/two", "/fhir/Observation/one"):
        assert client.get(path, headers=headers).status_code == 404
    reader = administration.client_named(application.store.database.connection(), DEFAULT_TENANT, "reader")
    assert len(events(admin, f"?client={reader}")) == 3
    assert len(events(admin, "?patient=Patient/one")) == 1
    assert len(events(admin, "?patient=two")) == 1
    assert len(events(admin, "?entity=Observation/one")) == 1
    assert len(events(admin, f"?status=404&interaction=read&client={reader}")) == 3
    assert events(admin, f"?status=200&client={reader}") == []
    (event,) = events(admin, "?patient=Patient/one")
    assert {"what": {"reference": "Patient/one"}} in event["entity"]


def test_the_audit_trail_is_cut_by_time(admin: Admin) -> None:
    admin.ok("GET", "/status")
    assert events(admin, "?until=2001-01-01") == []
    assert events(admin, "?since=2999-01-01") == []
    assert interactions(events(admin, "?since=2001-01-01&until=2999&interaction=admin-status")) == ["admin-status"]
    assert interactions(events(admin, "?since=2001-01-01T00:00:00+01:00&interaction=admin-status")) == ["admin-status"]


def test_pages_of_the_audit_trail_hold_every_record_once(admin: Admin) -> None:
    for _ in range(5):
        admin.ok("GET", "/status")
    query: str | None = "?interaction=admin-status&count=2"
    seen: list[str] = []
    while query is not None:
        bundle = admin.ok("GET", f"/audit{query}")
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        query = following[0].removeprefix(f"{PREFIX}/audit") if following else None
    assert len(seen) == len(set(seen)) == 5


def test_audit_events_are_valid_resources(admin: Admin, app: Flask, application: Application) -> None:
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.cruds')}"}
    app.test_client().get("/fhir/Patient/one?_format=json", headers=headers)
    app.test_client().get("/fhir/Patient?name=x", headers=headers)
    found = events(admin)
    assert len(found) >= 2
    for event in found:
        issues = validation.validate(event)
        assert [issue for issue in issues if issue.severity in ("error", "fatal")] == []


@ONE_DATABASE
def test_an_audit_event_says_what_was_done_by_the_codes_of_r4_and_which_it_is(
    admin: Admin, app: Flask, application: Application
) -> None:
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.cruds')}"}
    for method, path in (("GET", "Patient/one"), ("PATCH", "Patient/one"), ("GET", "Patient/one/$everything"),
                         ("DELETE", "Patient/one/_history")):  # fmt: skip
        app.test_client().open(f"/fhir/{path}", method=method, headers=headers)
    rows = admin.ok("GET", "/audit?count=4")["entry"]
    r4, own = "http://hl7.org/fhir/restful-interaction", "urn:x-hie:interaction"
    assert [[(one["system"], one["code"]) for one in row["resource"]["subtype"]] for row in rows] == [
        [(own, "delete-history")], [(own, "$everything"), (r4, "operation")], [(r4, "patch")], [(r4, "read")]]
    assert [row["resource"]["action"] for row in rows] == ["D", "E", "U", "R"]
    base = application.base_url
    assert [row["fullUrl"] for row in rows] == [f"{base}/AuditEvent/{row['resource']['id']}" for row in rows]


@ONE_DATABASE
@pytest.mark.parametrize(
    ("query", "expression"),
    [
        ("since=yesterday", "since"),
        ("until=2020-13-01", "until"),
        ("status=ok", "status"),
        ("entity=Patient", "entity"),
        ("entity=Paciente/1", "entity"),
        ("patient=Observation/1", "patient"),
        ("cursor=abc", "cursor"),
        ("count=-1", "count"),
    ],
)
def test_a_filter_of_the_audit_trail_that_cannot_be_read_is_refused(
    admin: Admin, query: str, expression: str
) -> None:
    status, code, found = admin.refused("GET", f"/audit?{query}")
    assert (status, code) == (400, "invalid")
    assert found == expression or (query, found) == ("entity=Patient", "Patient.id")
