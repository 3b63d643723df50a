"""References between the entries of a transaction, and from it: https://hl7.org/fhir/R4/http.html#trules"""

import pytest

from tests.builders import bundle, entry, observation, patient, post, put
from tests.conformance.full_urls import E, P


def test_links_in_narratives_and_uris_are_rewritten(fhir):
    note = observation(P, text={"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">'
                                                              f'<a href="{P}">patient</a></div>'})
    answer = fhir.post("", bundle(post(note), post(patient(), P)), Prefer="return=representation")
    stored, person = answer.resources()
    assert f'<a href="Patient/{person["id"]}">' in stored["text"]["div"]


def test_a_cycle_of_references_is_stored(fhir):
    one = patient(link=[{"other": {"reference": E}, "type": "seealso"}])
    two = patient(link=[{"other": {"reference": P}, "type": "seealso"}])
    first, second = fhir.post("", bundle(post(one, P), post(two, E)), Prefer="return=representation").resources()
    assert first["link"][0]["other"]["reference"] == f"Patient/{second['id']}"
    assert second["link"][0]["other"]["reference"] == f"Patient/{first['id']}"


def test_references_between_resources_of_another_server_are_kept_together(fhir):
    base = "http://other.example/fhir"
    answer = fhir.post("", bundle(post(patient(), f"{base}/Patient/7"),
                                  post(observation("Patient/7"), f"{base}/Observation/8")),
                       Prefer="return=representation")
    person, observed = answer.resources()
    assert person["id"] != "7"
    assert observed["subject"]["reference"] == f"Patient/{person['id']}"


def test_references_to_versions_of_resources_of_the_bundle_become_versions_here(fhir):
    base = "http://other.example/fhir"
    person = patient(id="7", meta={"versionId": "4"})
    answer = fhir.post("", bundle(
        post(person, f"{base}/Patient/7"), post(observation("Patient/7/_history/4"), f"{base}/Observation/8"),
        post(observation(f"{base}/Patient/7/_history/4"), f"{base}/Observation/9")), Prefer="return=representation")
    made, first, second = answer.resources()
    assert first["subject"]["reference"] == second["subject"]["reference"] == f"Patient/{made['id']}/_history/1"
    assert fhir.get(first["subject"]["reference"]).status == 200
    fhir.post("", bundle(post(person, f"{base}/Patient/7"), post(observation("Patient/7/_history/3"),
              f"{base}/Observation/8"))).refused(400, "not-found", "Bundle.entry[1].resource.subject.reference")
    kept = fhir.post("", bundle(post(observation(f"Patient/{made['id']}/_history/1"))), Prefer="return=representation")
    assert kept.resources()[0]["subject"]["reference"] == f"Patient/{made['id']}/_history/1"


def test_a_version_that_is_referred_to_must_be_there(fhir):
    fhir.put("Patient/a", patient("One", id="a"))
    fhir.put("Patient/a", patient("Two", id="a"))
    for version in ("1", "2"):
        assert fhir.post("Observation", observation(f"Patient/a/_history/{version}")).status == 201
    for version in ("3", "0", "x", "9" * 60):
        fhir.post("Observation", observation(f"Patient/a/_history/{version}")).refused(
            400, "not-found", "Observation.subject.reference", "versions 1 to 2")
    third = put(patient("Three", id="a"))
    place = "Bundle.entry[1].resource.subject.reference"
    fhir.post("", bundle(third, post(observation("Patient/a/_history/4")))).refused(400, "not-found", place)
    assert fhir.post("", bundle(third, post(observation("Patient/a/_history/3")))).status == 200


def test_a_full_url_that_contradicts_its_resource_is_refused(fhir):
    wrong = post(patient(id="8"), "http://other.example/fhir/Patient/7")
    fhir.post("", bundle(wrong)).refused(400, "invalid", "Bundle.entry[0].fullUrl")


