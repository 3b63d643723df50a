"""Value sets expanded: https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Fhir
from tests.terminologies import COLOURS, R4, SET, SHADES, SYSTEM, body, code_system, codes, value_set

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.mark.proves("operation:ValueSet/$expand")
def test_expand_by_each_way_of_naming_the_value_set(shades: Fhir) -> None:
    expected = ["red", "crimson", "pink", "navy", "all"]
    assert codes(shades.get("ValueSet/mine/$expand")) == expected
    assert codes(shades.get(f"ValueSet/$expand?url={SHADES}")) == expected
    assert codes(shades.get(f"ValueSet/$expand?url={SHADES}&valueSetVersion=1")) == expected
    assert codes(shades.get(f"ValueSet/$expand?url={SHADES}%7C1")) == expected
    assert codes(shades.post("ValueSet/$expand", SET | {"url": "http://example.org/other"})) == expected
    assert codes(shades.post("ValueSet/$expand", body({"name": "valueSet", "resource": SET}))) == expected
    posted = body({"name": "url", "valueUri": SHADES})
    assert codes(shades.post("ValueSet/$expand?count=1&offset=1", posted)) == ["crimson"]
    assert codes(shades.get("ValueSet/$expand?context=Patient.gender")) == ["male", "female", "other", "unknown"]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"ValueSet/$expand?url={SHADES}"}}]}
    assert len(shades.post("", batch).resources()[0]["expansion"]["contains"]) == 5


EXPAND_LISTS_WHAT_IS_ASKED_FOR_CASES: list[Any] = [
    ("", "red crimson pink navy all"),
    ("count=2", "red crimson"),
    ("count=2&offset=3", "navy all"),
    ("count=0", ""),
    ("offset=4", "all"),
    ("offset=9", ""),
    ("filter=BLUE na", "navy"),
    ("filter=rot", "red"),
    ("excludeNotForUI=true", "red crimson pink navy"),
    (f"exclude-system={COLOURS}", ""),
    (f"exclude-system={COLOURS}%7C7", "red crimson pink navy all"),
    (f"system-version={COLOURS}%7C1", "red crimson pink navy all"),
    (f"check-system-version={COLOURS}%7C1", "red crimson pink navy all"),
]  # fmt: skip


@pytest.mark.proves("operation:ValueSet/$expand")
@sqlite
def test_expand_lists_what_is_asked_for(shades: Fhir, subtests: Any) -> None:
    for query, expected in EXPAND_LISTS_WHAT_IS_ASKED_FOR_CASES:
        with subtests.test(str((query, expected))):
            answer = shades.get(f"ValueSet/mine/$expand?{query}")
            assert codes(answer) == expected.split()
            if "count" in query or "offset" in query:
                assert answer.json["expansion"]["total"] == 5


@sqlite
def test_an_expansion_tells_how_it_was_made(shades: Fhir) -> None:
    answer = shades.get("ValueSet/mine/$expand?includeDesignations=true&displayLanguage=de&includeDefinition=true")
    expansion = answer.json["expansion"]
    assert expansion["identifier"].startswith("urn:uuid:")
    assert expansion["timestamp"].startswith("2026-01-01")
    assert {"name": "displayLanguage", "valueCode": "de"} in expansion["parameter"]
    assert {"name": "includeDesignations", "valueBoolean": True} in expansion["parameter"]
    assert {"name": "version", "valueUri": f"{COLOURS}|1"} in expansion["parameter"]
    assert answer.json["compose"] == SET["compose"]
    red = expansion["contains"][0]
    assert red == {"system": COLOURS, "version": "1", "code": "red", "display": "Rot",
                   "designation": [{"language": "en", "value": "Red"}, *SYSTEM["concept"][0]["designation"]]}
    plain = shades.get("ValueSet/mine/$expand")
    assert "compose" not in plain.json
    assert plain.json["expansion"]["contains"][-1]["abstract"] is True
    languages = "urn:ietf:bcp:47%7C"
    for use, expected in (("urn:x%7Cname", True), ("urn:x%7Cother", False), ("name", True), ("other", False),
                          (f"{languages}de", True), (f"{languages}fr", False), ("de", True), ("fr", False)):
        first = shades.get(f"ValueSet/mine/$expand?designation={use}").json["expansion"]["contains"][0]
        assert ("designation" in first) is expected


@sqlite
def test_an_expansion_may_be_nested(shades: Fhir) -> None:
    contains = shades.get("ValueSet/mine/$expand?excludeNested=false").json["expansion"]["contains"]
    assert [one["code"] for one in contains] == ["red", "navy", "all"]
    assert [one["code"] for one in contains[0]["contains"]] == ["crimson", "pink"]
    official = shades.get(f"ValueSet/$expand?url={R4}inactive&excludeNested=false").json["expansion"]["contains"]
    top = {one["code"]: one for one in official}
    assert {"CRT", "EXPEC", "OPT"} <= set(top), "as the official example nests it"
    assert [one["code"] for one in top["EXPEC"]["contains"]] == ["GOL", "RSK"]
    assert top["CRT"]["inactive"] is True
    active = shades.get(f"ValueSet/$expand?url={R4}inactive&activeOnly=true").json["expansion"]["contains"]
    assert {one["code"] for one in active} == {"EXPEC", "GOL", "RSK", "OPT"}


EXPAND_REFUSES_CLEARLY_CASES: list[Any] = [
    ("ValueSet/$expand", 400, "invalid", "needs one of url, valueSet and context"),
    ("ValueSet/$expand?url=http://example.org/none", 404, "not-found", "ValueSet http://example.org/none is not known"),
    (f"ValueSet/$expand?url={SHADES}&valueSetVersion=9", 404, "not-found", "in version 9. Known is 1."),
    ("ValueSet/none/$expand", 404, "not-found", "ValueSet/none"),
    (f"ValueSet/mine/$expand?url={SHADES}", 400, "invalid", "leave url out"),
    (f"ValueSet/$expand?url={R4}body-site", 422, "not-supported", "http://snomed.info/sct is known here without"),
    (f"ValueSet/$expand?url={R4}observation-codes", 422, "not-found", "http://loinc.org is not known"),
    (f"ValueSet/$expand?url={R4}all-languages", 422, "too-costly", "a grammar without end"),
    ("ValueSet/mine/$expand?count=x", 400, "invalid", "whole number"),
    ("ValueSet/mine/$expand?count=-1", 400, "invalid", "whole number"),
    ("ValueSet/mine/$expand?activeOnly=maybe", 400, "invalid", "true or false"),
    ("ValueSet/mine/$expand?date=2020-01-01", 400, "not-supported", "as they are now"),
    ("ValueSet/mine/$expand?colour=red", 400, "invalid", "has no parameter 'colour'"),
    (f"ValueSet/mine/$expand?check-system-version={COLOURS}%7C2", 422, "not-found", "in version 2. Known is 1"),
    (f"ValueSet/mine/$expand?force-system-version={COLOURS}%7C2", 422, "not-found", "in version 2. Known is 1"),
    ("ValueSet/mine/$expand?system-version=x", 400, "invalid", "written system|version"),
    (f"ValueSet/mine/$expand?system-version={COLOURS}|1&system-version={COLOURS}|2", 400, "invalid", "Two versions"),
    ("ValueSet/$expand?context=Patient.name", 400, "invalid", "names no element"),
    (f"ValueSet/$validate-code?url={SHADES}&coding=x", 400, "invalid", "is a Coding: send it by POST"),
]  # fmt: skip


@sqlite
def test_expand_refuses_clearly(shades: Fhir, subtests: Any) -> None:
    for url, status, code, text in EXPAND_REFUSES_CLEARLY_CASES:
        with subtests.test(str((url, status, code, text))):
            shades.get(url).refused(status, code, text=text)


@sqlite
def test_a_large_value_set_is_given_in_pages(fhir: Fhir) -> None:
    large = code_system("http://example.org/large", *(f"c{number:05}" for number in range(10_001)), id="large")
    assert fhir.put("CodeSystem/large", large).status == 201
    whole = value_set(large["url"], url=None)
    fhir.post("ValueSet/$expand", whole).refused(422, "too-costly", "count", "10001 codes")
    page = fhir.post("ValueSet/$expand?offset=9999&count=10", whole)
    assert codes(page) == ["c09999", "c10000"]
    assert page.json["expansion"]["total"] == 10_001


@sqlite
def test_a_posted_value_set_has_to_be_valid(fhir: Fhir) -> None:
    fhir.post("ValueSet/$expand", {"resourceType": "ValueSet", "compose": {}}).refused(400, "required")
    fhir.post("ValueSet/$expand", body({"name": "valueSet", "resource": SYSTEM})).refused(
        400, "invalid", "Parameters.parameter[0].resource")
    fhir.post("ValueSet/$expand", {"resourceType": "Patient"}).refused(400, "invalid", "resourceType")
    importing = value_set({"valueSet": ["urn:none"]}, url=None)
    fhir.post("ValueSet/$expand", importing).refused(422, "not-found", "ValueSet.compose.include.valueSet",
                                                     "ValueSet urn:none is not known here.")


@sqlite
def test_an_expansion_says_of_a_code_what_who_shows_it_needs(fhir: Fhir) -> None:
    """R4 has the extensions valueset-label, -conceptOrder and -concept-definition in expansions, and ordinalValue not.
    """
    base, system = "http://hl7.org/fhir/StructureDefinition/", "http://example.org/CodeSystem/answers"

    def said(**names: Any) -> dict[str, Any]:
        rows = [{"url": base + name.replace("_", "-"), **content} for name, content in names.items()]
        return {"extension": [*rows, {"url": "urn:own", "valueString": "is for its author"}]}

    first, second = {"valueString": "A"}, {"valueString": "B"}
    fhir.create(code_system(
        system, {"code": "never"} | said(codesystem_label=first, ordinalValue={"valueDecimal": 0}),
        {"code": "often"} | said(codesystem_label=second, codesystem_conceptOrder={"valueInteger": 2})))
    never = said(valueset_label={"valueString": "1)"}, valueset_concept_definition={"valueString": "Not"})
    listing = value_set({"system": system, "concept": [{"code": "never"} | never, {"code": "often"}]},
                        {"system": "urn:elsewhere", "concept": [{"code": "x"} | said(valueset_label=first)]},
                        url="http://example.org/answers", id="answers")
    fhir.put("ValueSet/answers", listing)
    wanted = [
        [{"url": base + "valueset-label", "valueString": "1)"},
         {"url": base + "valueset-concept-definition", "valueString": "Not"}],
        [{"url": base + "valueset-label", "valueString": "B"},
         {"url": base + "valueset-conceptOrder", "valueInteger": 2}],
        [{"url": base + "valueset-label", "valueString": "A"}]]
    expansion = fhir.get("ValueSet/answers/$expand").json
    assert [one.get("extension") for one in expansion["expansion"]["contains"]] == wanted
    issues = fhir.post("ValueSet/$validate", expansion).json["issue"]
    assert [one for one in issues if one["severity"] == "error"] == []
    importing = fhir.post("ValueSet/$expand", value_set({"valueSet": [listing["url"]]}, url=None)).json
    assert [one.get("extension") for one in importing["expansion"]["contains"]] == wanted
    carried = {name: content for name, content in expansion.items() if name in ("resourceType", "status", "expansion")}
    assert fhir.post("ValueSet/$expand", carried).json["expansion"]["contains"] == expansion["expansion"]["contains"]
    whole = fhir.post("ValueSet/$expand", value_set(system, url=None)).json["expansion"]["contains"]
    assert [one["extension"][0]["valueString"] for one in whole] == ["A", "B"]


@sqlite
def test_what_is_called_as_somebody_types_comes_first(fhir: Fhir) -> None:
    assert codes(fhir.get(f"ValueSet/$expand?url={R4}administrative-gender&filter=Male")) == ["male", "female"]
    system = "http://example.org/CodeSystem/found"
    fhir.create(code_system(
        system, {"code": "1", "display": "Old heart attack"}, {"code": "2", "display": "Sweetheart"},
        {"code": "3", "display": "Heart attack"}, {"code": "4", "display": "Heart  attack, acute"},
        {"code": "heart attack-5", "display": "Infarct"}, {"code": "6", "display": "Infarct", "designation": [
            {"language": "en", "value": "Heart attack"}]}, {"code": "7", "display": "Attack of the heart"}))
    found = value_set(system, url=None)

    def typed(text: str, more: str = "") -> list[str]:
        return codes(fhir.post(f"ValueSet/$expand?filter={text}{more}", found))

    assert typed("HEART attack") == ["3", "4", "heart attack-5", "1", "7", "6"]
    assert typed("heart attack", "&displayLanguage=en") == ["3", "6", "4", "heart attack-5", "1", "7"]
    assert typed("heart") == ["3", "4", "heart attack-5", "1", "7", "2", "6"]
    assert typed("heart", "&count=2&offset=4") == ["7", "2"]
    assert typed("7") == ["7"]
    assert typed("%20") == typed("") == ["1", "2", "3", "4", "heart attack-5", "6", "7"], "nothing is typed yet"
