"""capabilities: https://hl7.org/fhir/R4/http.html#capabilities"""

import pytest

from hie.fhir import facts, validation
from hie.interactions import capabilities
from tests.one_database import ONE_DATABASE


def statement(nobody):
    return nobody.get("metadata").json


@pytest.mark.proves("fhirVersion:4.0.1")
def test_anybody_may_ask_what_the_server_can(nobody):
    answer = nobody.get("metadata")
    assert answer.status == 200
    assert answer.json["fhirVersion"] == "4.0.1"
    assert answer.json["implementation"]["url"] == "http://localhost/fhir"
    told = answer.json["rest"][0]["documentation"]
    assert "what is stored is what was sent, but for id" in told
    assert "<" not in told, "a reader of markdown would show no tag"


@ONE_DATABASE
def test_the_statement_is_valid(nobody):
    issues = validation.validate(statement(nobody), "CapabilityStatement")
    assert [one for one in issues if one.severity in ("error", "fatal")] == []


@ONE_DATABASE
def test_every_resource_type_has_its_interactions(nobody):
    rows = statement(nobody)["rest"][0]["resource"]
    assert {row["type"] for row in rows} == facts.RESOURCE_TYPES
    expected = {"read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
                "search-type"}
    for row in rows:
        assert {one["code"] for one in row["interaction"]} == expected
        assert (row["versioning"], row["conditionalDelete"], row["updateCreate"]) == ("versioned", "multiple", True)


@ONE_DATABASE
def test_what_belongs_to_later_is_absent(nobody):
    rest = statement(nobody)["rest"][0]
    codes = {one["code"] for row in rest["resource"] for one in row["interaction"]}
    assert "search-system" not in codes
    assert {one["code"] for one in rest["interaction"]} == {"transaction", "batch", "history-system", "search-system"}
    assert not any(name.startswith(("_content", "_query", "_has", "_list"))
                   for row in rest["resource"] for name in [one["name"] for one in row["searchParam"]])


def test_no_search_parameter_is_promised_that_the_search_refuses(nobody, fhir):
    """Every parameter of a few types is really asked for, with :missing, which all types of parameter take."""
    for row in statement(nobody)["rest"][0]["resource"]:
        if row["type"] not in ("Patient", "Observation", "Location"):
            continue
        for one in row["searchParam"]:
            query = {"_id": "_id=x", "_text": "_text=x", "_filter": "_filter=_id eq x"}.get(
                one["name"], f"{one['name']}:missing=true"
            )
            assert fhir.get(f"{row['type']}?{query}&_count=1").status == 200, one["name"]
        for name in row.get("searchInclude", []):
            assert fhir.get(f"{row['type']}?_include={name}").status == 200, name
        for name in row.get("searchRevInclude", [])[:20]:
            assert fhir.get(f"{row['type']}?_revinclude={name}").status == 200, name


@ONE_DATABASE
def test_search_beyond_plain_parameters_stands_where_it_is_offered(nobody):
    rows = {row["type"]: {one["name"] for one in row["searchParam"]}
            for row in statement(nobody)["rest"][0]["resource"]}
    assert {"_text", "_filter"} <= rows["Patient"]
    assert {"_text", "_filter", "near"} <= rows["Location"]
    assert "_text" not in rows["Bundle"]
    assert "near" not in rows["Patient"]


#: What each is asked by.
CONTROLS = {"_sort": "_id", "_count": "1", "_offset": "0", "_total": "none", "_summary": "true", "_elements": "status",
            "_include": "Observation:subject", "_revinclude": "Observation:has-member", "_contained": "both",
            "_containedType": "contained&_contained=true", "_has": ":Provenance:target:_id=x", "_list": "x",
            "_asOf": "2026-01-01T00:00:00Z", "_not-referenced": "Provenance:target"}  # fmt: skip


@ONE_DATABASE
def test_what_controls_a_search_stands_among_what_every_type_has(nobody, fhir):
    """https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.searchParam"""
    stated = {one["name"]: one for one in statement(nobody)["rest"][0]["searchParam"]}
    assert stated.keys() >= {*CONTROLS, "_type", "_id", "_lastUpdated"}
    assert all("definition" in one or one["documentation"] for one in stated.values())
    for name, value in CONTROLS.items():
        separator = "" if value.startswith(":") else "="
        assert fhir.get(f"Observation?{name}{separator}{value}").status == 200, name
    assert fhir.get("?_type=Observation,Patient&_id=x").status == 200


@ONE_DATABASE
def test_operations_stand_with_their_definitions(nobody):
    rows = {row["type"]: row for row in statement(nobody)["rest"][0]["resource"]}
    offered = [(one["name"], one["definition"]) for one in rows["Patient"]["operation"]]
    for name, definition in (("everything", "Patient-everything"), ("validate", "Resource-validate")):
        assert (name, f"http://hl7.org/fhir/OperationDefinition/{definition}") in offered
    assert "everything" not in {one["name"] for one in rows["Observation"]["operation"]}


@ONE_DATABASE
@pytest.mark.parametrize(("mode", "status"), [("full", 200), ("normative", 200), ("terminology", 200), ("x", 400)])
def test_modes(nobody, mode, status):
    assert nobody.get(f"metadata?mode={mode}").status == status


@ONE_DATABASE
@pytest.mark.parametrize("mode", ["full", "terminology"])
def test_the_statement_has_an_etag_by_which_it_is_not_sent_again(nobody, mode, clock):
    first = nobody.get(f"metadata?mode={mode}")
    again = nobody.get(f"metadata?mode={mode}", If_None_Match=f'"x", {first.headers["ETag"]}')
    assert (again.status, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert nobody.get(f"metadata?mode={mode}", If_None_Match='W/"x"').json == first.json
    clock.forward(10)
    capabilities._started_at.clear()
    restarted = nobody.get(f"metadata?mode={mode}")
    assert restarted.headers["ETag"] == first.headers["ETag"], "its date is no change"
    assert restarted.json["date"] != first.json["date"]
    other = nobody.get(f"metadata?mode={mode}", Host="other.example")
    assert other.headers["ETag"] != first.headers["ETag"]


@ONE_DATABASE
def test_the_statement_may_be_cut(nobody):
    assert "rest" not in nobody.get("metadata?_elements=fhirVersion").json
