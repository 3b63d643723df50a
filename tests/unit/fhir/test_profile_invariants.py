"""What invariants of profiles may ask: value sets that are known, and what lies inside the entries of a Bundle.

https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

import pytest

from hie.fhir import fhirpath
from hie.fhir.profiles import Library, Package, conformance
from hie.fhir.profiles.terminology import asked_by
from tests.builders import observation, patient
from tests.packages import Json, element, profile

COLOURS = "http://example.org/colours"
DEFINED: tuple[Json, ...] = (
    {"resourceType": "CodeSystem", "url": COLOURS, "status": "active", "content": "complete",
     "concept": [{"code": "red"}, {"code": "green"}]},
    {"resourceType": "ValueSet", "url": COLOURS + "/vs", "status": "active",
     "compose": {"include": [{"system": COLOURS}]}},
)  # fmt: skip


def broken(resource: Json, expression: str, where: str | None = None) -> list[str]:
    """Validate by a profile with one invariant; give where it is broken."""
    rule = {"key": "rule", "severity": "error", "human": "Rule", "expression": expression}
    type_name = resource["resourceType"]
    definition = profile("rule", type_name, element(where or f"{type_name}.id", constraint=[rule]))
    library = Library([Package("example", "1.0.0", resources=(definition, *DEFINED), digest=expression)])
    found = conformance(resource, [definition["url"]], library, asked_by(library))
    return [one.expression for one in found if one.code == "invariant"]


@pytest.mark.parametrize(
    ("system", "code", "holds"),
    [(COLOURS, "red", True), (COLOURS, "blue", False), (COLOURS + "/others", "red", False)],
)  # fmt: skip
def test_member_of_asks_the_value_sets_that_the_profile_knows(system: str, code: str, holds: bool) -> None:
    method = {"coding": [{"system": system, "code": code}]}
    expression = f"memberOf('{COLOURS}/vs')"
    assert broken(observation(method=method), expression, "Observation.method") == (
        [] if holds else ["Observation.method"])
    assert broken(observation(method=method), f"coding.code.all({expression})", "Observation.method") == (
        ["Observation.method"] if code == "blue" else [])


def test_member_of_decides_nothing_where_nobody_knows_the_value_set() -> None:
    method = {"coding": [{"system": COLOURS, "code": "red"}]}
    assert broken(observation(method=method), f"memberOf('{COLOURS}/none')", "Observation.method") == []


def entries(*resources: Json) -> Json:
    rows = [{"fullUrl": f"http://example.org/{one['resourceType']}/{number}", "resource": {**one, "id": str(number)}}
            for number, one in enumerate(resources)]
    return {"resourceType": "Bundle", "id": "b", "type": "collection", "entry": rows}


HERE = patient(contained=[{"resourceType": "Organization", "id": "other", "name": "A"}],
               managingOrganization={"reference": "#other"})
THERE = observation("#other", contained=[{"resourceType": "Patient", "id": "other"}])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("entry.resource.ofType(Observation).subject.resolve().ofType(Patient).count()", [1]),
        ("entry.resource.ofType(Patient).managingOrganization.resolve().ofType(Organization).name", ["A"]),
        ("entry.resource.ofType(Observation).subject.resolve() is Patient", [True]),
        ("entry.resource.ofType(Observation).subject.reference.resolve().count()", [1]),
        ("entry.resource.ofType(Patient).link.other.resolve().id", ["0"]),
        ("entry.resource.ofType(Observation).device.resolve().count()", [0]),
    ],
)  # fmt: skip
def test_a_bundle_finds_what_its_entries_contain_each_its_own(expression: str, expected: list[object]) -> None:
    here = {**HERE, "link": [{"other": {"reference": "#"}, "type": "seealso"}]}
    there = {**THERE, "device": {"reference": "#nobody"}}
    assert fhirpath.compile(expression, "Bundle").evaluate(entries(here, there)) == expected


@pytest.mark.parametrize(("wanted", "is_right"), [("Patient", True), ("DomainResource", True), ("Group", False)])
def test_a_profile_may_name_a_resource_type_for_what_an_entry_holds(wanted: str, is_right: bool) -> None:
    of_type = {"code": "Resource", "profile": [f"http://hl7.org/fhir/StructureDefinition/{wanted}"]}
    definition = profile("held", "Bundle", element("Bundle.entry"), element("Bundle.entry.resource", type=[of_type]))
    library = Library([Package("example", "1.0.0", resources=(definition,), digest=wanted)])
    found = conformance(entries(patient()), [definition["url"]], library, asked_by(library))
    assert [(one.code, one.expression) for one in found if one.severity == "error"] == (
        [] if is_right else [("structure", "Bundle.entry[0].resource")])


def test_an_invariant_of_a_bundle_reaches_into_its_entries() -> None:
    expression = "%resource.entry.resource.ofType(Observation).all(subject.resolve() is Patient)"
    assert broken(entries(HERE, THERE), expression) == []
    lost = {**THERE, "contained": [{"resourceType": "Group", "id": "other"}]}
    assert broken(entries(HERE, lost), expression) == ["Bundle.id"]
