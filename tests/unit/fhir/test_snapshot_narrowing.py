"""What the slices of a choice, the definition of an extension and a base that said more leave of an element."""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.snapshots import SnapshotError, generated
from tests.unit.fhir.test_snapshots import BASE, Known, a_slice, made, of, profile, types

Json = dict[str, Any]

VALUE, QUANTITY = "Observation.value[x]", [{"code": "Quantity"}]
BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False}


def extension(path: str, name: str, defined: str, **said: Any) -> Json:
    return a_slice(path, name, type=[{"code": "Extension", "profile": [BASE + defined]}], **said)


def test_an_extension_is_there_as_often_as_its_definition_allows() -> None:
    often = profile("Extension", of("Extension.url", fixedUri="http://x.org/often"), url="http://x.org/often")
    found = made(extension("Patient.extension", "once", "patient-birthPlace"),
                 extension("Patient.extension", "never", "patient-religion", max="0"),
                 a_slice("Patient.extension", "often", type=[{"code": "Extension", "profile": ["http://x.org/often"]}]),
                 extension("Patient.name.extension", "order", "humanname-assembly-order"), others=[often])
    most = {name: found[name]["max"] for name in found if ".extension:" in name}
    assert most == {"Patient.extension:once": "1", "Patient.extension:never": "0", "Patient.extension:often": "*",
                    "Patient.name.extension:order": "1"}


def test_an_element_keeps_its_words_whatever_profile_its_data_type_has() -> None:
    rule = {"key": "n-1", "severity": "error", "human": "a family", "expression": "family.exists()"}
    named = profile("HumanName", of("HumanName", short="Own words", comment="Own comment", constraint=[rule]),
                    url="http://x.org/named")
    typed = of("Patient.name", type=[{"code": "HumanName", "profile": ["http://x.org/named"]}])
    found, before = (made(one, others=[named])["Patient.name"] for one in (typed, of("Patient.name")))
    rules = [one.pop("constraint") for one in (found, before)]
    assert found == before | {"type": typed["type"]}
    assert rules[0] == [*rules[1], rule | {"source": "http://x.org/named"}]


CHOICES: list[tuple[str, list[Json], str, int, list[str]]] = [
    ("nothing tells them apart", [of(VALUE, slicing={"rules": "open", "description": "by type"}),
                                  a_slice(VALUE, "a", type=QUANTITY)], "open", 0, []),
    ("one has to be there", [of(VALUE, slicing=BY_TYPE | {"rules": "open"}), a_slice(VALUE, "a", type=QUANTITY, min=1),
                             a_slice(VALUE, "b", type=[{"code": "string"}])], "closed", 1, ["Quantity"]),
    ("one type is left", [of(VALUE, slicing=BY_TYPE | {"rules": "open"}, type=QUANTITY),
                          a_slice(VALUE, "a", type=QUANTITY)], "closed", 0, ["Quantity"]),
    ("one has to be there, of any type", [of(VALUE, slicing=BY_TYPE | {"rules": "open"}), a_slice(VALUE, "a", min=1)],
     "open", 0, []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "elements", "rules", "least", "kept"), CHOICES, ids=[one[0] for one in CHOICES])
def test_slices_of_a_choice_are_of_types_and_decide_it(
    name: str, elements: list[Json], rules: str, least: int, kept: list[str]
) -> None:
    whole = made(*elements, type_name="Observation")[VALUE]
    assert whole["slicing"].items() >= (BY_TYPE | {"rules": rules}).items()
    every = types(made(of("Observation"), type_name="Observation")[VALUE])
    assert (whole["min"], types(whole)) == (least, kept or every)


