"""DICOM files that are uploaded: whose they are, and the Media that describes them."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from PIL import Image

from tests.conformance.images import tasks
from tests.pictures import dicom


def upload(fhir, data):
    return fhir.post("Binary", data, Content_Type="application/dicom", Accept="application/fhir+json")


def large(radiograph):
    return np.asarray(Image.fromarray(radiograph).resize((256, 256), Image.Resampling.BICUBIC))


def test_a_dicom_file_of_a_known_patient_becomes_a_media_and_an_observation(fhir, patient, worker, radiograph):
    file = dicom(large(radiograph), Manufacturer="Maker", PatientBirthDate="20190203", PatientSex="F")
    answer = upload(fhir, file)
    assert answer.status == 201
    (described,) = fhir.get("Media").resources()
    assert described["subject"] == {"reference": f"Patient/{patient}"}
    content = {name: value for name, value in described["content"].items() if name != "hash"}
    assert content == {"contentType": "application/dicom", "url": f"Binary/{answer.id}", "size": len(file)}
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


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "by identifier"])
def test_a_dicom_file_may_come_with_its_patient_in_whatever_order(fhir, named, method):
    for number, turn in enumerate((1, -1)):
        url = f"Patient/p{number}" if method == "PUT" else f"urn:uuid:8f6a0f4e-2f3d-4a76-9b69-00000000000{number}"
        held = {"resourceType": "Binary", "contentType": "application/dicom",
                "data": base64.b64encode(dicom(PatientID=f"P-{number}")).decode()}  # fmt: skip
        comes = {"resourceType": "Patient", "id": f"p{number}"}
        comes, held = (comes, held | {"securityContext": {"reference": url}}) if named else (
            comes | {"identifier": [{"value": f"P-{number}"}]}, held)  # fmt: skip
        entries = [
            {"resource": held, "request": {"method": "POST", "url": "Binary"}},
            {"resource": comes, "request": {"method": method, "url": url if method == "PUT" else "Patient"}}
            | ({"fullUrl": url} if method == "POST" else {}),
        ][::turn]
        assert fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status == 200
    assert tasks(fhir) == ["requested", "requested"]
    assert fhir.total("Media") == 2


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
