"""Criteria that name other entries of a transaction by their fullUrl: https://hl7.org/fhir/R4/http.html#trules"""

from itertools import pairwise

import pytest

from tests.builders import SYSTEM, bundle, encounter, entry, observation, patient, post
from tests.conformance.full_urls import E, P

FAR = "http://other.example/fhir/Patient/7"
PERSON = post(patient(identifier="1"), P, ifNoneExist=f"identifier={SYSTEM}|1")


def statuses(answer):
    assert answer.status == 200, answer.json
    return [row["response"]["status"][:3] for row in answer.entries()]


#: A person that is there once, and what is looked for by it: how the entry means the Observation.
MEANT = {
    "create": lambda url: post(observation(url), ifNoneExist=f"subject={url}&code=8867-4"),
    "create, by the type's address": lambda url: post(observation(url), ifNoneExist=f"Observation?subject={url}"),
    "create, by the type of the target": lambda url: post(observation(url), ifNoneExist=f"subject:Patient={url}"),
    "create, by patient": lambda url: post(observation(url), ifNoneExist=f"patient={url}"),
    "create, one of two": lambda url: post(observation(url), ifNoneExist=f"subject=Patient/none,{url}"),
    "update": lambda url: entry("PUT", f"Observation?subject={url}", observation(url)),
}


@pytest.mark.proves("system:transaction")
@pytest.mark.parametrize("case", MEANT)
@pytest.mark.parametrize("url", [P, FAR], ids=["urn", "absolute"])
def test_criteria_mean_the_resource_that_the_full_url_stands_for(fhir, case, url):
    person = post(patient(identifier="1"), url, ifNoneExist=f"identifier={SYSTEM}|1")
    for wanted in (["201", "201"], ["200", "200"], ["200", "200"]):
        assert statuses(fhir.post("", bundle(person, MEANT[case](url)))) == wanted
    assert (fhir.total("Patient"), fhir.total("Observation")) == (1, 1)


def test_they_may_stand_before_what_they_name_and_name_what_names_another(fhir):
    """The order of the entries does not decide."""
    chain = [post(observation(P, encounter={"reference": E}), ifNoneExist=f"encounter={E}"),
             post(encounter(P), E, ifNoneExist=f"subject={P}"), PERSON]
    assert statuses(fhir.post("", bundle(*chain))) == ["201", "201", "201"]
    assert statuses(fhir.post("", bundle(*chain))) == ["200", "200", "200"]
    assert statuses(fhir.post("", bundle(*reversed(chain)))) == ["200", "200", "200"]
    assert fhir.total("Observation") == 1


def test_a_patch_and_a_conditional_reference_are_found_by_them(fhir):
    fhir.post("", bundle(PERSON, post(encounter(P), E)))
    change = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Encounter.status"},
        {"name": "value", "valueCode": "cancelled"}]}]}
    seen = observation(P, encounter={"reference": f"Encounter?subject={P}"})
    answer = fhir.post("", bundle(PERSON, post(seen), entry("PATCH", f"Encounter?patient={P}", change)),
                       Prefer="return=representation")
    assert statuses(answer) == ["200", "201", "200"]
    _, stored, changed = answer.resources()
    assert stored["encounter"]["reference"] == f"Encounter/{changed['id']}"
    assert changed["status"] == "cancelled"


def test_searches_chains_and_reverse_chains_too(fhir):
    answer = fhir.post("", bundle(
        post(patient(), P), post(encounter(P), E), post(observation(P, encounter={"reference": E})),
        entry("GET", f"Observation?subject={P}"), entry("GET", f"Observation?encounter.subject={P}"),
        entry("GET", f"Patient?_has:Observation:subject:encounter={E}"),
        entry("GET", f"Observation/$lastn?patient={P}"), entry("GET", f"Observation?subject:not={P}")))
    assert [row["resource"]["total"] for row in answer.entries()[3:8]] == [1, 1, 1, 1, 0]
    assert fhir.total("Observation") == 1


