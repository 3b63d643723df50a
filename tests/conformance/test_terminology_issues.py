"""What $validate-code tells beside yes and no: https://hl7.org/fhir/R5/valueset-operation-validate-code.html, issues"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.validation import validate
from tests.conformance.conftest import Fhir
from tests.terminologies import COLOURS, SHADES, body, code_system, coding, told, value_set

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])
INTO_SET, INTO_SYSTEM = {"name": "url", "valueUri": SHADES}, {"name": "url", "valueUri": COLOURS}


def one(code: str, system: str = COLOURS, **more: str) -> dict[str, Any]:
    return {"name": "coding", "valueCoding": coding(code, system, **more)}


def concept(*codings: dict[str, str], **more: str) -> dict[str, Any]:
    return {"name": "codeableConcept", "valueCodeableConcept": {"coding": list(codings)} if codings else more}


def issues(fhir: Fhir, url: str, *rows: dict[str, Any]) -> list[tuple[str, str, str, str | None]]:
    """Return severity, type, kind and place of each issue that is told; together they are the message."""
    answer = fhir.post(url, body(*rows))
    message = told(answer).get("message")
    found = [row["resource"] for row in answer.json["parameter"] if row["name"] == "issues"]
    assert len(found) == (message is not None)
    if not found:
        return []
    assert [issue for issue in validate(found[0], "OperationOutcome") if issue.severity == "error"] == []
    assert " ".join(row["details"]["text"] for row in found[0]["issue"]) == message
    assert {row["details"]["coding"][0]["system"] for row in found[0]["issue"]} == {
        "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"}
    return [(row["severity"], row["code"], row["details"]["coding"][0]["code"], row.get("expression", [None])[0])
            for row in found[0]["issue"]]


CODE = {"name": "code", "valueCode": "blue"}, {"name": "system", "valueUri": COLOURS}
ISSUES: list[Any] = [
    ("ValueSet", (INTO_SET, one("pink")), []),
    ("ValueSet", (INTO_SET, one("blue")), [("error", "code-invalid", "not-in-vs", "Coding.code")]),
    ("ValueSet", (INTO_SET, *CODE), [("error", "code-invalid", "not-in-vs", "code")]),
    ("ValueSet", (INTO_SET, concept(coding("blue"), coding("pink", display="Rosa"))),
     [("error", "code-invalid", "not-in-vs", "CodeableConcept.coding[0].code"),
      ("error", "invalid", "invalid-display", "CodeableConcept.coding[1].display")]),
    ("ValueSet", (INTO_SET, one("all"), {"name": "abstract", "valueBoolean": False}),
     [("error", "business-rule", "code-rule", "Coding.code")]),
    ("ValueSet", (INTO_SET, one("PINK")), [("warning", "business-rule", "code-comment", "Coding.code")]),
    ("CodeSystem", (INTO_SYSTEM, one("ochre")), [("error", "code-invalid", "invalid-code", "Coding.code")]),
    ("CodeSystem", (INTO_SYSTEM, {"name": "version", "valueString": "1"}, concept(coding("blue", version="7"))),
     [("error", "invalid", "version-error", "CodeableConcept.coding[0].version")]),
    ("CodeSystem", (INTO_SYSTEM, concept(coding("blue", "urn:other"))),
     [("error", "code-invalid", "invalid-code", None)]),
    ("ValueSet", (INTO_SET, concept(text="rosy")), [("error", "invalid", "invalid-data", "CodeableConcept")]),
    ("ValueSet", (INTO_SET, {"name": "coding", "valueCoding": {"system": COLOURS, "display": "Pink"}}),
     [("error", "invalid", "invalid-data", "Coding")]),
    ("CodeSystem", (INTO_SYSTEM, concept(text="rosy")), [("error", "invalid", "invalid-data", "CodeableConcept")]),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "rows", "expected"), ISSUES)
@sqlite
def test_why_a_code_is_not_valid_is_told_for_programs_too(
    shades: Fhir, type_name: str, rows: tuple[Any, ...], expected: list[Any]
) -> None:
    assert issues(shades, f"{type_name}/$validate-code", *rows) == expected


@sqlite
def test_a_display_that_cannot_be_judged_is_told(shades: Fhir) -> None:
    rows = [{"code": "x", "designation": [{"value": "Known"}]}]
    sent = {"name": "valueSet", "resource": value_set({"system": "urn:other", "concept": rows}, url=None)}
    warned = [("warning", "business-rule", "code-comment", "Coding.display")]
    assert issues(shades, "ValueSet/$validate-code", sent, one("x", "urn:other", display="Any")) == warned
    for row in (one("x", "urn:other", display="known"), one("x", "urn:other")):
        assert issues(shades, "ValueSet/$validate-code", sent, row) == []


@sqlite
def test_a_code_that_its_value_set_deprecates_is_valid_with_a_warning(shades: Fhir) -> None:
    """https://hl7.org/fhir/R4/extension-valueset-deprecated.html"""
    def marked(code: str, deprecated: bool) -> dict[str, Any]:
        return {"code": code, "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/valueset-deprecated",
                                             "valueBoolean": deprecated}]}

    rows = [marked("red", True), marked("pink", False), marked("gone", True)]
    sent = {"name": "valueSet", "resource": value_set({"system": COLOURS, "concept": rows[:2]},
                                                      {"system": "urn:other", "concept": rows[2:]}, url=None)}
    warned = [("warning", "business-rule", "code-comment", "Coding.code")]
    for code, system, expected in (("red", COLOURS, warned), ("pink", COLOURS, []), ("gone", "urn:other", warned)):
        assert issues(shades, "ValueSet/$validate-code", sent, one(code, system)) == expected
    assert told(shades.post("ValueSet/$validate-code", body(sent, one("red"))))["result"] is True


