"""HL7's cases of GraphQL, of R4; docs/api/operations.md gives the reason for each that comes out otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import json_format
from hie.settings import Settings
from tests.conformance.conftest import Fhir
from tests.official_cases import cases, manifest, resource_of

DIFFERENT = {"extension-simple", "search-full"}
STORED = ("patient-example.json", "patient-example-xds.xml", "observation-example.json", "condition-example.json",
          "list-example-long.xml")  # fmt: skip


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The examples refer to others that are not among them."""
    return replace(settings, referential_integrity="none")


def test_official_queries_are_answered_but_for_what_the_documentation_names(fhir: Fhir) -> None:
    folder = cases("r4", "graphql")
    for name in STORED:
        _store(fhir, folder.parent / "examples" / name)
    rows = list(manifest(folder / "manifest.xml").iter("test"))
    failed = {row.attrib["name"] for row in rows if not _is_answered(fhir, folder, row.attrib)}
    assert failed == DIFFERENT
    assert len(rows) == 29


def _store(fhir: Fhir, file: Path) -> str:
    resource = resource_of(file.read_bytes())
    at = f"{resource['resourceType']}/{resource['id']}"
    assert fhir.put(at, json_format.dump(resource)).status in (200, 201)
    return at


def _is_answered(fhir: Fhir, folder: Path, case: Any) -> bool:
    """Ask one query; a resource that it alone is about is there as long as it is asked."""
    more = [_store(fhir, folder.parent / "examples" / f"{case['resource']}.xml")] if "resource" in case else []
    body = {"query": (folder / case["source"]).read_text(), "operationName": case.get("operation"),
            "variables": {"var": True} if "operation" in case else {}}  # fmt: skip
    at = case["context"].removesuffix("$graphql").replace("List/example-long", "List/long")
    answer = fhir.post(f"{at}$graphql", body, Content_Type="application/json")
    for one in more:
        assert fhir.delete(one).status == 200
    if not case["output"].endswith(".json"):  # an error
        return answer.status == 400 or "errors" in answer.json
    assert answer.status == 200, answer.content
    return bool(_said(answer.json["data"]) == _said(json_format.parse((folder / case["output"]).read_bytes())))


def _said(value: Any) -> Any:
    """Leave out what is null, as HL7's answers do."""
    if isinstance(value, dict):
        return {name: _said(one) for name, one in value.items() if one is not None}
    return [_said(one) for one in value] if isinstance(value, list) else value
