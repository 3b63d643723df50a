"""Code systems and value sets, a small one of each with its map, and what the terminology operations tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.fhir.validation import validate

if TYPE_CHECKING:
    from tests.conformance.conftest import Answer

Json = dict[str, Any]
R4 = "http://hl7.org/fhir/ValueSet/"
THO = "http://terminology.hl7.org/CodeSystem/"
COLOURS, SHADES = "http://example.org/CodeSystem/colours", "http://example.org/ValueSet/shades"


def code_system(url: str, *concepts: str | Json, **more: Any) -> Json:
    """Return a code system that is all here, of concepts or of their codes alone."""
    rows = [{"code": one} if isinstance(one, str) else one for one in concepts]
    return {"resourceType": "CodeSystem", "url": url, "status": "active", "content": "complete",
            **({"concept": rows} if rows else {}), **more}  # fmt: skip


def value_set(*includes: str | Json, url: str | None = "http://example.org/vs", **more: Any) -> Json:
    """Return a value set of all codes of some systems, and of what else it includes; None is one without a URL."""
    rows = [{"system": one} if isinstance(one, str) else one for one in includes]
    said = {name: more.pop(name) for name in ("exclude", "inactive") if name in more}
    return {"resourceType": "ValueSet", **({"url": url} if url else {}), "status": "active",
            "compose": {"include": rows, **said}, **more}  # fmt: skip


def filtered(system: str, property_: str, op: str, value: str) -> Json:
    """Return what a value set includes of a code system: what has a property."""
    return {"system": system, "filter": [{"property": property_, "op": op, "value": value}]}


def listed(system: str, *codes_: str) -> Json:
    """Return what a value set includes of a code system: some codes."""
    return {"system": system, "concept": [{"code": one} for one in codes_]}


SYSTEM = code_system(
    COLOURS,
    {"code": "red", "display": "Red", "definition": "As of roses",
     "property": [{"code": "warm", "valueBoolean": True}],
     "designation": [{"language": "de", "value": "Rot", "use": {"system": "urn:x", "code": "name"}}],
     "concept": [{"code": "crimson", "display": "Crimson"}, {"code": "pink", "display": "Pink"}]},
    {"code": "blue", "display": "Blue", "concept": [{"code": "navy", "display": "Navy blue"}]},
    {"code": "all", "display": "All", "property": [{"code": "notSelectable", "valueBoolean": True}]},
    version="1", name="Colours", hierarchyMeaning="is-a", language="en",
    property=[{"code": "warm", "type": "boolean", "description": "Whether it is a warm colour"}],
)  # fmt: skip
SET = value_set(filtered(COLOURS, "concept", "is-a", "red"), listed(COLOURS, "navy", "all"), url=SHADES, version="1",
                name="Shades")  # fmt: skip
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


def body(*rows: Json) -> Json:
    return {"resourceType": "Parameters", "parameter": list(rows)}


def codes(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    assert [one for one in validate(answer.json, "ValueSet") if one.severity != "warning"] == []
    return [one["code"] for one in answer.json["expansion"].get("contains", [])]


def told(answer: Answer) -> Json:
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
