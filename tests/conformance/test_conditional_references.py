"""References by search criteria outside of a transaction.

https://hl7.org/fhir/R4/http.html#trules has them in one, where they mean the same.
"""

import json
from dataclasses import replace

import pytest

from hie.fhir.json_format import dump
from tests.builders import SYSTEM, bundle, entry, observation, patient, post, practitioner

SEVENTH = f"Practitioner?identifier={SYSTEM}|7"
PLACE = "Patient.generalPractitioner[0].reference"


def seen_by(reference, **more):
    return patient(generalPractitioner=[{"reference": reference}], **more)


@pytest.fixture
def jones(fhir):
    """The Practitioner with the identifier 7."""
    return f"Practitioner/{fhir.create(practitioner('7'))['id']}"


def test_what_is_created_or_updated_refers_to_the_one_that_matches(fhir, jones):
    made = fhir.create(seen_by(SEVENTH))
    assert made["generalPractitioner"] == [{"reference": jones}]
    for url in ("Patient/9", f"Patient?identifier={SYSTEM}|9"):
        answer = fhir.put(url, seen_by(SEVENTH, id="9", identifier="9"))
        assert answer.json["generalPractitioner"] == [{"reference": jones}]
    assert answer.vid == "1", "what it means has not changed"
    assert fhir.total(f"Patient?general-practitioner={jones}") == 2


def test_references_are_resolved_wherever_they_stand(fhir, jones):
    """Twice the same, beside others, in what is contained, in an extension; a logical one has no criteria."""
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": SEVENTH}}
    person = seen_by(SEVENTH, contained=[role], extension=[
        {"url": "http://example.org/by", "valueReference": {"reference": SEVENTH, "display": "Jones"}}])
    person["generalPractitioner"] += [{"reference": jones}, {"reference": "#r"}, {"identifier": {"value": "?x=1"}}]
    made = fhir.create(person)
    assert made["contained"][0]["practitioner"] == {"reference": jones}
    assert made["extension"][0]["valueReference"] == {"reference": jones, "display": "Jones"}
    assert [one.get("reference") for one in made["generalPractitioner"]] == [jones, jones, "#r", None]


@pytest.mark.parametrize(("content_type", "patch"), [
    ("application/json-patch+json",
     [{"op": "add", "path": "/generalPractitioner", "value": [{"reference": SEVENTH}]}]),
    ("application/merge-patch+json", {"generalPractitioner": [{"reference": SEVENTH}]}),
    ("application/fhir+json", {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "generalPractitioner"},
        {"name": "value", "valueReference": {"reference": SEVENTH}}]}]}),
], ids=["json", "merge", "fhirpath"])
def test_what_a_patch_adds_is_resolved(fhir, jones, content_type, patch):
    id_ = fhir.create(patient())["id"]
    answer = fhir("PATCH", f"Patient/{id_}", json.dumps(patch), Content_Type=content_type)
    assert answer.json["generalPractitioner"] == [{"reference": jones}]


def test_an_entry_of_a_batch_refers_to_what_is_stored(fhir, jones):
    answer = fhir.post("", bundle(post(seen_by(SEVENTH)), post(seen_by(SEVENTH[:-1] + "8")), type_="batch"),
                       Prefer="return=representation")
    assert answer.entries()[0]["resource"]["generalPractitioner"] == [{"reference": jones}]
    refused = answer.entries()[1]["response"]
    assert (refused["status"][:3], refused["outcome"]["issue"][0]["expression"]) == (
        "412", ["Bundle.entry[1].resource.generalPractitioner[0].reference"])


def test_none_or_several_are_refused_and_nothing_is_written(fhir, jones):
    fhir.create(practitioner("8"))
    fhir.create(practitioner("8"))
    for criteria, status, code in (
            (f"identifier={SYSTEM}|none", 412, "conflict"), (f"identifier={SYSTEM}|8", 412, "multiple-matches"),
            ("foo=1", 400, "invalid"), ("identifier=", 400, "invalid"), ("_sort=name", 400, "invalid"),
            ("identifier=a&_include=*", 400, "invalid")):
        fhir.post("Patient", seen_by(f"Practitioner?{criteria}")).refused(status, code, PLACE)
    for text, told in (("Practitioner?", "Type?criteria"), ("Doctor?name=x", "Doctor")):
        fhir.post("Patient", seen_by(text)).refused(400, "value", PLACE, text=told)
    fhir.post("Observation", observation(SEVENTH)).refused(400, "value", "Observation.subject.reference")
    assert fhir.total("Patient") == fhir.total("Observation") == 0


