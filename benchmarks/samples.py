"""Generated records for benchmarks: seeded, of the shape and size of Synthea's."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

CODES = [
    ("8302-2", "Body Height", "cm", 170.0),
    ("29463-7", "Body Weight", "kg", 75.0),
    ("8867-4", "Heart rate", "/min", 72.0),
    ("9279-1", "Respiratory rate", "/min", 14.0),
    ("2339-0", "Glucose", "mg/dL", 90.0),
    ("2093-3", "Cholesterol", "mg/dL", 180.0),
    ("38483-4", "Creatinine", "mg/dL", 0.9),
    ("718-7", "Hemoglobin", "g/dL", 13.5),
    ("2947-0", "Sodium", "mmol/L", 140.0),
    ("6298-4", "Potassium", "mmol/L", 4.2),
    ("4548-4", "Hemoglobin A1c", "%", 5.4),
    ("2571-8", "Triglycerides", "mg/dL", 120.0),
]
FAMILIES = [
    "Abbott",
    "Becker",
    "Cole",
    "Diaz",
    "Evans",
    "Fischer",
    "Garcia",
    "Hansen",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lopez",
]


def patient(source: random.Random, id_: str | None = None) -> dict[str, Any]:
    """Return a Patient of about 1 kB."""
    number = source.randrange(10**9)
    resource = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:1.2.36.146.595.217.0.1", "value": f"MRN-{number}"}],
        "active": True,
        "name": [
            {
                "use": "official",
                "family": f"{source.choice(FAMILIES)}{number % 997}",
                "given": ["Test", f"G{number % 89}"],
            }
        ],
        "telecom": [{"system": "phone", "value": f"555-{number % 10**7:07d}", "use": "home"}],
        "gender": source.choice(["male", "female"]),
        "birthDate": f"{source.randrange(1930, 2020)}-{source.randrange(1, 13):02d}-{source.randrange(1, 29):02d}",
        "address": [
            {
                "line": [f"{number % 999} Main Street"],
                "city": "Springfield",
                "state": "MA",
                "postalCode": f"{number % 10**5:05d}",
            }
        ],
    }
    return resource if id_ is None else {**resource, "id": id_}


def observation(source: random.Random, subject: str, encounter: str | None = None) -> dict[str, Any]:
    """Return a vital sign of about 900 bytes."""
    code, display, unit, mean = source.choice(CODES)
    day = f"20{source.randrange(10, 26)}-{source.randrange(1, 13):02d}-{source.randrange(1, 29):02d}"
    when = f"{day}T{source.randrange(24):02d}:30:15+01:00"
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                        "display": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}], "text": display},
        "subject": {"reference": subject},
        "effectiveDateTime": when,
        "issued": when,
        "valueQuantity": {
            "value": round(mean * source.uniform(0.7, 1.3), 2),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }
    if encounter is not None:
        resource["encounter"] = {"reference": encounter}
    return resource


def bundle(source: random.Random, observations: int = 95) -> dict[str, Any]:
    """Return a transaction Bundle: a patient, an encounter, their observations."""
    patient_url, encounter_url = (f"urn:uuid:{uuid.UUID(int=source.getrandbits(128), version=4)}" for _ in range(2))
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": patient_url},
        "period": {"start": "2024-03-01T10:00:00+01:00", "end": "2024-03-01T10:30:00+01:00"},
    }
    resources = [(patient_url, patient(source)), (encounter_url, encounter)] + [
        (
            f"urn:uuid:{uuid.UUID(int=source.getrandbits(128), version=4)}",
            observation(source, patient_url, encounter_url),
        )
        for _ in range(observations)
    ]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
            for url, resource in resources
        ],
    }


def dumped(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()
