"""$validate: https://hl7.org/fhir/R4/resource-operation-validate.html"""

import pytest

from tests.builders import VITAL_SIGN, bundle, entry, observation, parameters, patient


def pulse(subject):
    return observation(subject, category=[VITAL_SIGN])


def issues(answer):
    assert answer.status == 200, answer.content
    assert answer.json["resourceType"] == "OperationOutcome"
    return answer.json["issue"]


def errors(answer):
    return [one for one in issues(answer) if one["severity"] in ("error", "fatal")]


@pytest.mark.proves("operation:any/$validate")
def test_a_valid_resource_is_told_so_and_not_stored(fhir):
    assert errors(fhir.post("Patient/$validate", patient())) == []
    assert fhir.total("Patient") == 0


@pytest.mark.proves("operation:any/$validate")
def test_an_invalid_resource_is_answered_with_its_issues(fhir):
    found = errors(fhir.post("Patient/$validate", patient(gender="x")))
    assert found[0]["expression"] == ["Patient.gender"]


def test_the_resource_may_come_as_a_parameter(fhir):
    body = parameters(resource=patient(gender="x"), mode=("Code", "create"))
    assert errors(fhir.post("Patient/$validate", body))[0]["expression"] == ["Patient.gender"]


@pytest.mark.proves("operation:any/$validate")
def test_a_stored_resource_is_validated_in_place(fhir):
    id_ = fhir.create(patient())["id"]
    for answer in (fhir.get(f"Patient/{id_}/$validate"), fhir.post(f"Patient/{id_}/$validate")):
        assert errors(answer) == []
    fhir.get("Patient/nobody/$validate").refused(404, "not-found")


def test_an_update_needs_its_id(fhir):
    assert errors(fhir.post("Patient/$validate?mode=update", patient()))[0]["expression"] == ["Patient.id"]
    assert errors(fhir.post("Patient/1/$validate", patient(id="2")))[0]["expression"] == ["Patient.id"]
    assert errors(fhir.post("Patient/1/$validate", patient(id="1"))) == []
    assert errors(fhir.post("Patient/1/$validate?mode=update", patient()))[0]["expression"] == ["Patient.id"]


def test_without_a_mode_the_content_alone_is_judged(fhir):
    """And a create keeps no id: https://hl7.org/fhir/R4/resource-operation-validate.html"""
    made = fhir.create(patient())["id"]
    assert errors(fhir.post(f"Patient/{made}/$validate", patient())) == []
    assert errors(fhir.post(f"Patient/{made}/$validate", parameters(resource=patient()))) == []
    for sent in (patient(), patient(id="2")):
        assert errors(fhir.post(f"Patient/{made}/$validate?mode=create", sent)) == []


