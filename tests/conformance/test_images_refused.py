"""Images that are refused, and images that are stored and must not be judged."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.conformance.images import all_of, media, tasks
from tests.one_database import ONE_DATABASE
from tests.pictures import dicom, encoded, png, ramp

DCM = "http://dicom.nema.org/resources/ontology/DCM"


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
         "not-performed", "399067008"),
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
