"""DICOM files as Binaries: what headers in disorder come to, and files that are replaced."""

from __future__ import annotations

import base64
import hashlib
import threading

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from fhir_adapters.imaging import apart
from tests.one_database import ONE_DATABASE
from tests.pictures import dicom, encoded, ramp

FHIR_JSON = "application/fhir+json"


def person(fhir, identifier):
    return fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": identifier}]})["id"]


def upload(fhir, data):
    return fhir.post("Binary", data, Content_Type="application/dicom", Accept=FHIR_JSON)


def replaced(fhir, id_, data):
    return fhir.put(f"Binary/{id_}", data, Content_Type="application/dicom", Accept=FHIR_JSON)


def sha1(data):
    return base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


@ONE_DATABASE
@pytest.mark.parametrize(
    ("elements", "found"),
    [
        ({"Modality": "DX  A"}, {"modality": "DX A"}),
        ({"Modality": "CT\\DX"}, {"modality": "CT\\DX"}),
        ({"AcquisitionDateTime": "20240501101530+1459"}, {"createdDateTime": "2024-05-01"}),
        ({"AcquisitionDateTime": "20240501101530+1400"}, {"createdDateTime": "2024-05-01T10:15:30+14:00"}),
        ({"AcquisitionDateTime": "2024W011"}, {"createdDateTime": "2024-05-01"}),
        ({"Manufacturer": "Ma\x07ker  of images"}, {"deviceName": "Ma ker of images"}),
    ],
    ids=["two spaces", "two values", "no offset of FHIR's", "the last offset", "a week", "control characters"],
)
def test_a_header_in_disorder_does_not_keep_a_file_from_being_described(fhir, patient, elements, found):
    assert upload(fhir, dicom(**elements)).status == 201
    (media,) = fhir.get("Media").resources()
    said = {"modality": media["modality"]["coding"][0]["code"], "deviceName": media.get("deviceName"),
            "createdDateTime": media["createdDateTime"]}  # fmt: skip
    assert said | found == said


@ONE_DATABASE
def test_a_patient_id_of_two_values_is_nobodys(fhir, patient):
    upload(fhir, dicom(PatientID="P-1\\P-2"))
    assert fhir.total("Media") == 0
    (task,) = fhir.get("Task").resources()
    assert "No Patient has" in task["statusReason"]["text"]


@ONE_DATABASE
def test_a_file_is_of_the_patient_who_replaced_the_one_of_its_patient_id(fhir, patient):
    merged = {"resourceType": "Patient", "identifier": [{"value": "P-1"}],
              "link": [{"type": "replaced-by", "other": {"reference": f"Patient/{patient}"}}]}  # fmt: skip
    fhir.create(merged)
    upload(fhir, dicom())
    assert [one["subject"]["reference"] for one in fhir.get("Media").resources()] == [f"Patient/{patient}"]

    fhir.create(merged | {"identifier": [{"value": "P-3"}]})
    alone = upload(fhir, dicom(PatientID="P-3", SOPInstanceUID="1.2.3"))
    (task,) = fhir.get(f"Task?focus=Binary/{alone.id}").resources()
    assert "was replaced" in task["statusReason"]["text"]


@ONE_DATABASE
@pytest.mark.parametrize("part", ["ABDOMEN AND PELVIS", "CHEST\\HAND"], ids=["longer than a code", "two parts"])
def test_a_body_part_that_is_no_code_of_the_chest_is_not_judged(fhir, patient, worker, part):
    upload(fhir, dicom(BodyPartExamined=part))
    worker.step()
    (observation,) = fhir.get("Observation").resources()
    assert part in observation["note"][0]["text"]


def coded(code, scheme="SCT"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "what it is"
    return [item]


@ONE_DATABASE
@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"ViewPosition": None, "ViewCodeSequence": coded("399173006")}, "view 399173006"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("R-10236", "SRT")}, "view R-10236"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("85562004")}, "region 85562004"),
        ({"ViewCodeSequence": coded("R-10214", "SRT"), "AnatomicRegionSequence": coded("816094009")}, "look like"),
        ({"ViewCodeSequence": coded("LATERAL", "99SITE")}, "look like"),
    ],
    ids=["lateral", "lateral of old", "a hand", "the chest from behind", "a site's own code"],
)
def test_codes_of_view_and_region_are_heeded_as_words_are(fhir, patient, worker, elements, words):
    upload(fhir, dicom(**elements))
    worker.step()
    (observation,) = fhir.get("Observation").resources()
    assert words in observation["note"][0]["text"]


@pytest.mark.parametrize("elements", [{"PatientID": "P-2"}, {"PatientID": None}, {"NumberOfFrames": 2}],
                         ids=["another's", "nobody's", "not read"])  # fmt: skip