def test_a_resource_of_another_type_is_an_issue(fhir):
    assert errors(fhir.post("Patient/$validate", observation()))[0]["expression"] == ["resourceType"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_conditions_are_those_of_what_is_asked_about(fhir):
    """An update is looked at with its version: https://hl7.org/fhir/R4/resource-operation-validate.html"""
    made = fhir.create(patient(identifier=[{"system": "urn:x", "value": "1"}]))
    address, stale = f"Patient/{made['id']}/$validate", {"If_Match": 'W/"7"'}
    assert errors(fhir.post(f"{address}?mode=update", made, If_Match='W/"1"')) == []
    for answer in (fhir.post(f"{address}?mode=update", made, **stale), fhir.get(f"{address}?mode=delete", **stale)):
        assert [one["code"] for one in errors(answer)] == ["conflict"]
    fhir.create(patient(identifier=[{"system": "urn:x", "value": "1"}]))
    several = fhir.post("Patient/$validate?mode=create", patient(), If_None_Exist="identifier=urn:x|1")
    assert [one["code"] for one in errors(several)] == ["multiple-matches"]
    assert fhir.get(f"Patient/{made['id']}").vid == "1"


def test_a_deletion_is_validated(fhir):
    id_ = fhir.create(patient())["id"]
    assert errors(fhir.get(f"Patient/{id_}/$validate?mode=delete")) == []
    assert errors(fhir.get("Patient/nobody/$validate?mode=delete"))[0]["code"] == "not-found"
    fhir.get("Patient/$validate?mode=delete").refused(400, "invalid", "mode")


@pytest.mark.proves("operation:any/$validate")
def test_a_mode_says_what_the_interaction_itself_would_say_and_does_nothing(fhir, client, clean, subtests):
    kept = fhir.create(patient())["id"]
    other = fhir.create(pulse(f"Patient/{kept}"))["id"]
    subset = patient(id=kept, meta={"tag": [{"code": "SUBSETTED", "system":
                     "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"}]})
    to_nobody = pulse("Patient/nobody")
    reader, deleter = client("system/*.rs"), client("system/Patient.rd")
    hidden = client("system/Patient.rs?_tag=never", "system/Observation.cruds")
    cases = [
        (fhir, "Observation/$validate?mode=create", to_nobody, "not-found", "Observation.subject.reference"),
        (fhir, f"Observation/{other}/$validate?mode=update", to_nobody | {"id": other}, "not-found",
         "Observation.subject.reference"),
        (fhir, "Observation/$validate?mode=update", to_nobody | {"id": "new"}, "not-found",
         "Observation.subject.reference"),
        (fhir, f"Patient/{kept}/$validate?mode=update", subset, "processing", "Patient.meta.tag"),
        (fhir, f"Patient/{kept}/$validate?mode=delete", None, "conflict", "Patient"),
        (reader, "Patient/$validate?mode=create", patient(), "forbidden", None),
        (reader, f"Patient/{kept}/$validate?mode=delete", None, "forbidden", None),
        (hidden, "Observation/$validate?mode=create", pulse(f"Patient/{kept}"),
         "not-found", "Observation.subject.reference"),
    ]
    for who, url, body, code, expression in cases:
        with subtests.test(url):
            found = errors(who.post(url, body))
            assert [(one["code"], one.get("expression", [None])[0]) for one in found] == [(code, expression)]
    assert f"Observation/{other}" in errors(fhir.get(f"Patient/{kept}/$validate?mode=delete"))[0]["diagnostics"]
    assert other not in str(errors(deleter.get(f"Patient/{kept}/$validate?mode=delete")))
    good = pulse(f"Patient/{kept}")
    for url, body in (("Observation/$validate?mode=create", good), (f"Observation/{other}/$validate?mode=delete", None),
                      (f"Observation/{other}/$validate?mode=update", good | {"id": other}),
                      ("Media/$validate?mode=create", {"resourceType": "Media", "status": "completed", "content": {
                          "contentType": "image/png", "data": "iVBORw0KGgo="}})):
        assert errors(fhir.post(url, body)) == [], url
    inside = fhir.post("", bundle(entry("POST", "Observation/$validate?mode=create", to_nobody))).entries()[0]
    assert "not looked at inside" in inside["response"]["outcome"]["issue"][0]["diagnostics"]
    assert [fhir.total(one) for one in ("Patient", "Observation", "Media", "Task")] == [1, 1, 0, 0]
    assert fhir.get(f"Observation/{other}").vid == "1"
    assert clean()


def test_what_the_operation_does_not_take_is_refused(fhir):
    fhir.post("Patient/$validate?nonsense=1", patient()).refused(400, "invalid", "nonsense")
    fhir.post("Patient/$validate?mode=x", patient()).refused(400, "invalid", "mode")
    fhir.post("Patient/$validate?mode=create&mode=update", patient()).refused(400, "invalid", "mode")
    fhir.post("Patient/$validate").refused(400, "invalid", "resource")
    fhir.post("$validate", patient()).refused(404, "not-found", "http.url")
    fhir.post("Patient/$nothing", patient()).refused(404, "not-found", "http.url")
    fhir.put("Patient/$validate", patient()).refused(405, "not-supported")
