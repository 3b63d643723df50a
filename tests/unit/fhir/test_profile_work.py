"""What a definition has several of is compared with each value: how much of that one validation does is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.fhirpath import Element
from hie.fhir.profiles import Library, Package, checking, conformance
from hie.fhir.profiles.library import STORED, Definition
from hie.fhir.profiles.place import around
from hie.fhir.profiles.terminology import asked_by
from hie.fhir.validation.issue import Issue
from tests.builders import patient
from tests.growth import Work, growth, growth_of_time
from tests.packages import BASE, Json, element, profile, slicing

MANY = range(60)
MAXIMAL = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"


def judged(resource: Json, *definitions: Json) -> list[Issue]:
    library = Library([Package("example", "1.0.0", resources=definitions, digest="x")])
    return conformance(resource, [BASE + "many"], library, asked_by(library), with_support=False)


def many(*elements: Json) -> Json:
    return profile("many", "Patient", *elements)


def on_names(**more: Any) -> Json:
    return many(element("Patient.name", **more))


def identified(system: str) -> Json:
    return patient(identifier=[{"system": system}] * len(MANY))


PART = "http://example.org/part"
EXTENSION: Json = {
    **profile("extension", "Extension", element("Extension.extension"), *(
        one for number in MANY for one in (
            element(f"Extension.extension:{number}", sliceName=str(number)),
            element(f"Extension.extension:{number}.url", fixedUri=str(number)))),
        element("Extension.url", fixedUri=PART)), "url": PART, "kind": "complex-type",
}  # fmt: skip
PLACED: Json = {
    **profile("placed", "Extension", element("Extension.url", fixedUri=PART)), "url": PART, "kind": "complex-type",
}  # fmt: skip
CODED = patient(maritalStatus={"coding": [{"code": str(one), "system": "x"} for one in MANY]})
NAMES = [{"family": "a"}] * len(MANY)
EXTENDED = [{"url": PART, "valueString": "a"}] * len(MANY)


@pytest.mark.parametrize(("resource", "definitions"), [
    pytest.param(identified("http://example.org/0"), [many(
        element("Patient.identifier", slicing=slicing(("value", "system"))), *(
            one for number in MANY for one in (
                element(f"Patient.identifier:s{number}", sliceName=f"s{number}"),
                element(f"Patient.identifier:s{number}.system", fixedUri=f"http://example.org/{number}"))))],
        id="slices"),
    pytest.param(CODED, [many(element("Patient.maritalStatus", patternCodeableConcept={
        "coding": [{"code": str(one)} for one in MANY]}))], id="patterns"),
    pytest.param(patient(name=NAMES), [on_names(constraint=[
        {"key": f"k-{one}", "severity": "error", "human": "x", "expression": "true"} for one in MANY])],
        id="invariants"),
    pytest.param(patient(name=NAMES), [on_names(type=[
        {"code": "HumanName", "profile": [f"{BASE}{one}" for one in MANY]}])], id="profiles of a type"),
    pytest.param(patient(generalPractitioner=[{"reference": "Practitioner/a"}] * len(MANY)), [many(element(
        "Patient.generalPractitioner", type=[
            {"code": "Reference", "targetProfile": [f"{BASE}{one}" for one in MANY]}]))], id="targets"),
    pytest.param(CODED, [many(element("Patient.maritalStatus", binding={"strength": "example", "extension": [
            {"url": MAXIMAL, "valueCanonical": f"http://example.org/{one}"} for one in MANY]}))], id="value sets"),
    pytest.param(patient(extension=EXTENDED), [many(), {**PLACED, "context": [
        {"type": "element", "expression": f"Group.x{one}"} for one in MANY]}], id="contexts"),
    pytest.param(patient(extension=EXTENDED), [many(), {**PLACED, "contextInvariant": ["true"] * len(MANY)}],
                 id="invariants of contexts"),
    pytest.param(patient(extension=EXTENDED), [many(), {**PLACED, "context": [
        {"type": "fhirpath", "expression": "Patient.descendants()"}]}], id="places of extensions"),
    pytest.param(patient(extension=[{"url": PART, "extension": [{"url": "59", "valueString": "a"}] * len(MANY)}]), [
        many(), EXTENSION], id="parts of extensions"),
])  # fmt: skip
def test_what_grows_with_the_definition_and_the_resource_is_bounded(
    resource: Json, definitions: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "incomplete" not in {one.code for one in judged(resource, *definitions)}
    monkeypatch.setattr(checking, "MAX_CHECKS", 1_000)
    assert ("error", "incomplete") in {(one.severity, one.code) for one in judged(resource, *definitions)}


def test_what_a_definition_says_of_itself_is_not_said_at_any_length() -> None:
    rule = {"key": "k-1", "severity": "error", "human": "x" * 5_000, "expression": "false"}
    found = judged(patient(name=NAMES), on_names(constraint=[rule]))
    told = [one.diagnostics for one in found if one.code == "invariant"]
    assert [len(one) for one in told] == [2_000] * len(NAMES)
    assert told[0].endswith("x…")


def test_references_to_thousands_of_contained_resources_are_followed_at_once() -> None:
    """Looking at all for each took 5 s."""
    types = [{"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}]
    definition = profile("many", "Group", element("Group.member"), element("Group.member.entity", type=types))

    def followed(number: int) -> Work:
        names = [f"c{one}" for one in range(number)]
        group = {"resourceType": "Group", "contained": [{"resourceType": "Patient", "id": one} for one in names],
                 "member": [{"entity": {"reference": f"#{one}"}} for one in names]}  # fmt: skip

        def work() -> None:
            assert judged(group, definition) == []

        return work

    assert growth(followed, 200) < 5


def test_what_is_too_deep_to_be_compared_cannot_be_told() -> None:
    names = ["/".join("a" * number) for number in range(1, 1_500)]
    rules = slicing(("value", "system"))
    deep = many(element("Patient.identifier", slicing=rules), *(
        one for name in names for one in (
            element(f"Patient.identifier:{name}", slicing=rules),
            element(f"Patient.identifier:{name}.system", fixedUri="x"))))  # fmt: skip
    resource = patient(identifier=[{"system": "x"}])
    assert [(one.severity, one.code) for one in judged(resource, deep)] == [("error", "incomplete")]
    library = Library([Package("example", "1.0.0", resources=(deep,), digest="x")])
    check = checking.Check(library, asked_by(library))
    assert check.conforms_to(Element(resource, "Patient"), BASE + "many", around(resource)) is None
    assert check.is_cut


def test_expressions_are_compiled_once_and_kept_with_their_definition() -> None:
    text = f"given.exists() or '{'x' * 5_000}' = family"
    definition = on_names(constraint=[
        {"key": "k-1", "severity": "error", "human": "x", "expression": text},
        {"key": "k-2", "severity": "error", "human": "x", "expression": "nothing()"}])
    library = Library([Package("example", "1.0.0", resources=(definition,), digest="x")])
    for _ in range(2):
        found = conformance(patient(name=NAMES), [BASE + "many"], library, asked_by(library), with_support=False)
        assert {one.code for one in found} == {"invariant", "informational"}
    kept = library.find(BASE + "many")
    assert kept is not None
    names = kept.root.children["name"]
    assert names.compiled(text, "HumanName") is names.compiled(text, "HumanName")


class Known:
    """Definitions that are stored."""

    time = None

    def __init__(self, *definitions: Json) -> None:
        self._found = {one["url"]: Definition(one, STORED) for one in definitions}

    def find(self, canonical: str) -> Definition | None:
        """Find one by its URL."""
        return self._found.get(canonical)

    def reason(self, canonical: str) -> str | None:
        """Tell that nothing is wrong with any."""
        return None

    def is_left_out(self, canonical: str) -> bool:
        """Tell that each is looked for."""
        return False


def test_thousands_of_entries_that_declare_stored_profiles_are_judged_one_after_the_other() -> None:
    """Comparing each with all took 12 s for 16,000, in few instructions of Python."""
    library, known = Library([]), Known(many(element("Patient.photo", min=1)))

    def each_judged(number: int) -> Work:
        entries = [{"resource": patient(meta={"profile": [BASE + "many"]})} for _ in range(number)]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}

        def work() -> None:
            found = conformance(bundle, (), library, asked_by(library), stored=known)
            assert len([one for one in found if one.code == "required"]) == min(number, 500)

        return work

    assert growth_of_time(each_judged, 2_000) < 7
