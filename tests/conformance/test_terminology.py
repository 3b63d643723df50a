"""The terminology service as a client meets it: https://hl7.org/fhir/R4/terminology-service.html"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from hie.fhir.validation import validate
from hie.store import terminology as stored_terminology
from tests.conformance.conftest import Answer, Fhir

R4 = "http://hl7.org/fhir/ValueSet/"
THO = "http://terminology.hl7.org/CodeSystem/"
COLOURS, SHADES = "http://example.org/CodeSystem/colours", "http://example.org/ValueSet/shades"
sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])

SYSTEM = {
    "resourceType": "CodeSystem", "url": COLOURS, "version": "1", "name": "Colours", "status": "active",
    "content": "complete", "hierarchyMeaning": "is-a", "language": "en",
    "property": [{"code": "warm", "type": "boolean", "description": "Whether it is a warm colour"}],
    "concept": [
        {"code": "red", "display": "Red", "definition": "As of roses",
         "property": [{"code": "warm", "valueBoolean": True}],
         "designation": [{"language": "de", "value": "Rot", "use": {"system": "urn:x", "code": "name"}}],
         "concept": [{"code": "crimson", "display": "Crimson"}, {"code": "pink", "display": "Pink"}]},
        {"code": "blue", "display": "Blue", "concept": [{"code": "navy", "display": "Navy blue"}]},
        {"code": "all", "display": "All", "property": [{"code": "notSelectable", "valueBoolean": True}]},
    ],
}  # fmt: skip
SET = {
    "resourceType": "ValueSet", "url": SHADES, "version": "1", "name": "Shades", "status": "active",
    "compose": {"include": [{"system": COLOURS, "filter": [{"property": "concept", "op": "is-a", "value": "red"}]},
                            {"system": COLOURS, "concept": [{"code": "navy"}, {"code": "all"}]}]},
}  # fmt: skip
MAP = {
    "resourceType": "ConceptMap", "url": "http://example.org/map", "status": "active", "sourceCanonical": SHADES,
    "targetCanonical": R4 + "x", "group": [{
        "source": COLOURS, "target": "http://example.org/rgb", "targetVersion": "3",
        "element": [
            {"code": "red", "display": "Red", "target": [{"code": "f00", "equivalence": "equivalent", "product": [
                {"property": "http://example.org/light", "system": "urn:l", "value": "bright"}]}]},
            {"code": "pink", "target": [{"code": "f0c", "equivalence": "wider"}, {
                "code": "fcc", "equivalence": "narrower",
                "comment": "of paper",
                "dependsOn": [{"property": "http://example.org/use", "system": "urn:u", "value": "print"}]}]},
            {"code": "all", "target": [{"equivalence": "unmatched", "comment": "none"}]}],
        "unmapped": {"mode": "fixed", "code": "000", "display": "Black"}}],
}  # fmt: skip


def coding(code: str, system: str = COLOURS, **more: str) -> dict[str, str]:
    return {"system": system, "code": code, **more}


def body(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(rows)}


def codes(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    assert [one for one in validate(answer.json, "ValueSet") if one.severity != "warning"] == []
    return [one["code"] for one in answer.json["expansion"].get("contains", [])]


def told(answer: Answer) -> dict[str, Any]:
    """Return what a Parameters answers, a value or the parts of each name; the last of several."""
    assert answer.status == 200, answer.content
    assert [one for one in validate(answer.json, "Parameters") if one.severity != "warning"] == []
    return {row["name"]: row.get("part", next((v for k, v in row.items() if k.startswith("value")), None))
            for row in answer.json["parameter"]}


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    for resource in (SYSTEM, SET, MAP):
        assert fhir.put(f"{resource['resourceType']}/mine", resource | {"id": "mine"}).status == 201
    return fhir


# ---- $expand ---------------------------------------------------------------------------------------------------------


@pytest.mark.proves("operation:ValueSet/$expand")
def test_expand_by_each_way_of_naming_the_value_set(stored: Fhir) -> None:
    expected = ["red", "crimson", "pink", "navy", "all"]
    assert codes(stored.get("ValueSet/mine/$expand")) == expected
    assert codes(stored.get(f"ValueSet/$expand?url={SHADES}")) == expected
    assert codes(stored.get(f"ValueSet/$expand?url={SHADES}&valueSetVersion=1")) == expected
    assert codes(stored.get(f"ValueSet/$expand?url={SHADES}%7C1")) == expected
    assert codes(stored.post("ValueSet/$expand", SET | {"url": "http://example.org/other"})) == expected
    assert codes(stored.post("ValueSet/$expand", body({"name": "valueSet", "resource": SET}))) == expected
    posted = body({"name": "url", "valueUri": SHADES})
    assert codes(stored.post("ValueSet/$expand?count=1&offset=1", posted)) == ["crimson"]
    assert codes(stored.get("ValueSet/$expand?context=Patient.gender")) == ["male", "female", "other", "unknown"]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"ValueSet/$expand?url={SHADES}"}}]}
    assert len(stored.post("", batch).resources()[0]["expansion"]["contains"]) == 5


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
def test_expand_lists_what_is_asked_for(stored: Fhir, subtests: Any) -> None:
    for query, expected in EXPAND_LISTS_WHAT_IS_ASKED_FOR_CASES:
        with subtests.test(str((query, expected))):
            answer = stored.get(f"ValueSet/mine/$expand?{query}")
            assert codes(answer) == expected.split()
            if "count" in query or "offset" in query:
                assert answer.json["expansion"]["total"] == 5


@sqlite
def test_an_expansion_tells_how_it_was_made(stored: Fhir) -> None:
    answer = stored.get("ValueSet/mine/$expand?includeDesignations=true&displayLanguage=de&includeDefinition=true")
    expansion = answer.json["expansion"]
    assert expansion["identifier"].startswith("urn:uuid:")
    assert expansion["timestamp"].startswith("2026-01-01")
    assert {"name": "displayLanguage", "valueCode": "de"} in expansion["parameter"]
    assert {"name": "includeDesignations", "valueBoolean": True} in expansion["parameter"]
    assert {"name": "version", "valueUri": f"{COLOURS}|1"} in expansion["parameter"]
    assert answer.json["compose"] == SET["compose"]
    red = expansion["contains"][0]
    assert red == {"system": COLOURS, "version": "1", "code": "red", "display": "Rot",
                   "designation": SYSTEM["concept"][0]["designation"]}  # type: ignore[index]
    plain = stored.get("ValueSet/mine/$expand")
    assert "compose" not in plain.json
    assert plain.json["expansion"]["contains"][-1]["abstract"] is True
    languages = "urn:ietf:bcp:47%7C"
    for use, expected in (("urn:x%7Cname", True), ("urn:x%7Cother", False), ("name", True), ("other", False),
                          (f"{languages}de", True), (f"{languages}fr", False), ("de", True), ("fr", False)):
        first = stored.get(f"ValueSet/mine/$expand?designation={use}").json["expansion"]["contains"][0]
        assert ("designation" in first) is expected


@sqlite
def test_an_expansion_may_be_nested(stored: Fhir) -> None:
    contains = stored.get("ValueSet/mine/$expand?excludeNested=false").json["expansion"]["contains"]
    assert [one["code"] for one in contains] == ["red", "navy", "all"]
    assert [one["code"] for one in contains[0]["contains"]] == ["crimson", "pink"]
    official = stored.get(f"ValueSet/$expand?url={R4}inactive&excludeNested=false").json["expansion"]["contains"]
    top = {one["code"]: one for one in official}
    assert {"CRT", "EXPEC", "OPT"} <= set(top), "as the official example nests it"
    assert [one["code"] for one in top["EXPEC"]["contains"]] == ["GOL", "RSK"]
    assert top["CRT"]["inactive"] is True
    active = stored.get(f"ValueSet/$expand?url={R4}inactive&activeOnly=true").json["expansion"]["contains"]
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
    (f"ValueSet/mine/$expand?check-system-version={COLOURS}%7C2", 422, "processing", "asks for"),
    (f"ValueSet/mine/$expand?force-system-version={COLOURS}%7C2", 422, "not-found", "in version 2. Known is 1"),
    ("ValueSet/mine/$expand?system-version=x", 400, "invalid", "written system|version"),
    ("ValueSet/$expand?context=Patient.name", 400, "invalid", "names no element"),
    (f"ValueSet/$validate-code?url={SHADES}&coding=x", 400, "invalid", "is a Coding: send it by POST"),
]  # fmt: skip


@sqlite
def test_expand_refuses_clearly(stored: Fhir, subtests: Any) -> None:
    for url, status, code, text in EXPAND_REFUSES_CLEARLY_CASES:
        with subtests.test(str((url, status, code, text))):
            stored.get(url).refused(status, code, text=text)


@sqlite
def test_a_large_value_set_is_given_in_pages(fhir: Fhir) -> None:
    concepts = [{"code": f"c{number:05}"} for number in range(10_001)]
    large = {"resourceType": "CodeSystem", "id": "large", "url": "http://example.org/large", "status": "active",
             "content": "complete", "concept": concepts}
    assert fhir.put("CodeSystem/large", large).status == 201
    whole = {"resourceType": "ValueSet", "status": "active",
             "compose": {"include": [{"system": "http://example.org/large"}]}}
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
    importing = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [{"valueSet": ["urn:none"]}]}}
    fhir.post("ValueSet/$expand", importing).refused(422, "not-found", "ValueSet.compose.include.valueSet",
                                                     "ValueSet urn:none is not known here.")


# ---- $validate-code --------------------------------------------------------------------------------------------------


VALIDATE_CODE_CASES: list[Any] = [
    (f"ValueSet/$validate-code?url={SHADES}&system={COLOURS}&code=pink", (), True, None),
    (f"ValueSet/$validate-code?url={SHADES}&code=pink", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=pink&display=pINK", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=red&display=Rot", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=red&display=Green", (), False, "display 'Green'"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=blue", (), False, "though its code system has it"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=ochre", (), False, "nor in its code system"),
    ("ValueSet/mine/$validate-code?system=http://snomed.info/sct&code=1", (), False, "is not in the value set"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=all", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=all&abstract=false", (), False, "is abstract"),
    ("ValueSet/$validate-code?context=Patient.gender&code=male", (), True, None),
    ("ValueSet/mine/$validate-code", ({"name": "coding", "valueCoding": coding("pink")},), True, None),
    ("ValueSet/mine/$validate-code", ({"name": "codeableConcept", "valueCodeableConcept": {
        "coding": [coding("x", "http://loinc.org"), coding("navy")]}},), True, None),
    ("ValueSet/$validate-code?code=pink", ({"name": "valueSet", "resource": SET},), True, None),
    (f"CodeSystem/$validate-code?url={COLOURS}&code=blue", (), True, None),
    (f"CodeSystem/$validate-code?url={COLOURS}&code=Blue", (), False, "not in the code system"),
    (f"CodeSystem/$validate-code?url={COLOURS}&version=1&code=blue&display=Navy", (), False, "it is 'Blue'"),
    ("CodeSystem/mine/$validate-code?code=navy", (), True, None),
    ("CodeSystem/$validate-code", ({"name": "coding", "valueCoding": coding("blue")},), True, None),
    ("CodeSystem/$validate-code?code=blue", ({"name": "codeSystem", "resource": SYSTEM},), True, None),
    ("CodeSystem/$validate-code?url=urn:ietf:bcp:47&code=de-CH", (), True, None),
    ("CodeSystem/$validate-code?url=urn:ietf:bcp:47&code=de_CH", (), False, "does not follow the grammar"),
    (f"CodeSystem/$validate-code?url={THO}service-type&code=1", (), True, None),
]  # fmt: skip


@pytest.mark.proves("operation:*/$validate-code")
@sqlite
def test_validate_code(stored: Fhir, subtests: Any) -> None:
    for url, rows, result, text in VALIDATE_CODE_CASES:
        with subtests.test(str((url, rows, result, text))):
            answer = told(stored.post(url, body(*rows)) if rows else stored.get(url))
            assert answer["result"] is result
            assert ("message" in answer) is (not result)
            assert (text or "") in answer.get("message", "")


@sqlite
def test_validate_code_gives_the_display_in_the_language(stored: Fhir) -> None:
    url = f"ValueSet/mine/$validate-code?system={COLOURS}&code=red"
    assert told(stored.get(url))["display"] == "Red"
    assert told(stored.get(f"{url}&displayLanguage=de"))["display"] == "Rot"
    assert told(stored.get(f"{url}&displayLanguage=de-CH"))["display"] == "Rot"  # RFC 4647 §3.4
    assert told(stored.get(f"{url}&displayLanguage=fr"))["display"] == "Red"


OTHER_OPERATIONS_REFUSE_CLEARLY_CASES: list[Any] = [
    (f"ValueSet/$validate-code?url={SHADES}", 400, "invalid", "one of code, coding and codeableConcept; found none"),
    (f"ValueSet/$validate-code?url={R4}body-site&system=http://snomed.info/sct&code=1", 422, "not-supported",
     "without its"),
    (f"ValueSet/$validate-code?url={R4}service-type&system={THO}service-type&code=zz", 422, "processing",
     "marked example"),
    (f"ValueSet/$validate-code?url={R4}administrative-gender&system=http://hl7.org/fhir/administrative-gender&code=male"
     "&systemVersion=9", 422, "not-found", "in version 9. Known is 4.0.1"),
    ("CodeSystem/$validate-code?url=http://loinc.org&code=1", 404, "not-found", "http://loinc.org is not known"),
    (f"CodeSystem/$validate-code?url={COLOURS}&version=2&code=red", 404, "not-found", "in version 2. Known is 1"),
    ("CodeSystem/$validate-code?url=http://snomed.info/sct&code=1", 422, "not-supported", "without its content"),
    ("CodeSystem/$validate-code?code=1", 400, "invalid", "needs url or codeSystem"),
    ("CodeSystem/none/$validate-code?code=1", 404, "not-found", "CodeSystem/none"),
    ("CodeSystem/$lookup?code=red", 400, "invalid", "needs the system"),
    (f"CodeSystem/$lookup?system={COLOURS}&code=ochre", 404, "not-found", "ochre is not in the code system"),
    ("CodeSystem/$lookup?system=http://loinc.org&code=1", 404, "not-found", "is not known"),
    ("CodeSystem/$lookup?system=http://snomed.info/sct&code=1", 422, "not-supported", "Load a CodeSystem"),
    ("CodeSystem/$lookup?system=http://hl7.org/fhir/CodeSystem/example-supplement&code=chol", 422, "processing",
     "is a supplement of"),
    (f"CodeSystem/$subsumes?system={COLOURS}&codeA=red", 400, "invalid", "needs codeB"),
    (f"CodeSystem/$subsumes?system={COLOURS}&codeA=red&codeB=ochre", 404, "not-found", "ochre"),
    ("CodeSystem/$subsumes?codeA=red&codeB=blue", 400, "invalid", "one code system"),
    ("ConceptMap/$translate?code=red", 400, "invalid", "needs the system"),
    ("ConceptMap/$translate?url=http://example.org/none&code=red", 404, "not-found", "is not known"),
    ("ConceptMap/$translate?url=http://example.org/map&conceptMapVersion=7&code=red", 404, "not-found", "in version 7"),
]  # fmt: skip


@sqlite
def test_other_operations_refuse_clearly(stored: Fhir, subtests: Any) -> None:
    for url, status, code, text in OTHER_OPERATIONS_REFUSE_CLEARLY_CASES:
        with subtests.test(str((url, status, code, text))):
            stored.get(url).refused(status, code, text=text)


# ---- $lookup, $subsumes ----------------------------------------------------------------------------------------------


@pytest.mark.proves("operation:CodeSystem/$lookup")
def test_lookup_tells_everything_of_a_code(stored: Fhir) -> None:
    answer = stored.get(f"CodeSystem/$lookup?system={COLOURS}&code=red")
    found = told(answer)
    assert (found["name"], found["version"], found["display"]) == ("Colours", "1", "Red")
    rows = [row["part"] for row in answer.json["parameter"] if row["name"] == "property"]
    properties = [{part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in row}
                  for row in rows]
    assert properties == [
        {"code": "child", "value": "crimson", "description": "Crimson"},
        {"code": "child", "value": "pink", "description": "Pink"},
        {"code": "inactive", "value": False},
        {"code": "definition", "value": "As of roses"},
        {"code": "warm", "value": True, "description": "Whether it is a warm colour"},
    ]
    assert {"name": "language", "valueCode": "de"} in found["designation"]
    assert told(stored.post("CodeSystem/$lookup", body({"name": "coding", "valueCoding": coding("red")}))) == found


@sqlite
def test_lookup_gives_the_properties_that_are_asked_for(stored: Fhir) -> None:
    found = stored.get(f"CodeSystem/$lookup?system={COLOURS}&code=pink&property=parent&property=warm")
    assert [row["name"] for row in found.json["parameter"]] == ["name", "version", "display", "property"]
    assert told(found)["property"][1] == {"name": "value", "valueCode": "red"}
    german = stored.get(f"CodeSystem/$lookup?system={COLOURS}&code=red&property=lang.de&displayLanguage=de")
    assert told(german)["display"] == "Rot"
    assert "designation" in told(german)
    shipped = told(stored.get("CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male"))
    assert shipped["display"] == "Male"


@sqlite
def test_lookup_knows_what_supplements_add(stored: Fhir, client: Callable[..., Fhir]) -> None:
    stored.create({"resourceType": "CodeSystem", "url": "http://example.org/fr", "status": "active",
                   "content": "supplement", "supplements": COLOURS,
                   "concept": [{"code": "red", "designation": [{"language": "fr", "value": "Rouge"}]}]})
    assert told(stored.get(f"CodeSystem/$lookup?system={COLOURS}&code=red&displayLanguage=fr"))["display"] == "Rouge"
    narrow = client("system/CodeSystem.rs?url=" + COLOURS)
    assert told(narrow.get(f"CodeSystem/$lookup?system={COLOURS}&code=red&displayLanguage=fr"))["display"] == "Red"
    extended = SET | {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement",
                                     "valueCanonical": "http://example.org/fr"}]}
    first = stored.post("ValueSet/$expand?displayLanguage=fr", extended).json["expansion"]["contains"][0]
    assert first["display"] == "Rouge"


SUBSUMES_CASES: list[Any] = [
    ("red", "red", "equivalent"), ("red", "pink", "subsumes"), ("pink", "red", "subsumed-by"),
    ("red", "navy", "not-subsumed"), ("crimson", "pink", "not-subsumed"),
]  # fmt: skip


@pytest.mark.proves("operation:CodeSystem/$subsumes")
@sqlite
def test_subsumes(stored: Fhir, subtests: Any) -> None:
    for first, second, expected in SUBSUMES_CASES:
        with subtests.test(str((first, second, expected))):
            query = f"codeA={first}&codeB={second}"
            assert told(stored.get(f"CodeSystem/$subsumes?system={COLOURS}&{query}"))["outcome"] == expected
            assert told(stored.get(f"CodeSystem/mine/$subsumes?{query}"))["outcome"] == expected
            posted = body({"name": "codingA", "valueCoding": coding(first)},
                          {"name": "codingB", "valueCoding": coding(second)})
            assert told(stored.post("CodeSystem/$subsumes", posted))["outcome"] == expected


def a_coding(letter: str, **parts: str) -> dict[str, Any]:
    return {"name": f"coding{letter}", "valueCoding": parts}


WHAT_SEVERAL_PARAMETERS_SAY_IS_TAKEN_TOGETHER_CASES: list[Any] = [
    ("CodeSystem/$lookup", [a_coding("", code="red"), {"name": "system", "valueUri": COLOURS}], "display", "Red"),
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red"), {"name": "version", "valueString": "1"}],
     "display", "Red"),
    ("CodeSystem/$subsumes", [a_coding("A", code="red"), a_coding("B", code="pink"),
                              {"name": "system", "valueUri": f"{COLOURS}|1"}], "outcome", "subsumes"),
    ("CodeSystem/mine/$subsumes?codeA=red&version=1", [a_coding("B", code="pink", version="1")], "outcome", "subsumes"),
    (f"CodeSystem/$validate-code?url={COLOURS}%7C1&code=red", [], "result", True),
    ("CodeSystem/mine/$validate-code?version=1&code=red", [], "result", True),
    (f"ValueSet/$validate-code?url={SHADES}&system={COLOURS}%7C1&code=red", [], "result", True),
    (f"ValueSet/$validate-code?url={SHADES}%7C1&valueSetVersion=1&code=red", [], "result", True),
    (f"ConceptMap/$translate?system={COLOURS}%7C1&code=red", [], "result", True),
]  # fmt: skip


@sqlite
def test_what_several_parameters_say_is_taken_together(stored: Fhir, subtests: Any) -> None:
    for url, rows, name, expected in WHAT_SEVERAL_PARAMETERS_SAY_IS_TAKEN_TOGETHER_CASES:
        with subtests.test(str((url, rows))):
            assert told(stored.post(url, body(*rows)) if rows else stored.get(url))[name] == expected


WHAT_CONTRADICTS_IS_REFUSED_CASES: list[Any] = [
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red"), {"name": "system", "valueUri": "urn:x"}],
     400, "names urn:x"),
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red"), {"name": "version", "valueString": "9"}],
     404, "in version 9. Known is 1."),
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red", version="1"),
                            {"name": "version", "valueString": "9"}], 400, "Two versions"),
    (f"CodeSystem/$lookup?system={COLOURS}%7C1&version=9&code=red", [], 400, "Two versions"),
    ("CodeSystem/$subsumes", [a_coding("A", system=COLOURS, code="red"), a_coding("B", system=COLOURS, code="pink"),
                              {"name": "system", "valueUri": "urn:x"}], 400, "names urn:x"),
    ("CodeSystem/$subsumes", [a_coding("A", system=COLOURS, code="red", version="1"),
                              a_coding("B", system=COLOURS, code="pink", version="2")], 400, "Two versions"),
    ("CodeSystem/mine/$subsumes?codeA=red&codeB=pink&version=9", [], 400, "Two versions"),
    ("CodeSystem/mine/$subsumes", [a_coding("A", code="red", version="9"), a_coding("B", code="pink")], 400,
     "Two versions"),
    ("CodeSystem/mine/$validate-code?version=9&code=red", [], 400, "Two versions"),
    ("CodeSystem/mine/$validate-code", [a_coding("", system=COLOURS, code="red", version="9")], 400, "Two versions"),
    (f"CodeSystem/$validate-code?url={COLOURS}%7C9&code=red", [], 404, "in version 9. Known is 1."),
    (f"ValueSet/$validate-code?url={SHADES}&system={COLOURS}%7C9&code=red", [], 422, "in version 9. Known is 1."),
    (f"ValueSet/$expand?url={SHADES}%7C1&valueSetVersion=9", [], 400, "url asks for version 1, valueSetVersion for 9"),
]  # fmt: skip


@sqlite
def test_what_contradicts_is_refused(stored: Fhir, subtests: Any) -> None:
    for url, rows, status, text in WHAT_CONTRADICTS_IS_REFUSED_CASES:
        with subtests.test(str((url, rows))):
            answer = stored.post(url, body(*rows)) if rows else stored.get(url)
            answer.refused(status, "invalid" if status == 400 else "not-found", text=text)


# ---- $translate ------------------------------------------------------------------------------------------------------


def matches(answer: Answer) -> list[tuple[str, str | None]]:
    found = []
    told(answer)
    for row in answer.json["parameter"]:
        if row["name"] == "match":
            parts = {part["name"]: part for part in row["part"]}
            target = parts.get("concept", {}).get("valueCoding", {})
            found.append((parts["equivalence"]["valueCode"], target.get("code")))
    return found


TRANSLATE_CASES: list[Any] = [
    ("url=http://example.org/map&code=red", (), True, [("equivalent", "f00")]),
    (f"url=http://example.org/map&system={COLOURS}&code=red", (), True, [("equivalent", "f00")]),
    ("url=http://example.org/map&system=http://loinc.org&code=red", (), False, []),
    (f"system={COLOURS}&code=red&targetsystem=http://example.org/rgb", (), True, [("equivalent", "f00")]),
    (f"system={COLOURS}&code=red&source={quote(SHADES)}", (), True, [("equivalent", "f00")]),
    (f"system={COLOURS}&code=red&source={quote(SHADES)}x", (), False, []),
    *((f"system={COLOURS}&code=red&source={quote(one)}", (), True, [("equivalent", "f00")])
      for one in ("mine", "ValueSet/mine", "http://localhost/fhir/ValueSet/mine")),
    (f"system={COLOURS}&code=red&source=ValueSet/none", (), False, []),
    *((f"url=http://example.org/map&code=red&{end}", (), True, [("equivalent", "f00")])
      for end in ("source=mine", f"target={R4}x")),
    ("url=http://example.org/map&code=red&target=urn:x", (), False, []),
    (f"system={COLOURS}&code=red", (), True, [("equivalent", "f00")]),  # all known translations
    ("system=http://example.org/rgb&code=f00&reverse=true", (), True, [("equivalent", "red")]),
    ("system=http://hl7.org/fhir/administrative-gender&code=male", (), True, [("equal", "M")] * 2),  # v2, v3
    ("system=http://example.org/unheard-of&code=male", (), False, []),
    (f"system={COLOURS}&code=red&targetsystem=http://example.org/hsv", (), False, []),
    ("url=http://example.org/map&code=pink", (), True, [("wider", "f0c")]),
    ("url=http://example.org/map&code=pink", ({"name": "dependency", "part": [
        {"name": "element", "valueUri": "http://example.org/use"},
        {"name": "concept", "valueCodeableConcept": {"coding": [{"system": "urn:u", "code": "print"}]}}]},), True,
     [("wider", "f0c"), ("narrower", "fcc")]),
    ("url=http://example.org/map&code=all", (), False, [("unmatched", None)]),
    ("url=http://example.org/map&code=navy", (), True, [("inexact", "000")]),
    ("url=http://example.org/map&code=f0c&reverse=true", (), True, [("narrower", "pink")]),
    ("system=http://example.org/rgb&code=f00&reverse=true&targetsystem=" + COLOURS, (), True, [("equivalent", "red")]),
    ("url=http://hl7.org/fhir/ConceptMap/101&code=home", (), True, [("equivalent", "H")]),
    ("url=http://hl7.org/fhir/ConceptMap/101&system=http://hl7.org/fhir/address-use&code=home", (), True,
     [("equivalent", "H")]),
]  # fmt: skip


@pytest.mark.proves("operation:ConceptMap/$translate")
@sqlite
def test_translate(stored: Fhir, subtests: Any) -> None:
    for query, rows, result, expected in TRANSLATE_CASES:
        with subtests.test(str((query, rows, result, expected))):
            answer = stored.post(f"ConceptMap/$translate?{query}", body(*rows)) if rows else stored.get(
                f"ConceptMap/$translate?{query}")
            assert matches(answer) == expected
            assert told(answer)["result"] is result
            assert ("message" in told(answer)) is (not result)


@sqlite
def test_more_maps_than_are_read_are_refused_not_passed_over(stored: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.create(MAP | {"url": "http://example.org/another"})
    monkeypatch.setattr(stored_terminology, "MOST_FOUND", 1)
    stored.get(f"ConceptMap/$translate?system={COLOURS}&code=red").refused(422, "too-costly", "url")
    assert matches(stored.get("ConceptMap/$translate?url=http://example.org/map&code=red")) == [("equivalent", "f00")]


MORE_THAN_IS_LOOKED_UP_IS_REFUSED_CASES: list[Any] = [
    ("ValueSet/mine/$expand?displayLanguage=" + "a-" * 500, [], 400, "at most 8"),
    (f"CodeSystem/$lookup?system={COLOURS}&code=red&displayLanguage=" + "a-" * 500, [], 400, "at most 8"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=red&displayLanguage=" + "a-" * 500, [], 400, "at most 8"),
    *((url, [{"name": "codeableConcept", "valueCodeableConcept": {"coding": [coding(f"c{n}") for n in range(101)]}}],
       422, "101 codings") for url in ("ValueSet/mine/$validate-code", "ConceptMap/mine/$translate")),
    ("ConceptMap/mine/$translate?code=red", [{"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:x"}, {"name": "concept", "valueCodeableConcept": {"text": "x"}}]}] * 21,
     422, "20 dependencies"),
    ("ConceptMap/mine/$translate?code=red", [{"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:x"},
        {"name": "concept", "valueCodeableConcept": {"coding": [coding("red")] * 101}}]}], 422, "100 codings"),
    (f"ConceptMap/$translate?system={COLOURS}&code=red", [{"name": "conceptMap", "resource": {
        "resourceType": "ConceptMap", "status": "active", "group": [
            {"source": COLOURS, "element": [{"code": "x"}], "unmapped": {"mode": "other-map", "url": f"urn:x:{n}"}}
            for n in range(101)]}}], 422, "100 other maps"),
]  # fmt: skip


@sqlite
def test_more_than_is_looked_up_is_refused(stored: Fhir, subtests: Any) -> None:
    for url, rows, status, text in MORE_THAN_IS_LOOKED_UP_IS_REFUSED_CASES:
        with subtests.test(text):
            answer = stored.post(url, body(*rows)) if rows else stored.get(url)
            answer.refused(status, "invalid" if status == 400 else "too-costly", text=text)


@sqlite
def test_what_translating_costs_is_counted(stored: Fhir) -> None:
    targets = [{"code": f"c{n}", "equivalence": "equal", "dependsOn": [{"property": "urn:x", "value": "no"}]}
               for n in range(2_000)]
    concept_map = {"resourceType": "ConceptMap", "status": "active", "group": [
        {"target": "urn:y", "element": [{"code": "red", "target": targets}]}]}
    asked = [coding("red", f"urn:{n}") for n in range(100)]
    depends = {"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:x"},
        {"name": "concept", "valueCodeableConcept": {"coding": [coding(f"c{n}") for n in range(100)]}}]}
    posted = body({"name": "conceptMap", "resource": concept_map}, depends,
                  {"name": "codeableConcept", "valueCodeableConcept": {"coding": asked}})
    stored.post("ConceptMap/$translate", posted).refused(422, "too-costly", text="too many")


@sqlite
def test_what_comparing_displays_costs_is_counted(stored: Fhir) -> None:
    designations = [{"value": f"d{n}"} for n in range(40_000)]
    system = SYSTEM | {"concept": [{"code": "red", "display": "Red", "designation": designations}]}
    asked = [coding("red", display=f"x{n}") for n in range(100)]
    posted = body({"name": "codeSystem", "resource": system},
                  {"name": "codeableConcept", "valueCodeableConcept": {"coding": asked}})
    stored.post("CodeSystem/$validate-code", posted).refused(422, "too-costly", text="too many")
    posted["parameter"][1]["valueCodeableConcept"]["coding"] = [*asked[:5], coding("red", display="D39999")]
    assert told(stored.post("CodeSystem/$validate-code", posted))["result"] is True


@sqlite
def test_of_each_map_the_version_in_use_translates(stored: Fhir) -> None:
    """A map of an older version, and one of R4 that a stored one replaces, went on beside it."""
    (group,) = MAP["group"]
    for version, status, code in (("2", "active", "two"), ("3", "retired", "three")):
        element = {"code": "red", "target": [{"code": code, "equivalence": "equal"}]}
        stored.create(MAP | {"version": version, "status": status, "group": [group | {"element": [element]}]})
    assert matches(stored.get(f"ConceptMap/$translate?system={COLOURS}&code=red")) == [("equal", "two")]
    other = {"source": "urn:a", "target": "urn:b", "element": [{"code": "1", "target": [
        {"code": "2", "equivalence": "equal"}]}]}
    query = "ConceptMap/$translate?system=http://hl7.org/fhir/administrative-gender&code=male"
    before = matches(stored.get(query))
    stored.create({"resourceType": "ConceptMap", "url": "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3",
                   "status": "active", "group": [other]})
    assert len(matches(stored.get(query))) == len(before) - 1
    stored.create(MAP | {"version": "4", "group": [other]})
    assert matches(stored.get(f"ConceptMap/$translate?system={COLOURS}&code=red")) == []


@sqlite
def test_a_match_has_its_target_products_and_map(stored: Fhir) -> None:
    parts = {row["name"]: row for row in told(stored.get("ConceptMap/mine/$translate?code=red"))["match"]}
    assert parts["concept"]["valueCoding"] == {"system": "http://example.org/rgb", "version": "3", "code": "f00"}
    assert parts["source"]["valueUri"] == "http://example.org/map"
    assert parts["product"]["part"] == [
        {"name": "element", "valueUri": "http://example.org/light"},
        {"name": "concept", "valueCoding": {"system": "urn:l", "code": "bright"}}]


@sqlite
def test_unmapped_codes_go_on_to_another_map_even_in_a_circle(stored: Fhir) -> None:
    group = {"source": COLOURS, "target": "http://example.org/rgb", "element": [{"code": "x", "target": []}]}
    for name, mode in (("a", {"mode": "other-map", "url": "http://example.org/b"}),
                       ("b", {"mode": "other-map", "url": "http://example.org/a"}),
                       ("e", {"mode": "other-map", "url": "http://example.org/none"}),
                       ("c", {"mode": "provided"}), ("d", {"mode": "other-map", "url": "http://example.org/c"})):
        row = {key: value for key, value in group.items() if key != "element"} | {
            "unmapped": mode, "element": [{"code": "x", "target": [{"code": "y", "equivalence": "equal"}]}]}
        stored.create({"resourceType": "ConceptMap", "url": f"http://example.org/{name}", "status": "active",
                       "group": [row]})
    assert matches(stored.get("ConceptMap/$translate?url=http://example.org/d&code=red")) == [("equal", "red")]
    assert matches(stored.get("ConceptMap/$translate?url=http://example.org/a&code=red")) == []
    missing = told(stored.get("ConceptMap/$translate?url=http://example.org/e&code=red"))
    assert missing["result"] is False
    assert "names http://example.org/none" in missing["message"]


@sqlite
def test_more_maps_in_a_row_than_are_followed_are_refused_not_passed_over(fhir: Fhir) -> None:
    for number in range(6):
        code = "red" if number == 5 else "x"
        group = {"source": COLOURS, "element": [{"code": code, "target": [{"code": "y", "equivalence": "equal"}]}],
                 "unmapped": {"mode": "other-map", "url": f"http://example.org/{number + 1}"}}  # fmt: skip
        fhir.create(MAP | {"url": f"http://example.org/{number}", "group": [group]})
    assert matches(fhir.get("ConceptMap/$translate?url=http://example.org/1&code=red")) == [("equal", "y")]
    fhir.get("ConceptMap/$translate?url=http://example.org/0&code=red").refused(422, "too-costly", "url", "than 5 maps")


# ---- versions and the grant ------------------------------------------------------------------------------------------


@sqlite
def test_without_a_version_the_highest_in_use_is_meant(fhir: Fhir) -> None:
    for version, status in (("9", "active"), ("10", "active"), ("11", "retired")):
        fhir.create(SYSTEM | {"version": version, "status": status, "concept": [{"code": f"v{version}"}]})
    assert told(fhir.get(f"CodeSystem/$lookup?system={COLOURS}&code=v10"))["version"] == "10"
    assert told(fhir.get(f"CodeSystem/$lookup?system={COLOURS}&version=9&code=v9"))["version"] == "9"
    assert told(fhir.get(f"CodeSystem/$lookup?system={COLOURS}%7C11&code=v11"))["version"] == "11"


def test_more_versions_than_are_read_are_refused_not_passed_over(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1", "2", "3"):
        fhir.create(SYSTEM | {"version": version, "concept": [{"code": f"v{version}"}]})
    monkeypatch.setattr(stored_terminology, "MOST_FOUND", 2)
    fhir.get(f"CodeSystem/$lookup?system={COLOURS}&code=v3").refused(422, "too-costly", "url", "More than 2 resources")
    assert told(fhir.get(f"CodeSystem/$lookup?system={COLOURS}&version=3&code=v3"))["version"] == "3"


@sqlite
@pytest.mark.parametrize(("version", "meant"), [("9" * 5_000, "9" * 5_000), ("1.²", "1.²"), ("①", "0")],
                         ids=["5000 digits", "1.²", "①"])
def test_a_version_may_be_any_text(fhir: Fhir, version: str, meant: str) -> None:
    """One such ConceptMap made every $translate from its code system fail."""
    for resource in (SYSTEM, SET, MAP):
        fhir.create(resource | {"version": "0"})
        fhir.create(resource | {"version": version})
    assert told(fhir.get(f"CodeSystem/$lookup?system={COLOURS}&code=red"))["version"] == meant
    assert fhir.get(f"ValueSet/$expand?url={SHADES}").json["version"] == meant
    assert matches(fhir.get(f"ConceptMap/$translate?system={COLOURS}&code=red")) == [("equivalent", "f00")]
    definition = {"resourceType": "StructureDefinition", "url": "http://example.org/any", "version": version,
                  "name": "Any", "status": "active", "kind": "resource", "abstract": False, "type": "Basic",
                  "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic", "derivation": "constraint",
                  "differential": {"element": [{"id": "Basic", "path": "Basic"}]}}
    fhir.create(definition)
    fhir.create(definition | {"version": "0"})
    basic = {"resourceType": "Basic", "meta": {"profile": ["http://example.org/any"]}, "code": {"text": "a"}}
    assert fhir.post("Basic/$validate", basic).status == 200
    assert fhir.get("StructureDefinition/$snapshot?url=http://example.org/any").json["version"] == meant


@sqlite
def test_of_a_grammar_some_codes_may_be_stored(fhir: Fhir) -> None:
    """Common units with their names, loaded as a fragment, took away what the grammar tells of all others."""
    ucum, mine = "http://unitsofmeasure.org", "http://example.org/units"
    fhir.create({"resourceType": "CodeSystem", "url": ucum, "status": "active", "content": "fragment",
                 "concept": [{"code": "mg", "display": "milligram"}]})
    fhir.create({"resourceType": "ValueSet", "url": mine, "status": "active",
                 "compose": {"include": [{"system": ucum}]}})
    for name, place in (("ValueSet", f"url={mine}&system={ucum}"), ("CodeSystem", f"url={ucum}")):
        asked = f"{name}/$validate-code?{place}"
        assert told(fhir.get(f"{asked}&code=mg")) == {"result": True, "display": "milligram"}
        assert told(fhir.get(f"{asked}&code=kg")) == {"result": True}
        assert told(fhir.get(f"{asked}&code=furlong"))["result"] is False
        assert told(fhir.get(f"{asked}&code=mg&display=gram"))["result"] is False
    for code, expected in (("min", True), ("mg", False)):
        asked = f"ValueSet/$validate-code?url={R4}all-time-units&system={ucum}&code={code}"
        assert told(fhir.get(asked))["result"] is expected
    listed = fhir.get(f"ValueSet/$expand?url={mine}")
    assert codes(listed) == ["mg"]
    assert [row["name"] for row in listed.json["expansion"]["parameter"]] == ["url", "warning-fragment"]
    fhir.create({"resourceType": "CodeSystem", "url": "urn:ietf:bcp:47", "status": "active", "content": "complete",
                 "concept": [{"code": "de"}]})
    for code, expected in (("de", True), ("en", False)):
        assert told(fhir.get(f"CodeSystem/$validate-code?url=urn:ietf:bcp:47&code={code}"))["result"] is expected


@sqlite
def test_what_is_stored_goes_before_what_ships_and_a_change_is_seen_at_once(fhir: Fhir) -> None:
    url = "http://hl7.org/fhir/administrative-gender"
    own = {"resourceType": "CodeSystem", "id": "g", "url": url, "version": "4.0.2", "status": "active",
           "content": "complete", "concept": [{"code": "own"}]}
    assert fhir.put("CodeSystem/g", own).status == 201
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&code=own"))["result"] is True
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&version=4.0.1&code=own"))["result"] is False
    assert fhir.put("CodeSystem/g", own | {"concept": [{"code": "new"}]}).status == 200
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&code=own"))["result"] is False
    assert fhir.delete("CodeSystem/g").status == 200
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&code=male"))["result"] is True


def test_a_token_uses_only_what_it_may_see(stored: Fhir, client: Callable[..., Fhir]) -> None:
    blind = client("system/Patient.rs")
    blind.get(f"ValueSet/$expand?url={SHADES}").refused(404, "not-found", text=f"ValueSet {SHADES} is not known here.")
    blind.get("ValueSet/mine/$expand").refused(403, "forbidden")
    blind.get(f"CodeSystem/$lookup?system={COLOURS}&code=red").refused(404, "not-found")
    blind.get("ConceptMap/$translate?url=http://example.org/map&code=red").refused(404, "not-found")
    assert matches(blind.get(f"ConceptMap/$translate?system={COLOURS}&code=red&source={SHADES}")) == []
    assert matches(blind.get(f"ConceptMap/$translate?system={COLOURS}&code=red")) == []
    of_maps = client("system/ConceptMap.rs")  # which value set ValueSet/mine is, that token does not learn
    assert matches(of_maps.get(f"ConceptMap/$translate?system={COLOURS}&code=red&source=ValueSet/mine")) == []
    blind.get(f"CodeSystem/$subsumes?system={COLOURS}&codeA=red&codeB=pink").refused(404, "not-found")
    blind.post("ValueSet/$expand", SET).refused(422, "not-found", text=f"CodeSystem {COLOURS} is not known here.")
    assert codes(blind.get(f"ValueSet/$expand?url={R4}administrative-gender")) == ["male", "female", "other", "unknown"]
    of_sets = client("system/ValueSet.rs")
    of_sets.get("ValueSet/mine/$expand").refused(422, "not-found", text=f"CodeSystem {COLOURS} is not known here.")
    granular = client("system/ValueSet.rs?url=http://example.org/another", "system/CodeSystem.rs")
    granular.get("ValueSet/mine/$expand").refused(404, "not-found")
    granular.get(f"ValueSet/$expand?url={SHADES}").refused(404, "not-found")
    covering = client(f"system/ValueSet.rs?url={SHADES}", "system/CodeSystem.rs")
    assert len(codes(covering.get(f"ValueSet/$expand?url={SHADES}"))) == 5


# ---- what is told of it ----------------------------------------------------------------------------------------------


@sqlite
def test_terminology_capabilities_and_the_capability_statement(nobody: Fhir) -> None:
    answer = nobody.get("metadata?mode=terminology")
    assert answer.status == 200
    assert [one for one in validate(answer.json, "TerminologyCapabilities") if one.severity != "warning"] == []
    systems = {one["uri"]: one for one in answer.json["codeSystem"]}
    assert len(systems) > 1_050
    assert systems["http://hl7.org/fhir/administrative-gender"]["version"][0]["code"] == "4.0.1"
    assert "http://snomed.info/sct" not in systems
    rest = {one["type"]: one for one in nobody.get("metadata").json["rest"][0]["resource"]}
    types = ("CodeSystem", "ValueSet", "ConceptMap")
    offered = {name: {one["name"] for one in rest[name]["operation"]} for name in types}
    assert offered["ValueSet"] >= {"expand", "validate-code"}
    assert offered["CodeSystem"] >= {"lookup", "validate-code", "subsumes"}
    assert offered["ConceptMap"] >= {"translate"}


@sqlite
def test_parts_and_data_types_have_to_be_what_the_definition_says(stored: Fhir) -> None:
    url = "ConceptMap/mine/$translate"
    for row, expression in (
        ({"name": "coding", "valueString": "red"}, "Parameters.parameter[0].valueCoding"),
        ({"name": "conceptMap", "valueString": "red"}, "Parameters.parameter[0].resource"),
        ({"name": "dependency", "valueString": "red"}, "Parameters.parameter[0].part"),
        ({"name": "code", "valueCoding": coding("red")}, "Parameters.parameter[0].value[x]"),
        ({"name": "dependency", "part": [{"name": "x", "valueString": "y"}]}, None),
    ):
        to = f"{url}?code=red" if row["name"] == "dependency" else url
        stored.post(to, body(row)).refused(400, "invalid", expression)
    twice = {"name": "coding", "valueCoding": coding("red")}
    stored.post(url, body(twice, twice)).refused(400, "invalid", "coding", "once")
    assert json.loads(stored.post(url, body(twice)).content)["parameter"][0]["valueBoolean"] is True


# ---- $find-matches ---------------------------------------------------------------------------------------------------


def asked_for(exact: bool, *properties: tuple[str, str, Any], system: str | None = COLOURS) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [{"name": "exact", "valueBoolean": exact}]
    rows += [{"name": "system", "valueUri": system}] if system else []
    return body(*rows, *({"name": "property", "part": [{"name": "code", "valueCode": code},
                                                       {"name": "value", f"value{kind}": value}]}
                         for code, kind, value in properties))


def found(answer: Answer) -> list[str]:
    """Return each match with what it lacks, and whether it is a possible one."""
    assert answer.status == 200, answer.content
    assert [one for one in validate(answer.json, "Parameters") if one.severity != "warning"] == []
    rows = []
    for match in (row["part"] for row in answer.json.get("parameter", [])):
        lacks = [part["part"][0]["valueCode"] for part in match if part["name"] == "unmatched"]
        possible = "?" if any(part["name"] == "comment" for part in match) else ""
        rows.append(" -".join([match[0]["valueCoding"]["code"] + possible, *lacks]))
    return rows


FIND_MATCHES_CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("all have it", asked_for(True, ("parent", "Code", "red")), ["crimson", "pink"]),
    ("one has both", asked_for(True, ("parent", "Code", "red"), ("display", "String", "Pink")), ["pink"]),
    ("nobody has both", asked_for(True, ("warm", "Boolean", True), ("display", "String", "Navy blue")),
     ["red -display", "navy -warm"]),
    ("a coding", asked_for(True, ("parent", "Coding", coding("blue"))), ["navy"]),
    ("a coding of another system", asked_for(True, ("parent", "Coding", coding("blue", "urn:x"))), []),
    ("a boolean is no text", asked_for(True, ("warm", "String", "true")), []),
    ("no such property", asked_for(True, ("size", "Integer", 3), ("code", "Code", "pink")), ["pink -size"]),
    ("words are no match", asked_for(True, ("display", "String", "blue")), []),
    ("words are a possible one", asked_for(False, ("display", "String", "BLUE")), ["blue?", "navy?"]),
    ("the whole goes before words", asked_for(False, ("display", "String", "Blue")), ["blue"]),
    ("a designation is a display", asked_for(True, ("display", "String", "Rot")), ["red"]),
    ("possible in part", asked_for(False, ("definition", "String", "roses"), ("warm", "Boolean", False)),
     ["red? -warm"]),
    ("nothing asked", asked_for(True), []),
]  # fmt: skip


@pytest.mark.proves("operation:CodeSystem/$find-matches")
@sqlite
def test_find_matches(stored: Fhir, subtests: Any) -> None:
    for name, asked, expected in FIND_MATCHES_CASES:
        with subtests.test(name):
            assert found(stored.post("CodeSystem/$find-matches", asked)) == expected
            here = body(*(row for row in asked["parameter"] if row["name"] != "system"))
            assert found(stored.post("CodeSystem/mine/$find-matches", here)) == expected
    answer = stored.post("CodeSystem/$find-matches", FIND_MATCHES_CASES[2][1], Accept="application/fhir+xml")
    assert answer.json["parameter"][1]["part"] == [
        {"name": "code", "valueCoding": coding("navy", version="1", display="Navy blue")},
        {"name": "unmatched", "part": [{"name": "code", "valueCode": "warm"}, {"name": "value", "valueBoolean": True}]}]
    assert found(stored.get(f"CodeSystem/$find-matches?system={COLOURS}&exact=true")) == []
    genders = asked_for(True, ("code", "Code", "male"), system="http://hl7.org/fhir/administrative-gender")
    assert found(stored.post("CodeSystem/$find-matches", genders)) == ["male"]


@sqlite
def test_find_matches_refuses(stored: Fhir, client: Callable[..., Fhir], monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ("code", "Code", "red")
    stored.post("CodeSystem/$find-matches", asked_for(True, ask, system=None)).refused(400, "invalid", "system")
    stored.post("CodeSystem/mine/$find-matches", asked_for(True, ask)).refused(400, "invalid", "system")
    stored.post("CodeSystem/$find-matches", asked_for(True, ask, system="urn:no")).refused(404, "not-found", "system")
    stored.get(f"CodeSystem/$find-matches?system={COLOURS}").refused(400, "invalid", "exact", "needs")
    stored.get("CodeSystem/mine/$find-matches?exact=true&property=x").refused(400, "invalid", "property", "by POST")
    for rows, status, code in (
        ([{"name": "code", "valueCode": "red"}], 400, "invalid"),
        ([{"name": "value", "valueCode": "red"}], 400, "invalid"),
        ([{"name": "code", "valueCode": "a"}, {"name": "other", "valueCode": "b"}], 400, "invalid"),
        ([{"name": "code", "valueCode": "a"}, {"name": "subproperty", "part": []}], 400, "not-supported"),
    ):
        asked = body({"name": "exact", "valueBoolean": True}, {"name": "property", "part": rows})
        assert stored.post("CodeSystem/mine/$find-matches", asked).status == status, code
    many = asked_for(True, *[ask] * 21)
    stored.post("CodeSystem/$find-matches", many).refused(422, "too-costly", "property", "at most 20")
    long = asked_for(False, ask, ("display", "String", "red " * 1_000))
    stored.post("CodeSystem/$find-matches", long).refused(422, "too-costly", "property", "4000 characters")
    monkeypatch.setattr("hie.operations.find_matches.MOST_RETURNED", 1)
    broad = asked_for(True, ("inactive", "Boolean", False))
    stored.post("CodeSystem/$find-matches", broad).refused(422, "too-costly", "property", "equally well")
    narrow = client("system/Patient.rs")
    narrow.post("CodeSystem/$find-matches", asked_for(True, ask)).refused(404, "not-found", "system")
    hidden = body({"name": "exact", "valueBoolean": True})
    assert narrow.post("CodeSystem/mine/$find-matches", hidden).status == 403
