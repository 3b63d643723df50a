"""Fictitious records for the demonstration: three invented patients, labelled as test data.

Label: https://terminology.hl7.org/CodeSystem-v3-ActReason.html (HTEST)
"""

from __future__ import annotations

from typing import Any, NamedTuple

Resource = dict[str, Any]

SNOMED, RXNORM, CVX = (
    "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm", "http://hl7.org/fhir/sid/cvx",
)  # fmt: skip
HL7 = "http://terminology.hl7.org/CodeSystem"
LABEL = {"system": f"{HL7}/v3-ActReason", "code": "HTEST", "display": "test health data"}
IDENTIFIER = "urn:x-hie:sample-record"
_META = {"security": [LABEL]}


class Item(NamedTuple):
    """One thing of a history: resource type, code, text, and the day of it."""

    type: str
    code: str
    text: str
    day: str


class Person(NamedTuple):
    """An invented patient."""

    given: str
    gender: str
    birth_date: str
    history: tuple[Item, ...]


PEOPLE = (
    Person("Ada", "female", "1961-04-12", (
        Item("Condition", "162864005", "Body mass index 30+ - obesity (finding)", "2009-05-20"),
        Item("Condition", "38341003", "Hypertension", "2012-03-02"),
        Item("Condition", "15777000", "Prediabetes", "2016-09-14"),
        Item("MedicationRequest", "316049", "Hydrochlorothiazide 25 MG", "2012-03-02"),
        Item("Immunization", "140", "Influenza, seasonal, injectable, preservative free", "2024-10-08"),
    )),
    Person("Ben", "male", "2019-08-30", (
        Item("Condition", "195662009", "Acute viral pharyngitis (disorder)", "2024-02-11"),
        Item("Immunization", "133", "Pneumococcal conjugate PCV 13", "2020-10-30"),
    )),
    Person("Cleo", "female", "2020-11-05", (
        Item("Condition", "10509002", "Acute bronchitis (disorder)", "2025-01-19"),
        Item("MedicationRequest", "313782", "Acetaminophen 325 MG Oral Tablet", "2025-01-19"),
        Item("Immunization", "133", "Pneumococcal conjugate PCV 13", "2021-12-07"),
    )),
)  # fmt: skip


def bundle() -> Resource:
    """Return a transaction with all records; its Patients stand in the order of PEOPLE."""
    entries: list[Resource] = []
    for number, person in enumerate(PEOPLE, 1):
        address = f"urn:uuid:00000000-0000-4000-8000-{number:012}"
        entries.append(_entry(_patient(number, person), address))
        entries += [_entry(_resource(item, {"reference": address})) for item in person.history]
        entries += [_entry(_encounter(day, {"reference": address})) for day in sorted({i.day for i in person.history})]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def radiograph(patient: str, png: str) -> Resource:
    """Return the Media of a chest radiograph; `png` is base64."""
    chest = {"coding": [{"system": SNOMED, "code": "399208008", "display": "Plain chest X-ray"}]}
    return {
        "resourceType": "Media",
        "meta": _META,
        "status": "completed",
        "modality": chest,
        "subject": {"reference": f"Patient/{patient}"},
        "createdDateTime": "2025-11-03",
        "bodySite": {"coding": [{"system": SNOMED, "code": "51185008", "display": "Thoracic structure"}]},
        "content": {"contentType": "image/png", "data": png, "title": "Synthetic radiograph; shows no person"},
    }


def _entry(resource: Resource, full_url: str | None = None) -> Resource:
    request = {"method": "POST", "url": resource["resourceType"]}
    return {**({"fullUrl": full_url} if full_url else {}), "resource": resource, "request": request}


def _patient(number: int, person: Person) -> Resource:
    return {
        "resourceType": "Patient",
        "meta": _META,
        "identifier": [{"system": IDENTIFIER, "value": f"sample-{number}"}],
        "name": [{"use": "official", "family": "Testpatient", "given": [person.given]}],
        "gender": person.gender,
        "birthDate": person.birth_date,
    }


def _resource(item: Item, subject: Resource) -> Resource:
    match item.type:
        case "Condition":
            return {
                "resourceType": "Condition",
                "meta": _META,
                "clinicalStatus": _code(f"{HL7}/condition-clinical", "active"),
                "verificationStatus": _code(f"{HL7}/condition-ver-status", "confirmed"),
                "code": _code(SNOMED, item.code, item.text),
                "subject": subject,
                "onsetDateTime": item.day,
            }
        case "MedicationRequest":
            return {
                "resourceType": "MedicationRequest",
                "meta": _META,
                "status": "active",
                "intent": "order",
                "medicationCodeableConcept": _code(RXNORM, item.code, item.text),
                "subject": subject,
                "authoredOn": item.day,
            }
    return {
        "resourceType": "Immunization",
        "meta": _META,
        "status": "completed",
        "vaccineCode": _code(CVX, item.code, item.text),
        "patient": subject,
        "occurrenceDateTime": item.day,
    }


def _encounter(day: str, subject: Resource) -> Resource:
    return {
        "resourceType": "Encounter",
        "meta": _META,
        "status": "finished",
        "class": {"system": f"{HL7}/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "subject": subject,
        "period": {"start": day, "end": day},
    }


def _code(system: str, code: str, text: str | None = None) -> Resource:
    return {"coding": [{"system": system, "code": code, **({"display": text} if text else {})}]}
