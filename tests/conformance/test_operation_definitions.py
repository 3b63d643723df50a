"""What defines the operations of this server: https://hl7.org/fhir/R4/operationdefinition.html"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hie.app import create_app
from hie.fhir import facts
from hie.fhir.http import FhirResponse
from hie.registry import Operation, Parameter, built_in
from tests.conformance.conftest import Fhir
from tests.conformance.test_capabilities import CONTROLS
from tests.one_database import ONE_DATABASE

BASE = "http://localhost/fhir"
OWN = f"{BASE}/OperationDefinition/-hie-"
HL7 = "http://hl7.org/fhir/OperationDefinition/"
EVERYTHING = f"{OWN}Patient-everything"
OPERATIONS = {f"{','.join(sorted(one.types or ()))}${one.code}": one for one in built_in().operations}


def rows(nobody: Fhir) -> list[tuple[str | None, str, str]]:
    """Type, name and definition of every operation that the statement names; None: of the system."""
    rest = nobody.get("metadata").json["rest"][0]
    return [(place.get("type"), one["name"], one["definition"])
            for place in (rest, *rest["resource"]) for one in place.get("operation", [])]


def stored(**more: Any) -> dict[str, Any]:
    return {"resourceType": "OperationDefinition", "name": "Mine", "status": "active", "kind": "operation",
            "code": "mine", "system": True, "type": False, "instance": False, **more}  # fmt: skip


def names(definition: dict[str, Any], use: str = "in") -> set[str]:
    return {one["name"] for one in definition.get("parameter", []) if one["use"] == use and one["max"] != "0"}


def the(definition: dict[str, Any], name: str, use: str = "in") -> dict[str, Any]:
    (found,) = [one for one in definition["parameter"] if (one["name"], one["use"]) == (name, use)]
    return dict(found)


@ONE_DATABASE
@pytest.mark.proves("definition:operations")
def test_every_operation_that_is_named_is_defined_where_anybody_reads_it(nobody, fhir):
    named = rows(nobody)
    for url in sorted({definition for _, _, definition in named if definition.startswith(BASE)}):
        answer = nobody.get(url)
        assert answer.status == 200
        definition = answer.json
        assert (definition["url"], f"{BASE}/OperationDefinition/{answer.id}") == (url, url)
        told = fhir.post("OperationDefinition/$validate", definition).json
        assert [one["severity"] for one in told["issue"]] == ["information"], (url, told)
    for type_name, name, _ in named:
        (url,) = [url for row_type, row_name, url in named if (row_type, row_name) == (type_name, name)
                  and url.startswith(BASE)]
        definition = nobody.get(url).json
        assert definition["code"] == name
        if type_name is None:
            assert definition["system"]
        else:
            assert definition["type"] or definition["instance"]
            assert {type_name, "Resource"} & set(definition["resource"])
    assert len({url for _, _, url in named if url.startswith(BASE)}) == len(OPERATIONS)


@ONE_DATABASE
@pytest.mark.proves("definition:operations")
def test_the_definition_of_a_standard_is_named_first_and_is_the_base_of_the_one_here(nobody):
    named = rows(nobody)
    assert [url for type_name, name, url in named if (type_name, name) == ("Patient", "everything")] == [
        f"{HL7}Patient-everything", EVERYTHING]
    assert [url for type_name, name, url in named if (type_name, name) == ("DocumentReference", "docref")] == [
        "http://hl7.org/fhir/us/core/OperationDefinition/docref", "http://hl7.org/fhir/uv/ipa/OperationDefinition/docref",
        f"{OWN}DocumentReference-docref"]
    assert [url for type_name, name, url in named if (type_name, name) == (None, "diff")] == [f"{OWN}diff"]
    assert nobody.get(EVERYTHING).json["base"] == f"{HL7}Patient-everything"
    assert "base" not in nobody.get(f"{OWN}diff").json
    assert not [url for _, _, url in named if url.startswith("urn:")]


@ONE_DATABASE
@pytest.mark.parametrize("operation", [
    pytest.param(one, id=key) for key, one in OPERATIONS.items() if not one.takes_search and not one.takes_body])
def test_what_is_taken_is_what_is_defined(nobody, fhir, operation):
    """The operation itself says what it has."""
    level = next(one for one in ("system", "type", "instance") if one in operation.levels)
    place = "" if level == "system" else f"{min(operation.types or ('Patient',))}/" + ("x/" if level != "type" else "")
    refused = fhir.post(f"{place}${operation.code}", {"resourceType": "Parameters", "parameter": [
        {"name": "unheard-of", "valueString": "x"}]})
    refused.refused(400, "invalid", "unheard-of")
    told = refused.json["issue"][0]["diagnostics"].partition("it has: ")[2].partition(".")[0]
    types = "-".join(sorted(operation.types or ()))
    definition = nobody.get(f"{OWN}{types + '-' if types else ''}{operation.code}").json
    defined = {one["name"] for one in definition.get("parameter", []) if one["use"] == "in"}
    assert set(told.split(", ")) == (defined or {"none"})
    for one in operation.parameters:
        row = the(definition, one.name)
        assert (row["min"], row.get("type", "")) == (one.min, one.type)
        assert row["documentation"]


@ONE_DATABASE
def test_what_a_standard_has_is_all_defined_and_marked_where_it_is_not_taken(nobody, fhir):
    for row in facts.OPERATIONS.values():
        operation = next((one for one in OPERATIONS.values() if one.definition == row["url"]), None)
        if operation is None:
            continue
        types = "-".join(sorted(operation.types or ()))
        definition = nobody.get(f"{OWN}{types + '-' if types else ''}{operation.code}").json
        for one in row["parameter"]:
            found = the(definition, one["name"], one["use"])
            assert found.get("type") == one.get("type")
            assert found["max"] in (one["max"], "0")
    for place, given in (("ValueSet/$expand", f"url={BASE}"), ("CodeSystem/$lookup", "code=x&system=urn:x"),
                         ("ValueSet/$validate-code", "url=urn:x&code=x"),
                         ("CodeSystem/$validate-code", "url=urn:x&code=x")):  # fmt: skip
        type_name, _, code = place.partition("/$")
        row = the(nobody.get(f"{OWN}{type_name}-{code}").json, "date")
        assert (row["max"], row["documentation"][:14]) == ("0", "Not taken here")
        fhir.get(f"{place}?{given}&date=2020").refused(400, "not-supported", "date", "as they are now")


@ONE_DATABASE
def test_parts_search_parameters_and_what_is_this_servers_own_are_defined(nobody):
    everything = nobody.get(EVERYTHING).json
    assert {"_asOf", "_cursor", "_summary", "_elements", "start", "_type"} <= names(everything)
    assert names(everything, "out") == {"return"}
    properties = the(nobody.get(f"{OWN}CodeSystem-find-matches").json, "property")
    assert {one["name"]: one["max"] for one in properties["part"]} == {"code": "1", "value": "1", "subproperty": "0"}
    assert {one["name"]: one["min"] for one in properties["part"]} == {"code": 1, "value": 1, "subproperty": 0}
    lastn = nobody.get(f"{OWN}Observation-lastn").json
    subject = the(lastn, "subject")
    assert (subject["type"], subject["searchType"], subject["max"]) == ("string", "reference", "*")
    assert the(lastn, "max")["type"] == "positiveInt"
    assert names(nobody.get(f"{OWN}graphql").json) == {"query", "variables", "operationName", "_asOf"}
    assert the(nobody.get(f"{OWN}ValueSet-validate-code").json, "issues", "out")["type"] == "OperationOutcome"
    assert the(nobody.get(f"{OWN}validate").json, "mode")["binding"]["strength"] == "required"


@ONE_DATABASE
@pytest.mark.parametrize(("place", "given"), [("Observation/$lastn", "subject=Patient/1&"), ("$explain", "")])
def test_what_says_how_a_search_is_answered_is_defined_where_it_is_taken(nobody, fhir, place, given):
    fhir.put("Patient/1", {"resourceType": "Patient", "id": "1"})
    type_name, _, code = place.rpartition("/")
    defined = names(nobody.get(f"{OWN}{type_name + '-' if type_name else ''}{code[1:]}").json)
    for name, value in {**CONTROLS, "_type": "Observation", "_text": "x", "_id": "x", "_filter": "_id eq x"}.items():
        answer = fhir.get(f"{place}?{given}{name}{'' if value.startswith(':') else '='}{value}")
        assert answer.status == (200 if name in defined else 400), (name, answer.content)


@ONE_DATABASE
def test_what_changes_something_is_told(nobody):
    assert nobody.get(f"{OWN}meta-add").json["affectsState"] is True
    assert nobody.get(EVERYTHING).json["affectsState"] is False
    assert nobody.get(EVERYTHING).json["comment"].startswith("GET or POST `[base]/Patient/$everything`, ")
    assert nobody.get(f"{OWN}Patient-match").json["comment"] == "POST `[base]/Patient/$match`.", "it needs a body"
    some = nobody.get(f"{OWN}Patient-recommend").json
    assert "affectsState" not in some
    assert "POST stores" in some["comment"]


@ONE_DATABASE
def test_a_definition_is_read_as_other_resources_are(nobody, fhir):
    first = nobody.get(EVERYTHING)
    assert nobody.get(EVERYTHING, If_None_Match=first.headers["ETag"]).status == 304
    assert nobody("HEAD", EVERYTHING).content == b""
    assert nobody.get(f"{EVERYTHING}?_elements=url").json.keys() == {
        "resourceType", "id", "meta", "url", "status", "kind", "name", "code", "system", "type", "instance"}
    assert nobody.get(EVERYTHING, Accept="application/fhir+xml").json == first.json
    assert nobody.get(EVERYTHING, Host="other.example").json["url"].startswith("http://other.example/fhir/")
    nobody.get(f"{EVERYTHING}?_include=*").refused(400, "invalid", "http.url")
    entry = {"request": {"method": "GET", "url": "OperationDefinition/-hie-Patient-everything"}}
    for kind in ("batch", "transaction"):
        answer = fhir.post("", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        assert answer.resources() == [first.json]


@ONE_DATABASE
def test_of_what_is_no_operation_here_there_is_no_definition(nobody, fhir):
    nobody.get(f"{OWN}unheard-of").refused(404, "not-found", "OperationDefinition", "-hie-unheard-of")
    for path in ("_history", "_history/1", "$validate", "$meta", "_history/1/$meta"):
        for one in (nobody, fhir):
            one.get(f"{OWN}diff/{path}").refused(404, "not-found", "http.url", "not stored")


def test_nothing_is_stored_where_a_definition_is_read(nobody, fhir):
    url = f"{OWN}diff"
    mine = stored(id="-hie-diff")
    for method, body in (("PUT", mine), ("PATCH", [{"op": "remove", "path": "/name"}]), ("DELETE", None)):
        for one in (nobody, fhir):
            one(method, url, body, Content_Type="application/json-patch+json").refused(
                405, "not-supported", "http.method", "GET, HEAD, OPTIONS")
    assert fhir("OPTIONS", url).headers["Allow"] == "GET, HEAD, OPTIONS"
    fhir.put("OperationDefinition?code=mine", stored(id="-hie-mine")).refused(
        400, "invalid", "OperationDefinition.id", "-hie-")
    entry = {"resource": mine, "request": {"method": "PUT", "url": "OperationDefinition/-hie-diff"}}
    fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).refused(
        405, "not-supported", text="GET, HEAD, OPTIONS")
    query = ('mutation { OperationDefinitionUpdate(id: "-hie-x", resource: {name: "X", status: active, '
             'kind: operation, code: "x", system: true, type: false, instance: false}) { resource { id } } }')
    told = fhir.post("$graphql", {"query": query}, Content_Type="application/json").json
    assert told["data"] == {"OperationDefinitionUpdate": None}
    assert told["errors"][0]["extensions"]["status"] == 400
    version = {**stored(id="-hie-sent"), "meta": {"versionId": "1", "lastUpdated": "2024-01-01T00:00:00Z"}}
    sent = {"resourceType": "Bundle", "type": "history", "entry": [
        {"fullUrl": "http://elsewhere.example/fhir/OperationDefinition/-hie-sent", "resource": version,
         "request": {"method": "PUT", "url": "OperationDefinition/-hie-sent"}, "response": {"status": "201"}}]}
    assert fhir.post("", sent).status in (400, 405)
    assert fhir.create(mine)["id"] != "-hie-diff", "a create chooses an id of its own"
    assert fhir.total("OperationDefinition") == 1
    assert len(fhir.get("OperationDefinition/_history").entries()) == 1


def test_a_canonical_is_resolved_by_a_search_as_well(fhir, client):
    (found,) = fhir.get(f"OperationDefinition?url={EVERYTHING}").entries()
    assert found["fullUrl"] == EVERYTHING
    assert found["search"] == {"mode": "match"}
    assert found["resource"] == fhir.get(EVERYTHING).json
    version = found["resource"]["version"]
    for more in (f"|{version}", "&status=active&code=everything&type=true", "&name=patient", "&_elements=code",
                 "&_sort=-_lastUpdated", f",{OWN}x"):
        answer = fhir.get(f"OperationDefinition?url={EVERYTHING}{more}").json
        assert (answer["total"], answer["entry"][0]["resource"]["code"]) == (1, "everything"), more
    for more in ("|0", "&status=draft", "&_offset=1", "&_lastUpdated=gt2020", "&_asOf=2026-01-01T00:00:00Z",
                 "&base.status=active", "&_contained=true"):
        assert fhir.get(f"OperationDefinition?url={EVERYTHING}{more}").resources() == [], more
    assert fhir.total(f"OperationDefinition?url={EVERYTHING}") == 1
    assert fhir.get(f"OperationDefinition?url={EVERYTHING}&_summary=count").entries() == []
    assert "total" not in fhir.get(f"OperationDefinition?url={EVERYTHING}&_total=none").json
    both = fhir.get(f"OperationDefinition?url={OWN}Group-everything,{EVERYTHING}")
    assert {one["code"] for one in both.resources()} == {"everything"}
    assert both.json["total"] == 2
    assert fhir.get("OperationDefinition?_id=-hie-diff").resources()[0]["code"] == "diff"
    assert fhir.get("OperationDefinition?_id=-hie-unheard-of").resources() == []
    client("system/Patient.rs").get(f"OperationDefinition?url={EVERYTHING}").refused(403, "forbidden")
    restricted = client("system/OperationDefinition.rs?status=draft")
    assert restricted.total(f"OperationDefinition?url={EVERYTHING}") == 1, "anybody reads it"


def test_what_is_stored_is_searched_alone_unless_a_definition_is_named(fhir):
    mine = fhir.create(stored(url="http://example.org/mine"))
    assert [one["id"] for one in fhir.get("OperationDefinition").resources()] == [mine["id"]]
    for search in ("code=everything", "name=PatientEverything", "url:below=http://localhost/fhir",
                   "url:missing=false&code=everything", "url=http://example.org/other"):
        assert fhir.total(f"OperationDefinition?{search}") == 0, search
    assert fhir.total(f"?_type=OperationDefinition,Library&url={EVERYTHING}") == 0
    again = fhir.create(stored(url=EVERYTHING))
    assert [one["id"] for one in fhir.get(f"OperationDefinition?url={EVERYTHING}").resources()] == [again["id"]]
    assert fhir.get(EVERYTHING).json["code"] == "everything"


@ONE_DATABASE
def test_an_operation_of_another_package_is_defined_too(settings, clock):
    def answer(request: Any, ctx: Any) -> FhirResponse:
        return FhirResponse(200, b'{"resourceType":"Parameters"}')

    plain = Operation("count-sheep", frozenset({"system"}), answer)
    long_ = Operation("x" * 60, frozenset({"type"}), answer, "http://example.org/long", frozenset({"Patient", "Group"}),
                      (Parameter("how", "", parts=(Parameter("far", "decimal", 1, "*"),)),))  # fmt: skip
    registry = built_in()
    app = create_app(settings, clock=clock, registry=replace(registry, operations=(*registry.operations, plain, long_)))
    try:
        nobody = Fhir(app, None)
        assert nobody.get(f"{OWN}count-sheep").json == nobody.get(f"{OWN}count-sheep").json | {
            "name": "CountSheep", "system": True, "type": False, "instance": False, "affectsState": False}
        (url,) = [url for type_name, name, url in rows(nobody) if (type_name, name) == ("Group", "x" * 60)
                  and url.startswith(OWN)]
        found = nobody.get(url).json
        assert len(found["id"]) <= 64
        assert (found["base"], found["resource"]) == ("http://example.org/long", ["Group", "Patient"])
        assert found["parameter"] == [{"name": "how", "use": "in", "min": 0, "max": "1", "part": [
            {"name": "far", "use": "in", "min": 1, "max": "*", "type": "decimal"}]}]
    finally:
        app.extensions["hie"].close()
