"""$recommend: what it answers, what POST attaches, and within which grant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hie.operations import histories
from ml.recommender import MODEL_DIRECTORY, Model
from tests.one_database import ONE_DATABASE

AIAST = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue|AIAST"
TYPES = {
    "condition": ("Condition", "code", "subject"),
    "procedure": ("Procedure", "code", "subject"),
    "immunization": ("Immunization", "vaccineCode", "patient"),
}


@pytest.fixture(scope="module")
def model():
    return Model.load(MODEL_DIRECTORY)


def items(model, kind, count):
    return [entry for entry in model.entries if entry.kind == kind][:count]


def record(kind, item, patient):
    """A record of an item of the model's vocabulary."""
    type_name, concept, subject = TYPES[kind]
    more = {
        "Condition": {},
        "Procedure": {"status": "completed"},
        "Immunization": {"status": "completed", "occurrenceDateTime": "2020-01-01"},
    }[type_name]
    coding = {"system": item.system, "code": item.code, "display": item.display}
    of_patient = {subject: {"reference": f"Patient/{patient}"}}
    return {"resourceType": type_name, concept: {"coding": [coding]}} | of_patient | more


@pytest.fixture
def patient(fhir, model):
    """A patient with three conditions, a procedure, and a medication that is a resource of its own."""
    id_ = fhir.create({"resourceType": "Patient", "gender": "female", "birthDate": "1960-05-01"})["id"]
    for item in items(model, "condition", 3):
        fhir.create(record("condition", item, id_))
    for item in items(model, "procedure", 1):
        fhir.create(record("procedure", item, id_))
    (drug,) = items(model, "medication", 1)
    coding = {"system": drug.system, "code": drug.code}
    medication = fhir.create({"resourceType": "Medication", "code": {"coding": [coding]}})
    fhir.create({"resourceType": "MedicationRequest", "status": "active", "intent": "order",
                 "subject": {"reference": f"Patient/{id_}"},
                 "medicationReference": {"reference": f"Medication/{medication['id']}"}})  # fmt: skip
    return id_


def component(observation, code):
    return [one for one in observation["component"] if one["code"]["coding"][0]["code"] == code]


