"""Vital signs that declare nothing are judged by R4's profiles: an error to $validate, at worst a warning on write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import VITAL_SIGN, bundle, observation, patient, post


def told(answer: Any, severity: str) -> set[tuple[str, str]]:
    return {(one["code"], one["expression"][0]) for one in answer.json["issue"] if one["severity"] == severity}


@pytest.mark.proves("operation:any/$validate")
def test_validate_tells_what_a_vital_sign_lacks(fhir: Any) -> None:
    subject = f"Patient/{fhir.create(patient())['id']}"
    answer = fhir.post("Observation/$validate", observation(subject))
    assert answer.status == 200
    assert told(answer, "error") == {("required", "Observation.category")}
    assert told(fhir.post("Observation/$validate", observation(subject, category=[VITAL_SIGN])), "error") == set()
    stored = fhir.create(observation(subject))["id"]
    assert told(fhir.get(f"Observation/{stored}/$validate"), "error") == {("required", "Observation.category")}


@pytest.mark.parametrize("mode", ["off", "warn", "reject"])
def test_a_vital_sign_that_declares_nothing_is_stored_and_told_where_profiles_are_judged(
    mode: str, fhir: Any, treat: Any
) -> None:
    subject = f"Patient/{fhir.create(patient())['id']}"
    treat(mode)
    answer = fhir.post("Observation", observation(subject), Prefer="return=OperationOutcome")
    assert answer.status == 201
    assert told(answer, "error") == set()
    is_told = ("required", "Observation.category") in told(answer, "warning")
    assert is_told is (mode != "off")
    fhir.post("", bundle(post(observation(subject)))).entries()


def test_what_declares_the_profile_is_refused_as_before(fhir: Any, treat: Any) -> None:
    subject = f"Patient/{fhir.create(patient())['id']}"
    treat("reject")
    declaring = {"meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"]}}
    fhir.post("Observation", observation(subject, **declaring)).refused(422, "required", "Observation.category")
