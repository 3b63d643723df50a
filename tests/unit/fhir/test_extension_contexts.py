"""Where an extension may stand: https://hl7.org/fhir/R4/defining-extensions.html#context"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.profiles import Library, Package, conformance
from hie.fhir.profiles.terminology import asked_by
from tests.builders import patient
from tests.packages import BASE, Json, element, profile

MARK, OUTER = BASE + "mark", BASE + "outer"
ONE = {"url": MARK, "valueString": "x"}
ANYWHERE = [{"type": "element", "expression": "Element"}]


def refused(resource: Json, kind: str, expression: str) -> list[str]:
    """Validate a resource with the extension; give where it must not stand."""
    mark = profile(
        "mark", "Extension", element("Extension.url", fixedUri=MARK),
        element("Extension.value[x]", min=1, max="1", types="string"),
        context=[{"type": kind, "expression": expression}],
    )  # fmt: skip
    outer = profile("outer", "Extension", element("Extension.url", fixedUri=OUTER), context=ANYWHERE)
    library = Library([Package("example", "1.0.0", resources=(mark, outer), digest=f"{kind} {expression}")])
    found = conformance(resource, (), library, asked_by(library))
    return [one.expression for one in found if one.code == "extension"]


def text(**more: Any) -> Json:
    return {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A</div>', **more}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("DomainResource.text", ["text"]), ("Resource.meta", ["meta"]), ("Patient.text", ["text"]),
        ("Observation.text", []), ("BackboneElement", ["contact[0]"]), ("Narrative", ["text"]),
        ("Patient.contact.name", ["contact[0].name"]), ("Patient.contact.name.family", ["contact[0].name.family"]),
        ("HumanName.family", ["contact[0].name.family"]), ("Patient.name.family", []),
    ],
)  # fmt: skip
def test_an_element_that_a_type_inherits_is_meant_as_well(expression: str, allowed: list[str]) -> None:
    resource = patient(
        text=text(extension=[ONE]), meta={"extension": [ONE]},
        contact=[{"extension": [ONE], "name": {"family": "B", "extension": [ONE], "_family": {"extension": [ONE]}}}],
    )  # fmt: skip
    everywhere = ["text", "meta", "contact[0]", "contact[0].name", "contact[0].name.family"]
    assert sorted(refused(resource, "element", expression)) == sorted(
        f"Patient.{one}.extension[0]" for one in everywhere if one not in allowed)


def test_an_extension_may_be_for_another_one_and_so_for_its_value() -> None:
    inside = patient(extension=[{"url": OUTER, "extension": [ONE]}])
    on_value = patient(extension=[{"url": OUTER, "valueBoolean": True, "_valueBoolean": {"extension": [ONE]}}])
    elsewhere = patient(_active={"extension": [ONE]}, active=True)
    assert [refused(one, "extension", OUTER) for one in (inside, on_value, elsewhere)] == [
        [], [], ["Patient.active.extension[0]"]]
    assert refused(inside, "extension", BASE + "other") == ["Patient.extension[0].extension[0]"]


def test_an_extension_may_be_for_one_part_of_a_complex_one() -> None:
    parts = [{"url": "first", "extension": [ONE]}, {"url": "second", "extension": [ONE]}]
    resource = patient(extension=[{"url": OUTER, "extension": parts}])
    assert refused(resource, "extension", f"{OUTER}#first") == ["Patient.extension[0].extension[1].extension[0]"]
    assert len(refused(resource, "extension", f"{BASE}other#first")) == 2


@pytest.mark.parametrize(("root", "wrong"), [
    ({"isModifier": True, "isModifierReason": "It negates."}, ["Patient.extension[0]"]),
    ({"isModifier": False}, ["Patient.modifierExtension[0]"]), ({}, []),
], ids=["one that modifies", "one that does not", "one that does not say"])  # fmt: skip
def test_what_modifies_stands_in_modifier_extension_and_nothing_else_does(root: Json, wrong: list[str]) -> None:
    """https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    mark = profile("mark", "Extension", element("Extension.url", fixedUri=MARK), context=ANYWHERE)
    mark["snapshot"]["element"][0].pop("isModifier", None)
    mark["snapshot"]["element"][0] |= root
    library = Library([Package("example", "1.0.0", resources=(mark,), digest=f"modifier {root}")])
    for name in ("extension", "modifierExtension"):
        found = conformance(patient(**{name: [ONE]}), (), library, asked_by(library))
        assert [one.expression for one in found if one.code == "extension"] == [
            one for one in wrong if f".{name}[" in one]
