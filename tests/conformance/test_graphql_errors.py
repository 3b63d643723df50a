"""Errors of $graphql: https://spec.graphql.org/October2021/#sec-Errors, https://hl7.org/fhir/R4/graphql.html#errors"""

from typing import Any

import pytest

from hie.operations.graphql import failures
from tests.builders import observation, patient

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
NOWHERE = {"reference": "http://other.org/fhir/Practitioner/1"}
LED = "performer { resource { __typename } }"


def ask(client: Any, query: str, at: str = "") -> Any:
    return client.post(f"{at}$graphql", {"query": query}, Content_Type="application/json").json


@pytest.fixture
def record(fhir: Any) -> None:
    for one in ("a", "b"):
        fhir.put(f"Patient/{one}", patient(id=one))
        for number in range(2):
            led = {"performer": [{"display": "x"}, NOWHERE]} if number else {}
            fhir.put(f"Observation/{one}{number}", observation(f"Patient/{one}", id=f"{one}{number}", **led))


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize(("query", "paths"), [
    (f"{{ o: Observation(id: a1) {{ {LED} }} }}",
     [["o", "performer", 0, "resource"], ["o", "performer", 1, "resource"]]),
    ("{ ObservationList(_sort: _id) { by: performer(fhirpath: \"reference.exists()\") { r: resource { id } } } }",
     [["ObservationList", 1, "by", 0, "r"], ["ObservationList", 3, "by", 0, "r"]]),
    ("{ Observation(id: a1) { performer @first @singleton { resource { id } } } }",
     [["Observation", "performer", "resource"]]),
    ("{ Observation(id: a1) { performer @first @flatten { resource { id } } } }", [["Observation", "resource"]]),
    ("{ PatientList(_id: b) { l: ObservationList(_reference: patient, _sort: _id) { performer @first { resource { id } "
     "} } } }", [["PatientList", 0, "l", 1, "performer", 0, "resource"]]),
    ("{ PatientList(_sort: _id) { c: ObservationConnection(_reference: patient, _sort: \"-_id\", _count: 1) { "
     "e: edges { r: resource { performer @first { resource { id } } } } } } }",
     [["PatientList", at, "c", "e", 0, "r", "performer", 0, "resource"] for at in (0, 1)]),
    ("{ ObservationList(_id: a1) { subject { resource { ... on Patient { ObservationList(_reference: patient, _sort: "
     "_id) { performer @first { resource { id } } } } } } } }",
     [["ObservationList", 0, "subject", "resource", "ObservationList", 1, "performer", 0, "resource"]]),
    ("{ none: Patient(id: none) { id } }", [["none"]]),
])  # fmt: skip
def test_an_error_has_the_whole_path_to_what_is_missing(fhir: Any, query: str, paths: list[Any]) -> None:
    """Clients find by it what is null for that reason; it was the last name alone."""
    found = ask(fhir, query)
    assert [one["path"] for one in found["errors"]] == paths
    for path in paths:
        at = found["data"]
        for key in path:
            at = at[key]
        assert at is None


@pytest.mark.usefixtures("record")
def test_an_error_has_an_outcome(fhir: Any, client: Any) -> None:
    (gone,) = ask(fhir, "{ Patient(id: none) { id } }")["errors"]
    assert (gone["extensions"]["status"], gone["extensions"]["code"]) == (404, "not-found")
    assert gone["extensions"]["resource"]["issue"][0]["diagnostics"] == gone["message"]
    narrow = client("system/Observation.r")
    (hidden,) = ask(narrow, "{ subject { resource { id } } }", "Observation/a1/")["errors"]
    fhir.put("Observation/x", observation(None, id="x", performer=[NOWHERE]))
    (absent,) = ask(narrow, "{ performer { resource { id } } }", "Observation/x/")["errors"]
    for one in (hidden, absent):
        del one["message"], one["path"], one["extensions"]["resource"]["issue"][0]["diagnostics"]
    assert hidden == absent
    assert hidden["extensions"]["code"] == "not-found"


@pytest.mark.parametrize(("query", "status", "code"), [
    ("{ nothing", 400, "invalid"), ("mutation { PatientDelete(id: a) { information { id } } }", 405, "not-supported")])
def test_a_refusal_is_an_error_of_graphql_for_clients_of_graphql(fhir: Any, query: str, status: int, code: str) -> None:
    """graphql.html#errors: a 4xx response with a GraphQL error; who asks for FHIR gets FHIR."""
    url = f"$graphql?query={query}"
    for accept in ("application/json", "application/graphql-response+json, application/json;q=0.9"):
        answer = fhir.app.test_client().get(f"/fhir/{url}", headers={
            "Accept": accept, "Authorization": f"Bearer {fhir.token}"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
        assert answer.json["data"] is None
        (error,) = answer.json["errors"]
        (issue,) = error["extensions"]["resource"]["issue"]
        assert (error["message"], error["extensions"]["code"]) == (issue["diagnostics"], code)
        assert ("Allow" in answer.headers) is (status == 405)
    for accept in ("application/fhir+json", "*/*"):
        fhir.get(url, Accept=accept).refused(status, code)
    nobody = fhir.app.test_client().get(f"/fhir/{url}", headers={"Accept": "application/json"})
    assert (nobody.status_code, nobody.json["errors"][0]["extensions"]["code"]) == (401, "login")
    assert "WWW-Authenticate" in nobody.headers


@pytest.mark.usefixtures("record")
def test_not_every_error_is_told(fhir: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MOST", 2)
    found = ask(fhir, f"{{ ObservationList {{ {LED} }} }}")
    assert [one.get("path", [None])[0] for one in found["errors"]] == ["ObservationList", "ObservationList", None]
    assert found["errors"][2]["message"].startswith("More is missing than these 2 errors tell")
