"""What a model found in one image, as FHIR: Observation, heat map, DiagnosticReport, Provenance, Device.

The Observation stays preliminary until a person accepts it, and everything carries the label AIAST. Which element holds
what: docs/ai-results.md. https://hl7.org/fhir/R4/observation.html
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from fhir_adapters import ai_codes as codes
from fhir_adapters import ai_model
from fhir_adapters.ai_codes import Element
from fhir_adapters.ai_model import ModelFacts, Resource, full_url, typed
from ml.result import Prediction

HEAT_MAP_SIZE = 224
_LABEL = "Made by an AI model, not reviewed by a person."


@dataclass(frozen=True, slots=True)
class Source:
    """The Media that was judged: its address and resource, and the SHA-256 of its image bytes."""

    reference: str
    media: Resource
    sha256: str

    @property
    def patient(self) -> str:
        """Whose image it is, Patient/id."""
        return str(self.media["subject"]["reference"])

    @property
    def subject(self) -> Element:
        """A reference to the patient."""
        return {"reference": self.patient}

    @property
    def shared(self) -> Element:
        """What every resource about the image has in common with it."""
        encounter = self.media.get("encounter")
        kept = {} if encounter is None or _is_inside(encounter) else {"encounter": encounter}
        return {"subject": self.subject, **kept}

    @property
    def effective(self) -> Element:
        """When the image was made, as far as the Media tells."""
        for name in ("createdDateTime", "createdPeriod"):
            if name in self.media:
                return {f"effective{name.removeprefix('created')}": self.media[name]}
        return {}

    @property
    def based_on(self) -> Element:
        """The orders behind the image."""
        orders = [one for one in self.media.get("basedOn", ()) if not _is_inside(one)]
        return {"basedOn": orders} if orders else {}


def _is_inside(reference: Element) -> bool:
    """Tell whether it leads to what the Media contains, which nothing else can refer to."""
    return str(reference.get("reference", "")).startswith("#")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an image was not judged: a code of DATA_ABSENT, and a sentence for the reader."""

    code: str
    reason: str


def result_identifier(source: Source, found: Prediction | Refusal, model: ModelFacts) -> Element:
    """The same image of the same patient, judged by the same model version, is the same result.

    What kept the model from looking at all may be put right later: then the image is judged, beside the old refusal.
    """
    why = (found.code, found.reason) if isinstance(found, Refusal) else ()
    return ai_model.result_identifier(source.patient, source.sha256, model.name, model.version, *why)


def diagnosis_bundle(
    source: Source,
    found: Prediction | Refusal,
    model: ModelFacts,
    positive_class: str,
    heat_map: bytes | None,
    now: str,
) -> Resource:
    """A transaction Bundle of one result; sent twice, it still makes one.

    `heat_map` is a PNG; a refusal has none, and neither number nor report. The Observation is the first entry.
    """
    identifier = result_identifier(source, found, model)
    if isinstance(found, Prediction) and not found.accepted:
        found = Refusal("not-performed", found.reason or "The model did not judge the image.")
    observation_url = full_url(identifier, "Observation")
    observation = _observation(source, model, positive_class, identifier, now)
    if isinstance(found, Refusal):
        observation |= _refused(found)
        extra: list[Element] = []
    else:
        observation |= _judged(found)
        extra = _shown(source, found, model, positive_class, heat_map, identifier, now)
        observation["derivedFrom"] += [_pointer(one) for one in extra if one["resource"]["resourceType"] == "Media"]
    targets = [observation_url, *(one["fullUrl"] for one in extra)]
    return ai_model.transaction([
        ai_model.result_of(typed(observation), identifier, source.patient),
        *extra,
        ai_model.device_entry(model),
        ai_model.provenance_entry(identifier, model, targets, [source.reference], now, source.patient),
    ])  # fmt: skip


def _pointer(entry: Element) -> Element:
    return {"reference": entry["fullUrl"]}


def _observation(source: Source, model: ModelFacts, positive_class: str, identifier: Element, now: str) -> Resource:
    return {
        "resourceType": "Observation",
        "meta": ai_model.meta(),
        "identifier": [identifier],
        **source.based_on,
        "status": "preliminary",
        "category": [codes.IMAGING],
        "code": codes.finding(positive_class),
        **source.shared,
        **source.effective,
        "issued": now,
        "bodySite": source.media.get("bodySite", codes.THORAX),
        "method": codes.own("image-model", f"{model.title}: {model.name} {model.version}"),
        "device": {"reference": ai_model.device_url(model), "display": f"{model.name} {model.version}"},
        "derivedFrom": [{"reference": source.reference}],
    }