def test_a_conditional_create_that_finds_its_match_looks_for_nothing_else(fhir):
    made = fhir.create(patient(identifier="1"))
    answer = fhir.post("Patient", seen_by(SEVENTH, identifier="1"), If_None_Exist=f"identifier={SYSTEM}|1")
    assert (answer.status, answer.json) == (200, made)
    wrong = {**seen_by(SEVENTH, identifier="1"), "gender": "x"}
    fhir.post("Patient", wrong, If_None_Exist=f"identifier={SYSTEM}|1").refused(400, "code-invalid", "Patient.gender")


def test_only_what_the_token_may_search_is_found(fhir, client, jones):
    hidden = practitioner("7", meta={"tag": [{"code": "hidden"}]})
    fhir.create(hidden)
    fhir.post("Patient", seen_by(SEVENTH)).refused(412, "multiple-matches", PLACE)
    client("system/Patient.cu").post("Patient", seen_by(SEVENTH)).refused(403, "forbidden", text="Practitioner.s")
    some = client("system/Patient.cu", "system/Practitioner.rs?_tag:not=hidden")
    assert some.post("Patient", seen_by(SEVENTH)).json["generalPractitioner"] == [{"reference": jones}]


def test_a_document_keeps_what_stands_in_it(fhir, jones):
    """What refers inside of a stored Bundle is about its own entries: https://hl7.org/fhir/R4/bundle.html#references"""
    kept = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": seen_by(SEVENTH)}]}
    assert fhir.create(kept)["entry"] == kept["entry"]


def test_what_it_means_is_judged_by_the_profiles(fhir, jones, treat, install):
    """A profile that wants the target to be of its own sees what is stored, not the criteria."""
    treat("reject")
    declared = {"profile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}
    assert fhir.create(seen_by(SEVENTH, meta=declared))["generalPractitioner"] == [{"reference": jones}]


def test_validate_says_what_a_create_would(fhir, jones):
    for number, status in (("7", "warning"), ("8", "error")):
        answer = fhir.post("Patient/$validate?mode=create", seen_by(f"Practitioner?identifier={SYSTEM}|{number}"))
        assert answer.json["issue"][0]["severity"] == status, answer.json
    assert answer.json["issue"][0]["expression"] == [PLACE]


def test_a_provenance_in_the_header_may_say_by_criteria_who(fhir, jones):
    told = {"resourceType": "Provenance", "recorded": "2024-03-01T10:00:00Z",
            "agent": [{"who": {"reference": SEVENTH}}]}
    assert fhir.post("Patient", patient(), X_Provenance=dump(told).decode()).status == 201
    (stored,) = fhir.get("Provenance").resources()
    assert stored["agent"] == [{"who": {"reference": jones}}]


def test_what_is_answered_later_is_resolved_when_it_is_done(fhir, do_due):
    status = fhir.post("Patient", seen_by(SEVENTH), Prefer="respond-async").headers["Content-Location"]
    jones = fhir.create(practitioner("7"))["id"]
    do_due()
    (made,) = fhir.get(status).resources()
    assert made["generalPractitioner"] == [{"reference": f"Practitioner/{jones}"}]


def test_an_update_in_a_transaction_is_resolved_as_before(fhir):
    answer = fhir.post("", bundle(entry("PUT", "Patient/1", seen_by(SEVENTH, id="1")), post(practitioner("7"))),
                       Prefer="return=representation")
    person, doctor = answer.resources()
    assert person["generalPractitioner"] == [{"reference": f"Practitioner/{doctor['id']}"}]


class TestMany:
    """Each of them is a search, of which a Bundle may have so many."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, max_bundle_entries=2)

    def test_more_than_a_bundle_may_have_entries_are_refused(self, fhir, jones):
        def seen(number):
            criteria = [SEVENTH, *(f"{SEVENTH}&family={family}" for family in ("J", "Jo"))][:number]
            return patient(generalPractitioner=[{"reference": one} for one in [*criteria, SEVENTH]])

        for sent, url in ((seen, "Patient"), (lambda number: bundle(post(seen(number))), "")):
            assert fhir.post(url, sent(1)).status < 300
            fhir.post(url, sent(3)).refused(422, "too-costly", text="at most 2 are done")
        assert fhir.total("Patient") == 2
