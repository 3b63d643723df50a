"""Search parameters and the values resources are found by: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hie.fhir import facts, search_definitions
from hie.fhir.datatypes import OPEN_HIGH, OPEN_LOW, parse_date
from hie.fhir.fhirpath.paths import routes
from hie.fhir.search_parameters import extract, for_type, is_comparable, nearest


def values(resource: dict[str, Any], kind: str, parameter: str) -> list[tuple[Any, ...]]:
    """Give a parameter's values of one kind, without its name."""
    return [value[1:] for value in getattr(extract(resource), kind) if value[0] == parameter]


def resource(type_name: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type_name, **elements}


# ---- the table -------------------------------------------------------------------------------------------------------


def test_every_type_has_the_parameters_of_every_resource() -> None:
    for name in facts.RESOURCE_TYPES:
        assert {"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"} <= for_type(name).keys()
    assert "_text" in for_type("Patient")
    assert "_text" not in for_type("Bundle"), "_text belongs to DomainResource, and a Bundle is none"


def test_all_1384_expressions_are_served() -> None:
    examples = search_definitions._EXAMPLE_URLS
    rows = [row for row in facts.SEARCH_PARAMETERS if row.get("expression") and row["url"] not in examples]
    assert len(rows) == 1382
    for row in rows:
        for base in row["base"]:
            if row["code"] != "part-agree":
                assert row["code"] in for_type("Resource" if base == "Resource" else base)


def test_parameters_of_every_type_can_be_asked_alone() -> None:
    assert set(for_type("Resource")) == {
        "_id", "_lastUpdated", "_profile", "_security", "_source", "_tag", "_text", "_content", "_query", "_filter",
    }  # fmt: skip


def test_an_unknown_type_has_no_parameters() -> None:
    with pytest.raises(KeyError):
        for_type("Nothing")


def test_a_parameter_whose_expression_is_for_another_type_is_not_offered() -> None:
    assert "part-agree" not in for_type("Patient")


@pytest.mark.parametrize("code", ["_text", "_content", "_query", "_filter"])
def test_parameters_without_expression_are_special(code: str) -> None:
    assert for_type("Patient")[code].is_special
    assert not for_type("Patient")[code].is_indexed


def test_near_is_special() -> None:
    assert for_type("Location")["near"].is_special


@pytest.mark.parametrize(
    ("type_name", "wrong", "right"),
    [
        ("Patient", "famly", "family"),
        ("Patient", "birthDate", "birthdate"),
        ("Patient", "lastUpdated", "_lastUpdated"),
        ("Observation", "combo_code", "combo-code"),
        ("Observation", "subjct", "subject"),
        ("Patient", "qqqq", None),
        ("Patient", "count", "_count"),
        ("Patient", "_revInclude", "_revinclude"),
        ("Patient", "_sumary", "_summary"),
        ("Observation", "effectiveDateTime", "date"),
        ("Encounter", "period", "date"),
        ("Condition", "onsetDateTime", "onset-date"),
        ("Observation", "valueQuantity", "value-quantity"),
        ("Observation", "valueCodeableConcept", "value-concept"),
        ("Immunization", "occurrence", "date"),
        ("Patient", "managingOrganization", "organization"),
        ("Patient", "_query-latency", None),
    ],
)
def test_the_nearest_parameter_is_named(type_name: str, wrong: str, right: str | None) -> None:
    assert nearest(type_name, wrong) == right


def test_no_example_of_the_specification_takes_the_place_of_a_parameter() -> None:
    assert for_type("Condition")["subject"].targets == {"Group", "Patient"}
    codes = [(row["code"], base) for row in facts.SEARCH_PARAMETERS for base in row.get("base", ())]
    twice = {pair for pair in codes if codes.count(pair) > 1}
    assert twice == {("subject", "Condition"), ("_id", "Resource")}
    for code, base in twice:
        assert for_type(base)[code].url.rpartition("/")[2] in ("Condition-subject", "Resource-id")


def test_targets_and_components_are_told() -> None:
    assert for_type("Observation")["subject"].targets == {"Group", "Device", "Patient", "Location"}
    code, quantity = for_type("Observation")["code-value-quantity"].components
    assert (code.code, code.type, code.expression) == ("code", "token", "code")
    assert (quantity.type, quantity.expression) == ("quantity", "value.as(Quantity)")
    assert for_type("Patient")["birthdate"].element_types == {"date"}


