"""A small code system, its value set and map, and what the terminology operations tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.fhir.validation import validate

if TYPE_CHECKING:
    from tests.conformance.conftest import Answer

R4 = "http://hl7.org/fhir/ValueSet/"
THO = "http://terminology.hl7.org/CodeSystem/"
COLOURS, SHADES = "http://example.org/CodeSystem/colours", "http://example.org/ValueSet/shades"

SYSTEM: dict[str, Any] = {
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


def matches(answer: Answer) -> list[tuple[str, str | None]]:
    found = []
    told(answer)
    for row in answer.json["parameter"]:
        if row["name"] == "match":
            parts = {part["name"]: part for part in row["part"]}
            target = parts.get("concept", {}).get("valueCoding", {})
            found.append((parts["equivalence"]["valueCode"], target.get("code")))
    return found
