"""Codes found by their properties: https://hl7.org/fhir/R4/codesystem-operation-find-matches.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir.validation import validate
from tests.conformance.conftest import Answer, Fhir
from tests.terminologies import COLOURS, body, coding

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


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
def test_find_matches(shades: Fhir, subtests: Any) -> None:
    for name, asked, expected in FIND_MATCHES_CASES:
        with subtests.test(name):
            assert found(shades.post("CodeSystem/$find-matches", asked)) == expected
            here = body(*(row for row in asked["parameter"] if row["name"] != "system"))
            assert found(shades.post("CodeSystem/mine/$find-matches", here)) == expected
    answer = shades.post("CodeSystem/$find-matches", FIND_MATCHES_CASES[2][1], Accept="application/fhir+xml")
    assert answer.json["parameter"][1]["part"] == [
        {"name": "code", "valueCoding": coding("navy", version="1", display="Navy blue")},
        {"name": "unmatched", "part": [{"name": "code", "valueCode": "warm"}, {"name": "value", "valueBoolean": True}]}]
    assert found(shades.get(f"CodeSystem/$find-matches?system={COLOURS}&exact=true")) == []
    genders = asked_for(True, ("code", "Code", "male"), system="http://hl7.org/fhir/administrative-gender")
    assert found(shades.post("CodeSystem/$find-matches", genders)) == ["male"]


@sqlite
def test_find_matches_refuses(shades: Fhir, client: Callable[..., Fhir], monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ("code", "Code", "red")
    shades.post("CodeSystem/$find-matches", asked_for(True, ask, system=None)).refused(400, "invalid", "system")
    shades.post("CodeSystem/mine/$find-matches", asked_for(True, ask)).refused(400, "invalid", "system")
    shades.post("CodeSystem/$find-matches", asked_for(True, ask, system="urn:no")).refused(404, "not-found", "system")
    shades.get(f"CodeSystem/$find-matches?system={COLOURS}").refused(400, "invalid", "exact", "needs")
    shades.get("CodeSystem/mine/$find-matches?exact=true&property=x").refused(400, "invalid", "property", "by POST")
    for rows, status, code in (
        ([{"name": "code", "valueCode": "red"}], 400, "invalid"),
        ([{"name": "value", "valueCode": "red"}], 400, "invalid"),
        ([{"name": "code", "valueCode": "a"}, {"name": "other", "valueCode": "b"}], 400, "invalid"),
        ([{"name": "code", "valueCode": "a"}, {"name": "subproperty", "part": []}], 400, "not-supported"),
    ):
        asked = body({"name": "exact", "valueBoolean": True}, {"name": "property", "part": rows})
        assert shades.post("CodeSystem/mine/$find-matches", asked).status == status, code
    many = asked_for(True, *[ask] * 21)
    shades.post("CodeSystem/$find-matches", many).refused(422, "too-costly", "property", "at most 20")
    long = asked_for(False, ask, ("display", "String", "red " * 1_000))
    shades.post("CodeSystem/$find-matches", long).refused(422, "too-costly", "property", "4000 characters")
    monkeypatch.setattr("hie.operations.find_matches.MOST_RETURNED", 1)
    broad = asked_for(True, ("inactive", "Boolean", False))
    shades.post("CodeSystem/$find-matches", broad).refused(422, "too-costly", "property", "equally well")
    narrow = client("system/Patient.rs")
    narrow.post("CodeSystem/$find-matches", asked_for(True, ask)).refused(404, "not-found", "system")
    hidden = body({"name": "exact", "valueBoolean": True})
    assert narrow.post("CodeSystem/mine/$find-matches", hidden).status == 403