def _refused(refusal: Refusal) -> Element:
    return {
        "dataAbsentReason": codes.absent(refusal.code),
        "note": [{"text": f"Not judged: {refusal.reason}"}],
    }


def _judged(found: Prediction) -> Element:
    probability = found.probability or 0.0
    confidence = probability if found.positive else 1 - probability
    answer = {
        "extension": [{"url": codes.CONFIDENCE_EXTENSION, "valueDecimal": round(confidence, 6)}],
        "coding": [codes.PRESENT if found.positive else codes.ABSENT],
    }
    below = {"high": codes.quantity(found.threshold), "text": "Below the threshold the finding counts as absent."}
    components = [
        _component("probability", probability) | {"referenceRange": [below]},
        _component("decision-threshold", found.threshold),
    ]
    if found.gate_score is not None:
        components += [_component("gate-score", found.gate_score), _component("gate-threshold", found.gate_threshold)]
    return {
        "valueCodeableConcept": answer,
        "interpretation": [codes.POSITIVE if found.positive else codes.NEGATIVE],
        "note": [{"text": _LABEL}],
        "component": components,
    }


def _component(code: str, value: float) -> Element:
    return {"code": codes.own(code), "valueQuantity": codes.quantity(value)}


def _shown(
    source: Source,
    found: Prediction,
    model: ModelFacts,
    positive_class: str,
    heat_map: bytes | None,
    identifier: Element,
    now: str,
) -> list[Element]:
    """The heat map, where there is one, and the report."""
    entries = []
    if heat_map is not None:
        media = _heat_map(source, model, positive_class, heat_map, identifier, now)
        entries.append(ai_model.result_of(typed(media), identifier, source.patient))
    report = _report(source, found, positive_class, identifier, now)
    report["media"] = [{"comment": "Image that was judged", "link": {"reference": source.reference}}]
    report["media"] += [{"comment": "Heat map", "link": _pointer(entry)} for entry in entries]
    return [*entries, ai_model.result_of(typed(report), identifier, source.patient)]


def _heat_map(
    source: Source, model: ModelFacts, positive_class: str, heat_map: bytes, identifier: Element, now: str
) -> Resource:
    return {
        "resourceType": "Media",
        "meta": ai_model.meta(),
        "identifier": [identifier],
        **source.based_on,
        "status": "completed",
        "type": codes.IMAGE,
        "modality": codes.own("heat-map"),
        **source.shared,
        "createdDateTime": now,
        "issued": now,
        "device": {"reference": ai_model.device_url(model), "display": f"{model.name} {model.version}"},
        "height": HEAT_MAP_SIZE,
        "width": HEAT_MAP_SIZE,
        "content": {
            "contentType": "image/png",
            "data": base64.b64encode(heat_map).decode("ascii"),
            "title": f"Heat map: red speaks for {positive_class}, blue against",
            "creation": now,
        },
        "note": [{"text": f"{_LABEL} It covers the central square of {source.reference}."}],
    }


def _report(source: Source, found: Prediction, positive_class: str, identifier: Element, now: str) -> Resource:
    decision = "present" if found.positive else "absent"
    return {
        "resourceType": "DiagnosticReport",
        "meta": ai_model.meta(),
        "identifier": [identifier],
        **source.based_on,
        "status": "preliminary",
        "category": [codes.RADIOLOGY],
        "code": codes.RADIOLOGY_STUDY,
        **source.shared,
        **source.effective,
        "issued": now,
        "result": [{"reference": full_url(identifier, "Observation")}],
        "conclusion": f"{_LABEL} {positive_class.capitalize()} {decision}: probability {found.probability:.3f}, "
        f"called present from {found.threshold:g}. A person has to read the image.",
    }


def completed(task: dict[str, Any], bundle: Resource, now: str) -> Resource:
    """The Task of a result, with what came of it; its references are those inside the Bundle."""
    outputs = [
        {"type": {"text": entry["resource"]["resourceType"]}, "valueReference": _pointer(entry)}
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] in ("Observation", "DiagnosticReport", "Media")
    ]
    return {**task, "status": "completed", "lastModified": now, "output": outputs}
