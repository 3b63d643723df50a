"""Whether two Patients are one person, and how certain that is."""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.likeness import compared, jaro_winkler, traits

SSN, MRN = "http://hl7.org/fhir/sid/us-ssn", "http://example.org/mrn"
ADDRESS = {"line": ["12 Abernethy Street"], "postalCode": "3028"}
PHONE = {"system": "phone", "value": "+61 3 5550 6473"}


def person(family: str | None = "Dakin", given: str | None = "Joselyn", born: str | None = "1926-12-05",
           gender: str | None = "female", ssn: str | None = None, **more: Any) -> dict[str, Any]:
    name = {key: value for key, value in (("family", family), ("given", [given] if given else None)) if value}
    said = {"name": [name] if name else None, "birthDate": born, "gender": gender,
            "identifier": [{"system": SSN, "value": ssn}] if ssn else None}
    return {"resourceType": "Patient", **{key: value for key, value in said.items() if value}, **more}


def grade(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    forth, back = (compared(traits(a), traits(b)) for a, b in ((one, other), (other, one)))
    assert forth == back
    assert 0 <= forth.score <= 1
    return forth.grade


@pytest.mark.parametrize(("one", "other", "expected"), [
    (person(), person(), "certain"),
    (person("DÀKIN"), person("dakin"), "certain"),
    (person(ssn="1"), person(given="Josélyne", ssn="1"), "certain"),
    (person(ssn="1"), person(given="Jo", ssn="1"), "probable"),
    (person(ssn="1", gender=None), person(None, "Joselyn", ssn="1"), "certain"),
    (person(given="J"), person(address=[ADDRESS]), "probable"),
    (person(None, None, ssn="1"), person(ssn="1"), "probable"),
    (person(None, None, None, None, ssn="1"), person(ssn="1"), "probable"),
    (person("Meyer", address=[ADDRESS]), person("Dakin", address=[ADDRESS]), "probable"),
    (person(born="1926-05-12", address=[ADDRESS]), person(address=[ADDRESS]), "probable"),
    (person("Joselyn", "Dakin", address=[ADDRESS]), person(address=[ADDRESS]), "probable"),
    (person(ssn="1"), person(ssn="2"), "probable"),
    (person("Meyer", "Robert", "1980-01-01", "male", ssn="1"), person(ssn="1"), None),
    (person(born="1926"), person(), "probable"),
    (person(born=None), person(), "possible"),
    (person(given="Robert"), person(), "possible"),
    (person("Meyer"), person("Dakin", born="1999-01-01"), None),
    (person(None, None, None), person(), None),
])  # fmt: skip
def test_what_speaks_for_one_person_and_against(
    one: dict[str, Any], other: dict[str, Any], expected: str | None
) -> None:
    assert grade(one, other) == expected


def test_a_household_is_not_one_person() -> None:
    """Its members share name, address and telephone; twins the birth date as well, and a father his son's name."""
    at_home = {"address": [ADDRESS], "telecom": [PHONE]}
    anna = person(given="Anna", **at_home)
    for other in (person(given="Hanna", **at_home), person(given="Robert", gender="male", **at_home),
                  person(given="Anna", born="1899-01-30", **at_home)):
        assert grade(anna, other) != "certain"
    for other in (person(given="Robert", **at_home), person(given="Anna", born="1899-01-30", **at_home)):
        assert grade(anna, other) == "possible"


def test_numbers_and_codes_are_compared_as_they_are_meant() -> None:
    at_home = person(born=None, telecom=[PHONE], address=[ADDRESS])
    written = person(born=None, telecom=[{"value": "(03) 5550-6473"}], address=[{"postalCode": "3028 "}])
    assert grade(at_home, written) == "probable"
    assert grade(at_home, person(born=None, telecom=[{"value": "12345"}])) == "possible"


@pytest.mark.parametrize(("one", "other", "alike"), [
    ("martha", "marhta", 0.961), ("dixon", "dicksonx", 0.813), ("dwayne", "duane", 0.84), ("abc", "abc", 1.0),
    ("abc", "xyz", 0.0), ("a", "ab", 0.85), ("", "", 0.0),
])  # fmt: skip
def test_texts_are_alike_as_winkler_measured_it(one: str, other: str, alike: float) -> None:
    assert jaro_winkler(one, other) == pytest.approx(alike, abs=0.001)
    assert jaro_winkler(other, one) == pytest.approx(alike, abs=0.001)
