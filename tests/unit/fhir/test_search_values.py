"""The tokens, strings, dates, numbers, quantities and URIs that resources are found by: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hie.fhir import facts
from hie.fhir.datatypes import OPEN_HIGH, OPEN_LOW
from hie.fhir.search_parameters import extract
from tests.unit.fhir.extracted import bounds, resource, values

# ---- token: search.html#token ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "parameter", "expected"),
    [
        (resource("Patient", gender="female"), "gender", [("http://hl7.org/fhir/administrative-gender", "female")]),
        (resource("Observation", status="final"), "status", [("http://hl7.org/fhir/observation-status", "final")]),
        (resource("Patient", active=True), "active", [(None, "true")]),
        (resource("Patient", active=False), "active", [(None, "false")]),
        (resource("Patient", id="p1"), "_id", []),  # a search asks the row of the resource
        (resource("Patient", meta={"tag": [{"system": "s", "code": "t"}]}), "_tag", [("s", "t")]),
        (resource("Patient", meta={"security": [{"system": "s", "code": "t"}]}), "_security", [("s", "t")]),
        (
            resource("Patient", identifier=[{"system": "s", "value": "1"}, {"value": "2"}]),
            "identifier",
            [("s", "1"), ("", "2")],
        ),
        (
            resource("Observation", code={"coding": [{"system": "s", "code": "a"}, {"code": "b"}], "text": "x"}),
            "code",
            [("s", "a"), ("", "b")],
        ),
        (
            resource("Patient", telecom=[{"system": "email", "value": "a@b"}, {"value": "5"}]),
            "telecom",
            [("email", "a@b"), ("", "5")],
        ),
        (
            resource("Patient", telecom=[{"system": "email", "value": "a@b"}, {"value": "5"}]),
            "email",
            [("email", "a@b")],
        ),
        (resource("Patient", telecom=[{"system": "phone", "value": "5"}]), "phone", [("phone", "5")]),
        (resource("Patient", address=[{"use": "home"}]), "address-use", [("http://hl7.org/fhir/address-use", "home")]),
        (resource("Patient"), "deceased", [(None, "false")]),
        (resource("Patient", deceasedBoolean=False), "deceased", [(None, "false")]),
        (resource("Patient", deceasedBoolean=True), "deceased", [(None, "true")]),
        (resource("Patient", deceasedDateTime="2012"), "deceased", [(None, "true")]),
        (
            resource(
                "Group", characteristic=[{"valueBoolean": True}, {"valueCodeableConcept": {"coding": [{"code": "x"}]}}]
            ),
            "value",
            [(None, "true"), ("", "x")],
        ),
        (resource("Task", code={"text": "only text"}), "code", []),
        (resource("ValueSet", version="1.0"), "version", [(None, "1.0")]),
        (resource("MessageHeader", eventUri="http://e"), "event", [(None, "http://e")]),
        (
            resource(
                "Patient", communication=[{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "nl"}]}}]
            ),
            "language",
            [("urn:ietf:bcp:47", "nl")],
        ),
        (
            resource(
                "Device",
                extension=[
                    {
                        "url": "http://hl7.org/fhir/SearchParameter/device-extensions-Device-din",
                        "valueIdentifier": {"value": "d"},
                    },
                    {"url": "other", "valueString": "no"},
                ],
            ),
            "din",
            [("", "d")],
        ),
    ],
)
def test_tokens(given: dict[str, Any], parameter: str, expected: list[tuple[Any, ...]]) -> None:
    assert values(given, "tokens", parameter) == expected


def test_the_type_of_an_identifier_is_kept_for_of_type() -> None:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}, {"code": "x"}]}
    patient = resource("Patient", identifier=[{"type": kind, "system": "s", "value": "446053"}])
    assert values(patient, "identifier_types", "identifier") == [
        ("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "446053"),
        ("", "x", "446053"),
    ]


@pytest.mark.parametrize(
    ("intent", "system"),
    [
        ("unknown", "http://hl7.org/fhir/task-intent"),
        ("order", "http://hl7.org/fhir/request-intent"),
        ("not-in-the-set", None),
    ],
)
def test_the_system_of_a_code_from_a_set_of_two_systems_is_that_of_the_code(intent: str, system: str | None) -> None:
    assert values(resource("Task", intent=intent), "tokens", "intent") == [(system, intent)]


def test_a_code_bound_to_no_set_has_no_system_to_tell() -> None:
    definition = resource("OperationDefinition", code="everything")
    assert values(definition, "tokens", "code") == [(None, "everything")]


# ---- string: search.html#string --------------------------------------------------------------------------------------

NAME = {
    "text": "Dr P. du Marché",
    "family": "du Marché",
    "given": ["Bénédicte", "Anne"],
    "prefix": ["Dr"],
    "suffix": ["MD"],
}
ADDRESS = {
    "text": "A",
    "line": ["L1", "L2"],
    "city": "C",
    "district": "D",
    "state": "S",
    "postalCode": "P",
    "country": "X",
    "use": "home",
}


@pytest.mark.parametrize(
    ("given", "parameter", "expected"),
    [
        (resource("Patient", name=[NAME]), "name", ["Dr P. du Marché", "du Marché", "Bénédicte", "Anne", "Dr", "MD"]),
        (resource("Patient", name=[NAME]), "given", ["Bénédicte", "Anne"]),
        (resource("Patient", name=[NAME, {"family": "Two"}]), "family", ["du Marché", "Two"]),
        (resource("Patient", address=[ADDRESS]), "address", ["A", "L1", "L2", "C", "D", "S", "P", "X"]),
        (resource("Patient", address=[ADDRESS]), "address-city", ["C"]),
        (resource("Patient", address=[ADDRESS]), "address-postalcode", ["P"]),
        (resource("Organization", name="Acme", alias=["A"]), "name", ["Acme", "A"]),
        (resource("Observation", valueString="high"), "value-string", ["high"]),
        (resource("Observation", valueCodeableConcept={"text": "none"}), "value-string", ["none"]),
        (resource("ActivityDefinition", description="*long*"), "description", ["*long*"]),
    ],
)
def test_strings(given: dict[str, Any], parameter: str, expected: list[str]) -> None:
    assert values(given, "strings", parameter) == [(text,) for text in expected]


# ---- date: search.html#date ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "parameter", "expected"),
    [
        (resource("Patient", birthDate="1974"), "birthdate", (*bounds("1974"), "1974")),
        (resource("Patient", birthDate="1974-12-25"), "birthdate", (*bounds("1974-12-25"), "1974-12-25")),
        (
            resource("Observation", effectiveDateTime="2013-01-14T10:00:00Z"),
            "date",
            (*bounds("2013-01-14T10:00:00Z"), "2013-01-14T10:00:00Z"),
        ),
        (resource("Observation", effectivePeriod={"start": "2013"}), "date", (bounds("2013")[0], OPEN_HIGH, None)),
        (resource("Observation", effectivePeriod={"end": "2013"}), "date", (OPEN_LOW, bounds("2013")[1], None)),
        (resource("Observation", effectiveTiming={"event": ["2013"]}), "date", (*bounds("2013"), None)),
        (
            resource("Patient", meta={"lastUpdated": "2013-01-14T10:00:00.5Z"}),
            "_lastUpdated",
            (*bounds("2013-01-14T10:00:00.5Z"), "2013-01-14T10:00:00.5Z"),
        ),
        (resource("Patient", deceasedDateTime="2012"), "death-date", (*bounds("2012"), "2012")),
        (resource("Goal", target=[{"dueDate": "2012"}]), "target-date", (*bounds("2012"), "2012")),
    ],
)
def test_dates(given: dict[str, Any], parameter: str, expected: tuple[Any, ...]) -> None:
    assert values(given, "dates", parameter) == [expected]


def test_an_age_where_a_date_could_be_is_present_but_no_date() -> None:
    found = extract(resource("Procedure", performedAge={"value": 30, "unit": "a"}))
    assert found.dates == []
    assert "date" in found.present


# ---- number, quantity, uri -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ({"probabilityDecimal": Decimal("0.80")}, (Decimal("0.8"), Decimal("0.8"))),
        ({"probabilityRange": {"low": {"value": 1}, "high": {"value": 2}}}, (1, 2)),
        ({"probabilityRange": {"high": {"value": 2}}}, (None, 2)),
    ],
)
def test_numbers(prediction: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert values(resource("RiskAssessment", prediction=[prediction]), "numbers", "probability") == [expected]


UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("given", "parameter", "expected"),
    [
        (
            resource(
                "Observation", valueQuantity={"value": Decimal("5.40"), "unit": "mg", "system": UCUM, "code": "mg"}
            ),
            "value-quantity",
            (Decimal("5.4"), Decimal("5.4"), UCUM, "mg", "mg"),
        ),
        (resource("Observation", valueQuantity={"value": 5}), "value-quantity", (5, 5, None, None, None)),
        (
            resource("Observation", valueQuantity={"value": 5, "comparator": ">="}),
            "value-quantity",
            (5, None, None, None, None),
        ),
        (
            resource("Invoice", totalNet={"value": 9, "currency": "EUR"}),
            "totalnet",
            (9, 9, "urn:iso:std:iso:4217", "EUR", None),
        ),
        (
            resource("Condition", onsetAge={"value": 7, "system": UCUM, "code": "a"}),
            "onset-age",
            (7, 7, UCUM, "a", None),
        ),
        (
            resource("Condition", onsetRange={"low": {"value": 7, "unit": "a"}, "high": {"value": 9, "unit": "a"}}),
            "onset-age",
            (7, 9, None, None, "a"),
        ),
        (resource("Encounter", length={"value": 3, "unit": "h"}), "length", (3, 3, None, None, "h")),
        (
            resource(
                "Observation",
                valueSampledData={
                    "origin": {"value": 10, "unit": "mV"},
                    "factor": 2,
                    "dimensions": 1,
                    "period": 1,
                    "data": "-1 E 0 3 U",
                },
            ),
            "value-quantity",
            (8, 16, None, None, "mV"),
        ),
    ],
)
def test_quantities(given: dict[str, Any], parameter: str, expected: tuple[Any, ...]) -> None:
    assert values(given, "quantities", parameter) == [expected]


@pytest.mark.parametrize(
    ("given", "parameter", "expected"),
    [
        (resource("ValueSet", url="http://a/VS"), "url", ["http://a/VS"]),
        (resource("Patient", meta={"profile": ["http://p", "http://q"]}), "_profile", ["http://p", "http://q"]),
        (resource("Patient", meta={"source": "http://s"}), "_source", ["http://s"]),
        (resource("Subscription", channel={"endpoint": "http://e"}), "url", ["http://e"]),
    ],
)
def test_uris(given: dict[str, Any], parameter: str, expected: list[str]) -> None:
    assert values(given, "uris", parameter) == [(uri,) for uri in expected]


# ---- whatever comes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk", [None, 5, "x", True, [], {}, [None], [5], [{"coding": 5}], {"coding": [5, None, {}]}, [[{}]]]
)
@pytest.mark.parametrize("type_name", ["Patient", "Observation", "Bundle", "MolecularSequence", "RiskAssessment"])
def test_values_of_the_wrong_kind_are_passed_over(type_name: str, junk: Any) -> None:
    wrong = dict.fromkeys(_properties(type_name), junk) | {"resourceType": type_name}
    found = extract(wrong)
    for kind in ("tokens", "strings", "uris", "references", "dates", "quantities", "numbers"):
        for value in getattr(found, kind):
            assert isinstance(value[0], str)
            hash(value)


def _properties(type_name: str) -> list[str]:
    return [
        one.name.removesuffix("[x]") + (kind[0].upper() + kind[1:] if one.is_choice else "")
        for one in facts.children(type_name)
        for kind in (one.types or ("x",))
    ]


@pytest.mark.parametrize("given", [{}, {"resourceType": "Nothing"}, {"resourceType": 5}])
def test_what_is_no_resource_has_no_values(given: dict[str, Any]) -> None:
    assert extract(given).tokens == []


def test_primitive_extensions_alone_give_no_value() -> None:
    patient = resource("Patient", _birthDate={"extension": [{"url": "x"}]}, gender=None)
    assert values(patient, "dates", "birthdate") == []
    assert values(patient, "tokens", "gender") == []
