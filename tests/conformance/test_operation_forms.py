"""Operations whose parameters come as a form: https://hl7.org/fhir/R4/operations.html#executing"""

from urllib.parse import urlencode

import pytest

from hie.store import audit
from tests.builders import bundle, entry, observation, patient

FORM = {"Content_Type": "application/x-www-form-urlencoded"}
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])  # a form says what a URL says
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
SYSTEM = "http://hl7.org/fhir/administrative-gender"


@pytest.fixture
def stored(fhir):
    fhir.put("Patient/1", patient(id="1"))
    for number in range(3):
        fhir.create(observation("Patient/1", effectiveDateTime=f"2024-01-0{number + 1}"))
    return fhir


@pytest.mark.parametrize(("address", "asked"), [
    ("ValueSet/$validate-code", {"url": GENDER, "code": "male", "system": SYSTEM}),
    ("ValueSet/$expand", {"url": GENDER, "filter": "mal"}),
    ("CodeSystem/$lookup", {"system": SYSTEM, "code": "male"}),
    ("Patient/1/$everything", {"_type": "Observation", "_count": "2"}),
    ("Observation/$lastn", {"patient": "1", "max": "2"}),
    ("Observation/$explain", {"patient": "1", "_sort": "-date"}),
    ("Patient/1/$meta", {}),
    ("$fhirpath", {"expression": "1 + 1"}),
    ("$graphql", {"query": "{Patient(id: 1) {id}}"}),
])  # fmt: skip
def test_a_form_says_what_a_url_says(stored, address, asked):
    by_url, by_form = stored.get(f"{address}?{urlencode(asked)}"), stored.post(address, urlencode(asked), **FORM)
    assert by_url.status == by_form.status == 200, by_form.content
    assert _still(by_form.json) == _still(by_url.json)


def _still(answer):
    """Leave out what differs between two answers to one question."""
    kept = {name: value for name, value in answer.items() if name not in ("id", "meta", "link", "expansion")}
    return kept, [one["code"] for one in answer.get("expansion", {}).get("contains", [])]


def test_the_url_and_the_form_together_say_what_is_asked(stored):
    answer = stored.post("Patient/1/$everything?_type=Observation", "_count=2", **FORM)
    assert len(answer.resources()) == 2
    in_xml = stored.post("Patient/1/$everything", "_format=xml&_pretty=true", **FORM)
    assert in_xml.headers["Content-Type"] == "application/fhir+xml; charset=utf-8"
    assert b"\n" in in_xml.content
    stored.post("ValueSet/$expand?url=urn:a", "url=urn:b", **FORM).refused(400, "invalid", "url", "takes url once")


@pytest.mark.parametrize(("address", "form", "status", "code", "expression", "text"), [
    ("Patient/1/$everything", "colour=red", 400, "invalid", "colour", "has no parameter 'colour'"),
    ("ValueSet/$expand", "url=%ff", 400, "invalid", "http.url", "UTF-8"),
    ("ValueSet/$expand", "count=x&url=" + GENDER, 400, "invalid", "count", "whole number"),
    ("ValueSet/$validate-code", "coding=x", 400, "invalid", "coding", "is a Coding: send it by POST in a Parameters"),
    ("ValueSet/$expand", "valueSet=x", 400, "invalid", "valueSet", "or as the body itself"),
    ("Patient/$validate", "resource=x", 400, "invalid", "resource", "or as the body itself"),
    ("$closure", "concept=x&name=a", 400, "invalid", "concept", "send it by POST in a Parameters resource"),
    ("Observation/$lastn", "patient=1&foo=1", 400, "invalid", "foo", "foo"),
    ("$graphql", "colour=red", 400, "invalid", "colour", "query, variables and operationName"),
    ("Patient/$nothing", "a=b", 404, "not-found", "http.url", "no operation"),
])  # fmt: skip
def test_a_form_is_refused_for_what_a_url_is(stored, address, form, status, code, expression, text):
    stored.post(address, form, **FORM).refused(status, code, expression, text)
    if "%ff" not in form:
        by_url = stored.get(f"{address}?{form}")
        assert by_url.status in (status, 405)


def test_an_operation_that_changes_what_is_stored_takes_a_form_and_no_get(stored):
    stored.get("$closure?name=mine").refused(405, "not-supported", "http.method")
    assert stored.post("$closure", "name=mine", **FORM).json["resourceType"] == "ConceptMap"
    stored.post("Patient/1/$meta-add", "meta=x", **FORM).refused(400, "invalid", "meta", "is a Meta")
    mutation = urlencode({"query": 'mutation {PatientDelete(id: "2") {information {issue {severity}}}}'})
    stored.put("Patient/2", patient(id="2"))
    assert stored.post("$graphql", mutation, **FORM).status == 200
    assert stored.get("Patient/2").status == 410


def test_a_form_needs_the_token_and_the_scopes_that_a_url_needs(stored, client, nobody):
    nobody.post("Patient/1/$everything", "_count=1", **FORM).refused(401, "login")
    client("system/Observation.rs").post("Patient/1/$everything", "_count=1", **FORM).refused(403, "forbidden")
    restricted = client("system/Patient.rs").post("Patient/1/$everything", "_count=50", **FORM)
    assert [one["resourceType"] for one in restricted.resources()] == ["Patient"]


def test_a_form_is_utf_8_of_4_mb_at_most_and_of_known_length(stored):
    latin = {"Content_Type": "application/x-www-form-urlencoded; charset=iso-8859-1"}
    stored.post("ValueSet/$expand", "url=x", **latin).refused(415, "not-supported", "http.Content-Type", "UTF-8")
    stored.post("ValueSet/$expand", "url=" + "x" * 4_000_000, **FORM).refused(413, "too-long", None, "form is larger")
    stored.post("ValueSet/$expand", "&".join(["filter=x"] * 1_001), **FORM).refused(
        400, "invalid", "http.url", "More than 1000 parameters")
    stored.post("Patient/1/$everything", "--b", Content_Type="multipart/form-data; boundary=b").refused(
        415, "not-supported", "http.Content-Type")


def test_a_form_may_be_answered_later(stored, work):
    accepted = stored.post("Patient/1/$everything", "_type=Observation", Prefer="respond-async", **FORM)
    assert accepted.status == 202
    work()
    answer = stored.get(accepted.headers["Content-Location"]).entries()[0]["resource"]
    assert len(answer["entry"]) == 3


def test_the_parameters_of_a_form_are_in_the_audit_trail_as_those_of_a_url(app, stored):
    stored.post("Observation/$lastn?patient=1", "max=2", **FORM)
    store = app.extensions["hie"].store
    store.database.settle_records()
    latest = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, count=1)[0]
    assert (latest["interaction"], latest["query"], latest["patient"]) == ("$lastn", "patient=1&max=2", "1")


def test_an_entry_of_a_bundle_has_its_parameters_in_the_url_or_as_parameters(stored):
    inside = stored.post("", bundle(entry("POST", "Patient/1/$everything?_count=1"), type_="batch")).entries()
    assert inside[0]["response"]["status"].startswith("200")


def test_openapi_tells_where_a_form_is_enough(app):
    paths = app.test_client().get("/openapi.json").json["paths"]

    def takes(path):
        return "application/x-www-form-urlencoded" in paths[path]["post"]["requestBody"]["content"]

    assert all(takes(f"/fhir/{path}") for path in ("ValueSet/$expand", "$closure", "$graphql", "Observation/$lastn"))
    assert not any(takes(f"/fhir/{path}") for path in ("{type}/{id}/$meta-add", "$convert"))
