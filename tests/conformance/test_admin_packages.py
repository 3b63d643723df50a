"""Packages of profiles at the administration API: they are told, installed, removed, and judged by."""

from __future__ import annotations

from typing import Any

from hie.app import Application
from hie.fhir.profiles import read
from hie.store import packages
from hie.store.tenants import DEFAULT_TENANT
from tests.conformance.administration import Admin
from tests.packages import BASE, element, manifest, profile, tarball


def test_packages_are_told_and_removed_and_declared_profiles_are_switched(
    admin: Admin, application: Application, clock: Any
) -> None:
    profile_ = profile("named", "Patient", element("Patient.name", min=1))
    application.store.database.write(lambda c: packages.add(c, read(tarball(profile_)), 7))
    found = admin.ok("GET", "/packages")
    assert found["validation"] == "off"
    assert [(one["name"], one["version"], one["profiles"]) for one in found["packages"]] == [
        ("example.profiles", "1.0.0", {"Patient": [BASE + "named"]})
    ]
    assert admin.ok("POST", "/packages/validation", json={"validation": "reject"})["validation"] == "reject"
    clock.forward(3)
    assert application.profiles.mode(DEFAULT_TENANT) == "reject"
    assert application.profiles.mode(DEFAULT_TENANT + 1) == "off"
    refused = admin.refused("POST", "/packages/validation", json={"validation": "perhaps"})
    assert refused == (400, "invalid", "validation")
    assert admin.ok("DELETE", "/packages/example.profiles/1.0.0")["packages"] == []
    assert admin.refused("DELETE", "/packages/example.profiles/1.0.0") == (404, "not-found", "")


def test_a_package_is_installed_from_its_file(admin: Admin, application: Application, client: Any, clock: Any) -> None:
    content = tarball(profile("named", "Patient", element("Patient.name", min=1)))
    sent = {"data": content, "headers": {"Content-Type": "application/gzip"}}
    for _ in range(2):  # the same file again changes nothing
        found = admin.ok("POST", "/packages", **sent)["packages"]
        told = [(one["name"], one["profiles"]) for one in found]
        assert told == [("example.profiles", {"Patient": [BASE + "named"]})]
    assert application.profiles.library().find(BASE + "named") is not None
    other = tarball(profile("other", "Patient", element("Patient.name")))
    assert admin.refused("POST", "/packages", **{**sent, "data": other}) == (409, "conflict", "")
    wrong = tarball(profile("wrong", "Patient", element("Patient.colour")))
    for refused, status, code in ((b"x", 422, "processing"), (b"", 422, "processing"), (wrong, 422, "processing"),
                                  (content[:200], 422, "processing"), (bytes(32_000_001), 413, "too-long")):
        assert admin.refused("POST", "/packages", **{**sent, "data": refused})[:2] == (status, code)
    json = {"data": content, "headers": {"Content-Type": "application/json"}}
    assert admin.refused("POST", "/packages", **json) == (415, "not-supported", "http.Content-Type")
    assert client("system/*.cruds").post("/admin/packages", content, Content_Type="application/gzip").status == 403
    alone = {key: one for key, one in profile("alone", "Patient").items() if key != "snapshot"} | {
        "baseDefinition": BASE + "nobody", "differential": {"element": [{"path": "Patient"}]}}
    above = tarball(alone, package=manifest("example.above"))
    (told,) = admin.ok("POST", "/packages", **{**sent, "data": above})["unusable"]
    assert f"The base definition {BASE}nobody is not known here" in told
    admin.ok("DELETE", "/packages/example.above/1.0.0")
    assert admin.ok("DELETE", "/packages/example.profiles/1.0.0")["packages"] == []