# ---- parameters that repeat others -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "code", "union"),
    [
        ("Observation", "combo-code", {"code", "component-code"}),
        ("Observation", "combo-value-quantity", {"value-quantity", "component-value-quantity"}),
        ("Observation", "combo-value-concept", {"value-concept", "component-value-concept"}),
        ("Observation", "combo-data-absent-reason", {"data-absent-reason", "component-data-absent-reason"}),
        ("Observation", "combo-code-value-quantity", {"code-value-quantity", "component-code-value-quantity"}),
        ("Observation", "combo-code-value-concept", {"code-value-concept", "component-code-value-concept"}),
        ("Patient", "phonetic", {"name"}),
        ("Patient", "name", set()),
        ("Patient", "telecom", set()),
        ("Observation", "code", set()),
    ],
)
def test_a_parameter_that_is_others_together_says_so(type_name: str, code: str, union: set[str]) -> None:
    assert set(for_type(type_name)[code].union_of) == union


@pytest.mark.parametrize(
    ("type_name", "code", "base"),
    [
        ("Observation", "patient", ("subject", "Patient")),
        ("Encounter", "practitioner", ("participant", "Practitioner")),
        ("Appointment", "location", ("actor", "Location")),
        ("Person", "relatedperson", ("link", "RelatedPerson")),
        ("AllergyIntolerance", "patient", None),
        ("Observation", "subject", None),
        ("Provenance", "patient", ("target", "Patient")),
    ],
)
def test_a_parameter_that_restricts_another_says_so(type_name: str, code: str, base: tuple[str, str] | None) -> None:
    assert for_type(type_name)[code].restricts == base


def test_what_a_repeating_parameter_names_is_indexed() -> None:
    for name in facts.RESOURCE_TYPES:
        parameters = for_type(name)
        for one in parameters.values():
            named = (*one.union_of, *((one.restricts[0],) if one.restricts else ()))
            assert all(parameters[other].is_indexed for other in named), (name, one.code)


def test_a_repeating_parameter_gives_no_values() -> None:
    observation = resource("Observation", code={"coding": [{"code": "a"}]}, subject={"reference": "Patient/1"})
    assert values(observation, "tokens", "code") == [("", "a")]
    assert values(observation, "tokens", "combo-code") == []
    assert values(observation, "references", "subject") == [("Patient", "1", None, None, None)]
    assert values(observation, "references", "patient") == []


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


