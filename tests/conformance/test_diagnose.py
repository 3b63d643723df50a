"""Images in, Observations out: $diagnose, the job behind a Media, DICOM uploads, and images that are refused."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import threading
import time
import zipfile
import zlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from hie.jobs import diagnosis
from hie.jobs import worker as worker_module
from hie.jobs.worker import Worker
from hie.registry import JobKind
from hie.store import jobs
from hie.store.models import job
from ml.cnn import samples
from tests.one_database import ONE_DATABASE
from tests.pictures import dicom, encoded, png, ramp

DCM = "http://dicom.nema.org/resources/ontology/DCM"
AIAST = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue|AIAST"
EVERYTHING = ("Observation", "Media", "DiagnosticReport", "Provenance", "Device", "Task")


@pytest.fixture(scope="module")
def radiograph() -> np.ndarray:
    """A synthetic chest radiograph of the class pneumonia that the model accepts."""
    return next(pixels for label, pixels in samples.sample_radiographs(seed=1, per_class=1) if label == "pneumonia")


@pytest.fixture
def worker(app):
    return Worker(app.extensions["hie"], "test")


@pytest.fixture
def patient(fhir):
    return fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "P-1"}],
                        "birthDate": "2019-02-03", "gender": "female"})["id"]  # fmt: skip


def media(patient, data, content_type="image/png", **elements):
    return {
        "resourceType": "Media",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "createdDateTime": "2024-05-02T08:15:30+02:00",
        "content": {"contentType": content_type, "data": base64.b64encode(data).decode()},
    } | elements


def all_of(fhir, *types):
    return {name: fhir.total(name) for name in types or EVERYTHING}


def tasks(fhir):
    return [one["status"] for one in fhir.get("Task").resources()]


def component(observation, code):
    (found,) = [one for one in observation["component"] if one["code"]["coding"][0]["code"] == code]
    return found["valueQuantity"]["value"]


# -- the job behind a Media ----------------------------------------------------------------------------------------


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


MINE = "urn:x-test:tag|mine"


def labelled(data, label=MINE):
    resource = {"resourceType": "Binary", "contentType": "image/png", "data": base64.b64encode(data).decode()}
    if label is None:
        return resource
    system, _, code = label.partition("|")
    return {**resource, "meta": {"tag": [{"system": system, "code": code}]}}


@pytest.mark.parametrize("way", ["create", "update", "transaction"])
def test_an_image_that_the_token_does_not_cover_is_not_judged_for_it(client, fhir, patient, worker, radiograph, way):
    hidden = fhir.post("Binary", encoded(radiograph), Content_Type="image/png").id
    narrow = client(f"system/Binary.cr?_tag={MINE} system/Media.cru system/Task.rs system/Observation.rs")

    def told(binary):
        resource = media(patient, b"", id="m", content={"contentType": "image/png", "url": f"Binary/{binary}"})
        if way == "create":
            answer = narrow.post("Media", resource)
        elif way == "update":
            answer = narrow.put("Media/m", resource)
        else:
            request = {"method": "PUT", "url": "Media/m"}
            entries = [{"resource": resource, "request": request}]
            answer = narrow.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert answer.status == 400
        (issue,) = answer.json["issue"]
        return re.sub("Task/[^ ]+", "Task", json.dumps(issue)).replace(binary, "")

    assert told(hidden) == told("nowhere")
    assert not worker.step()
    assert all_of(fhir, "Media", "Task", "Observation") == {"Media": 0, "Task": 0, "Observation": 0}


def test_an_image_that_comes_in_the_same_transaction_is_judged_though_it_cannot_be_read(
    client, fhir, patient, worker, radiograph
):
    narrow = client(f"system/Binary.c system/Binary.r?_tag={MINE} system/Media.c")
    url = "urn:uuid:8f6a0f4e-2f3d-4a76-9b69-000000000002"
    entries = [
        {"resource": media(patient, b"", content={"contentType": "image/png", "url": url}),
         "request": {"method": "POST", "url": "Media"}},
        {"fullUrl": url, "resource": labelled(encoded(radiograph), None),
         "request": {"method": "POST", "url": "Binary"}},
    ]  # fmt: skip
    for order in (entries, entries[::-1]):
        assert narrow.post("", {"resourceType": "Bundle", "type": "transaction", "entry": order}).status == 200
        assert worker.step()
    own = narrow.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": labelled(encoded(radiograph)), "request": {"method": "POST", "url": "Binary"}}]})
    held = own.json["entry"][0]["response"]["location"].partition("/Binary/")[2].partition("/")[0]
    image = media(patient, b"", content={"contentType": "image/png", "url": f"Binary/{held}"})
    assert narrow.post("Media", image).status == 201


@pytest.mark.parametrize("elements", [{}, {"status": "on-hold", "content": {"contentType": "image/png"}}],
                         ids=["no type", "status"])
def test_a_media_that_leads_elsewhere_before_its_job_runs_has_nothing_read_for_it(
    client, fhir, patient, worker, radiograph, elements
):
    hidden = fhir.post("Binary", encoded(radiograph), Content_Type="image/png").id
    narrow = client(f"system/Binary.cr?_tag={MINE} system/Media.cru system/Task.rs system/Observation.rs")
    resource = media(patient, encoded(radiograph[::-1, ::-1]), id="m")
    assert narrow.put("Media/m", resource).status == 201
    elsewhere = {"content": elements.get("content", {}) | {"url": f"Binary/{hidden}"}}
    assert narrow.put("Media/m", resource | elements | elsewhere).status == 200
    while worker.step():
        pass
    (task,) = narrow.get("Task").resources()
    assert (task["status"], "another Binary" in task["statusReason"]["text"]) == ("failed", True)
    assert all_of(fhir, "Observation", "DiagnosticReport") == {"Observation": 0, "DiagnosticReport": 0}


def test_an_update_that_keeps_the_image_asks_for_nothing_new(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    fhir.put(f"Media/{source['id']}", {**source, "deviceName": "X1"})
    assert not worker.step()
    assert tasks(fhir) == ["completed"]


@pytest.mark.parametrize("scope", ["system/Media.ru", f"system/Media.ru system/Binary.r?_tag={MINE}"])
def test_who_may_not_read_the_image_may_change_the_rest_of_its_media(client, fhir, patient, worker, radiograph, scope):
    held = fhir.post("Binary", encoded(radiograph), Content_Type="image/png").id
    source = fhir.create(media(patient, b"", content={"contentType": "image/png", "url": f"Binary/{held}"}))
    worker.step()
    narrow, place = client(scope), f"Media/{source['id']}"
    assert narrow.put(place, {**source, "deviceName": "X1"}).status == 200
    label = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    assert narrow.post(f"{place}/$meta-add", label).status == 200
    assert not worker.step()
    assert tasks(fhir) == ["completed"]
    another = fhir.create({"resourceType": "Patient"})["id"]
    assert narrow.put(place, {**source, "subject": {"reference": f"Patient/{another}"}}).status in (400, 403)


def test_an_update_with_another_image_asks_again(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    other = media(patient, encoded(radiograph[::-1, ::-1]), id=source["id"])
    fhir.put(f"Media/{source['id']}", other)
    assert worker.step()
    assert fhir.total("Observation") == 2


def test_a_job_that_an_administrator_cancels_fails_its_task_and_may_be_tried_again(
    client, fhir, patient, worker, radiograph
):
    admin = client("admin")
    fhir.create(media(patient, encoded(radiograph)))
    (job_,) = admin.get("/admin/jobs").json["jobs"]
    assert admin.post(f"/admin/jobs/{job_['id']}/cancel").json["state"] == "cancelled"
    (task,) = fhir.get("Task").resources()
    assert (task["status"], task["statusReason"]) == (
        "failed", {"text": "An administrator took it out of the queue."})  # fmt: skip
    assert not worker.step()

    assert admin.post(f"/admin/jobs/{job_['id']}/retry").json["state"] == "ready"
    assert worker.step()
    (task,) = fhir.get("Task").resources()
    assert (task["status"], "statusReason" in task) == ("completed", False)
    assert fhir.total(f"Observation?patient={patient}") == 1


def test_a_media_that_is_put_right_asks_again_where_its_task_failed(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    fhir.put(f"Media/{source['id']}", {**source, "status": "entered-in-error"})
    worker.step()
    assert tasks(fhir) == ["failed"]

    fhir.put(f"Media/{source['id']}", source)
    assert tasks(fhir) == ["requested"]
    assert worker.step()
    assert tasks(fhir) == ["completed"]
    fhir.put(f"Media/{source['id']}", {**source, "deviceName": "X1"})
    assert not worker.step()
    assert fhir.total(f"Observation?patient={patient}") == 1


@pytest.mark.parametrize("judged", [True, False], ids=["after the result", "before it"])
def test_an_image_that_is_given_to_its_right_patient_is_judged_for_them(fhir, patient, worker, radiograph, judged):
    other = fhir.create({"resourceType": "Patient"})["id"]
    source = fhir.create(media(patient, encoded(radiograph)))
    if judged:
        worker.step()
    fhir.put(f"Media/{source['id']}", {**source, "subject": {"reference": f"Patient/{other}"}})
    while worker.step():
        pass

    (task,) = fhir.get(f"Task?patient={other}").resources()
    assert task["status"] == "completed"
    assert fhir.total(f"Observation?patient={other}") == 1
    (before,) = fhir.get(f"Task?patient={patient}").resources()
    assert fhir.total(f"Observation?patient={patient}") == int(judged)
    if not judged:
        assert (before["status"], "output" in before) == ("failed", False)
        assert "another patient" in before["statusReason"]["text"]


def test_a_cancelled_task_is_not_worked_on(fhir, patient, worker, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    (task,) = fhir.get("Task").resources()
    fhir.put(f"Task/{task['id']}", {**task, "status": "cancelled"})
    assert worker.step()
    assert fhir.total("Observation") == 0
    assert tasks(fhir) == ["cancelled"]


def test_a_client_with_a_narrow_scope_has_its_image_judged_and_sees_no_more(client, fhir, patient, worker, radiograph):
    narrow = client("system/Media.c")
    assert narrow.post("Media", media(patient, encoded(radiograph))).status == 201
    worker.step()
    assert fhir.total("Observation") == 1
    narrow.get("Observation").refused(403, "forbidden")


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


# -- $diagnose -----------------------------------------------------------------------------------------------------


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


# -- images that are refused ---------------------------------------------------------------------------------------


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("scan.png", encoded(ramp()))
    return file.getvalue()


@ONE_DATABASE
@pytest.mark.parametrize(
    ("data", "content_type", "code"),
    [
        (zipped(), "image/png", "invalid"),
        (encoded(ramp(), "JPEG"), "image/png", "invalid"),
        (png(20_000, 20_000, zlib.compress(bytes(100_000))), "image/png", "too-costly"),
        (encoded(ramp())[:-30], "image/png", "structure"),
        (encoded(ramp(), "JPEG")[:-30], "image/jpeg", "structure"),
        (dicom(PixelData=None), "application/dicom", "not-supported"),
        (dicom()[:-100], "application/dicom", "structure"),
        (dicom(Rows=60_000, Columns=60_000), "application/dicom", "structure"),
        (b"\0" * 300, "application/dicom", "invalid"),
    ],
    ids=["a zip", "another format", "a huge picture", "a truncated PNG", "a truncated JPEG", "no pixels",
         "a truncated DICOM file", "absurd dimensions", "no DICOM"],
)  # fmt: skip
def test_what_is_no_image_is_refused_and_nothing_is_stored(fhir, patient, data, content_type, code):
    before = all_of(fhir)
    fhir.post("Media", media(patient, data, content_type)).refused(422, code, "Media.content.data")
    assert all_of(fhir) == before
    assert fhir.get(f"Patient/{patient}").status == 200


def test_size_and_hash_of_an_attachment_are_checked(fhir, patient, radiograph):
    data = encoded(radiograph)
    digest = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
    right = media(patient, data)
    right["content"] |= {"size": len(data), "hash": digest}
    fhir.create(right)
    for name, wrong in (("size", 3), ("hash", base64.b64encode(bytes(20)).decode())):
        resource = {**right, "content": {**right["content"], name: wrong}}
        fhir.post("Media", resource).refused(422, "processing", f"Media.content.{name}")


@ONE_DATABASE
@pytest.mark.parametrize(
    ("picture", "elements", "code", "words"),
    [
        ("noise", {}, "not-performed", "does not look like"),
        ("tiny", {}, "not-performed", ""),
        ("colours", {}, "not-performed", "in colours"),
        ("radiograph", {"modality": {"coding": [{"system": DCM, "code": "US"}]}}, "not-performed", "says US"),
        ("radiograph", {"bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": "85151006"}]}},
         "not-performed", "85151006"),
        ("radiograph", {"view": {"coding": [{"system": "http://snomed.info/sct", "code": "399067008"}]}},
         "not-performed", "lateral"),
        ("cmyk", {}, "unsupported", "CMYK"),
        ("short", {}, "error", "cannot be decoded"),
    ],
    ids=["noise", "too small", "colours", "ultrasound", "a hand", "a lateral view", "CMYK", "pixels that are missing"],
)  # fmt: skip
def test_an_image_that_must_not_be_judged_has_a_reason_and_no_number(
    fhir, patient, worker, radiograph, picture, elements, code, words
):
    fhir.create(media(patient, *pictures(radiograph)[picture], **elements))
    assert worker.step()
    (observation,) = fhir.get(f"Observation?patient={patient}").resources()
    assert observation["dataAbsentReason"]["coding"][0]["code"] == code
    assert words in observation["note"][0]["text"]
    assert not {"component", "valueCodeableConcept", "interpretation"} & observation.keys()
    assert all_of(fhir, "Media", "DiagnosticReport") == {"Media": 1, "DiagnosticReport": 0}
    assert tasks(fhir) == ["failed" if code == "error" else "completed"]


def pictures(radiograph):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[..., 0] = noise
    file = io.BytesIO()
    Image.new("CMYK", (64, 64)).save(file, "JPEG")
    return {
        "radiograph": (encoded(radiograph),),
        "noise": (encoded(noise),),
        "tiny": (encoded(ramp(4, 4)),),
        "colours": (encoded(colours),),
        "cmyk": (file.getvalue(), "image/jpeg"),
        "short": (png(64, 64, zlib.compress(bytes(100))),),
    }


def test_an_image_is_judged_once_its_record_is_put_right(fhir, patient, worker, radiograph):
    hand = {"coding": [{"system": "http://snomed.info/sct", "code": "85151006"}]}
    source = fhir.create(media(patient, encoded(radiograph), bodySite=hand))
    refused = fhir.post(f"Media/{source['id']}/$diagnose").json
    fhir.put(f"Media/{source['id']}", {k: v for k, v in source.items() if k != "bodySite"})
    judged = fhir.post(f"Media/{source['id']}/$diagnose").json
    assert "dataAbsentReason" in refused
    assert "valueCodeableConcept" in judged


# -- DICOM uploads -------------------------------------------------------------------------------------------------


def upload(fhir, data):
    return fhir.post("Binary", data, Content_Type="application/dicom", Accept="application/fhir+json")


def large(radiograph):
    return np.asarray(Image.fromarray(radiograph).resize((256, 256), Image.Resampling.BICUBIC))


def test_a_dicom_file_of_a_known_patient_becomes_a_media_and_an_observation(fhir, patient, worker, radiograph):
    answer = upload(fhir, dicom(large(radiograph), Manufacturer="Maker", PatientBirthDate="20190203", PatientSex="F"))
    assert answer.status == 201
    (described,) = fhir.get("Media").resources()
    assert described["subject"] == {"reference": f"Patient/{patient}"}
    assert described["content"] == {"contentType": "application/dicom", "url": f"Binary/{answer.id}"}
    assert described["identifier"][0]["system"] == "urn:dicom:uid"
    assert (described["createdDateTime"], described["deviceName"]) == ("2024-05-01", "Maker")
    assert described["modality"]["coding"][0]["code"] == "DX"
    worker.step()
    (observation,) = fhir.get(f"Observation?patient={patient}").resources()
    assert "valueCodeableConcept" in observation, observation["note"]
    assert observation["effectiveDateTime"] == "2024-05-01"
    assert fhir.total(f"Task?based-on=Binary/{answer.id}&status=completed") == 1


def test_an_inverted_dicom_image_is_seen_as_it_is_meant(fhir, patient, worker, radiograph):
    upload(fhir, dicom(255 - large(radiograph), PhotometricInterpretation="MONOCHROME1"))
    worker.step()
    assert "valueCodeableConcept" in fhir.get("Observation").resources()[0]


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"PatientID": None}, "no Patient ID"),
        ({"PatientID": "P-2"}, "No Patient"),
        ({"PatientID": "P-1,P-2"}, "No Patient"),
        ({"PatientBirthDate": "20180203"}, "another birth date"),
        ({"PatientSex": "M"}, "another sex"),
        ({"NumberOfFrames": 2}, "not read here"),
    ],
    ids=["no Patient ID", "an unknown one", "one with a comma", "another birth date", "another sex", "many frames"],
)
def test_a_dicom_file_of_nobody_known_is_stored_and_its_task_says_why(fhir, patient, worker, elements, words):
    answer = upload(fhir, dicom(**elements))
    assert answer.status == 201
    (task,) = fhir.get(f"Task?focus=Binary/{answer.id}").resources()
    assert task["status"] == "rejected"
    assert words in task["statusReason"]["text"]
    assert "P-" not in task["statusReason"]["text"]
    assert not worker.step()
    assert fhir.total("Media") == 0


@pytest.mark.parametrize("elements", [{"PatientID": "P-9"}, {"PatientID": None}, {}], ids=["unknown", "none", "theirs"])
def test_a_dicom_file_is_of_the_patient_that_its_sender_names(fhir, patient, elements):
    fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:other", "value": "P-1"}]})
    answer = fhir.post("Binary", dicom(**elements), Content_Type="application/dicom", Accept="application/fhir+json",
                       X_Security_Context=f"Patient/{patient}")  # fmt: skip
    (described,) = fhir.get("Media").resources()
    assert described["subject"] == {"reference": f"Patient/{patient}"}
    assert described["content"]["url"] == f"Binary/{answer.id}"
    assert tasks(fhir) == ["requested"]


@pytest.mark.parametrize(
    ("elements", "words"),
    [({"PatientID": "P-7"}, "another Patient"), ({"PatientID": "P-9", "PatientBirthDate": "20180203"}, "another birth"),
     ({"PatientID": None, "PatientSex": "M"}, "another sex")],
    ids=["somebody else's ID", "another birth date", "another sex"],
)  # fmt: skip
def test_a_dicom_file_that_says_somebody_else_than_its_sender_is_nobodys(fhir, patient, elements, words):
    fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "P-7"}]})
    answer = fhir.post("Binary", dicom(**elements), Content_Type="application/dicom", Accept="application/fhir+json",
                       X_Security_Context=f"Patient/{patient}")  # fmt: skip
    (task,) = fhir.get(f"Task?focus=Binary/{answer.id}").resources()
    assert task["status"] == "rejected"
    assert words in task["statusReason"]["text"]
    assert fhir.total("Media") == 0


def test_whom_the_conditions_of_a_token_hide_is_not_to_be_named_whatever_the_file_says(client, fhir, patient):
    sender = client("system/Binary.c", "system/Task.rs", "system/Patient.r?_security=nobody")
    told = set()
    for named in (patient, "nobody"):
        for elements in ({"PatientID": None}, {"PatientBirthDate": "20180203"}, {}):
            answer = sender.post("Binary", dicom(**elements), Content_Type="application/dicom",
                                 X_Security_Context=f"Patient/{named}")  # fmt: skip
            told.add((answer.status, answer.json["issue"][0]["diagnostics"].replace(named, "it")))
    assert [status for status, _ in told] == [400]
    assert (fhir.total("Binary"), fhir.total("Media")) == (0, 0)


def test_who_may_not_read_a_patient_learns_nothing_of_it_by_naming_it(client, fhir, patient):
    fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "P-7"}]})
    sender = client("system/Binary.c", "system/Task.rs", "system/Patient.c")
    guesses = [{"PatientID": None}, {"PatientID": "P-9"}, {"PatientID": "P-7"},
               {"PatientBirthDate": "20180203"}, {"PatientSex": "M"}]  # fmt: skip
    told = set()
    for elements in guesses:
        answer = sender.post("Binary", dicom(**elements), Content_Type="application/dicom",
                             Accept="application/fhir+json", X_Security_Context=f"Patient/{patient}")  # fmt: skip
        (task,) = sender.get(f"Task?focus=Binary/{answer.id}").resources()
        told.add((task["status"], task["statusReason"]["text"]))
    assert len(told) == 1
    assert fhir.total("Media") == 0
    sender.post("Binary", dicom(), Content_Type="application/dicom", X_Security_Context=f"Patient/{patient}")
    assert [one["subject"] for one in fhir.get("Media").resources()] == [{"reference": f"Patient/{patient}"}]


def test_who_may_not_read_patients_learns_nothing_of_them_by_files_with_guessed_headers(client, fhir, patient):
    for _ in range(2):
        fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "P-7"}]})
    sender = client("system/Binary.c", "system/Task.rs", "system/Patient.r?_security=nobody")
    told = set()
    for elements in ({"PatientID": "P-9"}, {"PatientID": "P-7"}, {"PatientBirthDate": "20180203"}, {"PatientSex": "M"}):
        answer = sender.post("Binary", dicom(**elements), Content_Type="application/dicom",
                             Accept="application/fhir+json")
        (task,) = sender.get(f"Task?focus=Binary/{answer.id}").resources()
        told.add((task["status"], task["statusReason"]["text"]))
    assert len(told) == 1
    upload(sender, dicom())
    assert [one["subject"] for one in fhir.get("Media").resources()] == [{"reference": f"Patient/{patient}"}]


def test_a_dicom_file_that_comes_with_its_patient_has_to_wait_for_it(fhir):
    url = "urn:uuid:8f6a0f4e-2f3d-4a76-9b69-000000000003"
    held = {"resourceType": "Binary", "contentType": "application/dicom", "securityContext": {"reference": url},
            "data": base64.b64encode(dicom(PatientID="P-9")).decode()}  # fmt: skip
    entries = [
        {"resource": held, "request": {"method": "POST", "url": "Binary"}},
        {"fullUrl": url, "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
    ]
    assert fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status == 200
    (task,) = fhir.get("Task").resources()
    assert "not stored yet" in task["statusReason"]["text"]


def test_a_patient_id_that_two_patients_have_is_nobodys(fhir, patient):
    fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:other", "value": "P-1"}]})
    upload(fhir, dicom())
    (task,) = fhir.get("Task").resources()
    assert "More than one" in task["statusReason"]["text"]


def test_the_same_dicom_object_twice_is_one_media(fhir, patient):
    upload(fhir, dicom())
    second = upload(fhir, dicom())
    assert fhir.total("Media") == 1
    (task,) = fhir.get(f"Task?focus=Binary/{second.id}").resources()
    assert task["status"] == "rejected"


@pytest.mark.parametrize("uid", [{}, {"SOPInstanceUID": None}], ids=["an instance UID", "none"])
def test_a_label_on_a_dicom_file_asks_for_nothing(fhir, patient, worker, uid):
    held = upload(fhir, dicom(**uid)).id
    label = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    assert fhir.post(f"Binary/{held}/$meta-add", label).vid == "2"
    whole = fhir.get(f"Binary/{held}", Accept="application/fhir+json").json
    assert fhir.put(f"Binary/{held}", {**whole, "language": "de"}).vid == "3"
    assert (fhir.total("Media"), tasks(fhir)) == (1, ["requested"])


def test_a_dicom_file_without_a_picture_is_refused_and_not_stored(fhir, patient):
    upload(fhir, dicom(PixelData=None)).refused(422, "not-supported", "Binary.data", "no image")
    assert fhir.total("Binary") == 0


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_job_that_goes_wrong_is_tried_again(app, fhir, patient, worker, clock, radiograph, monkeypatch):
    fhir.create(media(patient, encoded(radiograph)))
    with monkeypatch.context() as broken:
        broken.setattr(diagnosis.diagnose, "result", lambda *_: 1 / 0)
        assert worker.step()
    assert tasks(fhir) == ["in-progress"]
    assert not worker.step(), "it waits for its pause"
    clock.forward(2)
    assert worker.step()
    assert tasks(fhir) == ["completed"]


def test_a_job_that_always_goes_wrong_fails_with_its_task(app, fhir, patient, worker, clock, radiograph, monkeypatch):
    fhir.create(media(patient, encoded(radiograph)))
    monkeypatch.setattr(diagnosis.diagnose, "result", lambda *_: 1 / 0)
    for _ in range(3):
        assert worker.step()
        clock.forward(60)
    assert not worker.step()
    (task,) = fhir.get("Task").resources()
    assert (task["status"], task["statusReason"]["text"]) == ("failed", "Internal error (ZeroDivisionError).")
    assert app.extensions["hie"].store.jobs.counts()["failed"] == 1


def test_the_job_of_a_lost_worker_is_done_by_another(app, fhir, patient, worker, clock, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    assert app.extensions["hie"].store.jobs.claim("lost", clock()) is not None
    assert not worker.step()
    clock.forward(600)
    assert worker.step()
    assert tasks(fhir) == ["completed"]


def claimed_until(application):
    return application.store.database.connection().execute(select(job.c.claimed_until)).scalar_one()


def test_a_claim_is_kept_as_long_as_its_worker_works(app, fhir, patient, clock, radiograph, monkeypatch):
    application = app.extensions["hie"]
    seen = []

    def long_work(payload, ctx):
        # Time passes, twice as long as a claim lasts; another worker looks for work whenever the claim was renewed.
        for _ in range(4):
            clock.forward(jobs.CLAIM_MICROSECONDS / 2e6)
            until = claimed_until(application)
            end = time.monotonic() + 20
            while claimed_until(application) == until and time.monotonic() < end:
                time.sleep(0.005)
            seen.append(application.store.jobs.claim("other", clock()))

    monkeypatch.setattr(worker_module, "RENEW_SECONDS", 0.01)
    registry = replace(application.registry, jobs=(JobKind("diagnose", long_work),))
    fhir.create(media(patient, encoded(radiograph)))
    assert Worker(replace(application, registry=registry), "slow").step()
    assert seen == [None] * 4
    assert application.store.jobs.counts()["done"] == 1


def test_a_job_whose_media_is_gone_fails_at_once(app, fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    (task,) = fhir.get("Task").resources()
    fhir.put(f"Task/{task['id']}", {k: v for k, v in task.items() if k != "focus"})
    assert fhir.delete(f"Media/{source['id']}").status == 200
    worker.step()
    assert "was deleted" in fhir.get("Task").resources()[0]["statusReason"]["text"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_real_images_are_judged_or_refused_as_they_should(fhir, patient, worker, shared_data):
    folder = shared_data / "medmnist" / "png"
    right, judged, refused = 0, 0, 0
    for row in sorted(folder.glob("*.png")):
        source = fhir.create(media(patient, row.read_bytes()))
        assert worker.step()
        (observation,) = fhir.get(f"Observation?derived-from=Media/{source['id']}").resources()
        if "dataAbsentReason" in observation:
            refused += row.name.startswith("busi")
        else:
            judged += row.name.startswith("pneumoniamnist")
            present = observation["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
            right += present == row.name.endswith("pneumonia.png")
    assert (judged, refused) == (16, 18)
    assert right >= 14


def test_a_worker_works_until_it_is_told_to_stop(app, fhir, patient, radiograph):
    stop = threading.Event()
    thread = threading.Thread(target=Worker(app.extensions["hie"]).run, args=(stop,))
    thread.start()
    fhir.create(media(patient, encoded(radiograph)))
    end = time.monotonic() + 20
    while fhir.total("Observation") == 0 and time.monotonic() < end:
        time.sleep(0.01)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert tasks(fhir) == ["completed"]


def test_every_step_of_a_job_is_in_the_audit_trail(app, fhir, patient, worker, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    found = {row["interaction"] for row in audited(app)}
    assert {"job-begin", "job-result"} <= found


def audited(app):
    from hie.store import audit

    store = app.extensions["hie"].store
    store.database.settle_records()
    return [
        dict(row._mapping) for row in store.database.connection().execute(audit.select(audit.audit)).all()
    ]
