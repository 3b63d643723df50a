"""$fhirpath: expressions on resources sent and stored, under the grant, within bounds."""

import pytest

from tests.builders import observation, parameters, patient

ANNA = patient(id="a", _birthDate={"extension": [{"url": "http://example.org/t", "valueString": "noon"}]})


def results(answer):
    assert answer.status == 200, answer.content
    assert answer.json["resourceType"] == "Parameters"
    assert answer.json["parameter"][0]["name"] == "parameters"
    return [row for row in answer.json["parameter"] if row["name"] == "result"]


def parts(answer):
    (result,) = results(answer)
    return result["part"]


def evaluated(fhir, expression, resource=ANNA, **more):
    body = parameters(expression=("String", expression), **more)
    body["parameter"].append({"name": "resource", "resource": resource})
    return fhir.post("$fhirpath", body)


@pytest.mark.proves("operation:base/$fhirpath")
def test_an_expression_is_evaluated_on_the_resource_sent(fhir):
    assert parts(evaluated(fhir, "birthDate")) == [
        {"name": "date", "valueDate": "1970-05-01", "_valueDate": ANNA["_birthDate"]}
    ]


def test_each_item_of_the_context_has_a_result(fhir):
    resource = patient(name=[{"family": "A"}, {"family": "B", "given": ["C"]}])
    found = results(evaluated(fhir, "family & given.first()", resource, context=("String", "name")))
    assert [(row["valueString"], row["part"][0]["valueString"]) for row in found] == [
        ("name[0]", "A"), ("name[1]", "BC"),
    ]  # fmt: skip


def test_without_a_resource_there_is_nothing_to_look_at(fhir):
    for expression, expected in [("where(true)", {"name": "empty", "valueString": "true"}),
                                 ("repeat($this)", {"name": "empty", "valueString": "true"}),
                                 ("exists()", {"name": "boolean", "valueBoolean": False}),
                                 ("1 + 1", {"name": "integer", "valueInteger": 2})]:  # fmt: skip
        assert parts(fhir.post("$fhirpath", parameters(expression=("String", expression)))) == [expected], expression


def test_variables_are_seen(fhir):
    body = parameters(expression=("String", "%a + %b.value.count()"))
    body["parameter"].append({"name": "variables", "part": [
        {"name": "a", "valueInteger": 4}, {"name": "b", "valueIdentifier": {"value": "x"}}]})
    assert parts(fhir.post("$fhirpath", body)) == [{"name": "integer", "valueInteger": 5}]


@pytest.mark.proves("operation:any/$fhirpath")
def test_a_stored_resource_is_read_under_the_grant(fhir, client):
    id_ = fhir.create(patient())["id"]
    other = fhir.create(observation(f"Patient/{id_}"))["id"]
    assert parts(fhir.get(f"Patient/{id_}/$fhirpath?expression=name.family"))[0]["valueString"] == "Smith"
    narrow = client("system/Patient.r")
    assert parts(narrow.get(f"Patient/{id_}/$fhirpath?expression=name.family"))[0]["valueString"] == "Smith"
    refused = narrow.get(f"Observation/{other}/$fhirpath?expression=status")
    assert refused.status in (403, 404)
    absent = narrow.get("Observation/nobody/$fhirpath?expression=status")
    assert (absent.status, absent.json["issue"][0]["code"]) == (refused.status, refused.json["issue"][0]["code"])
    narrow.get("Patient/nobody/$fhirpath?expression=id").refused(404, "not-found")


def test_resolve_reaches_nothing_that_is_stored(fhir):
    id_ = fhir.create(patient())["id"]
    assert parts(evaluated(fhir, "subject.resolve().name", observation(f"Patient/{id_}")))[0]["name"] == "empty"


def test_an_expression_that_has_no_result_is_refused(fhir):
    evaluated(fhir, "name.").refused(400, "invalid", "expression")
    evaluated(fhir, "%x").refused(422, "processing", "expression")
    assert parts(evaluated(fhir, "0.power(-1)"))[0]["name"] == "empty"


def test_names_are_checked_where_that_is_asked_for(fhir):
    assert parts(evaluated(fhir, "name.giveb"))[0]["name"] == "empty"
    evaluated(fhir, "name.giveb", validate=("Boolean", True)).refused(400, "invalid", "expression", "giveb")


def test_a_hostile_expression_is_ended(fhir):
    evaluated(fhir, "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.matches('^(a|a)*$')").refused(422, "too-costly", "expression")


def test_what_is_too_much_to_be_made_is_too_costly(fhir):
    long, longer = "a" * 1_200, "b" * 4_000
    for expression in (
        "(1 | 2).repeat($this + 1)", "'a'.repeat($this & $this)", f"'{long}'.replace('a', '{longer}')",
        f"'{long}'.replaceMatches('a', '{longer}')",
    ):  # fmt: skip
        evaluated(fhir, expression).refused(422, "too-costly", "expression")


def test_what_the_operation_does_not_take_is_refused(fhir):
    fhir.post("$fhirpath", parameters()).refused(400, "invalid")
    fhir.post("Patient/$fhirpath", {"resourceType": "Parameters", "parameter": [
        {"name": "expression", "valueString": "id"}, {"name": "resource", "resource": observation()}]},
    ).refused(400, "invalid", "resourceType")  # fmt: skip
    fhir.get("$fhirpath?expression=1&nonsense=2").refused(400, "invalid", "nonsense")


def test_an_entry_of_a_batch_evaluates_too(fhir):
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "$fhirpath?expression=1%20%2B%201"}}]}
    answer = fhir.post("", bundle)
    assert answer.json["entry"][0]["resource"]["parameter"][1]["part"] == [{"name": "integer", "valueInteger": 2}]
