"""Slices: https://hl7.org/fhir/R4/profiling.html#slicing"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.builders import observation, patient
from tests.packages import BASE, Json, element, profile, slicing
from tests.unit.fhir.profiled import ABOUT, NAMED, bundle, coding, told


def component(code: str, **more: Any) -> Json:
    return {"code": coding(code), **more}


def on_component(*more: Json, **sliced: Any) -> Json:
    """A profile that slices Observation.component into systolic (exactly one) and diastolic (at most one)."""
    return profile(
        "bp", "Observation",
        element("Observation.component", **sliced),
        element("Observation.component:systolic", sliceName="systolic", min=1, max="1"),
        element("Observation.component:systolic.code", min=1, max="1", patternCodeableConcept=coding("8480-6")),
        element("Observation.component:systolic.value[x]", min=1, max="1", types="Quantity"),
        element("Observation.component:diastolic", sliceName="diastolic", max="1"),
        element("Observation.component:diastolic.code", min=1, max="1", patternCodeableConcept=coding("8462-4")),
        *more,
    )  # fmt: skip


SYSTOLIC, DIASTOLIC = component("8480-6", valueQuantity={"value": 1}), component("8462-4", valueQuantity={"value": 1})
OTHER = component("1-1", valueString="x")
BY_CODE = slicing(("pattern", "code"))
CLOSED, AT_END = slicing(("value", "code.coding.code"), rules="closed"), slicing(("value", "code"), rules="openAtEnd")
ORDERED = slicing(("pattern", "code"), ordered=True)
SLICED: list[tuple[str, Json, list[Json], list[tuple[str, str, str]]]] = [
    ("right", BY_CODE, [SYSTOLIC, DIASTOLIC, OTHER], []),
    ("missing", BY_CODE, [DIASTOLIC], [("error", "required", "Observation.component")]),
    ("too many", BY_CODE, [SYSTOLIC, SYSTOLIC], [("error", "structure", "Observation.component")]),
    ("wrong type in a slice", BY_CODE, [component("8480-6", valueString="x")],
     [("error", "structure", "Observation.component[0].value")]),
    ("missing in a slice", BY_CODE, [component("8480-6")], [("error", "required", "Observation.component[0].value")]),
    ("by a nested value, right", CLOSED, [SYSTOLIC, DIASTOLIC], []),
    ("closed", CLOSED, [SYSTOLIC, OTHER], [("error", "structure", "Observation.component[1]")]),
    ("open at the end, right", AT_END, [SYSTOLIC, OTHER], []),
    ("open at the end", AT_END, [OTHER, SYSTOLIC], [("error", "structure", "Observation.component[0]")]),
    ("ordered, right", ORDERED, [SYSTOLIC, OTHER, DIASTOLIC], []),
    ("ordered", ORDERED, [DIASTOLIC, SYSTOLIC], [("error", "structure", "Observation.component[1]")]),
]


@pytest.mark.parametrize(
    ("rules", "components", "expected"), [row[1:] for row in SLICED], ids=[row[0] for row in SLICED]
)
def test_slices(rules: Json, components: list[Json], expected: list[tuple[str, str, str]]) -> None:
    assert told(observation(component=components), on_component(slicing=rules)) == expected


DOCUMENT = profile(
    "document", "Bundle",
    element("Bundle.entry", slicing=slicing(("profile", "resource"))),
    element("Bundle.entry:patient", sliceName="patient", min=1, max="1"),
    element("Bundle.entry:patient.resource", min=1, max="1", type=[{"code": "Patient", "profile": [BASE + "named"]}]),
    element("Bundle.entry:vitals", sliceName="vitals"),
    element("Bundle.entry:vitals.resource", min=1, max="1",
            type=[{"code": "Observation", "profile": [BASE + "about"]}]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("telecom", "expected"),
    [
        ({"system": "email", "value": "a"}, []),
        ({"system": "email", "value": "a", "use": "home"}, [("error", "structure", "Patient.telecom[0]")]),
        ({"system": "phone", "value": "1", "use": "home"}, []),
        ({"system": "phone", "value": "1"}, [("error", "structure", "Patient.telecom[0]")]),
    ],
)  # fmt: skip
def test_a_slice_that_forbids_what_tells_slices_apart_is_of_values_without_it(
    telecom: Json, expected: list[tuple[str, str, str]]
) -> None:
    apart = slicing(("value", "system"), ("value", "use"), rules="closed")
    definition = profile(
        "p", "Patient",
        element("Patient.telecom", slicing=apart),
        element("Patient.telecom:phone", sliceName="phone"),
        element("Patient.telecom:phone.system", fixedCode="phone"),
        element("Patient.telecom:phone.use", fixedCode="home"),
        element("Patient.telecom:email", sliceName="email"),
        element("Patient.telecom:email.system", fixedCode="email"),
        element("Patient.telecom:email.use", max="0"),
    )  # fmt: skip
    assert told(patient(telecom=[telecom]), definition) == expected


def test_what_is_said_of_a_sliced_element_holds_in_its_slices_too() -> None:
    rule = {"key": "one-word", "severity": "error", "human": "One word", "expression": "code.text.contains(' ').not()"}
    definition = on_component(
        element("Observation.component.interpretation", max="0"), slicing=BY_CODE, constraint=[rule],
    )  # fmt: skip
    wrong = {**SYSTOLIC, "code": {**SYSTOLIC["code"], "text": "a b"}, "interpretation": [{"text": "high"}]}
    assert told(observation(component=[wrong]), definition) == [
        ("error", "invariant", "Observation.component[0]"),
        ("error", "structure", "Observation.component[0].interpretation")]
    assert told(observation(component=[SYSTOLIC]), definition) == []
    also = copy.deepcopy(definition)
    also["snapshot"]["element"][2]["constraint"] = [rule]
    assert told(observation(component=[wrong]), also)[0][1:] == ("invariant", "Observation.component[0]")
    assert len(told(observation(component=[wrong]), also)) == 2, "nothing is told twice"


def test_slices_by_profile_look_at_what_entries_hold() -> None:
    anna, nameless = patient(id="a"), {"resourceType": "Patient", "id": "b"}
    definitions = (DOCUMENT, NAMED, ABOUT)
    assert told(bundle(anna, observation("urn:uuid:0")), *definitions) == []
    assert told(bundle(nameless), *definitions) == [("error", "required", "Bundle.entry")]
    assert told(bundle(anna, anna), *definitions) == [("error", "structure", "Bundle.entry")]


def test_slices_behind_references_that_are_not_at_hand_are_undecided() -> None:
    by_target = profile(
        "r", "Observation",
        element("Observation.performer", slicing=slicing(("profile", "resolve()"), rules="closed")),
        element("Observation.performer:named", sliceName="named", min=1,
                type=[{"code": "Reference", "targetProfile": [BASE + "named"]}]),
    )  # fmt: skip
    there = observation(performer=[{"reference": "#p"}], contained=[patient(id="p")])
    assert told(there, by_target, NAMED) == []
    elsewhere = observation(performer=[{"reference": "Patient/1"}])
    assert told(elsewhere, by_target, NAMED) == [("information", "informational", "Observation.performer")]
    another = observation(performer=[{"reference": "Device/1"}])
    assert [one[1] for one in told(another, by_target, NAMED)] == ["required", "structure"]
