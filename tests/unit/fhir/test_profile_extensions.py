"""Extensions by their own definitions: https://hl7.org/fhir/R4/defining-extensions.html"""

from __future__ import annotations

import pytest

from tests.builders import patient
from tests.packages import BASE, Json, element, profile, slicing
from tests.unit.fhir.profiled import RACE, told

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