@pytest.mark.proves("operation:Patient/$recommend")
def test_get_answers_with_observations_that_are_not_stored(fhir, patient):
    answer = fhir.get(f"Patient/{patient}/$recommend?count=4")
    assert (answer.status, answer.json["type"]) == (200, "collection")
    found = answer.resources()
    assert [component(one, "rank")[0]["valueInteger"] for one in found] == [1, 2, 3, 4]
    scores = [component(one, "score")[0]["valueQuantity"]["value"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(one["valueCodeableConcept"]["coding"][0]["display"] for one in found)
    assert all(one["meta"]["security"][0]["code"] == "AIAST" and one["status"] == "preliminary" for one in found)
    assert fhir.total("Observation") == 0


def test_the_reasons_are_records_of_the_patient(fhir, patient):
    (first,) = fhir.get(f"Patient/{patient}/$recommend?count=1").resources()
    sources = [
        extension["valueReference"]["reference"]
        for one in component(first, "contribution")
        for extension in one["extension"]
        if "valueReference" in extension
    ]
    assert sources
    assert all(fhir.get(source).status == 200 for source in sources)


def test_a_medication_that_is_a_resource_of_its_own_counts(fhir, patient, app):
    context = app.extensions["hie"].context()
    found = histories.history(patient, context)
    assert [item.kind for item in found.items].count("medication") == 1


BASE = "https://hie.example/fhir"


class TestAddresses:
    """Records of a server that knows its own address."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, base_url=BASE)

    def test_medications_are_read_by_this_servers_own_address_and_others_are_named(self, client, fhir, model, app):
        drugs = items(model, "medication", 5)
        fhir.put("Patient/p", {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1960-05-01"})
        for number, drug in enumerate(drugs):
            coding = {"system": drug.system, "code": drug.code}
            fhir.put(f"Medication/m{number}", {"resourceType": "Medication", "id": f"m{number}",
                                               "code": {"coding": [coding]}, "status": "active"})  # fmt: skip
        named = {"relative": "Medication/m0", "own": f"{BASE}/Medication/m1", "version": "Medication/m2/_history/1",
                 "old": f"{BASE}/Medication/m3/_history/1", "elsewhere": "https://other.example/Medication/m4"}
        for id_, reference in named.items():
            subject = f"{BASE}/Patient/p" if id_ == "own" else "Patient/p"
            answer = fhir.put(f"MedicationRequest/{id_}", {
                "resourceType": "MedicationRequest", "id": id_, "status": "active", "intent": "order",
                "subject": {"reference": subject}, "medicationReference": {"reference": reference}})  # fmt: skip
            assert answer.status == 201, answer.content
        found = histories.history("p", app.extensions["hie"].context())
        assert {item.code for item in found.items} == {drug.code for drug in drugs[:4]}
        told = fhir.get("Patient/p/$recommend").resources()[-1]
        assert [one["diagnostics"] for one in told["issue"]] == [
            "The medication of MedicationRequest/elsewhere is on another server, or not covered by the token: it was "
            "not looked at."]  # fmt: skip
        narrow = client("system/Patient.r", "system/Observation.r", "system/*.s", "system/Medication.r?_id=m1,m4")
        (told,) = narrow.get("Patient/p/$recommend").resources()[-1]["issue"]
        for id_ in named:
            assert (f"MedicationRequest/{id_}" in told["diagnostics"]) == (id_ != "own")
        proposed = fhir.get("Patient/p/$recommend?kind=medication&count=100").resources()[:-1]
        codes = {one["valueCodeableConcept"]["coding"][0]["code"] for one in proposed}
        assert not codes & {drug.code for drug in drugs[:4]}


def test_nothing_that_the_patient_has_is_proposed(fhir, patient, model):
    proposed = {
        one["valueCodeableConcept"]["coding"][0]["code"]
        for one in fhir.get(f"Patient/{patient}/$recommend?count=100").resources()
    }
    assert not proposed & {item.code for item in items(model, "condition", 3)}


@pytest.mark.parametrize("kind", ["condition", "procedure", "medication", "immunization"])
def test_a_kind_narrows_the_answer(fhir, patient, kind):
    found = fhir.get(f"Patient/{patient}/$recommend?kind={kind}&count=3").resources()
    assert {one["code"]["coding"][0]["code"] for one in found} == {f"recommended-{kind}"}


@pytest.mark.proves("operation:Patient/$recommend")
def test_post_attaches_what_get_shows(fhir, patient):
    shown = fhir.get(f"Patient/{patient}/$recommend?count=3").resources()
    attached = fhir.post(f"Patient/{patient}/$recommend?count=3")
    assert attached.status == 200
    stored = fhir.get(f"Observation?patient={patient}&_security={AIAST}").resources()
    values = [one["valueCodeableConcept"] for one in attached.resources()]
    assert values == [one["valueCodeableConcept"] for one in shown]
    assert {one["id"] for one in stored} == {one["id"] for one in attached.resources()}
    device = fhir.get(attached.resources()[0]["device"]["reference"]).json
    assert device["modelNumber"] == "recommender"
    (provenance,) = fhir.get("Provenance").resources()
    assert provenance["entity"][0]["what"]["reference"] == f"Patient/{patient}"


def test_attaching_twice_is_attaching_once(fhir, patient):
    first, second = (fhir.post(f"Patient/{patient}/$recommend?count=3").resources() for _ in range(2))
    assert [one["id"] for one in first] == [one["id"] for one in second]
    assert (fhir.total("Observation"), fhir.total("Provenance"), fhir.total("Device")) == (3, 1, 1)


def test_another_state_of_the_record_is_answered_anew(fhir, patient, model):
    fhir.post(f"Patient/{patient}/$recommend?count=1")
    fhir.create(record("immunization", items(model, "immunization", 1)[0], patient))
    fhir.post(f"Patient/{patient}/$recommend?count=1")
    assert (fhir.total("Observation"), fhir.total("Device")) == (2, 1)


def test_what_was_attached_changes_no_later_answer(fhir, patient):
    before = fhir.get(f"Patient/{patient}/$recommend?count=5").resources()
    fhir.post(f"Patient/{patient}/$recommend?count=5")
    after = fhir.get(f"Patient/{patient}/$recommend?count=5").resources()
    assert [one["identifier"] for one in before] == [one["identifier"] for one in after]


def test_a_patient_of_whom_nothing_is_known_is_told_what_is_common(fhir):
    id_ = fhir.create({"resourceType": "Patient"})["id"]
    (found,) = fhir.get(f"Patient/{id_}/$recommend?count=1").resources()
    assert component(found, "basis")[0]["valueCodeableConcept"]["coding"][0]["code"] == "popularity"


def test_parameters_may_come_in_a_parameters_resource(fhir, patient):
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "kind", "valueCode": "procedure"}, {"name": "count", "valuePositiveInt": 2}]}  # fmt: skip
    found = fhir.post(f"Patient/{patient}/$recommend", body).resources()
    assert {one["code"]["coding"][0]["code"] for one in found} == {"recommended-procedure"}
    assert len(found) == 2


@ONE_DATABASE
@pytest.mark.parametrize(
    ("query", "expression"),
    [("count=0", "count"), ("count=101", "count"), ("count=many", "count"), ("count=²", "count"),
     ("kind=Condition", "kind"), ("size=3", "size")],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(fhir, patient, query, expression):
    fhir.get(f"Patient/{patient}/$recommend?{query}").refused(400, "invalid", expression)


def test_a_patient_who_died_gets_no_recommendation(fhir):
    id_ = fhir.create({"resourceType": "Patient", "deceasedBoolean": True})["id"]
    fhir.get(f"Patient/{id_}/$recommend").refused(422, "processing", "Patient.deceased[x]")


def test_a_patient_who_is_not_there_is_not_found(fhir):
    fhir.get("Patient/nothing/$recommend").refused(404, "not-found")


def test_the_grant_decides_what_is_looked_at(client, fhir, patient):
    narrow = client("system/Patient.rs", "system/Observation.r", "system/Condition.rs")
    found = narrow.get(f"Patient/{patient}/$recommend?count=2").resources()
    outcome = found.pop()
    assert "Procedure" in outcome["issue"][0]["diagnostics"]
    assert "Condition" not in outcome["issue"][0]["diagnostics"]
    kinds = {
        extension["valueReference"]["reference"].partition("/")[0]
        for one in found
        for part in component(one, "contribution")
        for extension in part["extension"]
        if "valueReference" in extension
    }
    assert kinds <= {"Condition"}


@pytest.mark.parametrize(
    ("scopes", "method", "status"),
    [
        (("system/Observation.r",), "GET", 403),
        (("system/Patient.rs",), "GET", 403),
        (("system/Patient.rs", "system/Observation.r"), "POST", 403),
        (("system/Patient.rs", "system/Observation.r"), "GET", 200),
        (("system/Patient.rs", "system/Observation.cr"), "POST", 200),
    ],
    ids=["no scope for Patient", "none for Observation", "no right to attach", "enough to look", "enough to attach"],
)
def test_who_may_ask_and_who_may_attach(client, fhir, patient, scopes, method, status):
    assert client(*scopes)(method, f"Patient/{patient}/$recommend?count=1").status == status
    assert fhir.total("Observation") == (method == "POST" and status == 200)


def test_histories_of_all_patients_are_read_for_training(fhir, patient, app):
    other = fhir.create({"resourceType": "Patient", "gender": "male"})["id"]
    found = {one.patient: one for one in histories.histories(app.extensions["hie"].context())}
    assert found.keys() == {patient, other}
    assert len(found[patient].items) == 5
    assert (found[other].sex, found[other].items) == ("male", ())
