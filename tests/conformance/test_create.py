"""create, conditional too: https://hl7.org/fhir/R4/http.html#create"""

import pytest

from tests.builders import SYSTEM, bundle, entry, observation, patient


@pytest.mark.proves("interaction:create")
def test_create_answers_the_new_resource_and_where_it_is(fhir):
    answer = fhir.post("Patient", patient("Smith", id="chosen-by-client"))
    assert answer.status == 201
    id_ = answer.id
    assert id_ != "chosen-by-client"
    assert answer.headers["Location"] == f"http://localhost/fhir/Patient/{id_}/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Last-Modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert answer.json["meta"]["versionId"] == "1"
    assert answer.json["meta"]["lastUpdated"].startswith("2026-01-01T00:00:00")
    assert fhir.get(f"Patient/{id_}").json == answer.json


@pytest.mark.parametrize("id_", ["urn:uuid:11111111-1111-1111-1111-111111111111", "not an id", "x" * 65, ""])
@pytest.mark.parametrize("as_", ["request", "xml", "batch", "transaction"])
def test_an_id_that_could_be_none_is_ignored_as_any_other(fhir, as_, id_):
    """http.html#create: "the server SHALL ignore it"; clients name what is new by a urn:uuid: there, too."""
    if as_ == "request":
        assert fhir.create(patient(id=id_))["id"] != id_
    elif as_ == "xml":
        body = f'<Patient xmlns="http://hl7.org/fhir"><id value="{id_ or "a b"}"/><active value="true"/></Patient>'
        assert fhir.post("Patient", body, Content_Type="application/fhir+xml").status == 201
    else:
        answer = fhir.post("", bundle(entry("POST", "Patient", patient(id=id_)), type_=as_))
        assert answer.entries()[0]["response"]["status"] == "201 Created"
    assert fhir.total("Patient") == 1
    assert fhir.post("Patient/$validate?mode=create", patient(id=id_)).json["issue"][0]["severity"] != "error"
    assert fhir.post("Patient/$validate", patient(id=id_)).json["issue"][0]["expression"] == ["Patient.id"]
    assert fhir.put("Patient/a", patient(id=id_)).status == 400
    fhir.post("Patient", patient(id=5)).refused(400, "structure", "Patient.id")


def test_the_clients_own_meta_is_kept_but_for_version_and_time(fhir):
    meta = {"versionId": "9", "lastUpdated": "1999-01-01T00:00:00Z", "source": "http://example.org",
            "tag": [{"system": "http://example.org", "code": "a"}]}
    kept = fhir.create(patient(meta=meta))["meta"]
    assert kept["tag"] == meta["tag"]
    assert kept["source"] == meta["source"]
    assert kept["versionId"] == "1"


def test_return_minimal_answers_no_body(fhir):
    answer = fhir.post("Patient", patient(), Prefer="return=minimal")
    assert (answer.status, answer.content) == (201, b"")
    assert "Location" in answer.headers
    assert "Content-Type" not in answer.headers


def test_return_operation_outcome_tells_of_warnings(fhir):
    answer = fhir.post("Patient", patient(), Prefer="return=OperationOutcome")
    assert answer.status == 201
    assert answer.json["resourceType"] == "OperationOutcome"
    assert {one["severity"] for one in answer.json["issue"]} <= {"warning", "information"}


def test_an_unknown_value_of_prefer_is_ignored_as_rfc_7240_asks(fhir):
    answer = fhir.post("Patient", patient(), Prefer="return=presentation")
    assert (answer.status, answer.json["resourceType"]) == (201, "Patient")


@pytest.mark.parametrize("as_", ["request", "batch", "transaction"])
def test_criteria_in_the_url_of_a_create_are_refused_not_passed_over(fhir, as_):
    """Some clients send conditional creates so; passed over, each would make one more."""
    url = "Patient?identifier=http://example.org/mrn|7"
    if as_ == "request":
        fhir.post(url, patient(identifier="7")).refused(400, "invalid", "http.url", text="If-None-Exist")
    else:
        answer = fhir.post("", bundle(entry("POST", url, patient(identifier="7")), type_=as_))
        outcome = answer.json if as_ == "transaction" else answer.entries()[0]["response"]["outcome"]
        assert "ifNoneExist" in outcome["issue"][0]["diagnostics"]
    assert fhir.total("Patient") == 0
    assert fhir.post("Patient?_format=json&_pretty=true&_elements=name", patient()).status == 201


INVALID = [
    ({"resourceType": "Patient", "gender": "masculine"}, "Patient.gender"),
    ({"resourceType": "Patient", "nonsense": 1}, "Patient"),
    ({"resourceType": "Patient", "birthDate": "1970-13-01"}, "Patient.birthDate"),
    ({"resourceType": "Patient", "name": {"family": "A"}}, "Patient.name"),
    ({"resourceType": "Patient", "active": "true"}, "Patient.active"),
]


