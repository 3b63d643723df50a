"""$subset, $implements of CapabilityStatement, and $preferred-id of NamingSystem: docs/api/operations.md"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir.validation import validate
from tests.conformance.conftest import Fhir

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])

OWN = "http://localhost/fhir/metadata"
URL = "http://example.org/CapabilityStatement/small"
PATIENT_NAME = {"name": "name", "type": "string", "definition": "http://hl7.org/fhir/SearchParameter/Patient-name"}
SMALL: dict[str, Any] = {
    "resourceType": "CapabilityStatement", "id": "small", "url": URL, "status": "active", "date": "2024",
    "kind": "requirements", "description": "A small one.", "fhirVersion": "4.0.1", "format": ["json"], "rest": [{
        "mode": "server", "interaction": [{"code": "batch"}], "resource": [
            {"type": "Patient", "interaction": [{"code": "read"}, {"code": "search-type"}], "updateCreate": True,
             "conditionalRead": "not-match", "conditionalDelete": "single", "searchInclude": ["Patient:organization"],
             "searchRevInclude": ["Observation:subject"], "searchParam": [PATIENT_NAME],
             "operation": [{"name": "everything",
                            "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything"}]},
            {"type": "Basic", "interaction": [{"code": "create"}]}]}],
}  # fmt: skip


def changed(**of_patient: Any) -> dict[str, Any]:
    """Return the small statement as a client's, with other rows of Patient."""
    (rest,) = SMALL["rest"]
    row = {name: value for name, value in (rest["resource"][0] | of_patient).items() if value is not None}
    return SMALL | {"rest": [rest | {"mode": "client", "resource": [row]}]}


# ---- $subset ---------------------------------------------------------------------------------------------------------


@pytest.mark.proves("operation:CapabilityStatement/$subset")
def test_a_subset_of_a_statement_is_about_the_types_that_are_named(fhir: Fhir, client: Callable[..., Fhir]) -> None:
    whole = fhir.get("metadata").json
    for asked in ("resource=Patient&resource=Basic", "resource=Basic,Patient", f"resource=Patient,Basic&server={OWN}"):
        found = fhir.get(f"CapabilityStatement/$subset?{asked}").json
        assert [one for one in validate(found, "CapabilityStatement") if one.severity != "warning"] == []
        assert [one["type"] for one in found["rest"][0]["resource"]] == ["Basic", "Patient"]
        assert found["rest"][0]["resource"][1] in whole["rest"][0]["resource"]
        assert found["rest"][0]["interaction"] == whole["rest"][0]["interaction"]
        assert found["meta"]["tag"][0]["code"] == "SUBSETTED"
    body = {"resourceType": "Parameters", "parameter": [{"name": "resource", "valueCode": "Basic"},
                                                        {"name": "server", "valueUri": OWN}]}
    answer = fhir.post("CapabilityStatement/$subset", body, Accept="application/fhir+xml")
    assert [one["type"] for one in answer.json["rest"][0]["resource"]] == ["Basic"]
    fhir.put("CapabilityStatement/small", SMALL)
    for url in ("CapabilityStatement/small/$subset?", f"CapabilityStatement/$subset?server={URL}&"):
        assert [one["type"] for one in fhir.get(f"{url}resource=Basic").json["rest"][0]["resource"]] == ["Basic"]
        assert "resource" not in fhir.get(f"{url}resource=Group").json["rest"][0]
    narrow = client("system/Patient.rs")
    narrow.get("CapabilityStatement/small/$subset?resource=Basic").refused(403, "forbidden")
    unseen = narrow.get(f"CapabilityStatement/$subset?resource=Basic&server={URL}")
    unseen.refused(404, "not-found", "server")


@sqlite
def test_what_has_no_subset_is_refused(fhir: Fhir) -> None:
    messages = {name: value for name, value in SMALL.items() if name != "rest"} | {
        "id": "messages", "url": URL + "2", "messaging": [{"documentation": "none"}]}
    assert fhir.put("CapabilityStatement/messages", messages).status == 201
    for asked, status, code, expression in (
        ("$subset", 400, "invalid", "resource"),
        ("$subset?resource=Person2", 400, "invalid", "resource"),
        ("$subset?resource=Patient&server=http://example.org/no", 404, "not-found", "server"),
        (f"$subset?resource=Patient&server={OWN}%7C7", 404, "not-found", "server"),
        ("messages/$subset?resource=Patient", 422, "processing", "CapabilityStatement.rest"),
        (f"messages/$subset?resource=Patient&server={OWN}", 400, "invalid", "server"),
        ("nobody/$subset?resource=Patient", 404, "not-found", None),
    ):
        fhir.get(f"CapabilityStatement/{asked}").refused(status, code, expression)


