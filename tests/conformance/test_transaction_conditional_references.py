"""References by search criteria in a transaction: https://hl7.org/fhir/R4/http.html#trules"""

import pytest

from tests.builders import SYSTEM, bundle, entry, observation, patient, post, practitioner, put


def test_conditional_references_are_resolved(fhir):
    id_ = fhir.create(practitioner("7"))["id"]
    text = f"Practitioner?identifier={SYSTEM}|7"
    answer = fhir.post("", bundle(post(patient(generalPractitioner=[{"reference": text}]))),
                       Prefer="return=representation")
    assert answer.resources()[0]["generalPractitioner"][0]["reference"] == f"Practitioner/{id_}"


def test_a_conditional_reference_that_matches_none_or_several_rolls_everything_back(fhir):
    for _ in range(2):
        fhir.create(practitioner("twin"))
    for identifier, status, code in (("none", 412, "conflict"), ("twin", 412, "multiple-matches")):
        broken = patient(generalPractitioner=[{"reference": f"Practitioner?identifier={SYSTEM}|{identifier}"}])
        fhir.post("", bundle(post(patient()), post(broken))).refused(
            status, code, "Bundle.entry[1].resource.generalPractitioner[0].reference")
    assert fhir.total("Patient") == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("search", [
    f"identifier={SYSTEM}|7", "name=jon", "name:contains=nes", "identifier:missing=false"])
def test_a_conditional_reference_sees_resources_of_the_same_bundle_wherever_they_stand(fhir, order, search):
    entries = [post(practitioner("7")), post(patient(generalPractitioner=[{"reference": f"Practitioner?{search}"}]))]
    answer = fhir.post("", bundle(*(entries[index] for index in order)), Prefer="return=representation")
    made, person = (answer.resources()[order.index(index)] for index in (0, 1))
    assert person["generalPractitioner"][0]["reference"] == f"Practitioner/{made['id']}"


def test_conditional_references_may_form_a_circle(fhir):
    url = f"Patient?identifier={SYSTEM}|"
    first = patient(identifier="1", link=[{"other": {"reference": url + "2"}, "type": "seealso"}])
    second = patient(identifier="2", link=[{"other": {"reference": url + "1"}, "type": "refer"}])
    one, two = fhir.post("", bundle(post(first), post(second)), Prefer="return=representation").resources()
    assert one["link"][0]["other"]["reference"] == f"Patient/{two['id']}"
    assert two["link"][0]["other"]["reference"] == f"Patient/{one['id']}"


def test_a_conditional_reference_means_what_is_there_after_the_transaction(fhir):
    """What the Bundle updates is judged by its new content, what it deletes is gone, what it makes counts."""
    fhir.put("Practitioner/old", practitioner("1", id="old"))
    fhir.put("Practitioner/gone", practitioner("7", id="gone"))
    text = f"Practitioner?identifier={SYSTEM}|7"
    refers = post(patient(generalPractitioner=[{"reference": text}]))
    place = "Bundle.entry[0].resource.generalPractitioner[0].reference"
    fhir.post("", bundle(refers, put(practitioner("7", id="old")))).refused(412, "multiple-matches", place)
    fhir.post("", bundle(refers, post(practitioner("7")))).refused(412, "multiple-matches", place)
    fhir.post("", bundle(refers, put(practitioner("8", id="gone")))).refused(412, "conflict", place)
    change = {"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Practitioner.identifier.value"},
        {"name": "value", "valueString": "7"}]}
    patched = entry("PATCH", "Practitioner/old", {"resourceType": "Parameters", "parameter": [change]})
    fhir.post("", bundle(refers, patched)).refused(412, "multiple-matches", place)
    refused = {**patched, "resource": {"resourceType": "Parameters", "parameter": [{"name": "x"}]}}
    fhir.post("", bundle(refers, refused)).refused(400, "invariant", "Bundle.entry[1].resource.parameter[0]")
    answer = fhir.post("", bundle(refers, put(practitioner("7", id="old")), entry("DELETE", "Practitioner/gone")),
                       Prefer="return=representation")
    assert answer.entries()[0]["resource"]["generalPractitioner"][0]["reference"] == "Practitioner/old"


def test_criteria_that_only_the_database_can_judge_are_refused_where_the_bundle_could_match(fhir):
    refers = observation(hasMember=[{"reference": "Observation?date=gt2020"}])
    fhir.post("", bundle(post(refers))).refused(400, "not-supported", "Bundle.entry[0].resource.hasMember[0].reference")
    refers = patient(generalPractitioner=[{"reference": "Practitioner?_lastUpdated=gt2020"}])
    made = fhir.create(practitioner())["id"]
    answer = fhir.post("", bundle(post(refers)), Prefer="return=representation")
    assert answer.resources()[0]["generalPractitioner"][0]["reference"] == f"Practitioner/{made}"


def test_a_conditional_reference_needs_the_scope_to_search(client, fhir):
    fhir.create(practitioner("7"))
    refers = bundle(post(patient(generalPractitioner=[{"reference": f"Practitioner?identifier={SYSTEM}|7"}])),
                    post(practitioner("7")))
    client("system/*.cu").post("", refers).refused(403, "forbidden")
    # a hidden one is not there for this token: its own is the only one
    own = client("system/Patient.cruds", "system/Practitioner.c", "system/Practitioner.s?name=Mine")
    mine = bundle(post(patient(generalPractitioner=[{"reference": f"Practitioner?identifier={SYSTEM}|7"}])),
                  post(practitioner("7", name=[{"family": "Mine"}])))
    assert own.post("", mine).status == 200
