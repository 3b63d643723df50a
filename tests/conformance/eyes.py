"""What tests of search parameters defined here have in common: the colour of eyes, and who is found by it."""

from __future__ import annotations

from typing import Any

from tests.builders import patient
from tests.conformance.conftest import Answer, Fhir

EYES = "http://example.org/eyes"


def eyed(colour: str, **more: Any) -> dict[str, Any]:
    return patient(extension=[{"url": EYES, "valueCode": colour}], **more)


def definition(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter", "url": "http://example.org/SearchParameter/eyes", "name": "eyes",
        "status": "active", "description": "Colour of the eyes", "code": "eyes", "base": ["Patient"], "type": "token",
        "expression": f"Patient.extension('{EYES}').value", **more,
    }  # fmt: skip


def ids(answer: Answer) -> set[str]:
    assert answer.status == 200, answer.content
    return {one["id"] for one in answer.resources()}


def codes(fhir: Fhir, type_name: str = "Patient") -> set[str]:
    """Return the codes of the search parameters that the CapabilityStatement states for a type."""
    rows = fhir.get("metadata").json["rest"][0]["resource"]
    return {one["name"] for row in rows if row["type"] == type_name for one in row["searchParam"]}