# ---- $implements -----------------------------------------------------------------------------------------------------


NOT_OFFERED: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "Group"}, "rest[0].resource[0].type", "does not offer Group"),
    ({"interaction": [{"code": "read"}, {"code": "patch"}]}, "rest[0].resource[0].interaction[1]", "patch of Patient"),
    ({"conditionalCreate": True}, "rest[0].resource[0].conditionalCreate", "conditionalCreate of Patient"),
    ({"conditionalRead": "full-support"}, "rest[0].resource[0].conditionalRead", "is not-match at the server"),
    ({"conditionalRead": "modified-since"}, "rest[0].resource[0].conditionalRead", "is not-match at the server"),
    ({"conditionalDelete": "multiple"}, "rest[0].resource[0].conditionalDelete", "is single at the server"),
    ({"searchInclude": ["*"]}, "rest[0].resource[0].searchInclude[0]", "searchInclude *"),
    ({"searchRevInclude": ["Group:member"]}, "rest[0].resource[0].searchRevInclude[0]", "Group:member"),
    ({"searchParam": [{"name": "phonetic", "type": "string"}]}, "rest[0].resource[0].searchParam[0]", "phonetic"),
    ({"searchParam": [PATIENT_NAME | {"definition": "urn:mine"}]}, "rest[0].resource[0].searchParam[0]", "urn:mine"),
    ({"operation": [{"name": "everything", "definition": "urn:x"}]}, "rest[0].resource[0].operation[0]", "urn:x"),
]  # fmt: skip
OFFERED: list[dict[str, Any]] = [
    {}, {"updateCreate": False, "conditionalCreate": False}, {"conditionalRead": "not-supported"},
    {"searchParam": [{"name": "name", "type": "string"}]},
    {"operation": [{"name": "all", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything|4.0.1"}]},
]  # fmt: skip


@pytest.mark.proves("operation:CapabilityStatement/$implements")
def test_a_server_implements_what_it_offers(fhir: Fhir) -> None:
    fhir.put("CapabilityStatement/small", SMALL)
    for asked in OFFERED:
        for answer in (fhir.post("CapabilityStatement/small/$implements", changed(**asked)),
                       fhir.post("CapabilityStatement/$implements", changed(**asked))):
            assert answer.status == 200, answer.content
            assert [one["severity"] for one in answer.json["issue"]] == ["information"]
    assert fhir.get(f"CapabilityStatement/$implements?client={URL}").status == 200
    assert fhir.get(f"CapabilityStatement/$implements?client={URL}&server={OWN}").status == 200
    assert fhir.get(f"CapabilityStatement/$implements?client={URL}&server={URL}").status == 200
    lacking = fhir.get(f"CapabilityStatement/$implements?client={OWN}&server={URL}")
    lacking.refused(422, "not-supported", "CapabilityStatement.rest[0].interaction[0]", "transaction of the system")
    assert fhir.get(f"CapabilityStatement/$implements?client={OWN}").status == 200


@sqlite
def test_what_a_server_lacks_is_named_with_its_place(fhir: Fhir, subtests: Any) -> None:
    fhir.put("CapabilityStatement/small", SMALL)
    for asked, place, text in NOT_OFFERED:
        with subtests.test(f"{place} {text}"):
            answer = fhir.post("CapabilityStatement/small/$implements", changed(**asked))
            answer.refused(422, "not-supported", f"CapabilityStatement.{place}", text)
            assert len(answer.json["issue"]) == 1
    for asked in ("$implements", f"$implements?server={OWN}", "small/$implements"):
        fhir.get(f"CapabilityStatement/{asked}").refused(400, "invalid", "client")
    fhir.get("CapabilityStatement/$implements?client=urn:no").refused(404, "not-found", "client")
    given = fhir.post(f"CapabilityStatement/$implements?client={URL}", changed())
    given.refused(400, "invalid", "client", "one of client and resource")


# ---- $preferred-id ---------------------------------------------------------------------------------------------------


SNOMED: dict[str, Any] = {
    "resourceType": "NamingSystem", "name": "SnomedCt", "status": "active", "kind": "codesystem", "date": "2014",
    "uniqueId": [
        {"type": "oid", "value": "2.16.840.1.113883.6.96"},
        {"type": "uri", "value": "http://snomed.info/sct", "preferred": True},
        {"type": "uri", "value": "http://snomed.example/old"}, {"type": "other", "value": "SCT"},
        {"type": "uuid", "value": "0b4d2d8c-51a5-4a8c-9f0d-5a1f7c7c1b11", "period": {"end": "2020"}}],
}  # fmt: skip
PREFERRED: list[tuple[str, str, str]] = [
    ("http://snomed.info/sct", "oid", "2.16.840.1.113883.6.96"),
    ("2.16.840.1.113883.6.96", "uri", "http://snomed.info/sct"),
    ("urn:oid:2.16.840.1.113883.6.96", "other", "SCT"),
    ("SCT", "uri", "http://snomed.info/sct"),
    ("http://snomed.example/old", "uri", "http://snomed.info/sct"),
    ("urn:uuid:0B4D2D8C-51A5-4A8C-9F0D-5A1F7C7C1B11", "oid", "2.16.840.1.113883.6.96"),
    ("2.16.840.1.113883.5.8", "uri", "http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "oid", "2.16.840.1.113883.5.8"),
    ("urn:oid:1.2.3.4", "uri", "http://example.org/CodeSystem/a,b|c"),
]  # fmt: skip


@pytest.mark.proves("operation:NamingSystem/$preferred-id")
def test_the_preferred_identifier_of_a_system(fhir: Fhir, client: Callable[..., Fhir], subtests: Any) -> None:
    fhir.create(SNOMED)
    fhir.create({"resourceType": "CodeSystem", "url": "http://example.org/CodeSystem/a,b|c", "status": "active",
                 "content": "not-present",
                 "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.4"}]})
    for text, kind, expected in PREFERRED:
        with subtests.test(f"{text} {kind}"):
            body = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueString": text},
                                                                {"name": "type", "valueCode": kind}]}
            for answer in (fhir.get(f"NamingSystem/$preferred-id?id={text}&type={kind}"),
                           fhir.post("NamingSystem/$preferred-id", body, Accept="application/fhir+xml")):
                assert answer.status == 200, answer.content
                assert answer.json["parameter"] == [{"name": "result", "valueString": expected}]
    narrow = client("system/Patient.rs")
    for unseen in ("SCT", "1.2.3.4"):
        narrow.get(f"NamingSystem/$preferred-id?id={unseen}&type=uri").refused(404, "not-found", "id")
    assert narrow.get("NamingSystem/$preferred-id?id=2.16.840.1.113883.5.8&type=uri").status == 200


