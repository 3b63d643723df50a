"""The FHIRPath Patch between two resources: parse(difference(a, b)).applied(a) is b."""

from __future__ import annotations

import itertools
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import json_format
from hie.fhir.patching import fhirpath_patch
from hie.fhir.patching.difference import difference
from hie.fhir.patching.tree import is_equal

P = {"resourceType": "Patient"}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
FORMS: list[dict[str, Any]] = [
    P,
    {**P, "id": "a", "gender": "male", "birthDate": "1970", "deceasedBoolean": True},
    {**P, "deceasedDateTime": "2020", "_birthDate": {"extension": [{"url": "http://x", "valueString": "y"}]}},
    {**P, "name": [{"given": ["A", "B"], "_given": [None, {"id": "b"}]}, {"family": "C"}]},
    {**P, "name": [{"given": ["B"]}, {"given": ["A", "B", "C"]}, {"family": "C", "period": {"start": "2020"}}]},
    {**P, "text": {"status": "generated", "div": DIV.format("x")}, "language": "de"},
    {**P, "text": {"status": "empty", "div": DIV.format("y")}},
    {**P, "extension": [{"url": "http://a", "extension": [{"url": "b", "valueCode": "c"}]}]},
    {**P, "extension": [{"url": "http://a", "extension": [{"url": "b", "valueCode": "d"}]},
                        {"url": "http://b", "valueQuantity": {"value": 1}}]},
    {**P, "contained": [{"resourceType": "Organization", "id": "o", "name": "N"}]},
    {**P, "contained": [{"resourceType": "Organization", "id": "p", "name": "M"},
                        {"resourceType": "Device", "id": "o"}]},
    {**P, "contact": [{"gender": "male", "relationship": [{"text": "a"}, {"text": "b"}]}, {"name": {"family": "X"}}]},
    {**P, "contact": [{"name": {"family": "X"}, "_gender": {"extension": [{"url": "http://x", "valueCode": "y"}]}}],
     "multipleBirthInteger": 2},
    {**P, "communication": [{"language": {"text": "a"}, "preferred": True}], "multipleBirthBoolean": False},
]  # fmt: skip


def patched(before: dict[str, Any], after: dict[str, Any]) -> Any:
    patch = json_format.parse(json_format.dump(difference(before, after)))
    return fhirpath_patch.parse(patch).applied(json.loads(json.dumps(before)))


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(FORMS, 2)),
                         ids=[f"{a}-{b}" for a, b in itertools.permutations(range(len(FORMS)), 2)])
def test_the_patch_makes_the_one_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert patched(before, after) == after


def test_what_is_the_same_needs_no_patch() -> None:
    assert all("parameter" not in difference(one, one) for one in FORMS)
    assert difference(FORMS[1], {**FORMS[1], "id": "b"}, hidden=("id",)) == {"resourceType": "Parameters"}


def test_the_patch_makes_official_examples_each_other(shared_data: Path) -> None:
    by_type: dict[str, list[dict[str, Any]]] = {}
    with tarfile.open(shared_data / "definitions" / "r4-examples.tar.xz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json") and member.size < 20_000:
                file = archive.extractfile(member)
                assert file is not None
                resource = json_format.parse(file.read())
                # References to what is contained cannot stand in a Parameters (ref-1).
                if resource.get("resourceType") not in (None, "Bundle", "Parameters") and "contained" not in resource:
                    by_type.setdefault(resource["resourceType"], []).append(resource)
    chosen, compared = random.Random(1), 0
    for resources in by_type.values():
        if len(resources) > 1:
            before, after = chosen.sample(resources, 2)
            patch = json_format.parse(json_format.dump(difference(before, after)))
            copy = json_format.parse(json_format.dump(before))
            assert is_equal(fhirpath_patch.parse(patch).applied(copy), after), (before["id"], after["id"])
            compared += 1
    assert compared > 80
