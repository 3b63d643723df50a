"""Pages of $graphql, and the state that a query shows: https://hl7.org/fhir/R4/graphql.html#searching"""

import json
from base64 import b64decode
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest

from hie.fhir.instants import instant
from hie.store.resources import ResourceStore
from tests.builders import bundle, entry, observation, patient, put

SHOWN = ("{ pagesize offset first previous next last edges { resource { id valueQuantity { value } subject { resource "
         "{ ... on Patient { name { family } } } } } } }")  # fmt: skip


@pytest.fixture
def record(fhir: Any) -> None:
    for one in ("anna", "otto"):
        fhir.put(f"Patient/{one}", patient("Before", id=one))
        for number in range(5):
            id_ = f"{one}{number}"
            fhir.put(f"Observation/{id_}", observation(f"Patient/{one}", number, id=id_))


def ask(client: Any, query: str, more: str = "", **variables: Any) -> Any:
    return client.post(f"$graphql{more}", {"query": query, "variables": variables}, Content_Type="application/json")


def led(client: Any, cursor: str, arguments: str = "_cursor: $c", more: str = "") -> Any:
    answer = ask(client, f"query ($c: String) {{ ObservationConnection({arguments}) {SHOWN} }}", more, c=cursor)
    assert answer.status == 200, answer.content
    return answer.json["data"]["ObservationConnection"]


def ids(page: Any) -> list[str]:
    return [edge["resource"]["id"] for edge in page["edges"]]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.usefixtures("record")