@sqlite
def test_what_is_unknown_or_not_one_is_refused(fhir: Fhir) -> None:
    fhir.create(SNOMED | {"status": "retired", "uniqueId": [{"type": "other", "value": "SCT"}]})
    fhir.create(SNOMED)
    fhir.create(SNOMED | {"name": "Two", "uniqueId": [{"type": "uri", "value": "urn:twice"},
                                                      {"type": "oid", "value": "1.2.1"},
                                                      {"type": "oid", "value": "1.2.2"}]})
    fhir.create(SNOMED | {"name": "Three", "uniqueId": [{"type": "uri", "value": "urn:three"},
                                                        {"type": "oid", "value": "1.2.1"}]})
    for asked, status, code, expression in (
        ("id=urn:unknown&type=oid", 404, "not-found", "id"),
        ("id=SCT&type=uuid", 404, "not-found", "type"),  # it is valid no more
        ("id=urn:twice&type=oid", 422, "multiple-matches", "type"),
        ("id=1.2.1&type=uri", 422, "multiple-matches", "id"),
        ("id=SCT&type=url", 400, "invalid", "type"),
        ("id=SCT", 400, "invalid", "type"),
        ("type=uri", 400, "invalid", "id"),
        ("id=%5C&type=uri", 404, "not-found", "id"),
    ):
        fhir.get(f"NamingSystem/$preferred-id?{asked}").refused(status, code, expression)
    assert fhir.get("NamingSystem/$preferred-id?id=SCT&type=oid").status == 200
    fhir.create(SNOMED | {"status": "retired", "uniqueId": [{"type": "other", "value": "OLD"},
                                                            {"type": "oid", "value": "1.2.9"}]})
    assert fhir.get("NamingSystem/$preferred-id?id=OLD&type=oid").status == 200  # there is no other