@pytest.mark.proves("interaction:create")
@pytest.mark.parametrize(("resource", "expression"), INVALID, ids=[one[1] for one in INVALID])
def test_an_invalid_resource_is_refused_naming_the_element(fhir, resource, expression):
    answer = fhir.post("Patient", resource)
    assert answer.status == 400
    assert any(one["severity"] == "error" and one["expression"][0].startswith(expression)
               for one in answer.json["issue"])
    assert fhir.total("Patient") == 0


def test_every_issue_of_a_resource_is_told_at_once(fhir):
    answer = fhir.post("Patient", {"resourceType": "Patient", "gender": "x", "birthDate": "y"})
    assert {one["expression"][0] for one in answer.json["issue"]} >= {"Patient.gender", "Patient.birthDate"}


def test_a_resource_of_another_type_than_the_url_is_refused(fhir):
    fhir.post("Patient", observation()).refused(400, "invalid", "resourceType")


@pytest.mark.parametrize("body", [{}, {"resourceType": "Patients"}, {"resourceType": 1}, {"resourceType": None}])
def test_a_resource_without_a_known_type_is_refused(fhir, body):
    fhir.post("Patient", body).refused(400, "invalid", "resourceType")


@pytest.mark.proves("resource:referencePolicy=enforced", "resource:referencePolicy=literal")
def test_a_reference_to_nothing_is_refused_naming_the_element(fhir):
    answer = fhir.post("Observation", observation("Patient/nobody"))
    answer.refused(400, "not-found", "Observation.subject.reference", "The Observation refers to Patient/nobody")
    assert fhir.total("Observation") == 0


@pytest.mark.proves("resource:referencePolicy=logical", "modifier:reference:identifier")
def test_a_logical_reference_is_kept_and_found_without_its_target(fhir):
    subject = {"type": "Patient", "identifier": {"system": SYSTEM, "value": "elsewhere"}}
    stored = fhir.create({**observation(), "subject": subject})
    assert stored["subject"] == subject
    assert fhir.get(f"Observation?subject:identifier={SYSTEM}|elsewhere").resources() == [stored]


def test_a_reference_to_a_deleted_resource_is_refused(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}")
    fhir.post("Observation", observation(f"Patient/{id_}")).refused(400, "not-found", "Observation.subject.reference")


@pytest.mark.proves("resource:conditionalCreate=true")
def test_a_conditional_create_makes_one_resource_only(fhir):
    once = fhir.post("Patient", patient(identifier="1"), If_None_Exist=f"identifier={SYSTEM}|1")
    again = fhir.post("Patient", patient(identifier="1"), If_None_Exist=f"identifier={SYSTEM}|1")
    assert (once.status, again.status) == (201, 200)
    assert again.json == once.json
    assert again.headers["Location"] == once.headers["Location"]
    assert again.headers["ETag"] == 'W/"1"'
    assert fhir.total("Patient") == 1


@pytest.mark.proves("resource:conditionalCreate=true")
def test_a_conditional_create_that_matches_several_is_refused(fhir):
    for _ in range(2):
        fhir.create(patient("Twin"))
    fhir.post("Patient", patient(), If_None_Exist="family=Twin").refused(
        412, "multiple-matches", "http.If-None-Exist")
    assert fhir.total("Patient") == 2


@pytest.mark.parametrize("criteria", ["", "identifier=", "_format=json"])
def test_a_conditional_create_without_criteria_is_refused(fhir, criteria):
    fhir.post("Patient", patient(), If_None_Exist=criteria).refused(400, "invalid", "http.If-None-Exist")


def test_a_conditional_create_with_an_unknown_parameter_is_refused(fhir):
    assert fhir.post("Patient", patient(), If_None_Exist="identifer=1").status == 400
    assert fhir.total("Patient") == 0


def test_a_token_without_the_scope_creates_nothing(client, fhir):
    client("system/Patient.ruds").post("Patient", patient()).refused(403, "forbidden")
    assert fhir.total("Patient") == 0


def test_references_inside_a_stored_bundle_are_its_own(fhir):
    document = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": "http://other.example/fhir/Patient/7", "resource": patient(id="7")},
        {"fullUrl": "http://other.example/fhir/Observation/8", "resource": observation("Patient/7", id="8")},
    ]}  # fmt: skip
    stored = fhir.create(document)
    assert fhir.get(f"Bundle/{stored['id']}").json["entry"][1]["resource"]["subject"]["reference"] == "Patient/7"
    fhir.put("Patient/7", patient(id="7"))
    assert fhir.delete("Patient/7").status == 200