def test_a_cursor_alone_leads_on(fhir: Any) -> None:
    """The client should not specify the parameters of the search beside it: it was refused without them."""
    path = 'patient: anna, _count: 2, fhirpath: "value.value != 3", _sort: _id'
    first = ask(fhir, f"{{ ObservationConnection({path}) {SHOWN} }}").json["data"]["ObservationConnection"]
    second = led(fhir, first["next"])
    third = led(fhir, second["next"])
    assert [ids(one) for one in (first, second, third)] == [["anna0", "anna1"], ["anna2"], ["anna4"]]
    assert ([one["pagesize"] for one in (first, second, third)], third["next"]) == ([2, 2, 2], None)
    assert [one["offset"] for one in (first, second, third)] == [0, None, None]
    assert ids(led(fhir, third["previous"])) == ids(second)
    assert ids(led(fhir, third["last"])) == ids(third)
    assert ids(led(fhir, third["first"])) == ids(first)
    assert ids(led(fhir, first["next"], f"{path}, _cursor: $c")) == ids(second)
    assert ids(led(fhir, first["next"], "_count: 9, _cursor: $c")) == ["anna2", "anna4"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.usefixtures("record")
def test_a_cursor_of_what_refers_to_a_resource_leads_on_at_the_root(fhir: Any) -> None:
    """graphql.html#reverse: a new query is begun with it; inside of one it is prohibited."""
    nested = f'{{ PatientList(_id: anna) {{ ObservationConnection(_reference: patient, _count: 3) {SHOWN} }} }}'
    first = ask(fhir, nested).json["data"]["PatientList"][0]["ObservationConnection"]
    assert ids(led(fhir, first["next"])) == ["anna3", "anna4"]
    inside = ("query ($c: String) { Patient(id: anna) { ObservationConnection(_reference: patient, _cursor: $c) "
              "{ count } } }")
    ask(fhir, inside, c=first["next"]).refused(400, "invalid", "query", "at the root")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.usefixtures("record")
def test_a_cursor_leads_on_in_its_own_search_alone(fhir: Any, client: Any) -> None:
    cursor = led(fhir, "", "patient: anna, _count: 2, _cursor: $c")["next"]
    asked = "query ($c: String) {{ {}Connection({}_cursor: $c) {{ pagesize }} }}"
    for name, more in (("Patient", ""), ("Observation", "patient: otto, "), ("Observation", 'fhirpath: "true", ')):
        ask(fhir, asked.format(name, more), c=cursor).refused(400, "invalid", "_cursor")
    ask(client("system/Observation.rs"), asked.format("Observation", ""), c=cursor).refused(400, "invalid", "_cursor")
    for wrong in (f"{cursor[:-1]}~", "x"):
        ask(fhir, asked.format("Observation", ""), c=wrong).refused(400, "invalid", "_cursor")
    ask(fhir, "query ($c: String) { ObservationList(_cursor: $c) { id } }", c=cursor).refused(
        400, "invalid", "query", "ObservationConnection")


@pytest.mark.usefixtures("record")
def test_a_further_page_shows_what_the_first_one_saw_at_every_level(fhir: Any) -> None:
    """What its resources refer to was that of the moment."""
    first = led(fhir, "", "_sort: _id, _count: 4, _cursor: $c")
    fhir.put("Patient/otto", patient("After", id="otto"))
    fhir.put("Observation/otto0", observation("Patient/otto", 99, id="otto0"))
    fhir.delete("Observation/anna4")
    fhir.put("Observation/anna9", observation("Patient/anna", 9, id="anna9"))
    page = led(fhir, first["next"])
    shown = [(one["id"], one["valueQuantity"]["value"], one["subject"]["resource"]["name"][0]["family"])
             for one in (edge["resource"] for edge in page["edges"])]
    assert shown == [("anna4", 4, "Before"), ("otto0", 0, "Before"), ("otto1", 1, "Before"), ("otto2", 2, "Before")]
    assert led(fhir, "", "_id: otto1, _cursor: $c")["edges"][0]["resource"]["subject"] == {
        "resource": {"name": [{"family": "After"}]}}


@pytest.mark.usefixtures("record")
def test_all_levels_of_a_query_show_one_state(fhir: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    each_read, left = ResourceStore.each_read, [1]

    def beside(self: Any, targets: Any) -> Any:
        if left:
            left.pop()
            writer = Thread(target=fhir.put, args=("Patient/anna", patient("After", id="anna")))
            writer.start()
            writer.join(20)
        return each_read(self, targets)

    monkeypatch.setattr(ResourceStore, "each_read", beside)
    query = ("{ Observation(id: anna1) { subject { resource { ... on Patient { name { family } } } } } "
             "PatientList(_id: anna) { name { family } } }")  # fmt: skip
    name = [{"family": "Before"}]
    assert ask(fhir, query).json["data"] == {"Observation": {"subject": {"resource": {"name": name}}},
                                             "PatientList": [{"name": name}]}
    assert (left, fhir.get("Patient/anna").json["name"][0]["family"]) == ([], "After")


@pytest.mark.usefixtures("record")
def test_a_query_in_a_transaction_shows_what_that_has_written(fhir: Any) -> None:
    query = ("{ PatientList(_id: anna) { name { family } ObservationConnection(_reference: patient, _count: 3) { next "
             "edges { resource { subject { resource { ... on Patient { name { family } } } } } } } } "
             "Observation(id: new) { subject { resource { ... on Patient { name { family } } } } } }")  # fmt: skip
    answer = fhir.post("", bundle(
        entry("GET", f"$graphql?{urlencode({'query': query})}"), put(patient("Within", id="anna")),
        put(observation("Patient/anna", 9, id="new"))))  # fmt: skip
    assert answer.status == 200, answer.content
    found = json.loads(b64decode(answer.entries()[0]["resource"]["data"]))["data"]
    within = {"subject": {"resource": {"name": [{"family": "Within"}]}}}
    (person,) = found["PatientList"]
    assert (person["name"], found["Observation"]) == ([{"family": "Within"}], within)
    assert [edge["resource"] for edge in person["ObservationConnection"]["edges"]] == [within] * 3
    page = led(fhir, person["ObservationConnection"]["next"])
    assert [edge["resource"]["id"] for edge in page["edges"]] == ["anna3", "anna4", "new"]
    assert page["edges"][0]["resource"]["subject"] == within["subject"]


@pytest.mark.usefixtures("record")
def test_a_query_shows_the_record_as_of_an_instant(fhir: Any, clock: Any) -> None:
    clock.forward(1)
    then = instant(clock())
    clock.forward(1)
    fhir.put("Patient/anna", patient("After", id="anna"))
    fhir.put("Observation/anna0", observation("Patient/otto", 99, id="anna0"))
    at = "?" + urlencode({"_asOf": then})
    first = led(fhir, "", "patient: anna, _sort: _id, _count: 1, _cursor: $c", at)
    assert (ids(first), first["edges"][0]["resource"]["subject"]["resource"]["name"]) == (
        ["anna0"], [{"family": "Before"}])
    assert ids(led(fhir, first["next"], more=at)) == ["anna1"]
    cursor = first["next"]
    ask(fhir, "query ($c: String) { ObservationConnection(_cursor: $c) { count } }", c=cursor).refused(
        400, "invalid", "_cursor")
    query = urlencode({"query": "{ name { family } ObservationList(_reference: patient) { id } }", "_asOf": then})
    found = fhir.get(f"Patient/anna/$graphql?{query}").json["data"]
    assert (found["name"], len(found["ObservationList"])) == ([{"family": "Before"}], 5)
    ask(fhir, "{ PatientList { id } }", "?_asOf=2999-01-01T00:00:00Z").refused(400, "invalid", "_asOf")
    ask(fhir, 'mutation { PatientDelete(id: "anna") { information { id } } }', at).refused(400, "invalid", "_asOf")


@pytest.mark.usefixtures("record")
def test_a_list_may_leave_out_as_many_as_a_search_may(fhir: Any) -> None:
    """Medplum's clients go from page to page by `_count` and `_offset`, in queries as in searches."""
    every = [row["id"] for row in fhir.get("Observation?_sort=-_id").resources()]
    listed = 'query ($n: Int) { ObservationList(_sort: "-_id", _count: 2, _offset: $n) { id } }'
    for number in range(len(every) + 1):
        found = [row["id"] for row in ask(fhir, listed, n=number).json["data"]["ObservationList"]]
        searched = fhir.get(f"Observation?_sort=-_id&_count=2&_offset={number}").resources()
        assert found == [row["id"] for row in searched] == every[number : number + 2], number
    rest = ask(fhir, '{ ObservationList(_sort: "-_id", _offset: "1") { id } }').json["data"]["ObservationList"]
    assert [row["id"] for row in rest] == every[1:], "without _count it is everything behind"


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize(("query", "code", "text"), [
    ("{ ObservationList(_offset: -1) { id } }", "invalid", "whole number"),
    ("{ ObservationList(_offset: 10001) { id } }", "too-costly", "10000"),
    ("{ ObservationConnection(_offset: 1) { count } }", "invalid", "ObservationList"),
    ("{ PatientList { ObservationList(_reference: subject, _offset: 1) { id } } }", "invalid", "of the system"),
])  # fmt: skip
def test_what_leaves_out_nothing_is_refused(fhir: Any, query: str, code: str, text: str) -> None:
    fhir.post("$graphql", {"query": query}, Content_Type="application/json").refused(400, code, text=text)