def test_which_coding_of_a_concept_is_valid_is_told(shades: Fhir) -> None:
    asked = concept(coding("x", "http://loinc.org"), coding("blue"), coding("PINK"), coding("red"))
    found = told(shades.post("ValueSet/$validate-code", body(INTO_SET, asked)))
    assert (found["code"], found["system"], found["version"]) == ("PINK", COLOURS, "1")
    found = told(shades.post("CodeSystem/$validate-code", body(INTO_SYSTEM, asked)))
    assert (found["code"], found["system"], found["version"]) == ("blue", COLOURS, "1")
    silent = told(shades.post("ValueSet/$validate-code", body(INTO_SET, concept({"code": "navy"}))))
    assert (silent["code"], silent["system"], silent["version"]) == ("navy", COLOURS, "1")
    alone = told(shades.post("ValueSet/$validate-code", body(INTO_SET, one("pink"))))
    assert alone.keys() == {"result", "display"}, "R4 has no more, and who asks for one code knows which"


@sqlite
def test_a_value_set_that_was_sent_is_named_so(shades: Fhir) -> None:
    sent = {"name": "valueSet", "resource": value_set(COLOURS, url=None)}
    message = told(shades.post("ValueSet/$validate-code", body(sent, one("ochre"))))["message"]
    assert "is not in the value set that was sent, nor in its code system" in message


@sqlite
def test_what_has_no_code_has_no_translation(shades: Fhir) -> None:
    for row in (concept(text="x"), concept({"display": "X"}), {"name": "coding", "valueCoding": {"display": "X"}}):
        answer = told(shades.post("ConceptMap/mine/$translate", body(row)))
        assert answer["result"] is False
        assert "no code" in answer["message"]
    shades.post("CodeSystem/$lookup", body({"name": "coding", "valueCoding": {"system": COLOURS}})).refused(
        400, "invalid", "coding", "has no code")
    shades.post("ValueSet/$validate-code", body({"name": "url", "valueUri": "urn:none"}, concept(text="x"))).refused(
        404, "not-found", text="urn:none")


def test_which_version_of_a_code_system_is_meant_is_said_to_validate_code_too(shades: Fhir) -> None:
    """https://hl7.org/fhir/R4/valueset-operation-expand.html: system-version, check-system-version, …"""
    two = code_system(COLOURS, {"code": "blue", "display": "Azure"}, "red", version="2", id="two")
    shades.put("CodeSystem/two", two)
    for id_, include in (("any", {"system": COLOURS}), ("first", {"system": COLOURS, "version": "1"}), (
            "listed", {"system": COLOURS, "version": "1", "concept": [{"code": "blue"}]})):
        shades.put(f"ValueSet/{id_}", value_set(include, url=f"urn:{id_}", id=id_))

    def judged(id_: str, query: str, code: str = "blue") -> Any:
        answer = shades.get(f"ValueSet/{id_}/$validate-code?system={COLOURS}&code={code}&{query}")
        expansion = shades.get(f"ValueSet/{id_}/$expand?{query}")
        assert expansion.status == answer.status, expansion.content
        return told(answer).get("display") if answer.status == 200 else answer.json["issue"][0]["diagnostics"]

    of = f"system-version={COLOURS}|"
    assert judged("any", "") == "Azure"
    assert judged("any", f"{of}1") == judged("any", f"check-{of}1") == judged("any", f"force-{of}1") == "Blue"
    assert judged("first", f"{of}2") == judged("first", f"check-{of}1") == "Blue", "the value set states it"
    assert judged("first", f"force-{of}2") == judged("listed", f"force-{of}2") == "Azure"
    for id_ in ("first", "listed"):
        assert "asks for" in judged(id_, f"check-{of}2")
    assert "asks for" in judged("any", f"{of}1&check-{of}2")
    assert "in version 7" in judged("any", f"check-{of}7")
    asked = f"ValueSet/any/$validate-code?system={COLOURS}&code=blue&systemVersion=1"
    assert told(shades.get(f"{asked}&{of}2"))["display"] == "Blue", "a code that says its version means that"
    shades.get(f"ValueSet/any/$validate-code?system={COLOURS}&code=blue&{of}1&{of}2").refused(
        400, "invalid", "system-version", "Two versions")
