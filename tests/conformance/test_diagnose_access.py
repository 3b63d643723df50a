"""The job behind a Media reads no image for whom its token does not cover."""

from __future__ import annotations

import base64
import json
import re

import pytest

from tests.conformance.images import all_of, media, tasks
from tests.pictures import encoded

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


def test_a_client_with_a_narrow_scope_has_its_image_judged_and_sees_no_more(client, fhir, patient, worker, radiograph):
    narrow = client("system/Media.c")
    assert narrow.post("Media", media(patient, encoded(radiograph))).status == 201
    worker.step()
    assert fhir.total("Observation") == 1
    narrow.get("Observation").refused(403, "forbidden")