# ---- reference: search.html#reference --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"reference": "Patient/1"}, ("Patient", "1", None, None, None)),
        ({"reference": "Patient/1/_history/3"}, ("Patient", "1", None, None, "3")),
        ({"reference": "http://a.org/fhir/Patient/1"}, ("Patient", "1", "http://a.org/fhir/Patient/1", None, None)),
        (
            {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "type": "Patient"},
            ("Patient", None, "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", None, None),
        ),
        ({"reference": "http://a.org/x"}, (None, None, "http://a.org/x", None, None)),
        ({"identifier": {"system": "s", "value": "v"}}, (None, None, None, ("s", "v"), None)),
        ({"identifier": {"value": "v"}, "type": "Group"}, ("Group", None, None, ("", "v"), None)),
        (
            {"reference": "Patient/1", "identifier": {"system": "s", "value": "v"}},
            ("Patient", "1", None, ("s", "v"), None),
        ),
    ],
)
def test_references(reference: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert values(resource("Observation", subject=reference), "references", "subject") == [expected]


@pytest.mark.parametrize("reference", [{"reference": "#p"}, {"display": "Peter"}, {"reference": "nonsense"}, {}])
def test_a_reference_that_points_nowhere_is_present_all_the_same(reference: dict[str, Any]) -> None:
    found = extract(resource("Observation", subject=reference))
    assert found.references == []
    assert "subject" in found.present


@pytest.mark.parametrize(
    ("given", "parameter", "expected"),
    [
        (
            resource("CarePlan", instantiatesCanonical=["http://a|1"]),
            "instantiates-canonical",
            [(None, None, "http://a", None, "1")],
        ),
        (resource("ConceptMap", sourceCanonical="http://vs"), "source-uri", [(None, None, "http://vs", None, None)]),
        (resource("ConceptMap", sourceUri="http://vs"), "source-uri", [(None, None, "http://vs", None, None)]),
        (resource("ConceptMap", sourceUri="http://vs"), "source", []),
        (
            resource(
                "Library",
                relatedArtifact=[
                    {"type": "depends-on", "resource": "http://l"},
                    {"type": "successor", "resource": "http://n"},
                ],
            ),
            "depends-on",
            [(None, None, "http://l", None, None)],
        ),
        (
            resource(
                "Bundle",
                type="document",
                entry=[
                    {"resource": {"resourceType": "Composition", "id": "c"}},
                    {"resource": {"resourceType": "Composition", "id": "d"}},
                ],
            ),
            "composition",
            [("Composition", "c", None, None, None)],
        ),
        (
            resource("Bundle", type="message", entry=[{"resource": {"resourceType": "MessageHeader", "id": "m"}}]),
            "composition",
            [],
        ),
        (
            resource("Bundle", type="message", entry=[{"resource": {"resourceType": "MessageHeader", "id": "m"}}]),
            "message",
            [("MessageHeader", "m", None, None, None)],
        ),
        (
            resource("MedicationRequest", medicationReference={"reference": "Medication/1"}),
            "medication",
            [("Medication", "1", None, None, None)],
        ),
        (
            resource(
                "QuestionnaireResponse",
                item=[
                    {
                        "linkId": "1",
                        "extension": [
                            {
                                "url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject",
                                "valueBoolean": True,
                            }
                        ],
                        "answer": [{"valueReference": {"reference": "Patient/7"}}],
                    },
                    {"linkId": "2", "answer": [{"valueReference": {"reference": "Patient/8"}}]},
                ],
            ),
            "item-subject",
            [("Patient", "7", None, None, None)],
        ),
    ],
)
def test_references_by_special_paths(given: dict[str, Any], parameter: str, expected: list[tuple[Any, ...]]) -> None:
    assert values(given, "references", parameter) == expected


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


def bounds(text: str) -> tuple[int, int]:
    return parse_date(text)[:2]


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


# ---- composite: search.html#combining --------------------------------------------------------------------------------


def test_components_of_a_composite_come_from_the_same_element() -> None:
    observation = resource(
        "Observation",
        code={"coding": [{"system": "s", "code": "bp"}]},
        component=[
            {"code": {"coding": [{"system": "s", "code": "sys"}]}, "valueQuantity": {"value": 120}},
            {"code": {"coding": [{"system": "s", "code": "dia"}]}, "valueQuantity": {"value": 80}},
            {"code": {"coding": [{"system": "s", "code": "map"}]}},
            {"code": {"text": "no code"}, "valueQuantity": {"value": 1}},
        ],
    )
    assert values(observation, "composites", "component-code-value-quantity") == [
        (([("s", "sys")], [(120, 120, None, None, None)]),),
        (([("s", "dia")], [(80, 80, None, None, None)]),),
    ]
    assert values(observation, "composites", "code-value-quantity") == []


def test_a_canonical_of_a_contained_resource_is_present_but_points_nowhere() -> None:
    found = extract(resource("CarePlan", instantiatesCanonical=["#plan"]))
    assert found.references == []
    assert "instantiates-canonical" in found.present


def test_every_component_leads_to_what_it_compares() -> None:
    """R4's registry crosses the paths of DocumentReference-relationship."""
    for type_name in facts.RESOURCE_TYPES:
        for parameter in for_type(type_name).values():
            for one in parameter.components:
                elements = routes(parameter.expression or "", type_name) or ()
                found = {way.type for element in elements for way in routes(one.expression, element.type) or ()}
                assert any(is_comparable(one.type, kind) for kind in found), (type_name, parameter.code, one)


def test_a_composite_of_the_whole_resource() -> None:
    observation = resource("Observation", code={"coding": [{"code": "a"}, {"code": "b"}]}, valueDateTime="2012")
    assert values(observation, "composites", "code-value-date") == [
        (([("", "a"), ("", "b")], [(*bounds("2012"), "2012")]),)
    ]


def test_a_composite_may_reach_for_the_resource_around() -> None:
    sequence = resource(
        "MolecularSequence",
        referenceSeq={"chromosome": {"coding": [{"code": "1"}]}},
        variant=[{"start": 5, "end": 6}, {"start": 7}],
    )
    assert values(sequence, "composites", "chromosome-variant-coordinate") == [(([("", "1")], [(5, 5)], [(6, 6)]),)]


def test_a_composite_of_a_usage_context() -> None:
    context = {"code": {"system": "s", "code": "age"}, "valueRange": {"low": {"value": 1}, "high": {"value": 5}}}
    library = resource("Library", useContext=[context])
    assert values(library, "composites", "context-type-quantity") == [(([("s", "age")], [(1, 5, None, None, None)]),)]


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
