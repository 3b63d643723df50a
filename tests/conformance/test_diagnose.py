"""$diagnose: the Observation of a Media's image, at once."""

from __future__ import annotations

import pytest

from tests.conformance.images import media
from tests.one_database import ONE_DATABASE
from tests.pictures import encoded


@pytest.mark.proves("operation:Media/$diagnose")
def test_diagnose_answers_with_the_observation_at_once(fhir, patient, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    answer = fhir.post(f"Media/{source['id']}/$diagnose")
    assert answer.status == 201
    assert answer.json["resourceType"] == "Observation"
    assert f"Observation/{answer.id}/_history/1" in answer.headers["Location"]
    assert fhir.get(f"Observation/{answer.id}").json == answer.json


def test_diagnose_twice_is_one_result(fhir, patient, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    first, second = (fhir.post(f"Media/{source['id']}/$diagnose") for _ in range(2))
    assert (second.status, second.id) == (200, first.id)
    assert fhir.total("Provenance") == 1


def test_diagnose_and_the_job_are_one_result(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    first = fhir.post(f"Media/{source['id']}/$diagnose")
    worker.step()
    (task,) = fhir.get("Task").resources()
    assert task["output"][0]["valueReference"] == {"reference": f"Observation/{first.id}"}
    assert fhir.total("Observation") == 1


def test_diagnose_by_get_is_refused(fhir, patient, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    fhir.get(f"Media/{source['id']}/$diagnose").refused(405, "not-supported")


def test_diagnose_of_a_media_that_is_not_there_is_not_found(fhir):
    fhir.post("Media/nothing/$diagnose").refused(404, "not-found")


@ONE_DATABASE
@pytest.mark.parametrize(
    ("elements", "expression"),
    [
        ({"subject": None}, "Media.subject"),
        ({"subject": {"reference": "https://elsewhere.example/fhir/Patient/1"}}, "Media.subject"),
        ({"content": {"contentType": "image/png", "url": "https://elsewhere.example/a.png"}}, "Media.content"),
        ({"status": "entered-in-error"}, "Media.status"),
    ],
    ids=["nobody's", "another server's patient", "an image elsewhere", "entered in error"],
)
def test_diagnose_of_what_cannot_be_judged_is_refused(fhir, patient, radiograph, elements, expression):
    resource = {k: v for k, v in (media(patient, encoded(radiograph)) | elements).items() if v is not None}
    source = fhir.create(resource)
    fhir.post(f"Media/{source['id']}/$diagnose").refused(422, "processing", expression)


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        (("system/Media.rs",), 403),
        (("system/Media.rs", "system/Observation.rs"), 403),
        (("system/Observation.cruds",), 403),
        (("system/Media.rs", "system/Observation.cr"), 201),
    ],
    ids=["no scope for Observation", "no right to create", "no scope for Media", "enough"],
)
def test_diagnose_needs_to_read_the_media_and_create_the_observation(client, fhir, patient, radiograph, scopes, status):
    source = fhir.create(media(patient, encoded(radiograph)))
    assert client(*scopes).post(f"Media/{source['id']}/$diagnose").status == status
    assert fhir.total("Observation") == (status == 201)
