"""A model as a Device, what it wrote as Provenance, and both in the transaction Bundle of its results.

HL7 AI Transparency on FHIR 1.0.0, profiles AI-Device and AI-Provenance; R4: https://hl7.org/fhir/R4/provenance.html
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fhir_adapters import ai_codes as codes
from fhir_adapters.ai_codes import Element

Resource = dict[str, Any]

_NAMESPACE = uuid.UUID("6c1a9a5e-8d0b-5a6e-9d4f-3f0f5b1f7a11")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a Device says of a model version; `threshold` is None for a model that decides nothing."""

    name: str
    version: str
    title: str
    kind: Element
    safety: str
    threshold: float | None = None

    @property
    def identifier(self) -> Element:
        """What makes a model version known: its name and version."""
        return {"system": codes.MODEL_IDENTIFIER, "value": f"{self.name}/{self.version}"}


AUTHORED = ("Observation", "Media", "DiagnosticReport", "Device", "Provenance")


def prepare() -> None:
    """Load the typed classes of what is built here; a process that does so first answers its first request sooner."""
    from fhir.resources.R4B import get_fhir_model_class

    for name in AUTHORED:
        get_fhir_model_class(name)


def typed(plain: Resource) -> Resource:
    """The resource as its R4B model has it; a mistake of ours raises here. Texts stay as they were written."""
    from fhir.resources.R4B import get_fhir_model_class

    dumped = get_fhir_model_class(plain["resourceType"])(**plain).model_dump(mode="json")
    return {**dumped, **{name: value for name, value in plain.items() if isinstance(value, str)}}


def meta(tag: Element | None = None) -> Element:
    """The label of everything that a model asserted."""
    return {"security": [codes.AIAST]} | ({"tag": [tag]} if tag else {})


def result_identifier(*parts: str) -> Element:
    """One result of a model: the same parts give the same identifier."""
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return {"system": codes.RESULT_IDENTIFIER, "value": digest}


def full_url(identifier: Element, role: str) -> str:
    """The address of a new resource inside its Bundle; made from its identity, so that the Bundle is repeatable."""
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, '|'.join((identifier['system'], identifier['value'], role)))}"


def created_once(
    resource: Resource, url: str, parameter: str, token: Element, further: Mapping[str, str] | None = None
) -> Element:
    """A Bundle entry that creates the resource unless one with this token, and what is `further` asked, is there."""
    value = f"{token['system']}|{token.get('value') or token['code']}"
    condition = urlencode({parameter: value, **(further or {})})
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": condition}
    return {"fullUrl": url, "resource": resource, "request": request}


def device_url(model: ModelFacts) -> str:
    """The address of the model's Device inside a Bundle."""
    return full_url(model.identifier, "Device")


def device_entry(model: ModelFacts) -> Element:
    """The Device of a model version, created with its first result and never changed."""
    plain: Resource = {
        "resourceType": "Device",
        "extension": [{"url": codes.KIND_EXTENSION, "valueCodeableConcept": model.kind}],
        "identifier": [model.identifier],
        "status": "active",
        "deviceName": [{"name": model.title, "type": "user-friendly-name"}, {"name": model.name, "type": "model-name"}],
        "modelNumber": model.name,
        "type": codes.ARTIFICIAL_INTELLIGENCE,
        "version": [{"value": model.version}],
        "safety": [{"text": model.safety}],
    }
    if model.threshold is not None:
        threshold = {"type": codes.own("decision-threshold"), "valueQuantity": [codes.quantity(model.threshold)]}
        plain["property"] = [threshold]
    return created_once(typed(plain), device_url(model), "identifier", model.identifier)


def provenance_entry(
    identity: Element, model: ModelFacts, targets: Iterable[str], sources: Sequence[str], recorded: str, patient: str
) -> Element:
    """Who made the targets, from what. Provenance has no identifier in R4, so a tag makes it known.

    `patient` (Patient/id) is whose Observations the targets are.
    """
    tag = {"system": identity["system"], "code": identity["value"]}
    plain: Resource = {
        "resourceType": "Provenance",
        "meta": meta(tag),
        "target": [{"reference": target} for target in targets],
        "occurredDateTime": recorded,
        "recorded": recorded,
        "reason": [codes.concept(codes.AIAST)],
        "activity": codes.CREATED,
        "agent": [
            {
                "type": codes.AUTHOR,
                "role": [codes.ARTIFICIAL_INTELLIGENCE],
                "who": {"reference": device_url(model), "display": f"{model.name} {model.version}"},
            }
        ],
    }
    if sources:
        plain["entity"] = [{"role": "source", "what": {"reference": source}} for source in sources]
    theirs = {"target:Observation.subject": patient}
    return created_once(typed(plain), full_url(identity, "Provenance"), "_tag", tag, theirs)


def result_of(resource: Resource, identifier: Element, patient: str) -> Element:
    """The entry of a resource about a patient (Patient/id) that is known by the identifier of a result.

    Whoever gave a result to another patient meanwhile made it another's: that one is not meant.
    """
    url = full_url(identifier, resource["resourceType"])
    return created_once(resource, url, "identifier", identifier, {"subject": patient})


def transaction(entries: Iterable[Element]) -> Resource:
    """A transaction Bundle."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
