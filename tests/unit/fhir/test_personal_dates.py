"""No SearchParameter resource brings somebody's date of birth or death into the columns that stand in clear (ADR 6)."""

from __future__ import annotations

from typing import Any

import pytest

from hie.errors import FhirError
from hie.fhir.custom_parameters import definition

BIRTH_TIME = "extension('http://hl7.org/fhir/StructureDefinition/patient-birthTime')"


def parameter(base: str, kind: str, expression: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter", "status": "active", "url": "http://example.org/born", "code": "born",
        "base": [base], "type": kind, "expression": expression, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("base", "kind", "expression"), [
    ("Patient", "date", "Patient.birthDate"),
    ("Patient", "date", "Patient.birthDate.first()"),
    ("Patient", "date", "Patient.where(active).birthDate"),
    ("Patient", "date", "Patient.select(birthDate)"),
    ("Patient", "date", "iif(true, Patient.`birthDate`)"),
    ("Patient", "date", f"Patient.birthDate.{BIRTH_TIME}.value"),
    ("Patient", "date", "Patient.children().ofType(date)"),
    ("Patient", "date", "Patient.deceased.distinct().ofType(dateTime)"),
    ("Patient", "number", "Patient.birthDate.toString().substring(0, 4).toInteger()"),
    ("Patient", "quantity", f"Patient.birthDate.{BIRTH_TIME}.value"),
    ("Observation", "date", "Observation.contained.descendants().ofType(date)"),
    ("Bundle", "date", "Bundle.entry.resource.ofType(Patient).birthDate.last()"),
    ("FamilyMemberHistory", "date", "FamilyMemberHistory.born"),
    ("FamilyMemberHistory", "date", "FamilyMemberHistory.deceased.ofType(date)"),
])  # fmt: skip
def test_what_leads_to_a_date_of_birth_or_death_is_refused(base: str, kind: str, expression: str) -> None:
    with pytest.raises(FhirError) as refused:
        definition(parameter(base, kind, expression))
    assert refused.value.status == 422
    assert "Dates of birth and death" in str(refused.value)


def test_nor_does_a_component_lead_there() -> None:
    composite = parameter("Patient", "composite", f"Patient.birthDate.{BIRTH_TIME}", component=[
        {"definition": "http://hl7.org/fhir/SearchParameter/clinical-date", "expression": "value"},
        {"definition": "http://hl7.org/fhir/SearchParameter/conformance-url", "expression": "url"},
    ])  # fmt: skip
    with pytest.raises(FhirError) as refused:
        definition(composite)
    assert "ates of birth and death" in str(refused.value)


@pytest.mark.parametrize(("kind", "expression"), [
    ("date", "Patient.contact.period"),
    ("date", "Patient.where(active).identifier.period"),
    ("string", "Patient.birthDate.toString()"),  # hashed, as every string is
    ("token", "Patient.deceased.exists()"),
])  # fmt: skip
def test_what_leads_elsewhere_or_is_hashed_is_taken(kind: str, expression: str) -> None:
    assert definition(parameter("Patient", kind, expression)) is not None
