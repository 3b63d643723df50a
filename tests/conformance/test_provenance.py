"""X-Provenance: https://hl7.org/fhir/R4/provenance.html#header"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, entry, observation, patient, post, practitioner, put


@pytest.fixture
def told(fhir) -> str:
    """The header's text, with an agent that is here."""
    who = fhir.create(practitioner())["id"]
    return json.dumps({"resourceType": "Provenance", "recorded": "2024-03-01T10:00:00Z", "target": [{}],
                       "agent": [{"who": {"reference": f"Practitioner/{who}", "display": "M\u00fcller"}}]})


def of(fhir, reference: str) -> list[Any]:
    """What the Provenances of a resource say they are about."""
    found = fhir.get(f"Provenance?target={reference}").resources()
    return sorted([one["reference"] for one in row["target"]] for row in found)


def test_what_is_written_comes_with_its_provenance(fhir, told):
    made = fhir.post("Patient", patient(identifier="1"), X_Provenance=told)
    assert (made.status, made.json["resourceType"]) == (201, "Patient")
    id_ = made.id
    (first,) = fhir.get(f"Provenance?target=Patient/{id_}").resources()
    assert first["target"] == [{"reference": f"Patient/{id_}/_history/1"}]
    assert first["agent"][0]["who"]["display"] == "M\u00fcller"
    changed = patient("New", id=id_, identifier="1")
    assert fhir.put(f"Patient/{id_}", changed, X_Provenance=quote(told)).status == 200
    assert fhir.put(f"Patient/{id_}", changed, X_Provenance=told).status == 200, "an identical one is no new version"
    patch = [{"op": "replace", "path": "/gender", "value": "male"}]
    assert fhir("PATCH", f"Patient/{id_}", json.dumps(patch), X_Provenance=told,
                Content_Type="application/json-patch+json").status == 200
    assert fhir.post("Patient", patient(), If_None_Exist="identifier=1", X_Provenance=told).status == 200
    assert of(fhir, f"Patient/{id_}") == [[f"Patient/{id_}/_history/{vid}"] for vid in (1, 2, 3)]
    shown = fhir.get(f"Provenance?target=Patient/{id_}&_include=Provenance:target&_sort=_lastUpdated&_count=1")
    (included,) = [row["resource"] for row in shown.entries() if row["search"]["mode"] == "include"
                   and row["resource"]["resourceType"] == "Patient"]
    assert included["meta"]["versionId"] == "1"


def test_a_transaction_has_one_provenance_of_all_it_writes(fhir, told):
    old, gone = fhir.create(patient())["id"], fhir.create(patient())["id"]
    person = "urn:uuid:11111111-1111-4111-8111-111111111111"
    answer = fhir.post("", bundle(
        post(patient("One"), person), post(observation(person)), put(patient("New", id=old)),
        entry("DELETE", f"Patient/{gone}"), entry("GET", "Patient?_count=1")), X_Provenance=told)
    places = ["/".join(row["response"]["location"].split("/")[-4:]) for row in answer.entries()[:3]]
    assert fhir.total("Provenance") == 1
    assert of(fhir, f"Patient/{old}") == [places]


def test_what_fails_leaves_nothing_and_what_is_no_provenance_is_refused(fhir, client, told):
    without = json.dumps({"resourceType": "Provenance", "recorded": "2024-03-01T10:00:00Z"})
    nobody = told.replace("Practitioner/", "Practitioner/no")
    for text, status, code, place in (
        (without, 400, "required", "Provenance.agent"), (nobody, 400, "not-found", None),
        ("{", 400, "invalid", "http.X-Provenance"), ("", 400, "invalid", "http.X-Provenance"),
        ('{"resourceType":"Patient"}', 400, "invalid", "http.X-Provenance"), ("%7b%7", 400, "invalid", None),
    ):  # fmt: skip
        fhir.post("Patient", patient(), X_Provenance=text).refused(status, code, place)
        fhir.post("", bundle(post(patient())), X_Provenance=text).refused(status, code, place)
    client("system/Patient.cu", "system/Practitioner.r").post("Patient", patient(), X_Provenance=told).refused(
        403, "forbidden")
    id_ = fhir.create(patient("Kept"))["id"]
    fhir.delete(f"Patient/{id_}", X_Provenance=told).refused(400, "not-supported", "http.X-Provenance")
    fhir.post("", bundle(post(patient()), type_="batch"), X_Provenance=told).refused(400, "not-supported")
    fhir.post("Patient/_search", X_Provenance=told).refused(400, "not-supported")
    assert fhir.get(f"Patient/{id_}", X_Provenance="x").status == 200
    assert (fhir.total("Patient"), fhir.total("Provenance")) == (1, 0)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_it_is_kept_with_what_is_done_later(fhir, told, work):
    address = fhir.post("Patient", patient(), Prefer="respond-async", X_Provenance=told).headers["Content-Location"]
    assert fhir.total("Provenance") == 0
    work()
    (row,) = fhir.get(address).json["entry"]
    assert row["response"]["status"] == "201 Created"
    assert fhir.total("Provenance") == 1


def test_a_reference_that_leads_nowhere_is_told_where_it_stands(fhir, told):
    lost = observation("Patient/lost")
    for answer in (fhir.post("Observation", lost, X_Provenance=told),
                   fhir.put("Observation/1", lost | {"id": "1"}, X_Provenance=told)):
        answer.refused(400, "not-found", "Observation.subject.reference", "The Observation refers to Patient/lost")
    both = bundle(post(patient()), post(lost))
    fhir.post("", both, X_Provenance=told).refused(
        400, "not-found", "Bundle.entry[1].resource.subject.reference", "The Observation refers to Patient/lost")
    where = json.dumps(json.loads(told) | {"location": {"reference": "Location/lost"}})
    for send in (lambda: fhir.post("Patient", patient(), X_Provenance=where),
                 lambda: fhir.post("", bundle(post(patient())), X_Provenance=where)):
        send().refused(400, "not-found", "http.X-Provenance", "The Provenance refers to Location/lost")
    assert fhir.total("Patient") + fhir.total("Observation") + fhir.total("Provenance") == 0
