"""Supplements that value sets depend on, and what filters ask of properties.

https://hl7.org/fhir/R4/codesystem.html#supplements, https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Fhir
from tests.terminologies import body, code_system, codes, coding, filtered, listed, told, value_set

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])
TREES, DUTCH = "http://example.org/CodeSystem/trees", "http://example.org/CodeSystem/trees-nl"
PROPERTIES = "http://hl7.org/fhir/concept-properties#"
SYSTEM = code_system(
    TREES,
    {"code": "tree", "property": [{"code": "group", "valueBoolean": True}]},
    {"code": "oak", "property": [{"code": "group", "valueBoolean": False}, {"code": "leaf", "valueCode": "lobed"}]},
    {"code": "elm", "property": [{"code": "felled", "valueBoolean": True}]},
    id="trees", property=[{"code": "group", "type": "boolean", "uri": f"{PROPERTIES}notSelectable"},
                          {"code": "felled", "type": "boolean", "uri": f"{PROPERTIES}inactive"}],
)  # fmt: skip
SUPPLEMENT = code_system(
    DUTCH,
    {"code": "elm", "designation": [{"language": "nl", "value": "Iep"}],
     "property": [{"code": "street", "valueCode": "yes"}]},
    id="trees-nl", content="supplement", supplements=TREES, property=[{"code": "street", "type": "code"}],
)  # fmt: skip


def needing(supplement: str, *includes: Any, **more: Any) -> dict[str, Any]:
    """Return a value set that is not to be used without a supplement."""
    extension = {"url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement", "valueCanonical": supplement}
    return value_set(*includes, extension=[extension], **more)


@pytest.fixture
def trees(fhir: Fhir) -> Fhir:
    for resource in (SYSTEM, SUPPLEMENT):
        assert fhir.put(f"CodeSystem/{resource['id']}", resource).status == 201
    return fhir


def test_a_value_set_is_not_used_without_the_supplement_that_it_needs(trees: Fhir) -> None:
    """https://hl7.org/fhir/R4/extension-valueset-supplement.html: should not be used in its absence."""
    for number, include in enumerate((TREES, listed(TREES, "oak"), listed("urn:elsewhere", "oak"))):
        url, id_ = f"urn:needs-{number}", f"needs-{number}"
        assert trees.put(f"ValueSet/{id_}", needing("urn:none", include, url=url, id=id_)).status == 201
        importing = value_set({"valueSet": [url]}, url=None)
        for answer in (
            trees.get(f"ValueSet/needs-{number}/$expand"),
            trees.post("ValueSet/$expand", importing),
            trees.get(f"ValueSet/needs-{number}/$validate-code?code=oak"),
            trees.get(f"ValueSet/needs-{number}/$validate-code?code=oak&system={TREES}"),
            trees.post("ValueSet/$validate-code", body({"name": "valueSet", "resource": importing},
                                                       {"name": "coding", "valueCoding": coding("oak", TREES)})),
        ):
            answer.refused(422, "not-found", text="supplement urn:none is not known here")
    trees.put("ValueSet/wrong", needing(TREES, TREES, url="urn:wrong", id="wrong"))
    trees.get("ValueSet/wrong/$expand").refused(422, "processing", text="is no supplement")
    trees.get("ValueSet/wrong/$validate-code?code=oak").refused(422, "processing", text="is no supplement")


@sqlite
def test_a_search_by_a_value_set_without_its_supplement_is_refused(trees: Fhir) -> None:
    trees.put("ValueSet/needs", needing("urn:none", TREES, url="urn:needs", id="needs"))
    trees.get("Observation?code:in=urn:needs").refused(400, "not-found", text="urn:none")


@sqlite
def test_an_expansion_that_is_carried_needs_no_supplement(trees: Fhir) -> None:
    expansion = {"timestamp": "2020-01-01", "contains": [{"system": TREES, "code": "elm", "display": "Iep"}]}
    carried = needing("urn:none", TREES, url="urn:carried", id="carried", expansion=expansion)
    assert trees.put("ValueSet/carried", carried).status == 201
    assert codes(trees.get("ValueSet/carried/$expand")) == ["elm"]
    assert told(trees.get(f"ValueSet/carried/$validate-code?code=elm&system={TREES}"))["display"] == "Iep"
    assert told(trees.get(f"ValueSet/carried/$validate-code?code=oak&system={TREES}"))["result"] is False
    assert codes(trees.post("ValueSet/$expand", value_set({"valueSet": ["urn:carried"]}, url=None))) == ["elm"]


