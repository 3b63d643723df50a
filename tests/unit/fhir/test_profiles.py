"""Profiles: cardinality, values, types, slices, extensions, bindings, invariants, references, must-support.

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

LOINC = "http://loinc.org"
COLOURS = "http://example.org/colours"
CODES: Json = {
    "resourceType": "CodeSystem", "url": COLOURS, "status": "active", "content": "complete",
    "concept": [{"code": "red"}, {"code": "green"}],
}  # fmt: skip
COLOURED: Json = {
    "resourceType": "ValueSet", "url": COLOURS + "/vs", "status": "active",
    "compose": {"include": [{"system": COLOURS}]},
}  # fmt: skip
UNKNOWN: Json = {
    "resourceType": "ValueSet", "url": "http://example.org/snomed", "status": "active",
    "compose": {"include": [{"system": "http://snomed.info/sct",
                             "filter": [{"property": "concept", "op": "is-a", "value": "1"}]}]},
}  # fmt: skip


def coding(code: str, system: str = LOINC) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def component(code: str, **more: Any) -> Json:
    return {"code": coding(code), **more}


def told(resource: Json, *definitions: Json, support: bool = False) -> list[tuple[str, str, str]]:
    """Validate against the first definition; give severity, code and expression of every issue."""
    package = Package("example", "1.0.0", resources=(*definitions, CODES, COLOURED, UNKNOWN), digest="x")
    library = Library([package])
    found = conformance(resource, [definitions[0]["url"]], library, asked_by(library), with_support=support)
    return [(one.severity, one.code, one.expression) for one in found]


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


RACE = profile(
    "race", "Extension",
    element("Extension.url", min=1, max="1", fixedUri=BASE + "race"),
    element("Extension.value[x]", min=1, max="1", types="string"),
    context=[{"type": "element", "expression": "Patient"}],
)  # fmt: skip
WITH_RACE = profile(
    "p", "Patient",
    element("Patient.extension", slicing=slicing(("value", "url"))),
    element("Patient.extension:race", sliceName="race", min=1, max="1",
            type=[{"code": "Extension", "profile": [BASE + "race"]}]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ([{"url": BASE + "race", "valueString": "x"}], []),
        ([], [("error", "required", "Patient.extension")]),
        ([{"url": BASE + "race", "valueCode": "x"}], [("error", "structure", "Patient.extension[0].value")]),
        ([{"url": BASE + "race"}], [("error", "required", "Patient.extension[0].value")]),
        ([{"url": BASE + "race", "valueString": "x"}, {"url": "urn:nobody", "valueString": "x"}],
         [("information", "informational", "Patient")]),
    ],
)  # fmt: skip
def test_extensions_by_their_own_profiles(extension: list[Json], expected: list[tuple[str, str, str]]) -> None:
    assert told(patient(extension=extension), WITH_RACE, RACE) == expected


def test_an_extension_stands_where_its_definition_lets_it_sliced_or_not() -> None:
    resource = patient(extension=[{"url": BASE + "race", "valueString": "x"}])
    resource["name"][0]["extension"] = [{"url": BASE + "race", "valueString": "x"}]
    nobody = profile("q", "Patient", element("Patient.name"), element("Patient.name.extension"))
    assert told(resource, nobody, RACE) == [("error", "extension", "Patient.name[0].extension[0]")]
    everywhere = {**RACE, "context": [{"type": "element", "expression": "Element"}]}
    assert told(resource, nobody, everywhere) == [], "a resource is meant, too"


def _with_extensions() -> Json:
    """A Patient with the extension race in seven places."""
    race = [{"url": BASE + "race", "valueString": "x"}]
    return patient(
        extension=race, name=[{"use": "official", "family": "A", "extension": race}, {"use": "old", "extension": race}],
        _gender={"extension": race}, _birthDate={"extension": race}, multipleBirthBoolean=True,
        _multipleBirthBoolean={"extension": race}, contact=[{"name": {"family": "B", "extension": race}}],
    )  # fmt: skip


EVERYWHERE = ["extension[0]", "name[0].extension[0]", "name[1].extension[0]", "gender.extension[0]",
              "birthDate.extension[0]", "multipleBirth.extension[0]", "contact[0].name.extension[0]"]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("Patient", [0]), ("Patient.name", [1, 2]), ("name.where(use = 'official')", [1]), ("Patient.gender", [3]),
        ("Patient.gender | Patient.birthDate", [3, 4]), ("descendants().ofType(HumanName)", [1, 2, 6]),
        ("Patient.multipleBirth", [5]), ("contact.name", [6]), ("Observation", []), ("Patient.photo", []),
        # what cannot be decided is no error: a condition, an expression that fails
        ("name.exists()", [0, 1, 2, 3, 4, 5, 6]), ("name.single()", [0, 1, 2, 3, 4, 5, 6]),
    ],
)  # fmt: skip
def test_an_extension_stands_where_a_fhirpath_selects_its_element(expression: str, allowed: list[int]) -> None:
    race = {**RACE, "context": [{"type": "fhirpath", "expression": expression}]}
    plain = profile("q", "Patient", element("Patient.name"))
    refused = [where.removeprefix("Patient.") for _, code, where in told(_with_extensions(), plain, race)
               if code == "extension"]  # fmt: skip
    assert sorted(refused) == sorted(EVERYWHERE[at] for at in range(7) if at not in allowed)
    both = {**race, "context": [*race["context"], {"type": "element", "expression": "Patient"}]}
    assert "Patient.extension[0]" not in [where for _, _, where in told(_with_extensions(), plain, both)]


@pytest.mark.parametrize(
    ("expressions", "allowed"),
    [
        (["true"], [0, 1, 2, 3, 4, 5, 6]), (["false"], []), (["$this is HumanName"], [1, 2, 6]),
        (["use = 'official'"], [0, 1, 3, 4, 5, 6]),  # of others it cannot be told: they have no use, or none is said
        (["%extension.value = 'x'"], [0, 1, 2, 3, 4, 5, 6]), (["%extension.value = 'y'"], []),
        (["%resource.gender = 'male'"], []), (["$this is HumanName", "use.exists()"], [1, 2]),
        (["extension.where(url = %extension.url).count() = 1"], [0, 1, 2, 3, 4, 5, 6]),
    ],
)  # fmt: skip
def test_what_has_to_hold_where_an_extension_stands_is_asked_of_its_holder(
    expressions: list[str], allowed: list[int]
) -> None:
    anywhere = [{"type": "element", "expression": name} for name in ("Element", "Patient")]
    race = {**RACE, "context": anywhere, "contextInvariant": expressions}
    plain = profile("q", "Patient", element("Patient.name"))
    refused = {where.removeprefix("Patient.") for _, code, where in told(_with_extensions(), plain, race)
               if code == "extension"}  # fmt: skip
    assert sorted(refused) == sorted(EVERYWHERE[at] for at in range(7) if at not in allowed)


def test_an_invariant_of_the_context_that_fails_is_told_and_refuses_nothing() -> None:
    race = {**RACE, "contextInvariant": ["name.single().exists()"]}
    found = told(_with_extensions(), profile("q", "Patient", element("Patient.name")), race)
    assert ("information", "informational", "Patient.extension[0]") in found


def test_a_modifier_extension_that_nobody_defines_is_a_warning() -> None:
    resource = patient(modifierExtension=[{"url": "urn:nobody", "valueBoolean": True}])
    plain = profile("q", "Patient", element("Patient.modifierExtension"))
    assert told(resource, plain) == [("warning", "extension", "Patient.modifierExtension[0]")]


DOCUMENT = profile(
    "document", "Bundle",
    element("Bundle.entry", slicing=slicing(("profile", "resource"))),
    element("Bundle.entry:patient", sliceName="patient", min=1, max="1"),
    element("Bundle.entry:patient.resource", min=1, max="1", type=[{"code": "Patient", "profile": [BASE + "named"]}]),
    element("Bundle.entry:vitals", sliceName="vitals"),
    element("Bundle.entry:vitals.resource", min=1, max="1",
            type=[{"code": "Observation", "profile": [BASE + "about"]}]),
)  # fmt: skip
NAMED = profile("named", "Patient", element("Patient.name", min=1))
ABOUT = profile("about", "Observation", element("Observation.subject", min=1, max="1", type=[
    {"code": "Reference", "targetProfile": [BASE + "named"]}]))  # fmt: skip


def bundle(*resources: Json) -> Json:
    rows = [{"fullUrl": f"urn:uuid:{at}", "resource": one} for at, one in enumerate(resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": rows}


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


def test_a_complex_extension_has_no_other_parts_than_its_definition_says() -> None:
    url = BASE + "pair"
    definition = profile(
        "pair", "Extension", element("Extension.extension", slicing=slicing(("value", "url"))),
        element("Extension.extension:left", sliceName="left", max="1"),
        element("Extension.extension:left.url", min=1, max="1", fixedUri="left"),
        element("Extension.url", min=1, max="1", fixedUri=url),
    )  # fmt: skip
    parts = [{"url": one, "valueString": "x"} for one in ("left", "foo", "http://example.org/other")]
    found = told(patient(extension=[{"url": url, "extension": parts}]), profile("p", "Patient"), definition)
    assert found == [("error", "extension", "Patient.extension[0].extension[1]"),
                     ("information", "informational", "Patient")]


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


def test_the_target_of_a_reference_is_checked_where_it_is_at_hand() -> None:
    definitions = (profile("b", "Bundle", element("Bundle.entry"), element("Bundle.entry.resource", type=[
        {"code": "Resource", "profile": [BASE + "about", BASE + "named", BASE + "any"]}])),
        ABOUT, NAMED, profile("any", "Device"))  # fmt: skip
    assert told(bundle(patient(), observation("urn:uuid:0")), *definitions) == []
    nameless = bundle({"resourceType": "Patient"}, observation("urn:uuid:0"))
    assert [one[2] for one in told(nameless, *definitions)] == ["Bundle.entry[0].resource", "Bundle.entry[1].resource"]


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
