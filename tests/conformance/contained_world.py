"""Resources that contain others, and some that stand by themselves, for the tests of what is contained."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import observation, patient
from tests.conformance.conftest import Fhir

Json = dict[str, Any]
SNOMED = "http://snomed.info/sct"


def report(*results: Json, **more: Any) -> Json:
    """A DiagnosticReport that contains its results."""
    return {
        "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "Panel"},
        "contained": list(results), "result": [{"reference": f"#{one['id']}"} for one in results], **more,
    }  # fmt: skip


def pulse(id_: str, value: float = 80, **more: Any) -> Json:
    return observation(value=value, id=id_, **more)


def pressure(id_: str, value: float = 120, **more: Any) -> Json:
    return observation(value=value, code="8480-6", id=id_, **more)


def request(medication: Json, **more: Any) -> Json:
    return {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order", "contained": [medication],
        "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": f"#{medication['id']}"}, **more,
    }  # fmt: skip


def medication(id_: str | None, code: str, **more: Any) -> Json:
    return {
        "resourceType": "Medication", **({"id": id_} if id_ else {}),
        "code": {"coding": [{"system": SNOMED, "code": code, "display": f"Remedy {code}"}]}, **more,
    }  # fmt: skip


WORLD = [
    patient(id="p"),
    observation("Patient/p", id="alone"),
    report(pulse("x", 60), pressure("y", 60), id="r1"),
    report(pulse("x", 90, effectiveDateTime="2020-01-01"), id="r2", subject={"reference": "Patient/p"}),
    report(pulse("x", 95, subject="Patient/p"), pulse("y", 96), id="r3", status="preliminary"),
    {"resourceType": "DiagnosticReport", "id": "r4", "status": "final", "code": {"text": "Panel"}},
    {**observation(id="both"), "contained": [pulse("z", 55)], "hasMember": [{"reference": "#z"}]},
    medication(None, "1") | {"id": "m"},
    request(medication("m", "2"), id="q1"),
    request(medication("m", "3"), id="q2"),
    {**request(medication("m", "9"), id="q3"), "contained": [medication("m", "9"), medication("n", "2")],
     "supportingInformation": [{"reference": "#n"}]},
    {"resourceType": "MedicationRequest", "id": "q4", "status": "active", "intent": "order",
     "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": "Medication/m"}},
    {"resourceType": "MedicationDispense", "id": "d1", "status": "completed",
     "contained": [{"resourceType": "MedicationRequest", "id": "q", "status": "active", "intent": "order",
                    "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": "Medication/m"}}],
     "authorizingPrescription": [{"reference": "#q"}], "medicationReference": {"reference": "Medication/m"}},
]


@pytest.fixture
def filled(fhir: Fhir) -> Fhir:
    for one in WORLD:
        store(fhir, one)
    return fhir


def store(fhir: Fhir, one: Json) -> None:
    answer = fhir.put(f"{one['resourceType']}/{one['id']}", one)
    assert answer.status in (200, 201), answer.content


def urls(answer: Any) -> list[str]:
    assert answer.status == 200, answer.content
    return [row["fullUrl"].removeprefix("http://localhost/fhir/") for row in answer.entries()]


REPORTS = "DiagnosticReport/r1 DiagnosticReport/r2 DiagnosticReport/r3"
PARTS = "DiagnosticReport/r1#x DiagnosticReport/r2#x DiagnosticReport/r3#x DiagnosticReport/r3#y Observation/both#z"


def follow(fhir: Fhir, answer: Any) -> list[str]:
    found = urls(answer)
    while url := answer.link("next"):
        answer = fhir.get(url)
        found += urls(answer)
    return found
