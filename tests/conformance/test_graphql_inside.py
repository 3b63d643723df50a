"""$graphql of what stands inside of other resources: what is contained, and the entries of Bundles."""

from typing import Any

import pytest

from tests.builders import observation, patient

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


def ask(client: Any, at: str, query: str) -> Any:
    answer = client.post(f"{at}/$graphql", {"query": query}, Content_Type="application/json")
    assert answer.status == 200, answer.content
    return answer.json


def test_nothing_refers_to_what_has_an_id_inside_of_a_resource_alone(fhir: Any) -> None:
    """The contained Patient and that of the Bundle have the id of a stored one, whose Observations were theirs too."""
    fhir.put("Patient/1", patient(id="1"))
    inner = patient("Inner", id="1")
    fhir.put("Observation/o", observation("Patient/1", id="o", contained=[inner], performer=[{"reference": "#1"}]))
    fhir.put("Bundle/b", {"resourceType": "Bundle", "id": "b", "type": "collection", "entry": [{"resource": inner}]})
    asked = ("... on Patient { name { family } ObservationList(_reference: patient) { id } "
             "ObservationConnection(_reference: patient, _count: 3) { count pagesize next edges { mode } } }")
    nothing = {"name": [{"family": "Inner"}], "ObservationList": [],
               "ObservationConnection": {"count": 0, "pagesize": 3, "next": None, "edges": []}}
    found = ask(fhir, "Observation/o", f"{{ performer {{ resource {{ {asked} }} }} contained {{ {asked} }} }}")
    assert found["data"] == {"performer": [{"resource": nothing}], "contained": [nothing]}
    found = ask(fhir, "Bundle/b", f"{{ entry {{ resource {{ {asked} }} }} }}")
    assert found["data"] == {"entry": [{"resource": nothing}]}


def test_references_of_an_entry_mean_those_of_its_bundle(fhir: Any) -> None:
    """bundle.html#references; they were looked for among what is stored here."""
    fhir.put("Patient/1", patient("Stored", id="1"))
    inner = patient("InBundle", id="1", contained=[{"resourceType": "Organization", "id": "o", "name": "Inside"}],
                    managingOrganization={"reference": "#o"}, meta={"versionId": "3"})
    texts = ("Patient/1", "http://other.org/fhir/Patient/1/_history/3", "Patient/1/_history/2", "Patient/2")
    entries = [{"fullUrl": f"http://other.org/fhir/Observation/{number}",
                "resource": observation(text, id=str(number))} for number, text in enumerate(texts)]
    bundle = {"resourceType": "Bundle", "id": "b", "type": "collection", "entry": [
        *entries, {"fullUrl": "http://other.org/fhir/Patient/1", "resource": inner}]}  # fmt: skip
    assert fhir.put("Bundle/b", bundle).status == 201
    found = ask(fhir, "Bundle/b", "{ entry { resource { ... on Observation { subject { resource { ... on Patient { "
                "name { family } managingOrganization { resource { ... on Organization { name } } } } } } } } } }")
    inside = {"name": [{"family": "InBundle"}], "managingOrganization": {"resource": {"name": "Inside"}}}
    subjects = [one["resource"]["subject"]["resource"] for one in found["data"]["entry"][:4]]
    assert subjects == [inside, inside, None, None]
    assert len(found["errors"]) == 2


def test_what_contains_a_resource_is_named_by_a_mark_alone(fhir: Any) -> None:
    inner = {"resourceType": "Provenance", "id": "p", "recorded": "2024-01-01T00:00:00Z", "agent": [
        {"who": {"display": "x"}}], "target": [{"reference": "#"}]}
    fhir.put("Patient/1", patient("Outer", id="1", contained=[inner]))
    fhir.put("Observation/o", observation("Patient/1", id="o"))
    found = ask(fhir, "Patient/1", "{ contained { ... on Provenance { target { resource { ... on Patient { "
                "name { family } ObservationList(_reference: patient) { id } } } } } } }")
    (target,) = found["data"]["contained"][0]["target"]
    assert target == {"resource": {"name": [{"family": "Outer"}], "ObservationList": [{"id": "o"}]}}


def test_only_what_is_shown_tells_of_references_that_lead_nowhere(fhir: Any) -> None:
    for one in "ab":
        fhir.put(f"Patient/{one}", patient(id=one))
        for number in range(2):
            fhir.create(observation(f"Patient/{one}", number, performer=[{"reference": "http://other.org/Patient/1"}]))
    answer = fhir.post("$graphql", {"query": "{ PatientList { ObservationList(_reference: patient, _count: 1) { "
                       "performer { resource { __typename } } } } }"}, Content_Type="application/json").json
    assert len(answer["errors"]) == 2


@pytest.mark.parametrize("code", ["status", "code", "_profile", "combo_code", "_text", "nothing"])
def test_what_refers_is_named_by_a_parameter_of_references(fhir: Any, code: str) -> None:
    """Any other was searched for the text Patient/1, and nothing found."""
    fhir.put("Patient/1", patient(id="1"))
    asked = {"query": f"{{ ObservationList(_reference: {code}) {{ id }} }}"}
    answer = fhir.post("Patient/1/$graphql", asked, Content_Type="application/json")
    answer.refused(400, "invalid", text="nothing" if code == "nothing" else "has_member")
