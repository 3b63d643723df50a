"""Properties of codes in an expansion: https://hl7.org/fhir/R5/valueset-operation-expand.html, property"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.terminology import told_properties
from tests.conformance.conftest import Fhir
from tests.terminologies import body, code_system, codes, listed, value_set

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
TREES, CONCEPT = "http://example.org/CodeSystem/trees", "http://hl7.org/fhir/concept-properties#"
BASE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion."
SYSTEM = code_system(
    TREES,
    {"code": "tree", "definition": "A tall plant", "property": [{"code": "group", "valueBoolean": True}],
     "concept": [
        {"code": "oak", "property": [{"code": "height", "valueDecimal": 40.5}, {"code": "near", "valueCoding": {
            "system": TREES, "code": "beech"}}, {"code": "near", "valueCoding": {"system": TREES, "code": "elm"}}]},
        {"code": "elm", "property": [{"code": "status", "valueCode": "retired"}]}]},
    id="trees", property=[
        {"code": "height", "type": "decimal", "uri": "urn:height"}, {"code": "near", "type": "Coding"},
        {"code": "group", "type": "boolean", "uri": f"{CONCEPT}notSelectable"}, {"code": "status", "type": "code"}],
)  # fmt: skip


@pytest.fixture
def trees(fhir: Fhir) -> Fhir:
    assert fhir.put("CodeSystem/trees", SYSTEM).status == 201
    return fhir


def parts(extension: dict[str, Any]) -> list[Any]:
    assert extension["url"] == f"{BASE}contains.property"
    code, value = extension["extension"]
    assert (code["url"], value["url"]) == ("code", "value")
    (name,) = set(value) - {"url"}
    return [code["valueCode"], name.removeprefix("value"), value[name]]


def told(fhir: Fhir, query: str, definition: dict[str, Any] | None = None) -> dict[str, list[Any]]:
    answer = fhir.post(f"ValueSet/$expand?{query}", definition or value_set(TREES, url=None))
    codes(answer)  # is a valid ValueSet
    rows = list(answer.json["expansion"]["contains"])
    found = {}
    while rows:
        row = rows.pop()
        found[row["code"]] = [parts(one) for one in row.get("extension", [])]
        rows += row.get("contains", [])
    return {code: properties for code, properties in found.items() if properties}


CASES: list[Any] = [
    ("", {}),
    ("property=definition", {"tree": [["definition", "String", "A tall plant"]]}),
    ("property=height", {"oak": [["height", "Decimal", 40.5]]}),
    ("property=urn:height", {"oak": [["height", "Decimal", 40.5]]}),
    ("property=near", {"oak": [["near", "Coding", {"system": TREES, "code": one}] for one in ("beech", "elm")]}),
    ("property=parent&property=child", {
        "tree": [["child", "Code", "oak"], ["child", "Code", "elm"]], "oak": [["parent", "Code", "tree"]],
        "elm": [["parent", "Code", "tree"]]}),
    ("property=inactive&count=1", {"tree": [["inactive", "Boolean", False]]}),
    ("property=inactive&filter=elm", {"elm": [["inactive", "Boolean", True]]}),
    (f"property={CONCEPT}notSelectable&filter=tree", {"tree": [["notSelectable", "Boolean", True],
                                                               ["group", "Boolean", True]]}),
    ("property=unheard-of", {}),
    ("property=*&filter=elm", {"elm": [["parent", "Code", "tree"], ["inactive", "Boolean", True],
                                       ["status", "Code", "retired"]]}),
    ("property=height&excludeNested=false", {"oak": [["height", "Decimal", 40.5]]}),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), CASES, ids=[one[0].replace("http://", "") for one in CASES])
def test_an_expansion_has_the_properties_that_are_asked_for(
    trees: Fhir, query: str, expected: dict[str, list[Any]]
) -> None:
    assert told(trees, query.replace("#", "%23")) == expected


def test_properties_are_declared_and_those_of_any_value_set_are_told(trees: Fhir) -> None:
    listing = value_set(listed(TREES, "oak"), listed("urn:elsewhere", "oak"), url="urn:listing", id="listing")
    trees.put("ValueSet/listing", listing)
    asked = [{"name": "property", "valueString": one} for one in ("height", "near", "definition")]
    expansion = trees.post("ValueSet/listing/$expand", body(*asked)).json["expansion"]
    assert expansion["extension"] == [
        {"url": f"{BASE}property", "extension": [
            {"url": "code", "valueCode": "height"}, {"url": "uri", "valueUri": "urn:height"}]},
        {"url": f"{BASE}property", "extension": [{"url": "code", "valueCode": "near"}]}]
    assert {"name": "property", "valueString": "near"} in expansion["parameter"]
    importing = value_set({"valueSet": ["urn:listing"]}, url=None)
    assert told(trees, "property=height", importing) == {"oak": [["height", "Decimal", 40.5]]}


def test_too_many_values_are_refused(trees: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_properties, "MOST_VALUES", 3)
    assert len(told(trees, "property=inactive")) == 3
    trees.post("ValueSet/$expand?property=inactive&property=parent", value_set(TREES)).refused(
        422, "too-costly", "property")