def test_a_file_that_is_not_of_the_same_patient_does_not_take_the_place_of_an_image(fhir, patient, elements):
    person(fhir, "P-2")
    held = upload(fhir, dicom()).id
    file = dicom(SOPInstanceUID="1.2.3", **elements)
    replaced(fhir, held, file).refused(422, "processing", "Binary.data")
    assert fhir.get(f"Binary/{held}", Accept=FHIR_JSON).vid == "1"
    (media,) = fhir.get("Media").resources()
    assert media["subject"] == {"reference": f"Patient/{patient}"}


def test_a_corrected_file_is_described_by_the_same_media_and_judged(fhir, patient):
    first, second = dicom(), dicom(255 - ramp(), SOPInstanceUID="1.2.3", StudyDate="20240502")
    held = upload(fhir, first).id
    (media,) = fhir.get("Media").resources()
    assert (media["content"]["size"], media["content"]["hash"]) == (len(first), sha1(first))
    fhir.put(f"Media/{media['id']}", {**media, "note": [{"text": "seen"}]})
    assert replaced(fhir, held, second).status == 200
    (media,) = fhir.get("Media").resources()
    assert media["content"]["hash"] == sha1(second)
    assert media["identifier"][0]["value"] == "urn:oid:1.2.3"
    assert (media["createdDateTime"], media["note"]) == ("2024-05-02", [{"text": "seen"}])
    assert fhir.total(f"Task?based-on=Binary/{held}&status=requested") == 2


@ONE_DATABASE
def test_what_takes_the_place_of_a_file_is_not_judged_by_what_described_it(fhir, patient):
    held = upload(fhir, dicom()).id
    assert fhir.put(f"Binary/{held}", encoded(ramp()), Content_Type="image/png").status == 200
    (media,) = fhir.get("Media").resources()
    fhir.post(f"Media/{media['id']}/$diagnose").refused(422, "processing", "Media.content.size")


@ONE_DATABASE
@pytest.mark.parametrize("uid", [{}, {"SOPInstanceUID": None}], ids=["an instance UID", "none"])
def test_the_same_file_again_asks_for_nothing_once_its_patient_is_known(fhir, uid):
    first, second = dicom(**uid), dicom(255 - ramp(), **uid)
    held = upload(fhir, first).id
    assert fhir.total("Media") == 0
    person(fhir, "P-1")
    for file in (first, first, second, second):
        assert replaced(fhir, held, file).status == 200
    assert fhir.total("Media") == 1
    assert fhir.total(f"Task?based-on=Binary/{held}&status=requested") == 2
    assert fhir.total("Task") == 3


@ONE_DATABASE
def test_the_task_of_a_file_that_was_replaced_says_why_the_new_one_has_no_media(fhir, patient):
    held = upload(fhir, dicom(PatientID="P-9")).id
    replaced(fhir, held, dicom(PatientID=None))
    (task,) = fhir.get(f"Task?focus=Binary/{held}").resources()
    assert (task["status"], "no Patient ID" in task["statusReason"]["text"]) == ("rejected", True)


@ONE_DATABASE
def test_a_second_media_of_an_object_keeps_no_file_out(fhir, patient):
    upload(fhir, dicom())
    (media,) = fhir.get("Media").resources()
    fhir.create({name: value for name, value in media.items() if name not in ("id", "meta")})
    again = upload(fhir, dicom())
    assert again.status == 201
    (task,) = fhir.get(f"Task?focus=Binary/{again.id}").resources()
    assert "already known" in task["statusReason"]["text"]


@ONE_DATABASE
def test_who_reads_one_patient_alone_learns_by_no_file_whose_identifiers_others_have(client, fhir, patient):
    person(fhir, "P-7")
    narrow = client("system/Binary.c", f"system/Patient.r?_id={patient}", "system/Task.rs", "system/Media.rs")
    for number, identifier in enumerate(("P-7", "P-8")):
        file = dicom(PatientID=identifier, SOPInstanceUID=f"1.2.{number}")
        narrow.post("Binary", file, Content_Type="application/dicom", X_Security_Context=f"Patient/{patient}")
    assert [one["status"] for one in narrow.get("Task").resources()] == ["requested", "requested"]
    assert narrow.total("Media") == 2


@ONE_DATABASE
def test_an_image_that_finds_no_decoder_free_is_judged_later(fhir, patient, worker, clock, monkeypatch):
    seats = threading.BoundedSemaphore(1)
    monkeypatch.setattr(apart, "_seats", seats)
    monkeypatch.setattr(apart, "WALL_SECONDS", 0.01)
    frame = encoded(ramp(), "JPEG")
    upload(fhir, dicom(syntax=JPEGBaseline8Bit, frame=frame + b"\0" * (len(frame) % 2)))
    (media,) = fhir.get("Media").resources()
    with seats:
        fhir.post(f"Media/{media['id']}/$diagnose").refused(503, "transient", text="at this moment")
        assert worker.step()
    assert fhir.total("Observation") == 0
    monkeypatch.setattr(apart, "WALL_SECONDS", 30.0)
    clock.forward(60)
    assert worker.step()
    assert [one["status"] for one in fhir.get("Task").resources()] == ["completed"]
