"""Search values of the official examples and of Synthea's records, against two evaluators of the same expressions."""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import facts, fhirpath, json_format
from hie.fhir.compartments import compartment_values, single_patient
from hie.fhir.fhirpath.paths import routes
from hie.fhir.references import rewrite
from hie.fhir.search_parameters import extract, for_type

KINDS = ("tokens", "references", "strings", "dates", "numbers", "quantities", "uris", "composites")
PER_TYPE = 6
# Not in the Patient compartment of R4 at all, or (SupplyDelivery, Provenance) not by a reference that Synthea writes.
BESIDE_THE_RECORD = frozenset({"Organization", "Practitioner", "Location", "Medication", "Device"})


@pytest.fixture(scope="session")
def examples(shared_data: Path) -> list[dict[str, Any]]:
    """The first examples of each type, and those small enough to be evaluated often."""
    archive = shared_data / "definitions" / "r4-examples.tar.xz"
    if not archive.exists():
        pytest.skip("needs the official R4 examples")
    return list(_read(archive))


def _read(archive: Path) -> Iterator[dict[str, Any]]:
    seen: dict[str, int] = defaultdict(int)
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None or member.size > 200_000:
                continue
            resource = json_format.parse(content.read())
            name = resource.get("resourceType")
            if name in facts.RESOURCE_TYPES and seen[name] < PER_TYPE:
                seen[name] += 1
                yield resource


def evaluated(expression: str, resource: dict[str, Any]) -> list[Any]:
    return fhirpath.compile(expression, resource["resourceType"]).evaluate(resource)


def shown(items: list[Any]) -> list[str]:
    return sorted(json.dumps(item, default=str, sort_keys=True) for item in items)


def test_the_walk_finds_what_the_evaluator_finds(examples: list[dict[str, Any]]) -> None:
    compared = 0
    for resource in examples:
        values = extract(resource)
        found = {value[0] for kind in KINDS for value in getattr(values, kind)} | set(values.present)
        for code, one in for_type(resource["resourceType"]).items():
            if code == "_id":
                assert code not in found  # a search asks the row of the resource
                continue
            if (
                not one.is_indexed
                or one.expression is None
                or one.type == "composite"
                or "Extension" in one.element_types
            ):
                continue
            items = evaluated(one.expression, resource)
            if "Resource" in one.element_types:
                items = [item for item in items if item["resourceType"] in one.targets]
            assert (code in found) == bool(items), (resource["resourceType"], resource.get("id"), code)
            compared += bool(items)
    assert compared > 3000


def test_the_evaluator_agrees_with_fhirpathpy(examples: list[dict[str, Any]]) -> None:
    fhirpathpy = pytest.importorskip("fhirpathpy")
    from fhirpathpy.models import models

    compared, raised = 0, []
    for resource in (one for index, one in enumerate(examples) if index % 4 == 0):
        for one in for_type(resource["resourceType"]).values():
            # Left to us alone: it cannot resolve, lacks hasExtension, knows no `Resource.` and gives a Bundle its
            # resources without their type.
            expression = one.expression or ""
            if not expression or any(
                word in expression for word in ("resolve", "hasExtension", "Resource.", "entry[0]")
            ):
                continue
            plain = json.loads(json_format.dump(resource))
            path = _own_branches(expression, resource["resourceType"])
            try:
                theirs = fhirpathpy.evaluate(plain, path, {}, models["r4"])
            except Exception:
                raised.append(path)
                continue
            ours = json.loads(json.dumps(evaluated(expression, resource), default=str))
            assert shown(_texts(ours)) == shown(_texts(list(theirs))), (resource["resourceType"], expression)
            compared += bool(ours)
    assert compared > 500
    # It raises where `as` meets several items, which R4 does all the time.
    assert all(" as " in path or ".as(" in path for path in raised)


