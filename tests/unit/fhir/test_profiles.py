"""Profiles: cardinality, values, types, bindings, invariants, references, must-support.

https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir.profiles import Library, Package, checking, conformance
from hie.fhir.profiles.terminology import asked_by
from tests.builders import observation, patient
from tests.packages import BASE, Json, element, profile, slicing
from tests.unit.fhir.profiled import ABOUT, COLOURED, COLOURS, NAMED, RACE, UNKNOWN, bundle, coding, told

Elements = tuple[Json, ...]


def bound(strength: str, value_set: Json) -> Json:
    return element("Patient.maritalStatus", binding={"strength": strength, "valueSet": value_set["url"]})


CASES: list[tuple[str, Elements, Callable[[Json], Any], list[tuple[str, str, str]]]] = [
    ("min", (element("Patient.telecom", min=1),), lambda p: None, [("error", "required", "Patient.telecom")]),
    ("max", (element("Patient.name", max="1"),), lambda p: p["name"].append({"text": "x"}),
     [("error", "structure", "Patient.name")]),
    ("prohibited", (element("Patient.gender", max="0"),), lambda p: None, [("error", "structure", "Patient.gender")]),
    ("an extension stands for a primitive", (element("Patient.gender", min=1),),
     lambda p: p.update(_gender={"extension": [{"url": "urn:x", "valueCode": "y"}]}) or p.pop("gender"),
     [("information", "informational", "Patient")]),
    ("min below a list", (element("Patient.name"), element("Patient.name.given", min=2)), lambda p: None,
     [("error", "required", "Patient.name[0].given")]),
    ("fixed", (element("Patient.gender", fixedCode="male"),), lambda p: None, [("error", "value", "Patient.gender")]),
    ("fixed, complex", (element("Patient.name", fixedHumanName={"family": "Smith"}),), lambda p: None,
     [("error", "value", "Patient.name[0]")]),
    ("pattern", (element("Patient.name", patternHumanName={"family": "Smith", "given": ["Anna"]}),),
     lambda p: p["name"][0]["given"].append("B"), []),
    ("pattern missed", (element("Patient.name", patternHumanName={"given": ["Bea"]}),), lambda p: None,
     [("error", "value", "Patient.name[0]")]),
    ("maxLength", (element("Patient.name"), element("Patient.name.family", maxLength=3)), lambda p: None,
     [("error", "too-long", "Patient.name[0].family")]),
    ("type of a choice", (element("Patient.deceased[x]", types="boolean"),),
     lambda p: p.update(deceasedDateTime="2020"), [("error", "structure", "Patient.deceased")]),
    ("a SimpleQuantity has no comparator", (element("Patient.extension"), element("Patient.extension.value[x]", type=[
        {"code": "Quantity", "profile": ["http://hl7.org/fhir/StructureDefinition/SimpleQuantity"]}])),
     lambda p: p.update(extension=[{"url": "x", "valueQuantity": {"value": 1, "comparator": "<"}}]),
     [("error", "structure", "Patient.extension[0].value.comparator")]),
    ("invariant", (element("Patient.name", constraint=[{"key": "x-1", "severity": "error", "human": "Given.",
                                                        "expression": "given.count() > 1"}]),),
     lambda p: None, [("error", "invariant", "Patient.name[0]")]),
    ("invariant as a warning", (element("Patient.name", constraint=[
        {"key": "x-1", "severity": "warning", "human": "W", "expression": "%resource.active"}]),),
     lambda p: p.update(active=False), [("warning", "invariant", "Patient.name[0]")]),
    ("invariant that cannot be evaluated", (element("Patient.name", constraint=[
        {"key": "x-1", "severity": "error", "human": "W", "expression": "nothing()"}]),),
     lambda p: None, [("information", "informational", "Patient.name[0]")]),
    ("required binding", (bound("required", COLOURED),),
     lambda p: p.update(maritalStatus=coding("blue", COLOURS)), [("error", "code-invalid", "Patient.maritalStatus")]),
    ("required binding, right", (bound("required", COLOURED),),
     lambda p: p.update(maritalStatus=coding("red", COLOURS)), []),
    ("required binding, text alone", (bound("required", COLOURED),),
     lambda p: p.update(maritalStatus={"text": "x"}), [("error", "code-invalid", "Patient.maritalStatus")]),
    ("extensible binding", (bound("extensible", COLOURED),),
     lambda p: p.update(maritalStatus=coding("blue", COLOURS)), [("warning", "code-invalid", "Patient.maritalStatus")]),
    ("preferred binding", (bound("preferred", COLOURED),),
     lambda p: p.update(maritalStatus=coding("blue", COLOURS)),
     [("information", "code-invalid", "Patient.maritalStatus")]),
    ("undecided binding", (bound("required", UNKNOWN),),
     lambda p: p.update(maritalStatus=coding("1", "http://snomed.info/sct")),
     [("information", "informational", "Patient.maritalStatus")]),
    ("largest binding", (element("Patient.maritalStatus", binding={"strength": "example", "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet",
         "valueCanonical": COLOURED["url"]}]}),),
     lambda p: p.update(maritalStatus=coding("blue", COLOURS)), [("error", "code-invalid", "Patient.maritalStatus")]),
    *((f"required binding, {why}", (element("Patient.maritalStatus", binding={
        "strength": "required", "valueSet": COLOURED["url"]}),), lambda p, found=found: p.update(maritalStatus=found),
       [("error", "code-invalid", "Patient.maritalStatus")] if wrong else
       [("information", "informational", "Patient")] if "extension" in found else [])
      for why, found, wrong in (
          ("text alone", {"text": "red"}, True), ("no system", {"coding": [{"code": "red"}]}, True),
          ("a display alone", {"coding": [{"system": COLOURS, "display": "red"}]}, True),
          ("another system", {"coding": [{"code": "red", "system": "u:x"}]}, True),
          ("an extension alone", {"extension": [{"url": "http://example.org/e", "valueCode": "x"}]}, False),
          ("a second coding", {"coding": [{"code": "red"}, {"system": COLOURS, "code": "red"}]}, False))),
    ("type of a reference", (element("Patient.generalPractitioner", type=[
        {"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Organization"]}]),),
     lambda p: p.update(generalPractitioner=[{"reference": "Practitioner/1"}]),
     [("error", "value", "Patient.generalPractitioner[0]")]),
    ("slices by type", (element("Patient.multipleBirth[x]", slicing=slicing(("type", "$this"), rules="closed")),
                        element("Patient.multipleBirth[x]:multipleBirthBoolean", sliceName="multipleBirthBoolean",
                                max="1", types="boolean", fixedBoolean=True)),
     lambda p: p.update(multipleBirthInteger=2), [("error", "structure", "Patient.multipleBirth")]),
    ("a slice by type has its rules", (element("Patient.multipleBirth[x]", slicing=slicing(("type", "$this"))),
                                       element("Patient.multipleBirth[x]:multipleBirthBoolean", fixedBoolean=True,
                                               sliceName="multipleBirthBoolean", types="boolean")),
     lambda p: p.update(multipleBirthBoolean=False), [("error", "value", "Patient.multipleBirth")]),
    ("slices by existence", (element("Patient.telecom", slicing=slicing(("exists", "period"))),
                             element("Patient.telecom:old", sliceName="old", max="1"),
                             element("Patient.telecom:old.period", min=1)),
     lambda p: p.update(telecom=[{"value": "1", "period": {}}, {"value": "2", "period": {}}, {"value": "3"}]),
     [("error", "structure", "Patient.telecom")]),
    ("slices told by a slice within", (
        element("Patient.contact", slicing=slicing(("value", "relationship.coding.code"),
                                                   ("value", "relationship.coding.system"), rules="closed")),
        element("Patient.contact:kin", sliceName="kin", max="1"),
        element("Patient.contact:kin.relationship"),
        element("Patient.contact:kin.relationship.coding", slicing=slicing(("value", "code"), ("value", "system"))),
        element("Patient.contact:kin.relationship.coding:kind", sliceName="kind", min=1, max="1"),
        element("Patient.contact:kin.relationship.coding:kind.system", min=1, max="1", fixedUri="urn:kin"),
        element("Patient.contact:kin.relationship.coding:kind.code", min=1, max="1", fixedCode="N")),
     lambda p: p.update(contact=[{"name": {"text": "x"}, "relationship": [coding(code, "urn:kin")]} for code in "NFN"]),
     [("error", "structure", "Patient.contact"), ("error", "structure", "Patient.contact[1]")]),
    ("slices of slices", (element("Patient.identifier", slicing=slicing(("value", "system"))),
                          element("Patient.identifier:mrn", sliceName="mrn", slicing=slicing(("value", "use"))),
                          element("Patient.identifier:mrn.system", min=1, fixedUri="urn:m"),
                          element("Patient.identifier:mrn/old", sliceName="mrn/old", max="1"),
                          element("Patient.identifier:mrn/old.system", min=1, fixedUri="urn:m"),
                          element("Patient.identifier:mrn/old.use", min=1, fixedCode="old"),
                          element("Patient.identifier:mrn/old.period", min=1)),
     lambda p: p.update(identifier=[{"system": "urn:m", "use": "old"}, {"system": "urn:m", "use": "usual"}]),
     [("error", "required", "Patient.identifier[0].period")]),
]  # fmt: skip


@pytest.mark.parametrize(("elements", "change", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_elements(elements: Elements, change: Callable[[Json], Any], expected: list[tuple[str, str, str]]) -> None:
    resource = patient()
    change(resource)
    assert told(resource, profile("p", "Patient", *elements)) == expected


def test_what_a_resource_contains_is_judged_by_the_profiles_that_it_declares() -> None:
    definition = profile("named", "Practitioner", element("Practitioner.name", min=1))
    inner = {"resourceType": "Practitioner", "id": "a", "meta": {"profile": [definition["url"]]}}
    holder = patient(contained=[inner], generalPractitioner=[{"reference": "#a"}])
    library = Library([Package("example", "1.0.0", resources=(definition,), digest="x")])
    for resource, path in (
        (holder, "Patient.contained[0].name"),
        ({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": holder}]},
         "Bundle.entry[0].resource.contained[0].name"),
    ):
        found = conformance(resource, (), library, asked_by(library))
        assert [(one.severity, one.code, one.expression) for one in found if one.severity == "error"] == [
            ("error", "required", path)]


def test_no_error_is_crowded_out_by_what_cannot_be_told() -> None:
    """A resource with hundreds of codes of SNOMED CT, and behind them what the profile forbids."""
    definition = profile(
        "many", "Observation", element("Observation.component"),
        element("Observation.component.code", min=1, max="1",
                binding={"strength": "required", "valueSet": UNKNOWN["url"]}),
        element("Observation.component.value[x]", max="1", types="string", fixedString="a"),
        element("Observation.note", max="0"),
    )  # fmt: skip
    codes = [{"code": coding("1", "http://snomed.info/sct"), "valueString": "ab"[number % 2]} for number in range(1200)]
    note = [{"text": "x"}]
    assert ("error", "structure", "Observation.note") in told(observation(component=codes[::2], note=note), definition)
    found = told(observation(component=codes, note=note), definition)
    assert {row[0] for row in found} == {"error", "information"}
    assert sum(row[0] == "error" for row in found) == 500


def test_what_installed_profiles_were_not_asked_of_whole_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = profile("note", "Observation", element("Observation.note", max="0"))
    monkeypatch.setattr(checking, "MAX_CHECKS", 0)
    assert ("error", "incomplete", "Observation") in told(observation(note=[{"text": "x"}]), definition)


def test_the_target_of_a_reference_is_checked_where_it_is_at_hand() -> None:
    definitions = (profile("b", "Bundle", element("Bundle.entry"), element("Bundle.entry.resource", type=[
        {"code": "Resource", "profile": [BASE + "about", BASE + "named", BASE + "any"]}])),
        ABOUT, NAMED, profile("any", "Device"))  # fmt: skip
    assert told(bundle(patient(), observation("urn:uuid:0")), *definitions) == []
    nameless = bundle({"resourceType": "Patient"}, observation("urn:uuid:0"))
    assert [one[2] for one in told(nameless, *definitions)] == ["Bundle.entry[0].resource", "Bundle.entry[1].resource"]


def test_what_must_be_supported_and_is_absent_is_told() -> None:
    definition = profile("s", "Patient", element("Patient.telecom", mustSupport=True), element("Patient.name"),
                         element("Patient.name.suffix", mustSupport=True), element("Patient.gender", mustSupport=True))
    package = Package("example", "1.0.0", resources=(definition,))
    library = Library([package])
    (issue,) = conformance(patient(), [definition["url"]], library, asked_by(library))
    assert issue.severity == "information"
    assert "no Patient.telecom, Patient.name.suffix." in issue.diagnostics


def test_declared_profiles_are_asked_also_of_what_a_bundle_carries() -> None:
    library = Library([Package("example", "1.0.0", resources=(NAMED,))])
    nameless = {"resourceType": "Patient", "meta": {"profile": [BASE + "named", "http://nobody/p"]}}
    found = conformance(bundle(nameless), [], library, asked_by(library), with_support=False)
    assert [(one.severity, one.code, one.expression) for one in found] == [
        ("error", "required", "Bundle.entry[0].resource.name"), ("warning", "not-found", "Bundle.entry[0].resource"),
    ]  # fmt: skip


def test_a_package_means_its_own_version_and_a_name_alone_the_newest() -> None:
    old = profile("named", "Patient", element("Patient.name", min=1), version="1.9.0")
    new = profile("named", "Patient", element("Patient.name", min=2), version="1.10.0")
    library = Library([Package("a", "1.10.0", resources=(new,)), Package("a", "1.9.0", resources=(old,))])
    assert library.find(BASE + "named").version == "1.10.0"  # type: ignore[union-attr]
    assert library.find(BASE + "named", "a#1.9.0").version == "1.9.0"  # type: ignore[union-attr]
    assert library.find(BASE + "named|1.9.0").version == "1.9.0"  # type: ignore[union-attr]
    assert library.find(BASE + "named|2.0.0") is None


def test_references_in_circles_and_large_bundles_come_to_an_end() -> None:
    circle = profile("c", "Observation", element("Observation.hasMember", type=[
        {"code": "Reference", "targetProfile": [BASE + "c"]}]))  # fmt: skip
    rows = [observation(hasMember=[{"reference": f"urn:uuid:{(at + 1) % 300}"}]) for at in range(300)]
    holds = profile("b", "Bundle", element("Bundle.entry"), element("Bundle.entry.resource", type=[
        {"code": "Observation", "profile": [BASE + "c"]}]))  # fmt: skip
    assert told(bundle(*rows), holds, circle) == []


@pytest.mark.parametrize(
    "broken", [{"name": "x"}, {"name": [1, None]}, {"extension": {"url": 1}}, {"identifier": [[]]}]
)
def test_a_resource_of_the_wrong_structure_breaks_nothing(broken: Json) -> None:
    resource = copy.deepcopy(patient()) | broken
    elements = (element("Patient.name"), element("Patient.name.given", min=1), element("Patient.identifier.system"))
    assert isinstance(told(resource, profile("p", "Patient", *elements), RACE), list)
