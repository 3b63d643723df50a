"""A definition that no resource could be judged by is refused with what is wrong, by the element's id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hie.fhir.profiles import PackageError, read
from hie.fhir.profiles.judging import MOST_PROBLEMS, problems
from tests.packages import element, profile, slicing, tarball

CODE = element("Observation.code", types="CodeableConcept")


def observation(*elements: Any, **more: Any) -> Any:
    return profile("x", "Observation", *elements, **more)


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (profile("x", "Patiant"), "'Patiant', which is no type"),
        ({**observation(), "type": 5}, "no type of R4"),
        ({**observation(), "kind": "complex-type"}, "Observation is a resource"),
        ({**observation(), "snapshot": {"element": [element("Patient")]}}, "first element is 'Patient'"),
        ({**observation(), "snapshot": {"element": [element("Observation"), 5]}}, r"element\[1\] has no id"),
        (observation(element("Observation.colour")), "'Observation.colour': R4 has no such element"),
        (observation(element("Observation.code.colour")), "the one above it is missing"),
        (observation(CODE, element("Observation.code.text.length")), "no such element"),
        (observation(element("Patient.name")), "'Patient.name'"),
        (observation(CODE, CODE), "'Observation.code' is there twice"),
        (observation(element("Observation.code:")), "no such element"),
        (observation(element("Observation.component", min=-1)), "min is '-1'"),
        (observation(element("Observation.component", min="1")), "min is '1'"),
        (observation(element("Observation.component", max="many")), "max is 'many'"),
        (observation(element("Observation.component", min=2, max="1")), "less than min"),
        (observation(element("Observation.status", maxLength="x")), "maxLength"),
        (observation(element("Observation.code", types="Codeable")), "'Codeable' is none of R4"),
        (observation(element("Observation.code", types="Period")), "Period is not one that R4 allows"),
        (observation(element("Observation.value[x]", types="Address")), "Address is not one"),
        (observation(element("Observation.code", type="CodeableConcept")), "type has to be a list"),
        (observation(element("Observation.subject", type=[{"code": "Reference", "targetProfile": "x"}])),
         "targetProfile has to be"),
        (observation(element("Observation.component", slicing={"rules": "mostly"})), "slicing.rules"),
        (observation(element("Observation.component", slicing=slicing(("colour", "code")))), "discriminator 'colour'"),
        (observation(element("Observation.component", slicing={"rules": "open", "discriminator": [{"type": "value"}]})),
         "needs a path"),
        (observation(element("Observation.code", binding={"strength": "firm"})), "binding.strength"),
        (observation(element("Observation.code", binding={"strength": ["required"]})), "binding.strength"),
        (observation(element("Observation.code", binding={"strength": "required", "extension": ["x"]})),
         "binding.extension has to be a list of objects"),
        (observation(element("Observation.component", slicing={"rules": ["open"]})), "slicing.rules"),
        (observation(element("Observation.component", slicing={"rules": "open", "discriminator": [
            {"type": ["value"], "path": "code"}]})), "one of the types"),
        (profile("x", "Extension", context=[{"type": ["element"], "expression": "Patient"}]), "a context needs"),
        (observation(element("Observation.code", constraint=[{"key": "a", "severity": "error", "expression": "a ="}])),
         "expression of a is no FHIRPath"),
        (observation(element("Observation.code", constraint=[{"key": "a", "severity": "worse"}])), "error or warning"),
        (observation(element("Observation.code", fixedColour="red")), "'fixedColour' names no type"),
        (observation(element("Observation.status", fixedCode="a", patternCode="b")), "are both there"),
        (profile("x", "Extension", context=[{"type": "where", "expression": "Patient"}]), "a context needs"),
        (profile("x", "Extension", context=[{"type": "fhirpath", "expression": "Patient."}]), "is no FHIRPath"),
        (profile("x", "Extension", contextInvariant=["name."]), "contextInvariant 'name.' is no FHIRPath"),
        (profile("x", "Extension", contextInvariant="name"), "contextInvariant has to be a list"),
    ],
)  # fmt: skip
def test_a_snapshot_that_is_nonsense_is_refused_with_what_is_wrong(definition: Any, words: str) -> None:
    with pytest.raises(PackageError, match=f"cannot be used: .*{words}"):
        read(tarball(profile("right", "Patient", element("Patient.name")), definition))


def test_what_profiles_do_say_is_accepted() -> None:
    component = element("Observation.component", slicing=slicing(("pattern", "code")))
    assert problems(observation(
        CODE, component, element("Observation.component:a", min=1, max="1"), element("Observation.component:a.code"),
        element("Observation.component:a/b"), element("Observation.component.referenceRange"),
        element("Observation.component.referenceRange.low"), element("Observation.value[x]:valueQuantity",
                                                                     types="Quantity"),
        element("Observation.value[x]:valueQuantity.value"), element("Observation.id", types="string"),
        element("Observation.status", patternCode="final"), element("Observation.status.extension"),
        element("Observation.contained"), element("Observation.subject", types="Reference"),
    )) == []  # fmt: skip
    assert problems(profile("x", "Bundle", element("Bundle.entry"), element("Bundle.entry.resource"),
                            element("Bundle.entry.resource.meta"), element("Bundle.entry.search"),
                            element("Bundle.entry.search.mode"))) == []
    assert problems(profile("x", "Extension", element("Extension.url"), element("Extension.value[x]", types="code"),
                            context=[{"type": "fhirpath", "expression": "Patient.name"}])) == []


def test_not_more_is_told_than_is_read() -> None:
    assert len(problems(observation(*(element(f"Observation.x{at}") for at in range(50))))) == MOST_PROBLEMS


@pytest.mark.parametrize("name", ["r4.core-4.0.1", "us.core-3.1.1", "us.core-8.0.0", "uv.ips-1.1.0"])
def test_published_packages_are_accepted(name: str, shared_data: Path) -> None:
    file = shared_data / "definitions" / f"hl7.fhir.{name}.tgz"
    if not file.exists():
        pytest.skip(f"needs definitions/{file.name} of the shared data (HIE_TEST_DATA)")
    assert read(file.read_bytes()).resources