def _own_branches(expression: str, name: str) -> str:
    """Leave out branches of other types: fhirpathpy parses each call anew, and there are thirty in some."""
    branches = [one.strip() for one in expression.split("|")]
    own = [one for one in branches if routes(one, name) != ()]
    return " | ".join(own) or branches[0]


def _texts(items: Any) -> Any:
    """Write numbers as text: fhirpathpy gives decimals as strings."""
    if isinstance(items, list):
        return [_texts(item) for item in items]
    if isinstance(items, dict):
        return {name: _texts(item) for name, item in items.items()}
    return items if isinstance(items, bool) or items is None else _number_text(items)


def _number_text(value: Any) -> str:
    try:
        return f"{float(value):.9g}"
    except (TypeError, ValueError):
        return str(value)


def test_a_union_finds_exactly_what_its_members_find(examples: list[dict[str, Any]]) -> None:
    compared = 0
    for resource in examples:
        parameters = for_type(resource["resourceType"])
        for one in parameters.values():
            if one.union_of and one.type != "composite":
                whole = evaluated(one.expression or "", resource)
                parts = [
                    item for code in one.union_of for item in evaluated(parameters[code].expression or "", resource)
                ]
                assert shown(whole) == sorted(set(shown(parts))), (resource["resourceType"], one.code)
                compared += bool(whole)
    assert compared > 20


def test_a_restriction_finds_exactly_its_part_of_the_base(examples: list[dict[str, Any]]) -> None:
    compared = 0
    for resource in examples:
        values = extract(resource).references
        parameters = for_type(resource["resourceType"])
        for one in parameters.values():
            if one.restricts is None:
                continue
            base, target = one.restricts
            queried = [value[1:3] for value in values if value[0] == base and value[1] == target]
            whole = evaluated(one.expression or "", resource)
            literal = [item for item in whole if not str(item.get("reference", "#")).startswith("#")]
            assert len(queried) >= len(literal), (resource["resourceType"], one.code)
            assert len(queried) <= len(whole), (resource["resourceType"], one.code)
            compared += bool(queried)
    assert compared > 100


def test_composites_of_both_kinds_are_the_union() -> None:
    observation = {
        "resourceType": "Observation",
        "code": {"coding": [{"system": "s", "code": "panel"}]},
        "valueQuantity": {"value": 1},
        "component": [{"code": {"coding": [{"system": "s", "code": "part"}]}, "valueQuantity": {"value": 2}}],
    }
    combo = for_type("Observation")["combo-code-value-quantity"]
    found = [value[1] for value in extract(observation).composites if value[0] in combo.union_of]
    assert sorted(found, key=str) == [
        ([("s", code)], [(number, number, None, None, None)]) for code, number in (("panel", 1), ("part", 2))
    ]


def test_every_example_is_taken_without_an_exception(shared_data: Path) -> None:
    archive = shared_data / "definitions" / "r4-examples.tar.xz"
    if not archive.exists():
        pytest.skip("needs the official R4 examples")
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None and member.size < 100_000:
                resource = json_format.parse(content.read())
                assert extract(resource).root is resource
                compartment_values(resource)
                single_patient(resource)
                count += 1
    assert count > 2600


def test_the_compartments_of_synthea_patients_hold_their_records(shared_data: Path) -> None:
    archive = shared_data / "synthea-bundles" / "synthea-120.tar.xz"
    if not archive.exists():
        pytest.skip("needs the Synthea bundles")
    bundle = _first_patient(archive)
    patient = bundle["entry"][0]
    for entry in bundle["entry"]:
        resource = json.loads(json.dumps(entry["resource"], default=str))
        rewrite(resource, {patient["fullUrl"]: f"Patient/{patient['resource']['id']}"})
        if resource["resourceType"] not in BESIDE_THE_RECORD:
            assert single_patient(resource) == patient["resource"]["id"], resource["resourceType"]


def _first_patient(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                bundle: dict[str, Any] = json_format.parse(content.read())
                if bundle["entry"][0]["resource"]["resourceType"] == "Patient":
                    return bundle
    raise AssertionError("no patient bundle")
