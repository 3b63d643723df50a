"""delete, conditional too: https://hl7.org/fhir/R4/http.html#delete"""

from tests.builders import SYSTEM, observation, patient


def test_delete_answers_an_outcome_and_keeps_the_history(fhir):
    id_ = fhir.create(patient())["id"]
    answer = fhir.delete(f"Patient/{id_}")
    assert answer.status == 200
    assert answer.json["issue"][0]["severity"] == "information"
    assert answer.headers["ETag"] == 'W/"2"'
    fhir.get(f"Patient/{id_}").refused(410, "deleted")
    assert fhir.get(f"Patient/{id_}/_history").json["total"] == 2
    assert fhir.total("Patient") == 0


def test_delete_of_what_is_not_there_is_no_error(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}")
    for path in (f"Patient/{id_}", "Patient/never-was"):
        answer = fhir.delete(path)
        assert answer.status == 200
        assert "not there" in answer.json["issue"][0]["diagnostics"]


def test_what_others_refer_to_cannot_be_deleted(fhir):
    id_ = fhir.create(patient())["id"]
    referring = fhir.create(observation(f"Patient/{id_}"))["id"]
    fhir.delete(f"Patient/{id_}").refused(409, "conflict", text=f"Observation/{referring}")
    assert fhir.get(f"Patient/{id_}").status == 200
    assert fhir.delete(f"Observation/{referring}").status == 200
    assert fhir.delete(f"Patient/{id_}").status == 200


def test_if_match_guards_a_delete(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}", If_Match='W/"7"').refused(412, "conflict")
    assert fhir.get(f"Patient/{id_}").status == 200
    assert fhir.delete(f"Patient/{id_}", If_Match='W/"1"').status == 200


def test_a_conditional_delete_deletes_the_one_that_matches(fhir):
    id_ = fhir.create(patient(identifier="1"))["id"]
    fhir.create(patient(identifier="2"))
    assert fhir.delete(f"Patient?identifier={SYSTEM}|1").status == 200
    fhir.get(f"Patient/{id_}").refused(410, "deleted")
    assert fhir.total("Patient") == 1


def test_a_conditional_delete_without_a_match_deletes_nothing(fhir):
    fhir.create(patient())
    answer = fhir.delete(f"Patient?identifier={SYSTEM}|9")
    assert answer.status == 200
    assert "nothing was deleted" in answer.json["issue"][0]["diagnostics"]
    assert fhir.total("Patient") == 1


def test_a_conditional_delete_of_several_or_of_everything_is_refused(fhir):
    for _ in range(2):
        fhir.create(patient("Twin"))
    fhir.delete("Patient?family=Twin").refused(412, "multiple-matches")
    fhir.delete("Patient?family=").refused(400, "invalid", "http.url")
    fhir.delete("Patient?_summary=true").refused(400, "invalid", "http.url")
    fhir.delete("Patient").refused(400, "invalid", "http.url")
    assert fhir.total("Patient") == 2


def test_a_token_without_the_scope_deletes_nothing(client, fhir):
    id_ = fhir.create(patient())["id"]
    client("system/Patient.crus").delete(f"Patient/{id_}").refused(403, "forbidden")
    assert fhir.get(f"Patient/{id_}").status == 200
