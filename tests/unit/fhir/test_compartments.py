"""Compartments: https://hl7.org/fhir/R4/compartmentdefinition.html"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir import compartments, facts

PATIENT, OTHER, GROUP = {"reference": "Patient/1"}, {"reference": "Patient/2"}, {"reference": "Group/1"}


def resource(type_name: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type_name, "id": "x", **elements}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (resource("Patient"), {("Patient", "x")}),
        (resource("Patient", link=[{"other": OTHER}]), {("Patient", "x"), ("Patient", "2")}),
        (
            resource("Patient", generalPractitioner=[{"reference": "Practitioner/7"}]),
            {("Patient", "x"), ("Practitioner", "7")},
        ),
        (
            resource(
                "Observation",
                subject=PATIENT,
                performer=[{"reference": "Practitioner/7"}],
                encounter={"reference": "Encounter/3"},
            ),
            {("Patient", "1"), ("Practitioner", "7"), ("Encounter", "3")},
        ),
        (resource("Observation", subject={"reference": "Device/1"}), {("Device", "1")}),
        (resource("Observation", subject=GROUP), set()),
        (resource("Observation", subject={"reference": "http://elsewhere.org/fhir/Patient/1"}), set()),
        (resource("Observation", subject={"reference": "Patient/1/_history/3"}), {("Patient", "1")}),
        (resource("Encounter", subject=PATIENT), {("Encounter", "x"), ("Patient", "1")}),
        (
            resource("Appointment", participant=[{"actor": PATIENT}, {"actor": OTHER}]),
            {("Patient", "1"), ("Patient", "2")},
        ),
        (resource("Coverage", beneficiary=PATIENT, payor=[OTHER]), {("Patient", "1"), ("Patient", "2")}),
        (resource("Medication"), set()),
        (resource("Nothing"), set()),
    ],
)
def test_a_resource_is_in_the_compartments_its_references_name(
    given: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    found = compartments.compartment_values(given)
    assert set(found) == expected
    assert len(found) == len(expected)
    assert set(compartments.patient_of(given)) == {id_ for kind, id_ in expected if kind == "Patient"}


@pytest.mark.parametrize(
    ("given", "patient"),
    [
        (resource("Patient"), "x"),
        (resource("Patient", link=[{"other": OTHER}]), "x"),
        (resource("Observation", subject=PATIENT), "1"),
        (resource("Observation", subject=PATIENT, performer=[OTHER]), "1"),
        (resource("Observation", subject=GROUP, performer=[PATIENT]), None),
        (resource("Coverage", beneficiary=PATIENT, payor=[OTHER]), "1"),
        (resource("AllergyIntolerance", patient=PATIENT, asserter=OTHER), "1"),
        (resource("ResearchSubject", individual=PATIENT), "1"),
        (resource("Appointment", participant=[{"actor": PATIENT}, {"actor": {"reference": "Location/1"}}]), "1"),
        (resource("Appointment", participant=[{"actor": PATIENT}, {"actor": OTHER}]), None),
        (resource("Provenance", target=[PATIENT, {"reference": "Observation/1"}]), "1"),
        (resource("Provenance", target=[PATIENT, OTHER]), None),
        (resource("Observation", subject={"reference": "http://elsewhere.org/fhir/Patient/1"}), None),
        (resource("Observation", subject={"reference": "#p"}), None),
        (resource("Organization"), None),
        (resource("Nothing", subject=PATIENT), None),
        ({}, None),
    ],
)
def test_a_resource_belongs_to_one_patient_or_to_none(given: dict[str, Any], patient: str | None) -> None:
    assert compartments.single_patient(given) == patient


BASE = "https://here.org/fhir"


@pytest.mark.parametrize(
    ("url", "patient"),
    [
        (f"{BASE}/Patient/1", "1"),
        (f"{BASE}/Patient/1/_history/2", "1"),
        (f"{BASE}x/Patient/1", None),
        (f"{BASE}/more/Patient/1", None),
        ("https://elsewhere.org/fhir/Patient/1", None),
        ("Patient/1", "1"),
    ],
)
def test_an_absolute_reference_below_our_own_base_is_a_reference_to_us(url: str, patient: str | None) -> None:
    given = resource("Observation", subject={"reference": url})
    assert compartments.single_patient(given, BASE) == patient
    assert compartments.patient_of(given, BASE) == ([patient] if patient else [])
    assert compartments.single_patient(given) == (patient if url == "Patient/1" else None)


def test_every_parameter_of_the_definitions_is_known() -> None:
    for compartment, rows in facts.COMPARTMENTS.items():
        for name, codes in rows.items():
            assert compartments.members(compartment)[name] == tuple(code for code in codes if code != "{def}")
