"""The job behind a Media: which image is judged, once, and the resources that its result is."""

from __future__ import annotations

import base64
import io
import threading
from collections import Counter

import pytest
from PIL import Image

from hie.jobs.worker import Worker
from hie.store import audit
from tests.conformance.images import all_of, media, tasks
from tests.one_database import ONE_DATABASE
from tests.pictures import encoded

AIAST = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue|AIAST"


def component(observation, code):
    (found,) = [one for one in observation["component"] if one["code"]["coding"][0]["code"] == code]
    return found["valueQuantity"]["value"]


def test_a_media_with_an_image_gets_a_task_and_the_worker_an_observation(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    (task,) = fhir.get(f"Task?focus=Media/{source['id']}").resources()
    assert (task["status"], task["intent"], task["for"]["reference"]) == ("requested", "order", f"Patient/{patient}")
    assert worker.step()
    assert not worker.step()
    (observation,) = fhir.get(f"Observation?patient={patient}&_security={AIAST}").resources()
    assert observation["status"] == "preliminary"
    assert observation["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
    assert observation["derivedFrom"][0] == {"reference": f"Media/{source['id']}"}
    assert 0.5 <= component(observation, "probability") <= 1
    done = fhir.get(f"Task/{task['id']}").json
    assert done["status"] == "completed"
    assert {"reference": f"Observation/{observation['id']}"} in [one["valueReference"] for one in done["output"]]


def test_a_result_is_a_graph_of_resources_that_point_at_each_other(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    (observation,) = fhir.get("Observation").resources()
    (report,) = fhir.get(f"DiagnosticReport?result=Observation/{observation['id']}").resources()
    (provenance,) = fhir.get(f"Provenance?target=Observation/{observation['id']}").resources()
    heat_map = fhir.get(observation["derivedFrom"][1]["reference"]).json
    device = fhir.get(observation["device"]["reference"]).json
    assert report["conclusion"].startswith("Made by an AI model")
    assert provenance["entity"][0]["what"]["reference"] == f"Media/{source['id']}"
    assert Image.open(io.BytesIO(base64.b64decode(heat_map["content"]["data"]))).size == (224, 224)
    assert device["modelNumber"] == "chest-xray"


def test_results_are_found_by_device_and_left_out_by_label(fhir, patient, worker, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    human = fhir.create({"resourceType": "Observation", "status": "final", "code": {"text": "seen"},
                         "subject": {"reference": f"Patient/{patient}"}})  # fmt: skip
    device = fhir.get("Device").resources()[0]["id"]
    assert fhir.total(f"Observation?device=Device/{device}") == 1
    left = fhir.get(f"Observation?patient={patient}&_security:not={AIAST}").resources()
    assert [one["id"] for one in left] == [human["id"]]


def test_a_heat_map_is_no_image_to_judge(fhir, patient, worker, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    assert all_of(fhir, "Task", "Media") == {"Task": 1, "Media": 2}
    assert not worker.step()


@ONE_DATABASE
@pytest.mark.parametrize(
    "elements",
    [
        {"subject": None},
        {"status": "entered-in-error"},
        {"content": {"contentType": "application/pdf", "data": "JVBERg=="}},
        {"content": {"contentType": "image/png", "url": "https://elsewhere.example/scan.png"}},
        {"content": {"contentType": "image/png"}},
        {"meta": {"security": [{"system": AIAST.partition("|")[0], "code": "AIAST"}]}},
    ],
    ids=["nobody's", "entered in error", "a document", "an image elsewhere", "no image", "made by a model"],
)
def test_a_media_without_an_image_to_judge_has_no_task(fhir, patient, radiograph, elements):
    resource = {k: v for k, v in (media(patient, encoded(radiograph)) | elements).items() if v is not None}
    fhir.create(resource)
    assert fhir.total("Task") == 0


def test_an_image_in_a_binary_is_judged(fhir, patient, worker, radiograph):
    binary = fhir.post("Binary", encoded(radiograph), Content_Type="image/png").id
    fhir.create(media(patient, b"", content={"contentType": "image/png", "url": f"Binary/{binary}"}))
    worker.step()
    assert fhir.total("Observation") == 1
    assert fhir.total(f"Task?based-on=Binary/{binary}&status=completed") == 1


def test_an_image_that_comes_later_in_the_same_transaction_is_judged(fhir, patient, worker, radiograph):
    url = "urn:uuid:8f6a0f4e-2f3d-4a76-9b69-000000000001"
    data = base64.b64encode(encoded(radiograph)).decode()
    entries = [
        {"resource": media(patient, b"", content={"contentType": "image/png", "url": url}),
         "request": {"method": "POST", "url": "Media"}},
        {"fullUrl": url, "resource": {"resourceType": "Binary", "contentType": "image/png", "data": data},
         "request": {"method": "POST", "url": "Binary"}},
    ]  # fmt: skip
    assert fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status == 200
    worker.step()
    assert tasks(fhir) == ["completed"]
    assert fhir.total("Observation") == 1


def test_a_media_whose_binary_is_nowhere_is_refused(fhir, patient):
    resource = media(patient, b"", content={"contentType": "image/png", "url": "Binary/nowhere"})
    fhir.post("Media", resource).refused(400, "not-found", "Media.content.url", "The Media refers to Binary/nowhere")
    assert all_of(fhir, "Media", "Task") == {"Media": 0, "Task": 0}


def test_the_same_image_twice_is_one_result(fhir, patient, worker, radiograph):
    for _ in range(2):
        fhir.create(media(patient, encoded(radiograph)))
        worker.step()
    assert tasks(fhir) == ["completed", "completed"]
    assert all_of(fhir, "Observation", "DiagnosticReport", "Provenance", "Device") == dict.fromkeys(
        ("Observation", "DiagnosticReport", "Provenance", "Device"), 1
    )


def test_the_same_image_of_two_patients_is_two_results(fhir, patient, worker, radiograph):
    other = fhir.create({"resourceType": "Patient"})["id"]
    for one in (patient, other):
        fhir.create(media(one, encoded(radiograph)))
        worker.step()
    assert [fhir.total(f"Observation?patient={one}") for one in (patient, other)] == [1, 1]
    assert fhir.total("Device") == 1


def test_racing_workers_make_one_result(app, fhir, patient, radiograph):
    for _ in range(4):
        fhir.create(media(patient, encoded(radiograph)))
    workers = [Worker(app.extensions["hie"], f"racer {i}") for i in range(4)]
    threads = [threading.Thread(target=lambda one=one: [one.step() for _ in range(3)]) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while workers[0].step():
        pass
    assert Counter(tasks(fhir)) == {"completed": 4}
    assert all_of(fhir, "Observation", "DiagnosticReport", "Provenance", "Device") == dict.fromkeys(
        ("Observation", "DiagnosticReport", "Provenance", "Device"), 1
    )


def test_every_step_of_a_job_is_in_the_audit_trail(app, fhir, patient, worker, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    found = {row["interaction"] for row in audited(app)}
    assert {"job-begin", "job-result"} <= found


def audited(app):
    store = app.extensions["hie"].store
    store.database.settle_records()
    return [
        dict(row._mapping) for row in store.database.connection().execute(audit.select(audit.audit)).all()
    ]
