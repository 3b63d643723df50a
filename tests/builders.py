"""Resources for tests: valid by default, one line to vary."""

from __future__ import annotations

from typing import Any

Resource = dict[str, Any]
SYSTEM = "http://example.org/mrn"


def patient(family: str = "Smith", given: str = "Anna", **more: Any) -> Resource:
    """Return a Patient; `identifier="1"` is short for an identifier of the tests' own system."""
    if isinstance(more.get("identifier"), str):
        more["identifier"] = [{"system": SYSTEM, "value": more["identifier"]}]
    return {
        "resourceType": "Patient",
        "name": [{"family": family, "given": [given]}],
        "gender": "female",
        "birthDate": "1970-05-01",
        **more,
    }


VITAL_SIGN: Resource = {"coding": [
    {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
"""The category that R4 demands of vital signs, as a heart rate is."""


def observation(subject: str | None = None, value: float = 80, code: str = "8867-4", **more: Any) -> Resource:
    """Return an Observation of a heart rate."""
    resource: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": "Heart rate"},
        "effectiveDateTime": "2024-03-01T10:00:00Z",
        "valueQuantity": {"value": value, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
        **more,
    }
    if subject is not None:
        resource["subject"] = {"reference": subject}
    return resource


def practitioner(identifier: str = "1", **more: Any) -> Resource:
    """Return a Practitioner with an identifier of the tests' own system."""
    return {
        "resourceType": "Practitioner",
        "identifier": [{"system": SYSTEM, "value": identifier}],
        "name": [{"family": "Jones"}],
        **more,
    }


def encounter(subject: str, **more: Any) -> Resource:
    """Return a finished Encounter."""
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": subject},
        **more,
    }


def entry(
    method: str, url: str, resource: Resource | None = None, full_url: str | None = None, **request: Any
) -> Resource:
    """Return an entry of a batch or transaction; further arguments are elements of its request."""
    row: Resource = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        row["resource"] = resource
    if full_url is not None:
        row["fullUrl"] = full_url
    return row


def post(resource: Resource, full_url: str | None = None, **request: Any) -> Resource:
    """Return an entry that creates a resource."""
    return entry("POST", resource["resourceType"], resource, full_url, **request)


def put(resource: Resource, **request: Any) -> Resource:
    """Return an entry that updates the resource under its own id."""
    return entry("PUT", f"{resource['resourceType']}/{resource['id']}", resource, **request)


def bundle(*entries: Resource, type_: str = "transaction") -> Resource:
    """Return a Bundle of entries."""
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def parameters(**values: Any) -> Resource:
    """Return a Parameters resource: `mode=("Code", "create")`, or a resource as it is."""
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows.append({"name": name, "resource": value})
        else:
            type_, plain = value
            rows.append({"name": name, f"value{type_}": plain})
    return {"resourceType": "Parameters", "parameter": rows}