def test_what_a_derived_profile_wants_of_a_slice_decides_the_choice_of_its_base() -> None:
    base = profile("Observation", of(VALUE, slicing=BY_TYPE | {"rules": "closed"}), a_slice(VALUE, "q", type=QUANTITY),
                   a_slice(VALUE, "s", type=[{"code": "string"}]), url="http://x.org/base")
    found = made(a_slice(VALUE, "q", min=1), type_name="Observation", base="http://x.org/base", others=[base])
    assert (found[VALUE]["min"], types(found[VALUE]), f"{VALUE}:s" in found) == (1, ["Quantity"], True)


REFUSED: list[tuple[str, str, Json, str]] = [
    ("a fixed value of another type", "Observation", of(VALUE, fixedUri="x:y"), "fixedUri is none of its types"),
    ("a pattern of another type", "Patient", of("Patient.name", patternString="x"), r"none of its types \(HumanName\)"),
    ("a value of a type that is left out", "Observation", of(VALUE, type=QUANTITY, patternCodeableConcept={}),
     r"patternCodeableConcept is none of its types \(Quantity\)"),
    ("a data type for a resource", "Bundle", of("Bundle.entry.resource", type=[{"code": "Reference"}]),
     "the type Reference is none of the base's"),
    ("a resource for a data type", "Extension", of("Extension.value[x]", type=[{"code": "Patient"}]),
     "the type Patient is none of the base's"),
    ("no support where the base wants it", "Patient", of("Patient.name", mustSupport=False),
     "mustSupport is false, and the base's true"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "type_name", "element", "told"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_is_not_narrower_is_refused(name: str, type_name: str, element: Json, told: str) -> None:
    base = profile(type_name, of("Patient.name", mustSupport=True), url="http://x.org/base")
    if type_name != "Patient":
        base["differential"]["element"] = []
    with pytest.raises(SnapshotError, match=told):
        generated(profile(type_name, element, base="http://x.org/base"), Known([base]))


@pytest.mark.parametrize(("path", "said"), [
    ("Patient.id", {"fixedString": "x"}), ("Patient.name.use", {"fixedCode": "usual"}),
    ("Patient.identifier.system", {"fixedUri": "http://x.org"}), ("Patient.photo.url", {"patternUri": "http://x.org"}),
    ("Patient.multipleBirth[x]", {"type": [{"code": "integer"}], "patternInteger": 2}),
    ("Patient.contact", {"mustSupport": False}),
])  # fmt: skip
def test_values_of_an_element_s_own_type_are_kept(path: str, said: Json) -> None:
    assert said.items() <= made(of(path, **said))[path].items()


@pytest.mark.parametrize("code", ["Patient", "DomainResource", "Observation"])
def test_an_entry_may_be_of_one_type_of_resources(code: str) -> None:
    assert types(made(of("Bundle.entry.resource", type=[{"code": code}]), type_name="Bundle")[
        "Bundle.entry.resource"]) == [code]


@pytest.mark.parametrize(("name", "said", "told"), [
    ("official", {"sliceIsConstraining": True}, ""), ("official", {"sliceIsConstraining": False}, "it is a new slice"),
    ("other", {"sliceIsConstraining": False}, ""), ("other", {"sliceIsConstraining": True}, "has none of this name"),
    ("official", {}, ""), ("other", {}, ""),
], ids=str)  # fmt: skip
def test_a_slice_is_one_of_the_bases_or_none_of_them_as_it_says(name: str, said: Json, told: str) -> None:
    """https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.sliceIsConstraining"""
    by_use = {"discriminator": [{"type": "value", "path": "use"}], "rules": "open"}
    base = profile("Patient", of("Patient.name", slicing=by_use), a_slice("Patient.name", "official", min=1),
                   url="http://x.org/base")  # fmt: skip
    derived = profile("Patient", a_slice("Patient.name", name, max="1", **said), base="http://x.org/base")
    if told:
        with pytest.raises(SnapshotError, match=told):
            generated(derived, Known([base]))
    else:
        elements = generated(derived, Known([base]))["snapshot"]["element"]
        assert [one["max"] for one in elements if one.get("sliceName") == name] == ["1"]
