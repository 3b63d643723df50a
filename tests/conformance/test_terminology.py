"""Versions, the grant, and what is told of terminology: https://hl7.org/fhir/R4/terminology-service.html"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from hie.fhir.validation import validate
from hie.store import terminology as stored_terminology
from tests.conformance.conftest import Fhir
from tests.terminologies import (
    COLOURS,
    MAP,
    R4,
    SET,
    SHADES,
    SYSTEM,
    body,
    code_system,
    codes,
    coding,
    matches,
    told,
    value_set,
)

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


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
    fhir.create(code_system(ucum, {"code": "mg", "display": "milligram"}, content="fragment"))
    fhir.create(value_set(ucum, url=mine))
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
    fhir.create(code_system("urn:ietf:bcp:47", "de"))
    for code, expected in (("de", True), ("en", False)):
        assert told(fhir.get(f"CodeSystem/$validate-code?url=urn:ietf:bcp:47&code={code}"))["result"] is expected


@sqlite
def test_what_is_stored_goes_before_what_ships_and_a_change_is_seen_at_once(fhir: Fhir) -> None:
    url = "http://hl7.org/fhir/administrative-gender"
    own = code_system(url, "own", id="g", version="4.0.2")
    assert fhir.put("CodeSystem/g", own).status == 201
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&code=own"))["result"] is True
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&version=4.0.1&code=own"))["result"] is False
    assert fhir.put("CodeSystem/g", own | {"concept": [{"code": "new"}]}).status == 200
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&code=own"))["result"] is False
    assert fhir.delete("CodeSystem/g").status == 200
    assert told(fhir.get(f"CodeSystem/$validate-code?url={url}&code=male"))["result"] is True


def test_a_token_uses_only_what_it_may_see(shades: Fhir, client: Callable[..., Fhir]) -> None:
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


@sqlite
def test_terminology_capabilities_say_how_codes_are_searched_and_maps_found(shades: Fhir) -> None:
    """https://hl7.org/fhir/R4/terminologycapabilities-definitions.html#TerminologyCapabilities.codeSearch"""
    stated = shades.get("metadata?mode=terminology").json
    assert (stated["codeSearch"], stated["translation"]) == ("explicit", {"needsMap": False})
    assert [shades.total(f"ValueSet?code={code}") for code in ("navy", "pink")] == [1, 0]  # by list, and by filter
    assert matches(shades.get(f"ConceptMap/$translate?system={COLOURS}&code=red")) == [("equivalent", "f00")]


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
def test_parts_and_data_types_have_to_be_what_the_definition_says(shades: Fhir) -> None:
    url = "ConceptMap/mine/$translate"
    for row, expression in (
        ({"name": "coding", "valueString": "red"}, "Parameters.parameter[0].valueCoding"),
        ({"name": "conceptMap", "valueString": "red"}, "Parameters.parameter[0].resource"),
        ({"name": "dependency", "valueString": "red"}, "Parameters.parameter[0].part"),
        ({"name": "code", "valueCoding": coding("red")}, "Parameters.parameter[0].value[x]"),
        ({"name": "dependency", "part": [{"name": "x", "valueString": "y"}]}, None),
    ):
        to = f"{url}?code=red" if row["name"] == "dependency" else url
        shades.post(to, body(row)).refused(400, "invalid", expression)
    twice = {"name": "coding", "valueCoding": coding("red")}
    shades.post(url, body(twice, twice)).refused(400, "invalid", "coding", "once")
    assert json.loads(shades.post(url, body(twice)).content)["parameter"][0]["valueBoolean"] is True
