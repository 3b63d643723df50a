"""What tests of images have in common: a Media of one, and what it has brought."""

from __future__ import annotations

import base64
from typing import Any

from tests.conformance.conftest import Fhir

EVERYTHING = ("Observation", "Media", "DiagnosticReport", "Provenance", "Device", "Task")


def media(patient: str, data: bytes, content_type: str = "image/png", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Media",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "createdDateTime": "2024-05-02T08:15:30+02:00",
        "content": {"contentType": content_type, "data": base64.b64encode(data).decode()},
    } | elements


def all_of(fhir: Fhir, *types: str) -> dict[str, int]:
    return {name: fhir.total(name) for name in types or EVERYTHING}


def tasks(fhir: Fhir) -> list[str]:
    return [one["status"] for one in fhir.get("Task").resources()]
