"""Published statements of servers that this one fulfils.

https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.instantiates
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from hie.fhir import instantiation
from hie.fhir.profiles import read
from hie.store import packages
from hie.store.packages import REMEMBERED_MICROSECONDS
from tests.packages import BASE, profile, tarball

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
URL = "http://example.org/CapabilityStatement/server"
EXPECTATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation"
COMBINATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-search-parameter-combination"
US_CORE = "http://hl7.org/fhir/us/core/CapabilityStatement/us-core-server"


def expected(code: str) -> dict[str, Any]:
    return {"extension": [{"url": EXPECTATION, "valueCode": code}]}


def wanted(**more: Any) -> dict[str, Any]:
    """A statement of what servers have to do with Patients."""
    row = {"type": "Patient", "interaction": [{"code": "read"}], **more.pop("patient", {})}
    return {
        "resourceType": "CapabilityStatement", "url": URL, "version": "1", "status": "active", "date": "2024",
        "kind": "requirements", "description": "What servers have to do", "fhirVersion": "4.0.1", "format": ["json"],
        "rest": [{"mode": "server", "resource": [row], **more.pop("rest", {})}], **more,
    }  # fmt: skip


def instantiates(fhir: Any) -> list[str]:
    found: list[str] = fhir.get("metadata").json.get("instantiates", [])
    return found


@pytest.mark.proves("instantiates")
def test_what_an_installed_guide_wants_of_servers_is_instantiated_where_all_of_it_is_done(fhir, install, app, clock):
    assert instantiates(fhir) == []
    install(tarball(profile("shaped", "Patient"), wanted(patient={"supportedProfile": [BASE + "shaped"]})))
    assert instantiates(fhir) == [URL]
    store = app.extensions["hie"].store
    store.database.write(lambda connection: packages.remove(connection, "example.profiles", None))
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    assert instantiates(fhir) == []


ASKS: dict[str, dict[str, Any]] = {
    "interaction": {"patient": {"interaction": [{"code": "read"}, {"code": "search-type"}]}},
    "system": {"rest": {"interaction": [{"code": "transaction"}]}},
    "parameter": {"patient": {"searchParam": [{"name": "family", "type": "string", "definition": "http://a/family"}]}},
    "combination": {"patient": {"extension": [{"url": COMBINATION, "extension": [
        {"url": "required", "valueString": "family"}, {"url": "required", "valueString": "birthdate"}]}]}},
    "operation": {"patient": {"operation": [
        {"name": "all", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything|4.0.1"}]}},
    "r4 profile": {"patient": {"supportedProfile": ["http://hl7.org/fhir/StructureDefinition/familymemberhistory-x"]}},
    "include": {"patient": {"searchInclude": ["Patient:organization"], "searchRevInclude": ["Provenance:target"]}},
    "formats": {"format": ["application/fhir+turtle", "xml"]},
    "itself": {"instantiates": [f"{URL}|0.9"]},
}  # fmt: skip
LACKS: dict[str, tuple[dict[str, Any], str]] = {
    "parameter": ({"patient": {"searchParam": [{"name": "eyes", "type": "token"}]}}, "eyes of Patient"),
    "its type": ({"patient": {"searchParam": [{"name": "family", "type": "token"}]}}, "family of Patient"),
    "combination": ({"patient": {"extension": [{"url": COMBINATION, "extension": [
        {"url": "required", "valueString": "family"}, {"url": "required", "valueString": "eyes"}]}]}}, "eyes"),
    "operation": ({"patient": {"operation": [{"name": "x", "definition": "http://a/x"}]}}, "operation x of Patient"),
    "system operation": ({"rest": {"operation": [{"name": "x", "definition": "http://a/x"}]}}, "x of the system"),
    "profile": ({"patient": {"supportedProfile": [BASE + "other"]}}, "profile"),
    "revinclude": ({"patient": {"searchRevInclude": ["Patient:organization"]}}, "searchRevInclude"),
    "format": ({"format": ["application/fhir+turtle"]}, "turtle"),
    "one format": ({"format": ["application/fhir+turtle", "json"], "_format": [expected("SHALL"), None]}, "turtle"),
    "another guide": ({"imports": ["http://example.org/other"]}, "http://example.org/other"),
}  # fmt: skip


@pytest.mark.parametrize("more", ASKS.values(), ids=ASKS)
def test_what_is_done_here_is_told_by_name(fhir, more):
    own = fhir.get("metadata").json
    assert list(instantiation.lacking(own, instantiation.compared(wanted(**more)))) == []


@pytest.mark.parametrize(("more", "told"), LACKS.values(), ids=LACKS)
def test_what_is_not_done_here_keeps_a_statement_from_being_instantiated(fhir, install, more, told):
    own = fhir.get("metadata").json
    statement = wanted(**json.loads(json.dumps(more)))
    assert told in " ".join(instantiation.lacking(own, instantiation.compared(statement)))
    install(tarball(profile("shaped", "Patient"), statement))
    assert instantiates(fhir) == []


def test_what_servers_should_and_may_do_is_not_asked_for(fhir, install):
    may = {"searchParam": [{"name": "eyes", "type": "token", **expected("SHOULD")}],
           "supportedProfile": [BASE + "other"], "_supportedProfile": [expected("SHOULD")],
           "extension": [{"url": COMBINATION, "extension": [{"url": "required", "valueString": "eyes"},
                                                            *expected("SHOULD")["extension"]]}]}  # fmt: skip
    other = {"type": "Group", "supportedProfile": [BASE + "group"], **expected("MAY")}
    statement = wanted(patient=may)
    statement["rest"][0]["resource"].append(other)
    install(tarball(profile("shaped", "Patient"), statement))
    assert instantiates(fhir) == [URL]


def test_statements_of_clients_and_of_one_server_and_wrong_ones_are_not_looked_at(fhir, install):
    client = wanted(url=URL + "/client")
    client["rest"][0]["mode"] = "client"
    instance = wanted(url=URL + "/instance", kind="instance", implementation={"description": "x"})
    wrong = wanted(url=URL + "/wrong", status="unheard-of")
    install(tarball(profile("shaped", "Patient"), client, instance, wrong))
    assert instantiates(fhir) == []


def test_a_package_that_an_earlier_version_installed_is_read_once_more_for_it(fhir, install, app, clock, monkeypatch):
    """An earlier version kept no statements; installing the package again adds them."""
    content = tarball(profile("shaped", "Patient"), wanted())
    with monkeypatch.context() as earlier:
        earlier.setattr("hie.store.package_content.json_format.dump", _without_statements)
        install(content)
    assert instantiates(fhir) == []
    install(content)
    assert instantiates(fhir) == [URL]


def _without_statements(value: Any) -> bytes:
    kept = {name: one for name, one in value.items() if name != "statements"} if isinstance(value, dict) else value
    return json.dumps(kept).encode()


@pytest.mark.parametrize("version", ["3.1.1", "5.0.1", "6.1.0", "7.0.0", "8.0.0"])
def test_all_that_us_core_wants_of_servers_is_done(fhir, install, shared_data, version):
    install((shared_data / "definitions" / f"hl7.fhir.us.core-{version}.tgz").read_bytes())
    assert instantiates(fhir) == [US_CORE]


def test_a_statement_is_kept_without_its_texts(database_kind, shared_data):
    package = read((shared_data / "definitions" / "hl7.fhir.us.core-8.0.0.tgz").read_bytes())
    (statement,) = package.statements
    assert statement["url"] == US_CORE
    assert '"documentation"' not in json.dumps(statement)
