"""AI results of images as transaction Bundles that the server's own validator accepts."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fhir_adapters import ai_codes, results
from fhir_adapters.ai_model import ModelFacts, full_url
from hie.fhir import json_format, validation
from ml.result import Prediction

NOW = "2026-01-02T03:04:05.600Z"
MODEL = ModelFacts("chest-xray", "1.0.0-abc", "Pneumonia on a radiograph", ai_codes.DEEP_LEARNING, "No product.", 0.5)
MEDIA = {
    "resourceType": "Media",
    "subject": {"reference": "Patient/1", "display": "Somebody"},
    "encounter": {"reference": "Encounter/2"},
    "basedOn": [{"reference": "ServiceRequest/3"}],
    "createdDateTime": "2024-05-02T08:15:30+02:00",
}
SOURCE = results.Source("Media/4", MEDIA, "ab" * 32)
POSITIVE = Prediction(
    model="chest-xray", version="1.0.0-abc", input_digest="", accepted=True, reason=None, label="pneumonia",
    probability=0.975, logit=3.6, threshold=0.5, positive=True, heatmap=np.zeros((7, 7), np.float32), gate_score=0.25,
    gate_threshold=1.5,
)  # fmt: skip
NEGATIVE = replace(POSITIVE, label="normal", probability=0.25, logit=-1.0, positive=False)
FOREIGN = replace(
    POSITIVE, accepted=False, reason="It is no radiograph.", label=None, probability=None, logit=None, positive=None,
    heatmap=None, gate_score=4.0,
)  # fmt: skip


def bundle(found=POSITIVE, heat_map=b"\x89PNG", source=SOURCE, now=NOW):
    made = results.diagnosis_bundle(source, found, MODEL, "pneumonia", heat_map, now)
    return json_format.parse(json_format.dump(made))


def only(made, type_name):
    (found,) = [entry["resource"] for entry in made["entry"] if entry["resource"]["resourceType"] == type_name]
    return found


def component(observation, code):
    (found,) = [one for one in observation["component"] if one["code"]["coding"][0]["code"] == code]
    return found["valueQuantity"]["value"]


def types(made):
    return Counter(entry["resource"]["resourceType"] for entry in made["entry"])


@pytest.mark.parametrize("found", [POSITIVE, NEGATIVE, FOREIGN, results.Refusal("error", "It cannot be decoded.")],
                         ids=["positive", "negative", "refused by the gate", "not decodable"])  # fmt: skip
def test_every_resource_of_a_result_is_valid(found):
    for entry in bundle(found, b"x" if found in (POSITIVE, NEGATIVE) else None)["entry"]:
        issues = validation.validate(entry["resource"])
        assert [issue for issue in issues if issue.severity not in ("warning", "information")] == []


def test_a_positive_finding_is_present_with_its_numbers():
    observation = only(bundle(), "Observation")
    assert observation["status"] == "preliminary"
    assert observation["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
    assert observation["interpretation"][0]["coding"][0]["code"] == "POS"
    numbers = [float(component(observation, code)) for code in ("probability", "decision-threshold", "gate-score")]
    assert numbers == [0.975, 0.5, 0.25]
    assert "dataAbsentReason" not in observation


def test_the_confidence_in_a_negative_finding_is_the_probability_of_absence():
    value = only(bundle(NEGATIVE), "Observation")["valueCodeableConcept"]
    assert value["coding"][0]["code"] == "2667000"
    assert float(value["extension"][0]["valueDecimal"]) == 0.75
    assert value["extension"][0]["url"].endswith("/AIconfidence")


def test_the_observation_belongs_to_the_image_its_patient_and_its_model():
    made = bundle()
    observation = only(made, "Observation")
    urls = {entry["resource"]["resourceType"]: entry["fullUrl"] for entry in made["entry"]}
    assert observation["subject"] == {"reference": "Patient/1"}
    assert observation["encounter"] == {"reference": "Encounter/2"}
    assert observation["basedOn"] == [{"reference": "ServiceRequest/3"}]
    assert observation["effectiveDateTime"] == "2024-05-02T08:15:30+02:00"
    assert observation["issued"] == NOW
    assert observation["derivedFrom"] == [{"reference": "Media/4"}, {"reference": urls["Media"]}]
    assert observation["device"]["reference"] == urls["Device"]


def test_everything_but_the_device_carries_the_label():
    labelled = [
        entry["resource"]["resourceType"]
        for entry in bundle()["entry"]
        if entry["resource"].get("meta", {}).get("security", [{}])[0].get("code") == "AIAST"
    ]
    assert sorted(labelled) == ["DiagnosticReport", "Media", "Observation", "Provenance"]


def test_the_heat_map_is_a_picture_of_its_own():
    media = only(bundle(heat_map=b"\x89PNG picture"), "Media")
    assert base64.b64decode(media["content"]["data"]) == b"\x89PNG picture"
    assert media["content"]["contentType"] == "image/png"


def test_the_report_says_that_no_person_reviewed_it():
    report = only(bundle(), "DiagnosticReport")
    assert report["status"] == "preliminary"
    assert report["conclusion"].startswith("Made by an AI model, not reviewed by a person. Pneumonia present")
    assert len(report["media"]) == 2


def test_the_provenance_names_what_was_made_by_whom_from_what():
    made = bundle()
    provenance = only(made, "Provenance")
    urls = {entry["resource"]["resourceType"]: entry["fullUrl"] for entry in made["entry"]}
    assert {target["reference"] for target in provenance["target"]} == {
        urls["Observation"], urls["Media"], urls["DiagnosticReport"]
    }  # fmt: skip
    assert provenance["agent"][0]["who"]["reference"] == urls["Device"]
    assert provenance["entity"] == [{"role": "source", "what": {"reference": "Media/4"}}]
    assert provenance["reason"][0]["coding"][0]["code"] == "AIAST"


def test_a_refused_image_has_a_reason_and_never_a_number():
    made = bundle(FOREIGN, None)
    observation = only(made, "Observation")
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert observation["note"] == [{"text": "Not judged: It is no radiograph."}]
    assert types(made) == {"Observation": 1, "Device": 1, "Provenance": 1}
    for name in ("valueCodeableConcept", "component", "interpretation", "referenceRange"):
        assert name not in observation
    assert "4.0" not in json.dumps({**observation, "device": None, "method": None, "issued": None})


def test_the_same_image_gives_the_same_bundle_but_for_its_time():
    later = bundle(now="2027-01-01T00:00:00.000Z")
    assert [e["request"] for e in later["entry"]] == [e["request"] for e in bundle()["entry"]]
    assert [e["fullUrl"] for e in later["entry"]] == [e["fullUrl"] for e in bundle()["entry"]]


def test_every_entry_is_a_conditional_create():
    for entry in bundle()["entry"]:
        assert entry["request"]["method"] == "POST"
        assert entry["request"]["ifNoneExist"].startswith(("identifier=", "_tag="))


@pytest.mark.parametrize(
    "other",
    [
        replace(SOURCE, sha256="cd" * 32),
        replace(SOURCE, media={**MEDIA, "subject": {"reference": "Patient/9"}}),
    ],
    ids=["another image", "the same image of another patient"],
)
def test_another_image_or_patient_is_another_result(other):
    one, two = (only(bundle(source=source), "Observation")["identifier"] for source in (SOURCE, other))
    assert one != two


def test_another_version_is_another_result():
    newer = replace(MODEL, version="1.0.1")
    assert results.result_identifier(SOURCE, POSITIVE, MODEL) != results.result_identifier(SOURCE, POSITIVE, newer)


def test_the_same_image_in_another_media_is_the_same_result():
    other = replace(SOURCE, reference="Media/5")
    assert results.result_identifier(SOURCE, POSITIVE, MODEL) == results.result_identifier(other, POSITIVE, MODEL)


def test_an_image_that_was_not_looked_at_may_be_judged_later():
    refused = results.Refusal("not-performed", "The Media says that it is an ultrasound image.")
    assert results.result_identifier(SOURCE, refused, MODEL) != results.result_identifier(SOURCE, POSITIVE, MODEL)


def test_the_device_tells_version_threshold_and_safety():
    device = only(bundle(), "Device")
    assert device["identifier"] == [{"system": "urn:x-hie:ai:model", "value": "chest-xray/1.0.0-abc"}]
    assert device["version"] == [{"value": "1.0.0-abc"}]
    assert float(device["property"][0]["valueQuantity"][0]["value"]) == 0.5
    assert device["safety"] == [{"text": "No product."}]


def test_a_completed_task_points_at_what_came_of_it():
    made = results.diagnosis_bundle(SOURCE, POSITIVE, MODEL, "pneumonia", b"x", NOW)
    task = results.completed({"resourceType": "Task", "status": "in-progress", "intent": "order"}, made, NOW)
    identifier = results.result_identifier(SOURCE, POSITIVE, MODEL)
    assert task["status"] == "completed"
    assert {one["valueReference"]["reference"] for one in task["output"]} == {
        full_url(identifier, name) for name in ("Observation", "Media", "DiagnosticReport")
    }
    assert validation.validate(json_format.parse(json_format.dump(task)))[0].severity == "warning"