def test_a_token_that_is_written_like_a_full_url_stays_a_token(fhir):
    """Identifier.value is a string, which a transaction does not rewrite."""
    known = post(patient(identifier=[{"system": "urn:ietf:rfc:3986", "value": P}]), P,
                 ifNoneExist=f"identifier=urn:ietf:rfc:3986|{P}")
    by_value = post(patient("Other"), E, ifNoneExist=f"identifier={P},nothing")
    assert statuses(fhir.post("", bundle(known))) == ["201"]
    assert statuses(fhir.post("", bundle(known, by_value))) == ["200", "200"]
    assert fhir.total("Patient") == 1


def test_entries_that_name_each_other_by_their_criteria_are_refused(fhir):
    circle = [post(encounter(P, partOf={"reference": E}), E, ifNoneExist=f"part-of={P}"),
              post(encounter(P), P, ifNoneExist=f"part-of={E}")]
    fhir.post("", bundle(*circle)).refused(400, "invalid", "Bundle.entry[1].request.ifNoneExist", "each other")
    fhir.post("", bundle(post(encounter("Patient/1"), E, ifNoneExist=f"part-of={E}"))).refused(
        400, "invalid", "Bundle.entry[0].request.ifNoneExist", "itself")
    assert fhir.total("Encounter") == 0


def test_a_deletion_comes_before_what_it_would_name(fhir):
    deletion = entry("DELETE", f"Observation?subject={P}")
    for person in (PERSON, post(patient(), P)):
        fhir.post("", bundle(person, deletion)).refused(400, "invalid", "Bundle.entry[1].request.url", P)
    assert fhir.total("Patient") == 0


def test_a_deletion_may_name_what_has_its_id_already(fhir):
    fhir.put("Patient/7", patient(id="7"))
    fhir.create(observation("Patient/7"))
    update = {"fullUrl": FAR, **entry("PUT", "Patient/7", patient("New", id="7"))}
    answer = fhir.post("", bundle(update, entry("DELETE", f"Observation?subject={FAR}"), post(observation(FAR))))
    assert statuses(answer) == ["200", "200", "201"]
    assert fhir.total("Observation?subject=Patient/7") == 1


def test_two_that_turn_out_to_mean_one_resource_make_it_once(fhir):
    rows = [PERSON, post(observation(P), E, ifNoneExist=f"subject={P}"),
            post(observation(P), ifNoneExist=f"subject={P}")]
    answer = fhir.post("", bundle(*rows))
    locations = [row["response"]["location"] for row in answer.entries()]
    assert locations[1] == locations[2]
    assert fhir.total("Observation") == 1


def test_a_large_transaction_names_entries_as_a_small_one(fhir):
    filling = [post(observation(P, note=[{"text": "x" * 90_000}])) for _ in range(100)]
    for wanted in (["201", "201"], ["200", "200"]):
        answer = fhir.post("", bundle(PERSON, post(encounter(P), E, ifNoneExist=f"subject={P}"), *filling))
        assert statuses(answer)[:2] == wanted
    assert fhir.total("Encounter") == 1


def test_in_a_batch_a_full_url_means_nothing(fhir):
    row = post(observation(), ifNoneExist=f"subject={P}")
    for _ in range(2):
        assert statuses(fhir.post("", bundle(PERSON, row, type_="batch")))[1] == "201"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_long_row_of_entries_that_name_the_one_before_is_found_in_order(fhir):
    urls = [f"urn:uuid:00000000-0000-4000-8000-{number:012}" for number in range(400)]
    rows = [post(encounter(P, partOf={"reference": before}), url, ifNoneExist=f"part-of={before}")
            for before, url in pairwise(urls)]
    rows += [post(encounter(P), urls[0], ifNoneExist=f"subject={P}&part-of:missing=true"), PERSON]
    assert set(statuses(fhir.post("", bundle(*rows)))) == {"201"}
    assert set(statuses(fhir.post("", bundle(*rows)))) == {"200"}