def test_what_is_still_referred_to_cannot_be_deleted_inside_either(fhir):
    id_ = fhir.create(patient())["id"]
    observed = fhir.create(observation(f"Patient/{id_}"))["id"]
    fhir.post("", bundle(entry("DELETE", f"Patient/{id_}"))).refused(409, "conflict")
    together = bundle(entry("DELETE", f"Patient/{id_}"), entry("DELETE", f"Observation/{observed}"))
    assert fhir.post("", together).status == 200
    assert fhir.total("Patient") == 0


def test_an_attachment_by_an_absolute_full_url_leads_to_the_binary(fhir):
    """http.html#trules: all matching links, in narratives and urls too."""
    far = "http://other.example/fhir/Binary/5"
    note = {"resourceType": "DocumentReference", "status": "current",
            "text": {"status": "additional",
                     "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{far}">a</a></div>'},
            "content": [{"attachment": {"url": far}}, {"attachment": {"url": "Binary/5"}}]}
    content = {"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="}
    answer = fhir.post("", bundle(post(content, far), post(note, "http://other.example/fhir/DocumentReference/6")),
                       Prefer="return=representation")
    binary, stored = answer.resources()
    assert [one["attachment"]["url"] for one in stored["content"]] == [f"Binary/{binary['id']}"] * 2
    assert f'href="Binary/{binary["id"]}"' in stored["text"]["div"]


def test_a_uuid_in_a_resource_is_no_link(fhir):
    told = {"resourceType": "Basic", "code": {"text": "x"}, "extension": [
        {"url": "http://example.org/x", "valueUuid": P}, {"url": "http://example.org/x", "valueUri": P}]}
    answer = fhir.post("", bundle(post(patient(), P), post(told)), Prefer="return=representation")
    person, basic = answer.resources()
    assert basic["extension"][0]["valueUuid"] == P
    assert basic["extension"][1]["valueUri"] == f"Patient/{person['id']}"


@pytest.mark.parametrize("reference", ["Patient/tmp", "http://localhost/fhir/Patient/tmp"])
def test_a_full_url_of_this_server_is_meant_by_a_relative_reference_too(fhir, reference):
    new = post(patient(id="tmp"), "http://localhost/fhir/Patient/tmp")
    answer = fhir.post("", bundle(new, post(observation(reference))), Prefer="return=representation")
    person, pulse = answer.resources()
    assert person["id"] != "tmp"
    assert pulse["subject"]["reference"] == f"Patient/{person['id']}"


def test_a_reference_to_the_id_of_what_is_created_says_how_to_name_it(fhir):
    """The id of a create is not kept: it names nothing, unless it is part of a fullUrl."""
    answer = fhir.post("", bundle(post(patient(id="tmp")), post(observation("Patient/tmp"))))
    answer.refused(400, "not-found", "Bundle.entry[1].resource.subject.reference", "Bundle.entry[0]")
    assert "fullUrl" in answer.json["issue"][0]["diagnostics"]


def test_a_bundle_inside_stays_as_it_came(fhir):
    """What its entries say of each other is theirs: bundle.html#references; a document may be signed."""
    urls = [f"urn:uuid:aaaaaaaa-0000-4000-8000-00000000000{number}" for number in range(4)]
    note = {"resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2024-01-01", "title": "t",
            "subject": {"reference": urls[1]}, "author": [{"reference": "Practitioner?identifier=none"}],
            "encounter": {"reference": urls[3]}, "identifier": {"system": urls[1], "value": "1"}}
    document = {
        "resourceType": "Bundle", "type": "document", "identifier": {"system": "urn:x", "value": "1"},
        "timestamp": "2024-01-01T00:00:00Z",
        "entry": [{"fullUrl": urls[0], "resource": note}, {"fullUrl": urls[1], "resource": patient("Inside")}],
    }
    outside = [post(patient("Outside"), urls[1]), post(document, urls[2]),
               post(observation(urls[1]))]
    answer = fhir.post("", bundle(*outside), Prefer="return=representation")
    person, stored, pulse = answer.resources()
    assert {name: stored[name] for name in document} == document
    assert pulse["subject"]["reference"] == f"Patient/{person['id']}"
