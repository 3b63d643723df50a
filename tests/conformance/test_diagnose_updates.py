"""A Media that is changed is judged anew where its image, its patient or its right to be judged is another."""

from __future__ import annotations

import pytest

from tests.conformance.images import media, tasks
from tests.pictures import encoded


def test_an_update_that_keeps_the_image_asks_for_nothing_new(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    fhir.put(f"Media/{source['id']}", {**source, "deviceName": "X1"})
    assert not worker.step()
    assert tasks(fhir) == ["completed"]


def test_an_update_with_another_image_asks_again(fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    worker.step()
    other = media(patient, encoded(radiograph[::-1, ::-1]), id=source["id"])
    fhir.put(f"Media/{source['id']}", other)
    assert worker.step()
    assert fhir.total("Observation") == 2


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
