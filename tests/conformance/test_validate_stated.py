"""What R4's text states, $validate tells; what is written so is stored as ever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import observation, patient
from tests.terminologies import code_system
from tests.unit.fhir.test_snapshots import of, profile

UUID = "urn:uuid:00000000-0000-4000-8000-00000000000"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
DOCUMENT = {
    "resourceType": "Bundle", "type": "document", "timestamp": "2026-01-01T00:00:00Z",
    "identifier": {"system": "urn:x", "value": "1"},
    "entry": [{"fullUrl": UUID + "1", "resource": {
        "resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2026-01-01", "title": "x",
        "author": [{"display": "x"}], "section": [{"title": "x", "entry": [{"reference": UUID + "2"}]}]}}],
}  # fmt: skip
WRONG: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "document": (DOCUMENT, ("not-found", "Bundle.entry[0].resource.section[0].entry[0].reference")),
    "fullUrl": (
        {"resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": "http://example.org/Patient/1", "resource": patient(id="2")}]},
        ("value", "Bundle.entry[0].fullUrl")),
    "size": (
        {"resourceType": "Media", "status": "completed", "content": {
            "contentType": "image/png", "data": "iVBORw0KGgo=", "size": 1}},
        ("value", "Media.content.size")),
    "narrative": (
        patient(text={"status": "generated", "div": DIV.format("<p>5&nbsp;mg</p>")}),
        ("invariant", "Patient.text.div")),
}  # fmt: skip


def told(answer: Any, severity: str) -> list[tuple[str, str]]:
    return [(one["code"], one["expression"][0]) for one in answer.json["issue"] if one["severity"] == severity]


@pytest.mark.proves("operation:any/$validate")
@pytest.mark.parametrize("name", WRONG)
def test_validate_tells_it_once_and_it_is_stored(name: str, fhir: Any, treat: Any) -> None:
    resource, expected = WRONG[name]
    type_name = resource["resourceType"]
    answer = fhir.post(f"{type_name}/$validate", resource)
    assert answer.status == 200
    assert told(answer, "error") == [expected]
    assert expected not in told(answer, "warning")
    for mode in ("off", "reject"):
        treat(mode)
        id_ = fhir.create(resource)["id"]
    assert expected in told(fhir.get(f"{type_name}/{id_}/$validate"), "error")


def test_why_no_snapshot_can_be_made_of_a_profile_is_told(fhir: Any) -> None:
    right = profile("Patient", of("Patient.name", min=1), url="http://example.org/right")
    assert told(fhir.post("StructureDefinition/$validate", right), "error") == []
    wrong = profile("Patient", of("Patient.name", min=1), of("Patient.nme", min=1), url="http://example.org/wrong")
    place = ("processing", "StructureDefinition.differential.element[1]")
    assert told(fhir.post("StructureDefinition/$validate", wrong), "error") == [place]
    id_ = fhir.create(wrong)["id"]  # one by one, definitions are stored in whatever order and state
    assert told(fhir.get(f"StructureDefinition/{id_}/$validate"), "error") == [place]
    whole = {**wrong, "snapshot": fhir.post("StructureDefinition/$snapshot", right).json["snapshot"]}
    answer = fhir.post("StructureDefinition/$validate", whole)
    assert told(answer, "error") == []
    assert place in told(answer, "warning")


def test_a_base_that_is_not_here_or_not_to_be_seen_is_a_warning(fhir: Any, client: Any) -> None:
    below = profile("Patient", of("Patient.photo", max="0"), base="http://example.org/base")
    place = ("not-found", "StructureDefinition.baseDefinition")
    assert place in told(fhir.post("StructureDefinition/$validate", below), "warning")
    fhir.create(profile("Patient", of("Patient.name", min=1), url="http://example.org/base"))
    assert place not in told(fhir.post("StructureDefinition/$validate", below), "warning")
    blind = client("system/StructureDefinition.rs?status=draft", "system/StructureDefinition.c")
    assert place in told(blind.post("StructureDefinition/$validate", below), "warning")


def test_displays_are_those_of_code_systems_that_are_stored_under_the_grant(fhir: Any, client: Any) -> None:
    fhir.create(code_system("http://example.org/colours", {"code": "r", "display": "Red", "designation": [
        {"language": "de", "value": "Rot"}]}))  # fmt: skip

    def asked(who: Any, code: str, display: str) -> list[tuple[str, str]]:
        coding = {"system": "http://example.org/colours", "code": code, "display": display}
        found = told(who.post("Patient/$validate", patient(maritalStatus={"coding": [coding]})), "warning")
        return [one for one in found if one[0] == "code-invalid"]

    assert asked(fhir, "r", "red") == asked(fhir, "r", "Rot") == []
    assert asked(fhir, "r", "Green") == [("code-invalid", "Patient.maritalStatus.coding[0].display")]
    assert asked(fhir, "g", "Green") == [("code-invalid", "Patient.maritalStatus.coding[0].code")]
    blind = client("system/Patient.cruds")
    assert asked(blind, "r", "Green") == asked(blind, "g", "Green") == []


def test_the_documents_that_this_server_makes_are_such(fhir: Any) -> None:
    who = fhir.create(patient())["id"]
    seen = fhir.create(observation(f"Patient/{who}", code="1-1"))["id"]
    made = fhir.create({
        "resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2026-01-01", "title": "x",
        "subject": {"reference": f"Patient/{who}"}, "author": [{"reference": f"Patient/{who}"}],
        "section": [{"title": "x", "entry": [{"reference": f"Observation/{seen}"}]}]})["id"]  # fmt: skip
    document = fhir.get(f"Composition/{made}/$document").json
    assert len(document["entry"]) == 3
    answer = fhir.post("Bundle/$validate", document)
    assert told(answer, "error") == []
    assert [one for one in told(answer, "warning") if one[0] == "structure"] == []