@sqlite
def test_filters_ask_for_what_a_supplement_says(trees: Fhir) -> None:
    street = filtered(TREES, "street", "=", "yes")
    assert codes(trees.post("ValueSet/$expand", needing(DUTCH, street, url=None))) == ["elm"]
    trees.post("ValueSet/$expand", value_set(street, url=None)).refused(400, "not-supported", text="'street'")


FILTERS: list[Any] = [
    ("leaf", "=", "lobed", "oak"),  # of a concept, though the code system does not declare it
    ("leaf", "exists", "false", "tree elm"),
    ("notSelectable", "=", "true", "tree"),
    ("notSelectable", "=", "false", "oak elm"),
    ("group", "=", "true", "tree"),
    ("group", "=", "false", "oak elm"),  # is the same property by another name
    ("group", "not-in", "true", "oak elm"),
    ("inactive", "=", "true", "elm"),
    ("felled", "=", "true", "elm"),
    ("felled", "=", "false", "tree oak"),
]


@sqlite
@pytest.mark.parametrize(("name", "op", "wanted", "expected"), FILTERS)
def test_properties_by_any_name_are_asked_alike(trees: Fhir, name: str, op: str, wanted: str, expected: str) -> None:
    answer = trees.post("ValueSet/$expand", value_set(filtered(TREES, name, op, wanted), url=None))
    assert codes(answer) == expected.split()
    trees.post("ValueSet/$expand", value_set(filtered(TREES, "leaves", op, wanted), url=None)).refused(
        400, "not-supported", text="'leaves'")


def test_supplements_are_used_that_the_question_names(trees: Fhir) -> None:
    """https://hl7.org/fhir/R5/valueset-operation-expand.html, useSupplement"""
    assert trees.put("ValueSet/all", value_set(TREES, url="urn:all", id="all")).status == 201
    used = f"displayLanguage=nl&useSupplement={DUTCH}"
    expansion = trees.get(f"ValueSet/all/$expand?{used}").json["expansion"]
    assert [one.get("display") for one in expansion["contains"]] == [None, None, "Iep"]
    assert {"name": "useSupplement", "valueUri": DUTCH} in expansion["parameter"]
    street = value_set(filtered(TREES, "street", "=", "yes"), url=None)
    assert codes(trees.post(f"ValueSet/$expand?{used}", street)) == ["elm"]
    whole = value_set({"valueSet": ["urn:all"]}, url=None)
    assert trees.post(f"ValueSet/$expand?{used}", whole).json["expansion"]["contains"] == expansion["contains"]
    asked = f"system={TREES}&code=elm&{used}"
    for url in (f"ValueSet/all/$validate-code?{asked}", f"CodeSystem/$validate-code?{asked}",
                f"CodeSystem/trees/$validate-code?{asked}"):
        assert told(trees.get(url))["display"] == "Iep", url
        assert "display" not in told(trees.get(url.replace(used, "displayLanguage=nl")))
        trees.get(url.replace(DUTCH, "urn:none")).refused(422, "not-found", text="supplement urn:none")
    found = trees.get(f"CodeSystem/$lookup?{asked}")
    assert told(found)["display"] == "Iep"
    assert found.json == trees.get(f"CodeSystem/$lookup?system={TREES}&code=elm&displayLanguage=nl").json, "once"
    trees.get(f"CodeSystem/$lookup?{asked}&useSupplement=urn:none").refused(422, "not-found", text="urn:none")
    trees.get(f"ValueSet/all/$expand?useSupplement={TREES}").refused(422, "processing", text="is no supplement")
    other = value_set(listed("urn:elsewhere", "elm"), url=None)
    assert codes(trees.post(f"ValueSet/$expand?{used}", other)) == ["elm"], "of another code system"
