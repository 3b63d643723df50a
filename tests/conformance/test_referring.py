"""What a token may refer to: docs/adr/0022, https://hl7.org/fhir/R4/references.html#literal"""

import pytest

from tests.builders import bundle, entry, observation, patient, post


def refused(answer):
    return answer.status, answer.json["issue"][0]["diagnostics"], answer.json["issue"][0]["expression"]


@pytest.fixture
def people(fhir):
    for id_, gender in (("open", "male"), ("shut", "female")):
        fhir.put(f"Patient/{id_}", patient(id=id_, gender=gender))
        fhir.put(f"Patient/{id_}", patient("Second", id=id_, gender=gender))
    return fhir


@pytest.mark.parametrize("scopes", ["system/Patient.rs?gender=male", "system/Patient.r?gender=male",
                                    "system/Patient.u?gender=male system/Patient.s?gender=male"])
def test_what_the_conditions_of_a_token_hide_is_to_be_referred_to_as_little_as_what_is_not_there(
    client, people, scopes
):
    narrow = client(*scopes.split(), "system/Observation.cru")
    for suffix in ("", "/_history/1", "/_history/2", "/_history/3"):
        hidden, absent = (narrow.post("Observation", observation(f"Patient/{id_}{suffix}")) for id_ in ("shut", "none"))
        told = refused(hidden)
        assert told == (400, told[1], ["Observation.subject.reference"])
        assert told == (*(str(x).replace("none", "shut") if isinstance(x, str) else x for x in refused(absent)),)
    assert narrow.post("Observation", observation("Patient/open")).status == 201
    assert narrow.post("Observation", observation("Patient/open/_history/2")).status == 201
    narrow.post("Observation", observation("Patient/open/_history/3")).refused(400, "not-found")
    narrow.post("", bundle(post(observation("Patient/shut")))).refused(
        400, "not-found", "Bundle.entry[0].resource.subject.reference", "does not exist here")


def test_a_reference_that_was_there_stays(client, people):
    people.put("Observation/1", observation("Patient/shut", id="1"))
    narrow = client("system/Patient.rs?gender=male", "system/Observation.cru")
    kept = observation("Patient/shut", id="1", value=90)
    assert narrow.put("Observation/1", kept).status == 200
    patched = [{"op": "replace", "path": "/valueQuantity/value", "value": 95}]
    assert narrow("PATCH", "Observation/1", patched, Content_Type="application/json-patch+json").status == 200
    narrow.put("Observation/1", kept | {"performer": [{"reference": "Patient/shut"}], "subject": {
        "reference": "Patient/open"}, "focus": [{"reference": "Patient/none"}]}).refused(400, "not-found")


def test_what_a_transaction_stores_itself_may_be_referred_to(client, people):
    narrow = client("system/Patient.cu", "system/Patient.rs?gender=male", "system/Observation.c")
    new = "urn:uuid:11111111-1111-1111-1111-111111111111"
    assert narrow.post("", bundle(post(patient(gender="female"), new), post(observation(new)))).status == 200
    covered = client("system/Patient.cru?gender=male", "system/Observation.c")
    both = bundle(entry("PUT", "Patient/new", patient(id="new", gender="male")), post(observation("Patient/new")))
    assert covered.post("", both).status == 200


def test_who_has_no_scope_for_a_type_may_refer_to_it_by_id_alone(client, people):
    blind = client("system/Observation.c")
    assert blind.post("Observation", observation("Patient/shut")).status == 201
    for narrow in (blind, client("system/*.c"), client("system/Observation.cruds", "system/Patient.c?gender=male")):
        told = set()
        for place in ("Patient/shut", "Patient/none"):
            for vid in (1, 2, 3, 99):
                status, text, _ = refused(narrow.post("Observation", observation(f"{place}/_history/{vid}")))
                told.add((status, text.replace(place, "P").replace(f"/_history/{vid}", "")))
        assert len(told) == 1, told
    all_of_it = client("system/*.cu")
    assert all_of_it.post("Observation", observation("Patient/shut/_history/2")).status == 201
