"""Whose a result of $diagnose is, what it is found again by, and what the token's conditions leave of it."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from tests.conformance.images import media
from tests.one_database import ONE_DATABASE
from tests.pictures import encoded

SNOMED = "http://snomed.info/sct"


def diagnose(fhir, source):
    return fhir.post(f"Media/{source['id']}/$diagnose")


def plain(resource):
    return {name: value for name, value in resource.items() if name not in ("id", "meta")}


def test_a_result_that_was_given_to_another_patient_answers_for_no_other(fhir, patient, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    first = diagnose(fhir, source).json
    other = fhir.create({"resourceType": "Patient"})["id"]
    fhir.put(f"Observation/{first['id']}", {**first, "subject": {"reference": f"Patient/{other}"}})

    again = diagnose(fhir, source)
    assert (again.status, again.json["subject"]) == (201, {"reference": f"Patient/{patient}"})
    assert again.json["identifier"] == first["identifier"]
    (provenance,) = fhir.get(f"Provenance?target=Observation/{again.id}").resources()
    assert f"Observation/{again.id}" in [one["reference"] for one in provenance["target"]]
    assert diagnose(fhir, source).id == again.id


def test_what_others_sent_under_the_identifiers_of_results_keeps_nothing_from_being_judged(
    fhir, patient, worker, radiograph
):
    source = fhir.create(media(patient, encoded(radiograph)))
    first = diagnose(fhir, source).json
    device = fhir.get(first["device"]["reference"]).json
    for _ in range(4):
        fhir.create(plain(device))
    other = fhir.create({"resourceType": "Patient"})["id"]
    result = diagnose(fhir, fhir.create(media(other, encoded(radiograph))))
    assert result.status == 201
    assert result.json["device"]["reference"] == f"Device/{device['id']}"

    for _ in range(4):
        fhir.create(plain(first))
    assert (diagnose(fhir, source).status, diagnose(fhir, source).id) == (200, first["id"])
    while worker.step():
        pass
    assert {one["status"] for one in fhir.get("Task").resources()} == {"completed"}


@ONE_DATABASE
def test_copies_of_a_task_keep_no_media_from_being_changed(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    (task,) = fhir.get("Task").resources()
    for _ in range(4):
        fhir.create({**plain(task), "status": "completed"})
    assert fhir.put(f"Media/{source['id']}", {**source, "deviceName": "X1"}).status == 200
    worker.step()
    assert fhir.get(f"Task/{task['id']}").json["status"] == "completed"
    assert fhir.total("Observation") == 1


@ONE_DATABASE
@pytest.mark.parametrize("scope", [
    "system/Observation.cr?category=laboratory", "system/Observation.c?category=laboratory system/Observation.r",
    "system/Observation.c system/Observation.r?category=laboratory",
])  # fmt: skip
def test_a_result_that_the_tokens_conditions_do_not_cover_is_refused_and_not_stored(
    client, fhir, patient, radiograph, scope
):
    source = fhir.create(media(patient, encoded(radiograph)))
    narrow = client("system/Media.r", "system/Patient.r", *scope.split())
    narrow.post(f"Media/{source['id']}/$diagnose").refused(403, "forbidden", text="do not cover")
    narrow.post(f"Patient/{patient}/$recommend?count=1").refused(403, "forbidden", text="do not cover")
    shown = narrow.get(f"Patient/{patient}/$recommend?count=1").status
    assert shown == (200 if scope.endswith("Observation.r") else 403)
    assert fhir.total("Observation") == 0
    wide = client("system/Media.r", "system/Observation.cr?category=imaging")
    assert wide.post(f"Media/{source['id']}/$diagnose").status == 201


@ONE_DATABASE
def test_what_a_result_has_become_is_not_told_whom_it_is_hidden_from(client, fhir, patient, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    first = diagnose(fhir, source).json
    fhir.put(f"Observation/{first['id']}", {**first, "status": "final"})
    narrow = client("system/Media.r", "system/Observation.cr?status=preliminary")
    answer = narrow.post(f"Media/{source['id']}/$diagnose")
    answer.refused(403, "forbidden", "Observation")
    assert first["id"] not in answer.content.decode()


@ONE_DATABASE
def test_encounter_and_orders_that_a_media_contains_are_not_repeated(fhir, patient, worker, radiograph):
    subject = {"reference": f"Patient/{patient}"}
    order = {"resourceType": "ServiceRequest", "id": "o", "status": "active", "intent": "order", "subject": subject}
    visit = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"}}
    source = fhir.create(media(patient, encoded(radiograph), contained=[order, visit], encounter={"reference": "#e"},
                               basedOn=[{"reference": "#o"}, {"display": "by telephone"}]))  # fmt: skip
    worker.step()
    (observation,) = fhir.get(f"Observation?derived-from=Media/{source['id']}").resources()
    assert (observation["basedOn"], "encounter" in observation) == ([{"display": "by telephone"}], False)


@ONE_DATABASE
@pytest.mark.parametrize(
    ("data", "content_type", "code"),
    [(b"GIF89a" + bytes(60), "image/gif", "invalid"), (b"%PDF-1.7 ...", "application/pdf", "invalid"),
     (encoded(np.zeros((32, 32), np.uint8))[:-30], "image/png", "structure")],
    ids=["GIF", "PDF", "cut short"],
)  # fmt: skip
def test_diagnose_of_what_is_no_image_is_refused_and_stores_nothing(fhir, patient, data, content_type, code):
    source = fhir.create(media(patient, data, content_type, status="on-hold"))
    diagnose(fhir, source).refused(422, code, "Media.content.data")
    assert fhir.total("Observation") == 0


@ONE_DATABASE
@pytest.mark.parametrize("elements", [{"modifierExtension": [{"url": "urn:x:not", "valueBoolean": True}]},
                                      {"implicitRules": "urn:x:rules"}], ids=["modifier", "rules"])  # fmt: skip
def test_an_image_that_means_what_is_not_known_here_is_not_judged(fhir, patient, radiograph, elements):
    source = fhir.create(media(patient, encoded(radiograph), **elements))
    assert fhir.total("Task") == 0
    assert diagnose(fhir, source).status == 422


@ONE_DATABASE
@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"view": {"coding": [{"system": SNOMED, "code": "399173006"}]}}, "399173006"),
        ({"view": {"coding": [{"system": SNOMED, "code": "272479007"}]}}, None),
        ({"view": {"text": "lateral"}}, None),
        ({"bodySite": {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.96", "code": "85151006"}]}}, "85151006"),
        ({"modality": {"coding": [{"system": "urn:oid:1.2.840.10008.2.16.4", "code": "CT"}]}}, "CT"),
    ],
    ids=["left lateral", "from behind", "in words alone", "a hand by OID", "CT by OID"],
)
def test_what_a_media_says_in_codes_is_heeded(fhir, patient, radiograph, elements, words):
    observation = diagnose(fhir, fhir.create(media(patient, encoded(radiograph), **elements))).json
    assert ("dataAbsentReason" in observation) == (words is not None)
    assert words is None or words in observation["note"][0]["text"]


def together(patient, data, media_place, method):
    """A transaction with a Binary and a Media that shows it, the Media at a place of the list."""
    url = "urn:uuid:8f6a0f4e-2f3d-4a76-9b69-000000000001" if method == "POST" else "Binary/held"
    held = {"resourceType": "Binary", "id": "held", "contentType": "image/png",
            "data": base64.b64encode(data).decode()}  # fmt: skip
    shown = media(patient, b"", content={"contentType": "image/png", "url": url})
    entries = [{"resource": held, "request": {"method": method, "url": "Binary" if method == "POST" else url}}
               | ({"fullUrl": url} if method == "POST" else {})]  # fmt: skip
    entries.insert(media_place, {"resource": shown, "request": {"method": "POST", "url": "Media"}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@ONE_DATABASE
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("place", [0, 1], ids=["media first", "binary first"])
def test_a_binary_of_the_same_transaction_is_looked_at_wherever_it_stands(
    fhir, patient, worker, radiograph, place, method
):
    refused = fhir.post("", together(patient, b"PK\3\4 no image", place, method))
    assert (refused.status, refused.json["issue"][0]["code"]) == (422, "invalid")
    assert (fhir.total("Media"), fhir.total("Binary")) == (0, 0)

    assert fhir.post("", together(patient, encoded(radiograph), place, method)).status == 200
    (source,) = fhir.get("Media").resources()
    while worker.step():
        pass
    assert fhir.put(f"Media/{source['id']}", {**source, "deviceName": "X1"}).status == 200
    assert [one["status"] for one in fhir.get("Task").resources()] == ["completed"]


@ONE_DATABASE
def test_a_binary_that_is_replaced_before_its_job_runs_is_not_judged_for_the_image_before(
    fhir, patient, worker, radiograph
):
    held = fhir.post("Binary", encoded(radiograph), Content_Type="image/png").id
    content = {"contentType": "image/png", "url": f"Binary/{held}"}
    source = fhir.create(media(patient, b"", content=content))
    assert fhir.put(f"Binary/{held}", encoded(radiograph[::-1, ::-1]), Content_Type="image/png").status == 200
    worker.step()
    (task,) = fhir.get("Task").resources()
    assert (task["status"], "replaced" in task["statusReason"]["text"]) == ("failed", True)
    assert fhir.total("Observation") == 0

    fhir.put(f"Media/{source['id']}", {**source, "deviceName": "X1"})
    assert worker.step()
    assert fhir.total("Observation") == 1
