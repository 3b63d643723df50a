"""What profiles say of values and references beside their types: limits, aggregation, versions; and of whom they are.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hie.fhir.profiles import Library, Package, conformance, judging
from hie.fhir.profiles.terminology import asked_by
from tests.builders import observation, patient
from tests.packages import BASE, Json, element, profile, slicing

UCUM = "http://unitsofmeasure.org"


def told(resource: Json, definition: Json) -> list[tuple[str, str, str]]:
    assert judging.problems(definition) == []
    library = Library([Package("example", "1.0.0", resources=(definition,), digest="x")])
    found = conformance(resource, [definition["url"]], library, asked_by(library), with_support=False)
    return [(one.severity, one.code, one.expression) for one in found]


def grams(value: int | Decimal, **more: Any) -> Json:
    return {"value": value, "system": UCUM, "code": "g", **more}


def on_value(**limits: Any) -> Json:
    return profile("l", "Observation", element("Observation.value[x]", **limits))


WRONG = [("error", "value", "Observation.value")]
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("limits", "right", "wrong"),
    [
        ({"minValueInteger": 3}, {"valueInteger": 3}, {"valueInteger": 2}),
        ({"maxValueInteger": 3}, {"valueInteger": -3}, {"valueInteger": 4}),
        ({"minValueInteger": -3, "maxValueInteger": 3}, {"valueInteger": -3}, {"valueInteger": -4}),
        ({"maxValueQuantity": grams(10)}, {"valueQuantity": grams(10000, code="mg")},
         {"valueQuantity": grams(Decimal("10.1"))}),
        ({"minValueQuantity": grams(10)}, {"valueQuantity": grams(5, code="cm")}, {"valueQuantity": grams(9)}),
        ({"minValueQuantity": grams(10)}, {"valueQuantity": grams(5, comparator="<")}, {"valueQuantity": grams(9)}),
        ({"minValueQuantity": {"value": 10}}, {"valueQuantity": {"value": 10}}, {"valueQuantity": grams(9)}),
        ({"minValueDate": "2020-02-01"}, {"valueDateTime": "2020"}, {"valueDateTime": "2020-01-30T10:00:00Z"}),
        ({"maxValueDateTime": "2020-02-01T10:00:00Z"}, {"valueDateTime": "2020-02-01T11:00:00+01:00"},
         {"valueDateTime": "2020-02-01T11:01:00+01:00"}),
        ({"maxValueTime": "10:00:00"}, {"valueTime": "09:59:59"}, {"valueTime": "10:00:01"}),
        ({"minValueQuantity": {"value": 2, "system": UCUM, "code": "d"}},
         {"valueDateTime": (NOW - timedelta(days=1)).isoformat(timespec="seconds")},
         {"valueDateTime": (NOW - timedelta(days=3)).isoformat(timespec="seconds")}),
        ({"maxValueQuantity": {"value": 0, "system": UCUM, "code": "d"}},
         {"valueDateTime": (NOW - timedelta(days=1)).isoformat(timespec="seconds")},
         {"valueDateTime": (NOW + timedelta(days=3)).isoformat(timespec="seconds")}),
        ({"minValueInteger": 3}, {"valueString": "1"}, {"valueInteger": 0}),
    ],
)  # fmt: skip
def test_values_beyond_the_limits_of_an_element_are_refused(limits: Json, right: Json, wrong: Json) -> None:
    definition = on_value(**limits)
    base = {key: one for key, one in observation().items() if not key.startswith("value")}
    assert told(base | right, definition) == []
    assert told(base | wrong, definition) == WRONG
    assert told(base, definition) == []


@pytest.mark.parametrize("limits", [
    {"minValueInteger": "3"}, {"minValueDate": "2020 or true"}, {"maxValueTime": 5}, {"maxValueString": "x"},
    {"minValueQuantity": {"unit": "g"}}, {"minValueDate": "2020-"},
])  # fmt: skip
def test_what_is_no_limit_is_told(limits: Json) -> None:
    (problem,) = judging.problems(on_value(**limits))
    assert "'Observation.value[x]': minValue or maxValue is no limit" in problem


def test_a_reference_lies_where_a_profile_has_it() -> None:
    def subject(**said: Any) -> Json:
        return profile("a", "Observation", element("Observation.subject", type=[{"code": "Reference", **said}]))

    wrong = [("error", "value", "Observation.subject")]
    contained = observation(subject="#p", contained=[patient(id="p")])
    outside = observation(subject="Patient/1")
    within, without = ({"resourceType": "Bundle", "type": "collection", "entry": [
        {"resource": observation(subject=f"Patient/{at}")}, {"resource": patient(id="1")}]} for at in (1, 2))
    for kinds, answers in (
        (["contained"], [[], wrong, wrong, wrong]), (["referenced"], [wrong, [], [], []]),
        (["bundled"], [wrong, [], [], wrong]), (["contained", "bundled"], [[], [], [], wrong]), ([], [wrong] * 4),
    ):  # fmt: skip
        definition = subject(aggregation=kinds)
        holding = profile("h", "Bundle", element("Bundle.entry"), element("Bundle.entry.resource", type=[
            {"code": "Observation", "profile": [definition["url"]]}, {"code": "Patient"}]))  # fmt: skip
        found = [told(contained, definition), told(outside, definition)]
        library = Library([Package("example", "1.0.0", resources=(definition, holding), digest="x")])
        for whole in (within, without):
            issues = conformance(whole, [holding["url"]], library, asked_by(library), with_support=False)
            found.append([("error", "value", "Observation.subject") for one in issues if one.severity == "error"])
        assert found == answers, kinds
    assert told(observation() | {"subject": {"display": "x"}}, subject(aggregation=["contained"])) == []
    versioned = observation(subject="Patient/1/_history/2")
    assert told(versioned, subject(versioning="independent")) == wrong
    assert told(outside, subject(versioning="specific")) == wrong
    for resource, how in ((versioned, "specific"), (outside, "independent"), (versioned, "either"),
                          (contained, "specific")):  # fmt: skip
        assert told(resource, subject(versioning=how)) == [], how


def test_an_invariant_that_has_the_key_of_one_of_r4_by_chance_is_asked() -> None:
    rule = {"key": "pat-1", "severity": "error", "human": "A photo is there", "expression": "photo.exists()"}
    definition = profile("k", "Patient")
    definition["snapshot"]["element"][0]["constraint"] = [rule | {"source": BASE + "k"}]
    assert told(patient(), definition) == [("error", "invariant", "Patient")]
    for source in ({}, {"source": "http://hl7.org/fhir/StructureDefinition/Patient"}):  # R4's own, in other words
        definition["snapshot"]["element"][0]["constraint"] = [rule | source]
        assert told(patient(), definition) == []


def test_slices_that_must_be_supported_and_what_is_below_them_are_told() -> None:
    definition = profile(
        "m", "Patient",
        element("Patient.identifier", slicing=slicing(("value", "system"))),
        element("Patient.identifier.period"),
        element("Patient.identifier:mrn", sliceName="mrn", mustSupport=True),
        element("Patient.identifier:mrn.system", min=1, fixedUri="urn:mrn"),
        element("Patient.identifier:mrn.period", mustSupport=True),
        element("Patient.identifier:other", sliceName="other", mustSupport=True),
        element("Patient.identifier:other.system", min=1, fixedUri="urn:other"),
        element("Patient.contact"), element("Patient.contact.name", mustSupport=True),
        element("Patient.identifier:third", sliceName="third"),
        element("Patient.identifier:third.system", min=1, fixedUri="urn:third"),
    )  # fmt: skip
    library = Library([Package("example", "1.0.0", resources=(definition,))])
    resource = patient(identifier=[{"system": "urn:mrn", "value": "1"}, {"system": "urn:x", "value": "1"}])
    (issue,) = conformance(resource, [definition["url"]], library, asked_by(library))
    assert (issue.severity, issue.code) == ("information", "informational")
    assert "there is no Patient.identifier.period, Patient.identifier:other." in issue.diagnostics
    (issue,) = conformance(patient(), [definition["url"]], library, asked_by(library))
    assert "there is no Patient.identifier:mrn, Patient.identifier:other." in issue.diagnostics
