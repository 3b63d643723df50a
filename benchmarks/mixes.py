"""The three mixes by which FHIR servers are compared in public, written afresh and seeded.

crud: 36 requests an iteration: nine linked types are created, read, updated, and deleted in reverse.
search: an iteration asks one random query of each parameter, of six groups; ids are harvested first.
import: transaction Bundles in rotation.
After HealthSamurai's fhir-server-performance-benchmark (what it does, none of its code).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks import samples
from benchmarks.scripted import Answer, Request, Script

Json = dict[str, Any]
_CLASS = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
_USD = "USD"


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


# ---- crud ------------------------------------------------------------------------------------------------------------

References = dict[str, str]


def _location(source: random.Random, _made: References) -> Json:
    return {"status": "active", "name": f"Clinic {source.randrange(10_000)}", "telecom": [
        {"system": "phone", "value": f"555-{source.randrange(10**7):07d}"}]}  # fmt: skip


def _organization(source: random.Random, _made: References) -> Json:
    number = source.randrange(10**9)
    return {"identifier": [{"system": "urn:example:organization", "value": str(number)}], "active": True,
            "name": f"Hospital {number}"}  # fmt: skip


def _practitioner(source: random.Random, _made: References) -> Json:
    number = source.randrange(10**9)
    return {"identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": f"{number:010d}"}],
            "active": True, "name": [{"family": f"Doctor{number % 9973}", "given": ["Test"]}]}  # fmt: skip


def _encounter(source: random.Random, made: References) -> Json:
    day = f"2024-{source.randrange(1, 13):02d}-{source.randrange(1, 29):02d}"
    return {"status": "finished", "class": _CLASS, "subject": {"reference": made["Patient"]},
            "participant": [{"individual": {"reference": made["Practitioner"]}}],
            "location": [{"location": {"reference": made["Location"]}}],
            "period": {"start": f"{day}T09:00:00Z", "end": f"{day}T09:30:00Z"},
            "serviceProvider": {"reference": made["Organization"]}}  # fmt: skip


def _observation(source: random.Random, made: References) -> Json:
    return samples.observation(source, made["Patient"], made["Encounter"])


def _medication_request(source: random.Random, made: References) -> Json:
    return {"status": "active", "intent": "order",
            "medicationCodeableConcept": _concept("http://www.nlm.nih.gov/research/umls/rxnorm", "314076",
                                                  "lisinopril 10 MG Oral Tablet"),
            "subject": {"reference": made["Patient"]}, "encounter": {"reference": made["Encounter"]},
            "authoredOn": f"2024-05-{source.randrange(1, 29):02d}T10:00:00Z",
            "requester": {"reference": made["Practitioner"]},
            "dosageInstruction": [{"sequence": 1, "text": "Take daily."}]}  # fmt: skip


def _claim(source: random.Random, made: References) -> Json:
    return {"status": "active",
            "type": _concept("http://terminology.hl7.org/CodeSystem/claim-type", "institutional", "Institutional"),
            "use": "claim", "patient": {"reference": made["Patient"]}, "created": "2024-06-01",
            "provider": {"reference": made["Organization"]},
            "priority": _concept("http://terminology.hl7.org/CodeSystem/processpriority", "normal", "Normal"),
            "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": "self pay"}}],
            "item": [{"sequence": 1, "productOrService": {"text": "Visit"},
                      "encounter": [{"reference": made["Encounter"]}]}],
            "total": {"value": source.randrange(100, 9000), "currency": _USD}}  # fmt: skip


def _explanation_of_benefit(source: random.Random, made: References) -> Json:
    return {"status": "active",
            "type": _concept("http://terminology.hl7.org/CodeSystem/claim-type", "institutional", "Institutional"),
            "use": "claim", "patient": {"reference": made["Patient"]}, "created": "2024-06-02",
            "insurer": {"display": "Insurer"}, "provider": {"reference": made["Organization"]},
            "claim": {"reference": made["Claim"]}, "outcome": "complete",
            "insurance": [{"focal": True, "coverage": {"display": "self pay"}}],
            "total": [{"category": {"text": "Submitted"},
                       "amount": {"value": source.randrange(100, 9000), "currency": _USD}}]}  # fmt: skip


def _patient(source: random.Random, _made: References) -> Json:
    return samples.patient(source)


#: In the order in which they are created, each with the types that it refers to.
_LINKED: tuple[tuple[str, Callable[[random.Random, References], Json], tuple[str, ...]], ...] = (
    ("Patient", _patient, ()), ("Location", _location, ()), ("Organization", _organization, ()),
    ("Practitioner", _practitioner, ()),
    ("Encounter", _encounter, ("Patient", "Practitioner", "Location", "Organization")),
    ("Observation", _observation, ("Patient", "Encounter")),
    ("MedicationRequest", _medication_request, ("Patient", "Encounter", "Practitioner")),
    ("Claim", _claim, ("Patient", "Organization", "Encounter")),
    ("ExplanationOfBenefit", _explanation_of_benefit, ("Patient", "Organization", "Claim")),
)  # fmt: skip


def linked(source: random.Random, made: References) -> Iterator[tuple[str, Json]]:
    """Yield the nine linked resources; the caller puts each one's reference into `made` before it asks for the next.

    What refers to a resource that is not made, as a server refused it, is left out.
    """
    for type_name, build, needed in _LINKED:
        if all(one in made for one in needed):
            yield type_name, {"resourceType": type_name, **build(source, made)}


def crud(seed: int) -> Script:
    """One user who creates, reads, updates and deletes nine linked resources, again and again."""
    source = random.Random(seed)
    while True:
        made: References = {}
        kept: list[tuple[str, Json]] = []
        for type_name, resource in linked(source, made):
            answer = yield Request("create", "POST", type_name, samples.dumped(resource), (201,))
            if answer.status != 201:
                continue
            made[type_name] = reference_of(answer, type_name)
            kept.append((made[type_name], resource))
        for reference, _ in kept:
            yield Request("read", "GET", reference)
        for reference, resource in kept:
            changed = {**resource, "id": reference.partition("/")[2], "language": "en"}
            yield Request("update", "PUT", reference, samples.dumped(changed))
        for reference, _ in reversed(kept):
            yield Request("delete", "DELETE", reference, b"", (200, 204))


def reference_of(answer: Answer, type_name: str) -> str:
    """Return Type/id of what was created: from the Location, or else the body."""
    _, found, rest = answer.headers.get("location", "").partition(f"/{type_name}/")
    if found:
        return f"{type_name}/{rest.split('/')[0]}"
    return f"{type_name}/{answer.json()['id']}"


# ---- search ----------------------------------------------------------------------------------------------------------

_PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
_QUANTITY_PREFIXES = ("eq", "gt", "lt", "ge", "le", "ne")


@dataclass(slots=True)
class Harvest:
    """Ids and codes that the store really has."""

    ids: dict[str, list[str]] = field(default_factory=dict)


def harvest(harvested: Harvest) -> Script:
    """Collect the ids of up to 200 resources of each type that references are asked for."""
    for type_name in ("Patient", "Encounter", "Practitioner"):
        answer = yield Request("harvest", "GET", f"{type_name}?_count=200")
        rows = answer.json().get("entry", []) if answer.status == 200 else []
        found = (row["resource"] for row in rows if "resource" in row)
        harvested.ids[type_name] = [one["id"] for one in found if one["resourceType"] == type_name]


def search(seed: int, harvested: Harvest) -> Script:
    """One user who asks one random query of each parameter, in any order: also of an iteration that is cut short."""
    source = random.Random(seed)
    while True:
        iteration = list(queries(source, harvested))
        source.shuffle(iteration)
        for group, query in iteration:
            yield Request(group, "GET", f"{query}&_count=20")


def queries(source: random.Random, harvested: Harvest) -> Iterator[tuple[str, str]]:
    """Yield (group, search) for each parameter of the six groups."""
    for type_name, parameter, words in (
        ("Patient", "name", ("Abb", "Garcia", "Nobody")), ("Patient", "address", ("Spring", "Main", "Boston")),
        ("Organization", "name", ("Hosp", "HOSPITAL", "Clinic")),
    ):  # fmt: skip
        modifier = source.choice(("", "", ":contains"))
        yield "string", f"{type_name}?{parameter}{modifier}={source.choice(words)}"
    for type_name, parameter in (("Patient", "birthdate"), ("Observation", "date"), ("Encounter", "date")):
        year = source.randrange(1930, 2020) if parameter == "birthdate" else source.randrange(2010, 2026)
        value = source.choice((str(year), f"{year}-0{source.randrange(1, 10)}"))
        yield "date", f"{type_name}?{parameter}={source.choice(_PREFIXES)}{value}"
    code = source.choice(samples.CODES)[0]
    yield "token", f"Observation?category={source.choice(('vital-signs', 'laboratory', 'vital-signs,laboratory'))}"
    yield "token", f"Observation?code={source.choice((f'http://loinc.org%7C{code}', code, 'none-such'))}"
    yield "token", f"Encounter?status={source.choice(('finished', 'planned', 'finished,in-progress'))}"
    yield "token", f"Encounter?class={source.choice(('AMB', 'EMER', 'IMP,AMB'))}"
    for parameter in ("value-quantity", "component-value-quantity", "combo-value-quantity"):
        yield "quantity", f"Observation?{parameter}={source.choice(_QUANTITY_PREFIXES)}{source.randrange(5, 200)}"
    for parameter in ("code-value-quantity", "component-code-value-quantity", "combo-code-value-quantity"):
        bound = f"{source.choice(('gt', 'lt', 'ge', 'le'))}{source.randrange(5, 200)}"
        yield "composite", f"Observation?{parameter}=http://loinc.org%7C{code}${bound}"
    for type_name, parameter, target in (
        ("Observation", "subject", "Patient"), ("Observation", "encounter", "Encounter"),
        ("Observation", "performer", "Practitioner"), ("Encounter", "subject", "Patient"),
        ("Encounter", "participant", "Practitioner"), ("MedicationRequest", "subject", "Patient"),
        ("MedicationRequest", "encounter", "Encounter"), ("MedicationRequest", "requester", "Practitioner"),
    ):  # fmt: skip
        id_ = source.choice(harvested.ids.get(target) or ["none"])
        yield "reference", f"{type_name}?{parameter}={target}/{id_}"


# ---- import ----------------------------------------------------------------------------------------------------------


def import_(bundles: list[bytes], first: int, step: int) -> Script:
    """One user who posts every `step`-th Bundle, round and round."""
    number = first
    while True:
        yield Request("bundle", "POST", "", bundles[number % len(bundles)])
        number += step


def generated_bundles(seed: int, number: int) -> list[bytes]:
    """Return transaction Bundles of 97 resources each."""
    source = random.Random(seed)
    return [samples.dumped(samples.bundle(source)) for _ in range(number)]


def entries_of(bundle: bytes) -> int:
    """Return the number of entries of a Bundle."""
    return len(json.loads(bundle)["entry"])
