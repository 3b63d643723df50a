"""$graphql refuses what would be passed over in silence: https://spec.graphql.org/October2021/#sec-Validation"""

from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, observation, patient, post

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

REFUSED = [
    ("{ name(use: official, use: usual) { use } }", "name has the argument use twice"),
    ('{ name @slice(path: "use", path: "text") { use } }', "@slice has the argument path twice"),
    ("{ id @skip(if: true) @skip(if: false) }", "@skip stands there twice"),
    ("query ($a: String, $a: Int) { id }", "variable $a is defined twice"),
    ("{ ...F } fragment F on Patient { id } fragment F on Patient { gender }", "fragment F is defined twice"),
    ("query A { id } query A { gender }", "operation A is defined twice"),
    ("{ ... on Patinet { id } }", "no type Patinet"),
    ("{ link { ... on PatientLinks { type } } }", "no type PatientLinks"),
    ("{ generalPractitioner { resource(type: Nothing) { __typename } } }", "type of resource"),
    ("{ generalPractitioner { resource(type: [Patient]) { __typename } } }", "type of resource"),
    ("{ generalPractitioner { resource(optional: yes) { __typename } } }", "optional of resource"),
    ("{ name(given: Anna) { use } }", "given of name"),
    ('{ name(period: "2000") { use } }', "period of name"),
    ("{ name { given(use: official) } }", "given takes"),
    ("{ link { other { resource { name(given: Anna) { use } } } } }", "given of name"),
    ("{ link { other { resource { birthDate(x: 1) } } } }", "birthDate is no list"),
    ("{ link { other { resource { link { other { resource(type: [Patient]) { id } } } } } } }", "type of resource"),
]


@pytest.mark.parametrize(("query", "text"), REFUSED)
def test_what_would_be_passed_over_is_refused(fhir: Any, query: str, text: str) -> None:
    fhir.put("Patient/1", patient(id="1", link=[{"other": {"reference": "Patient/1"}, "type": "seealso"}]))
    fhir.get(f"Patient/1/$graphql?query={quote(query)}").refused(400, "invalid", text=text)


@pytest.mark.parametrize("query", [
    "mutation { PatientCreate(resource: {gender: male}, resource: {gender: female}) { location } }",
    "mutation { PatientDelete(id: 1, id: 2) { information { id } } }"])
def test_a_mutation_with_an_argument_twice_does_nothing(fhir: Any, query: str) -> None:
    fhir.post("$graphql", {"query": query}, Content_Type="application/json").refused(400, "invalid", text="twice")
    assert fhir.total("Patient") == 0


def test_fragments_may_name_every_type_of_the_schema(fhir: Any) -> None:
    fhir.put("Patient/1", patient(id="1", link=[{"other": {"reference": "Patient/1"}, "type": "seealso"}]))
    query = ("{ ... on Query { PatientConnection { ... on PatientConnection { edges { ... on PatientEdge { mode "
             "resource { ... on Resource { id } ... on Observation { status } link { ... on PatientLink { type } "
             "... on Element { id } } name { ... on HumanName { family } ... on Period { start } } } } } } } } }")
    found = fhir.post("$graphql", {"query": query}, Content_Type="application/json").json["data"]
    assert found["PatientConnection"]["edges"] == [{"mode": "match", "resource": {
        "id": "1", "link": [{"type": "seealso", "id": None}], "name": [{"family": "Smith"}]}}]


def test_an_id_may_be_given_as_a_number(fhir: Any) -> None:
    """https://spec.graphql.org/October2021/#sec-ID: input as a string or as an integer."""
    fhir.put("Patient/1", patient(id="1"))
    query = "query ($id: ID!) { Patient(id: $id) { id } }"
    for value in (1, "1"):
        body = {"query": query, "variables": {"id": value}}
        assert fhir.post("$graphql", body, Content_Type="application/json").json == {"data": {"Patient": {"id": "1"}}}
    body = {"query": query, "variables": {"id": True}}
    fhir.post("$graphql", body, Content_Type="application/json").refused(400, "invalid", "query")


def test_a_list_is_not_cut_below_the_number_that_is_asked_for(fhir: Any) -> None:
    """graphql.html#searching: an error, rather than silently filtering the list."""
    assert fhir.post("", bundle(*(post(observation(value=number)) for number in range(1_001)))).status == 200
    query = quote("{ ObservationList(_count: 1001) { id } }")
    fhir.get(f"$graphql?query={query}").refused(422, "too-costly", "query", "more than 1000")
    query = quote("{ ObservationList(_count: 1001, status: amended) { id } }")
    assert fhir.get(f"$graphql?query={query}").json == {"data": {"ObservationList": []}}
    fhir.get(f"$graphql?query={quote('{ ObservationList(_total: accurate) { id } }')}").refused(400, "invalid", "query")


@pytest.mark.parametrize(("query", "text"), [
    ("{ id name @flatten { id family } }", "id is there already"),
    ("{ name @flatten { id family } id }", "id is there already"),
    ("{ generalPractitioner @flatten { resource: reference } managingOrganization @flatten { resource { id } } }",
     "string and Resource"),
    ("{ name @flatten { x: family } address @flatten { x: period { start } } }", "string and Period"),
    ("{ name @flatten { period { start } } address @flatten { period: text } }", "Period and string"),
])  # fmt: skip
def test_what_is_flattened_neither_hides_nor_mixes_values(fhir: Any, query: str, text: str) -> None:
    """graphql.html#flattening: collated children have one type, or it is an error; of two values one was shown."""
    fhir.put("Patient/1", patient(
        id="1", address=[{"text": "A", "period": {"start": "2000"}}],
        name=[{"id": "n", "family": "Smith", "period": {"start": "2001"}}],
        generalPractitioner=[{"reference": "#p"}], managingOrganization={"reference": "#o"},
        contained=[{"resourceType": "Organization", "id": "o", "name": "x"},
                   {"resourceType": "Practitioner", "id": "p"}]))  # fmt: skip
    fhir.get(f"Patient/1/$graphql?query={quote(query)}").refused(400, "invalid", "query", text)
    alike = "{ name @flatten { period { start } } address @flatten { period { start } } }"
    found = fhir.get(f"Patient/1/$graphql?query={quote(alike)}").json["data"]
    assert found == {"period": [{"start": "2001"}, {"start": "2000"}]}
