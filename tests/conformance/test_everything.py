"""Patient/[id]/$everything: https://hl7.org/fhir/R4/patient-operation-everything.html"""

import pytest

from tests.builders import bundle, encounter, observation, parameters, patient, post, practitioner


@pytest.fixture
def record(fhir):
    """A patient with a record, and another patient whose record must stay out."""
    person = "urn:uuid:11111111-1111-1111-1111-111111111111"
    doctor = "urn:uuid:22222222-2222-2222-2222-222222222222"
    other = "urn:uuid:33333333-3333-3333-3333-333333333333"
    answer = fhir.post("", bundle(
        post(patient("Smith"), person), post(practitioner(), doctor), post(patient("Other"), other),
        post(encounter(person, participant=[{"individual": {"reference": doctor}}])),
        *(post(observation(person, value=number)) for number in range(4)), post(observation(other)),
    ), Prefer="return=representation")  # fmt: skip
    assert answer.status == 200
    return answer.resources()[0]["id"]


def kinds(answer):
    assert answer.status == 200, answer.content
    return sorted(one["resourceType"] for one in answer.resources())


def test_the_whole_record_comes_with_what_it_refers_to(fhir, record):
    answer = fhir.get(f"Patient/{record}/$everything")
    assert kinds(answer) == ["Encounter", "Observation", "Observation", "Observation", "Observation", "Patient",
                             "Practitioner"]
    modes = {row["resource"]["resourceType"]: row["search"]["mode"] for row in answer.entries()}
    assert (modes["Patient"], modes["Practitioner"]) == ("match", "include")
    assert answer.json["total"] == 6
    assert {one["id"] for one in answer.resources() if one["resourceType"] == "Patient"} == {record}
    assert fhir.post(f"Patient/{record}/$everything").status == 200


def test_pages_hold_the_record_once(fhir, record):
    seen, url = [], f"Patient/{record}/$everything?_count=2"
    while url:
        answer = fhir.get(url)
        assert answer.status == 200
        seen += [row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match"]
        assert answer.json["total"] == 6
        url = answer.link("next")
    assert len(seen) == len(set(seen)) == 6


def test_a_page_link_belongs_to_its_own_record(fhir, record):
    link = fhir.get(f"Patient/{record}/$everything?_count=2").link("next")
    other = fhir.create(patient())["id"]
    fhir.get(link.replace(record, other)).refused(400, "invalid", "_cursor")


def test_types_choose(fhir, record):
    assert kinds(fhir.get(f"Patient/{record}/$everything?_type=Patient,Encounter")) == ["Encounter", "Patient"]
    assert kinds(fhir.get(f"Patient/{record}/$everything?_type=Practitioner")) == ["Practitioner"]
    body = parameters(_type=("Code", "Encounter"))
    assert kinds(fhir.post(f"Patient/{record}/$everything", body)) == ["Encounter"]
    fhir.get(f"Patient/{record}/$everything?_type=Nothing").refused(400, "invalid", "_type")


def test_since_leaves_out_what_is_older(fhir, record, clock):
    clock.forward(3600)
    fhir.create(observation(f"Patient/{record}"))
    assert kinds(fhir.get(f"Patient/{record}/$everything?_since=2026-01-01T00:30:00Z")) == ["Observation"]
    fhir.get(f"Patient/{record}/$everything?_since=x").refused(400, "invalid", "_since")


def test_deleted_resources_are_left_out(fhir, record):
    met = next(one for one in fhir.get(f"Patient/{record}/$everything").resources()
               if one["resourceType"] == "Encounter")
    fhir.delete(f"Encounter/{met['id']}")
    assert "Encounter" not in kinds(fhir.get(f"Patient/{record}/$everything"))


def test_scopes_cut_the_record(client, record):
    assert kinds(client("system/Patient.rs system/Observation.rs").get(f"Patient/{record}/$everything")) == [
        "Observation"] * 4 + ["Patient"]
    client("system/Observation.rs").get(f"Patient/{record}/$everything").refused(403, "forbidden")
    narrow = client("system/Patient.rs system/Observation.rs?code=http://loinc.org|1234-5")
    assert kinds(narrow.get(f"Patient/{record}/$everything")) == ["Patient"]


def test_what_cannot_be_answered_is_refused(fhir, record):
    fhir.get("Patient/nobody/$everything").refused(404, "not-found")
    fhir.get(f"Patient/{record}/$everything?start=2020").refused(400, "not-supported", "start")
    fhir.get(f"Patient/{record}/$everything?nonsense=1").refused(400, "invalid", "nonsense")
    fhir.get("Patient/$everything").refused(404, "not-found", "http.url")
    fhir.get(f"Observation/{record}/$everything").refused(404, "not-found", "http.url")
