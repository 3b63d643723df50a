"""A vital sign is judged by R4's profile of it, declared or not: https://hl7.org/fhir/R4/observation-vitalsigns.html"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir import structures, vital_signs
from hie.fhir.profiles import Library, checking, conformance
from hie.fhir.profiles.terminology import asked_by
from hie.fhir.validation.issue import Issue, Severity
from tests.builders import VITAL_SIGN, bundle, observation

Json = dict[str, Any]
R4 = "http://hl7.org/fhir/StructureDefinition/"


def vital(code: str = "8867-4", **more: Any) -> Json:
    return observation("Patient/1", code=code, category=[VITAL_SIGN], **more)


def judged(resource: Json, *declared: str, worst: Severity | None = "error") -> list[Issue]:
    if declared:
        resource = {**resource, "meta": {"profile": list(declared)}}
    library = Library([])
    return conformance(resource, (), library, asked_by(library), with_support=False, of_vital_signs=worst)


def errors(resource: Json, *declared: str) -> list[tuple[str, str]]:
    return [(one.code, one.expression) for one in judged(resource, *declared) if one.severity == "error"]


def test_the_table_is_that_of_the_profiles_that_r4_ships() -> None:
    fixed = {}
    for canonical in vital_signs.PROFILES.values():
        definition = structures.find(canonical.partition("|")[0])
        assert definition is not None
        assert definition["version"] == "4.0.1"
        fixed |= {one["fixedCode"]: canonical for one in definition["snapshot"]["element"]
                  if one["path"] == "Observation.code.coding.code" and "fixedCode" in one}
    assert fixed == vital_signs.PROFILES


def test_a_heart_rate_that_declares_nothing_is_judged_by_the_profile_of_heart_rates() -> None:
    assert judged(vital()) == []
    assert errors(observation("Patient/1")) == [
        ("required", "Observation.category"), ("required", "Observation.category")]
    beats = {"value": 80, "unit": "bpm", "system": "http://unitsofmeasure.org", "code": "{beats}/min"}
    assert errors(vital(valueQuantity=beats)) == [("value", "Observation.value.code")]


def test_why_it_is_judged_is_told_once_where_something_is_wrong() -> None:
    told = [one for one in judged(observation("Patient/1")) if one.severity == "information"]
    assert [(one.code, one.expression) for one in told] == [("informational", "Observation.code")]
    assert "8867-4" in told[0].diagnostics
    assert R4 + "heartrate" in told[0].diagnostics


def test_a_blood_pressure_without_the_systolic_one_is_told() -> None:
    diastolic = {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]}, "valueQuantity": {
        "value": 60, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}  # fmt: skip
    systolic = {**diastolic, "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}}
    pressure = {name: one for name, one in vital("85354-9").items() if name != "valueQuantity"}
    assert errors({**pressure, "component": [systolic, diastolic]}) == []
    assert errors({**pressure, "component": [diastolic]}) == [("required", "Observation.component")] * 2


def test_what_goes_along_with_a_vital_sign_may_have_other_units_and_that_is_told() -> None:
    flow = {"code": {"coding": [{"system": "http://loinc.org", "code": "3151-8"}]}, "valueQuantity": {
        "value": 2, "unit": "L/min", "system": "http://unitsofmeasure.org", "code": "L/min"}}  # fmt: skip
    percent = {"value": 98, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    found = judged(vital("2708-6", valueQuantity=percent, component=[flow]))
    assert [one.expression for one in found if one.severity == "error"] == []
    assert ("warning", "Observation.component[0].value") in [(one.severity, one.expression) for one in found]


@pytest.mark.parametrize("declared", [R4 + "heartrate", R4 + "heartrate|4.0.1"])
def test_what_declares_its_profile_is_judged_once(declared: str) -> None:
    assert errors(observation("Patient/1"), declared) == errors(observation("Patient/1"))
    assert not any(one.expression == "Observation.code" for one in judged(observation("Patient/1"), declared))


@pytest.mark.parametrize("code", ["718-7", "8480-6"])
def test_other_codes_are_judged_by_no_profile(code: str) -> None:
    assert judged(observation(code=code)) == []
    assert judged(observation() | {"code": {"coding": [{"system": "http://example.org", "code": "8867-4"}]}}) == []


def test_vital_signs_inside_a_bundle_and_contained_ones_are_judged_where_they_stand() -> None:
    carrying = bundle(type_="collection") | {"entry": [{"fullUrl": "http://example.org/Observation/1",
                                                        "resource": observation("Patient/1")}]}  # fmt: skip
    assert ("required", "Bundle.entry[0].resource.category") in errors(carrying)
    holder = vital(hasMember=[{"reference": "#x"}], contained=[observation("Patient/1") | {"id": "x"}])
    assert ("required", "Observation.contained[0].category") in errors(holder)


def test_where_the_asker_wants_it_so_what_is_wrong_is_a_warning() -> None:
    found = judged(observation("Patient/1"), worst="warning")
    assert {one.severity for one in found} == {"warning", "information"}
    wrong = judged({**observation("Patient/1"), "status": "final"}, R4 + "bodyweight", worst="warning")
    assert any(one.severity == "error" for one in wrong)  # what it declares is not
    assert judged(observation("Patient/1"), worst=None) == []


def test_that_there_are_too_many_vital_signs_is_a_warning_and_does_not_hide_what_is_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checking, "MAX_CHECKS", 150)
    declaring = {**observation("Patient/1", code="1-1"), "meta": {"profile": [R4 + "bodyweight"]}}
    many = bundle(type_="collection") | {"entry": [{"resource": one} for one in (*[vital()] * 9, declaring)]}
    found = judged(many)
    assert [(one.severity, one.expression) for one in found if one.code == "incomplete"] == [("warning", "Bundle")]
    assert any(one.severity == "error" and one.expression.startswith("Bundle.entry[9]") for one in found)
