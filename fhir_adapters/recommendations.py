"""What a recommender proposes for one patient, as Observations: one for each item, with its score and its reasons.

An Observation proposes nothing by itself: it stays preliminary and labelled AIAST until a person acts on it. Which
element holds what: docs/ai-results.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from fhir_adapters import ai_codes as codes
from fhir_adapters import ai_model
from fhir_adapters.ai_codes import Element
from fhir_adapters.ai_model import ModelFacts, Resource, typed
from ml.recommender.history import History, Recommendation

MOST_CONTRIBUTIONS = 10
"""Items of the history that are listed one by one; the others are one component together."""
MOST_SOURCES = 100
MOST_RECORDS = 10
"""Of one item: an answer lists up to a thousand contributions, and a drug may be ordered every week for a life."""
MOST_DISPLAY = 200

_NOTE = "Made by an AI model from like histories, not reviewed by a person. No order, and no advice to treat."
_RECORD = re.compile(r"[A-Za-z]{1,64}/[A-Za-z0-9\-.]{1,64}")


def record_state(history: History, age: int | None) -> str:
    """A hash of everything about a patient that the recommender looks at."""
    parts = [history.sex or "", "" if age is None else str(age)]
    parts += ["|".join((item.kind, item.system, item.code)) for item in history.items]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def identifier_of(found: Recommendation, patient: str, state: str, model: ModelFacts) -> Element:
    """The same item for the same state of the same record, by the same model version, is the same result."""
    return ai_model.result_identifier(patient, state, model.name, model.version, found.kind, found.system, found.code)


def observation(
    found: Recommendation, patient: str, state: str, model: ModelFacts, now: str, device: Element
) -> Resource:
    """One recommendation for `patient` (Patient/id); `device` is a reference to the model's Device."""
    value = codes.concept(codes.coding(found.system, found.code, found.display), text=found.display)
    return typed({
        "resourceType": "Observation",
        "meta": ai_model.meta(),
        "identifier": [identifier_of(found, patient, state, model)],
        "status": "preliminary",
        "category": [codes.own("recommendation")],
        "code": codes.own(f"recommended-{found.kind}"),
        "subject": {"reference": patient},
        "effectiveDateTime": now,
        "issued": now,
        "valueCodeableConcept": value,
        "note": [{"text": _NOTE}],
        "device": device,
        "component": _components(found),
    })  # fmt: skip


def recommendation_bundle(
    found: Sequence[Recommendation], patient: str, state: str, model: ModelFacts, now: str
) -> Resource:
    """A transaction Bundle of all recommendations of one answer; sent twice, it still makes each one once."""
    device = {"reference": ai_model.device_url(model), "display": f"{model.name} {model.version}"}
    entries = []
    for one in found:
        identifier = identifier_of(one, patient, state, model)
        resource = observation(one, patient, state, model, now, device)
        entries.append(ai_model.result_of(resource, identifier, patient))
    if not entries:
        return ai_model.transaction(())
    values = [entry["resource"]["identifier"][0]["value"] for entry in entries]
    identity = ai_model.result_identifier(*values)
    targets = [entry["fullUrl"] for entry in entries]
    sources = [patient, *_sources(found)][:MOST_SOURCES]
    provenance = ai_model.provenance_entry(identity, model, targets, sources, now, patient)
    return ai_model.transaction([*entries, ai_model.device_entry(model), provenance])


def _components(found: Recommendation) -> list[Element]:
    listed = found.contributions[:MOST_CONTRIBUTIONS]
    others = found.contributions[MOST_CONTRIBUTIONS:]
    components: list[Element] = [
        {"code": codes.own("score"), "valueQuantity": codes.quantity(found.score)},
        {"code": codes.own("rank"), "valueInteger": found.rank},
        {"code": codes.own("basis"), "valueCodeableConcept": codes.own(found.basis)},
    ]
    components += [_contribution(item, weight) for item, weight in listed]
    components += [
        {"code": codes.own("trait", name), "valueQuantity": codes.quantity(weight)} for name, weight in found.content
    ]
    if others:
        rest = sum(weight for _, weight in others)
        text = f"{len(others)} more items of the patient's history"
        components.append({"code": codes.own("remainder", text), "valueQuantity": codes.quantity(rest)})
    return components


def _contribution(item: Any, weight: float) -> Element:
    """What one item of the history brings; R4 has no place for item and records, so they stand in extensions."""
    display = item.display[:MOST_DISPLAY] if item.display else None
    concept = codes.concept(codes.coding(item.system, item.code, display), text=display)
    extensions = [{"url": codes.ITEM_EXTENSION, "valueCodeableConcept": concept}]
    extensions += [
        {"url": codes.SOURCE_EXTENSION, "valueReference": {"reference": source}} for source in _records(item.sources)
    ]
    more = len(item.sources) - MOST_RECORDS
    text = f"{display or item.code}, and {more} more records" if more > 0 else display
    return {
        "extension": extensions,
        "code": codes.own("contribution", text),
        "valueQuantity": codes.quantity(weight),
    }


def _sources(found: Iterable[Recommendation]) -> list[str]:
    listed = [item for one in found for item, _ in one.contributions[:MOST_CONTRIBUTIONS]]
    return list(dict.fromkeys(source for item in listed for source in _records(item.sources)))


def _records(sources: Iterable[str]) -> list[str]:
    """Those sources that are addresses of records; of many the oldest and the latest."""
    named = [source for source in sources if _RECORD.fullmatch(source)]
    half = MOST_RECORDS // 2
    return named if len(named) <= MOST_RECORDS else named[:half] + named[-half:]
