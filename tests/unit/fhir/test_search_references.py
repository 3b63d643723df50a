"""The references that resources are found by: https://hl7.org/fhir/R4/search.html#reference"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.search_parameters import extract
from tests.unit.fhir.extracted import resource, values


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


def test_a_canonical_of_a_contained_resource_is_present_but_points_nowhere() -> None:
    found = extract(resource("CarePlan", instantiatesCanonical=["#plan"]))
    assert found.references == []
    assert "instantiates-canonical" in found.present
