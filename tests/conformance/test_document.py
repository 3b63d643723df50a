"""Composition/$document: https://hl7.org/fhir/R4/composition-operation-document.html"""

from dataclasses import replace

import pytest

from hie.operations import surroundings
from hie.operations.graph import reading
from tests.builders import VITAL_SIGN, observation, parameters, patient, practitioner

BASE = "http://localhost/fhir"


@pytest.fixture
def settings(settings):
    """Let the server have a base address of its own, so that references below it are its own."""
    return replace(settings, base_url=BASE)


@pytest.fixture
def note(fhir):
    """A Composition about Anna by a doctor, with one Observation that another doctor performed."""
    person = f"Patient/{fhir.create(patient())['id']}"
    author = f"Practitioner/{fhir.create(practitioner('1'))['id']}"
    firm = f"Organization/{fhir.create({'resourceType': 'Organization', 'name': 'Firm'})['id']}"
    performer = fhir.create({"resourceType": "PractitionerRole", "practitioner": {"reference": author},
                             "organization": {"reference": firm}})["id"]
    value = fhir.create(observation(person, 1, category=[VITAL_SIGN], performer=[
        {"reference": f"PractitionerRole/{performer}"}]))["id"]
    return fhir.create({
        "resourceType": "Composition", "status": "final", "type": {"text": "Note"}, "date": "2024-03-01",
        "title": "Note", "subject": {"reference": person}, "author": [{"reference": author}],
        "section": [{"title": "Findings", "entry": [{"reference": f"Observation/{value}"}]}],
    })  # fmt: skip


@pytest.mark.proves("operation:Composition/$document")
def test_a_document_is_the_composition_with_all_that_it_refers_to(fhir, note):
    answer = fhir.get(f"Composition/{note['id']}/$document")
    assert answer.status == 200
    made = answer.json
    assert (made["type"], made["identifier"]["system"]) == ("document", "urn:ietf:rfc:3986")
    assert made["timestamp"]
    assert answer.resources()[0]["resourceType"] == "Composition"
    assert sorted(one["resourceType"] for one in answer.resources()) == [
        "Composition", "Observation", "Organization", "Patient", "Practitioner", "PractitionerRole"]
    assert all(row["fullUrl"].endswith(f"{row['resource']['resourceType']}/{row['resource']['id']}")
               for row in answer.entries())
    assert {one["severity"] for one in fhir.post("Bundle/$validate", made).json["issue"]} <= {"warning", "information"}
    assert fhir.total("Bundle") == 0
    by_id = fhir.get(f"Composition/$document?id={note['id']}")
    assert len(by_id.entries()) == 6
    assert len(fhir.get(f"Composition/$document?id=http://localhost/fhir/Composition/{note['id']}").entries()) == 6


@pytest.mark.proves("operation:Composition/$document")
def test_a_document_is_stored_where_that_is_asked_for(fhir, client, note):
    url = f"Composition/{note['id']}/$document"
    answer = fhir.post(url, parameters(persist=("Boolean", True)))
    assert answer.status == 200
    stored = fhir.get(answer.headers["Location"])
    assert stored.json == answer.json
    assert stored.json["type"] == "document"
    fhir.get(f"{url}?persist=true").refused(405, "not-supported", "http.method")
    reader = client("system/*.rs")
    assert reader.get(url).status == 200
    reader.post(f"{url}?persist=true").refused(403, "forbidden")
    assert fhir.total("Bundle") == 1


def test_a_document_that_would_lack_something_is_not_made(fhir, client, note):
    url = f"Composition/{note['id']}/$document"
    narrow = client("system/Composition.rs system/Patient.rs system/Observation.rs")
    narrow.get(url).refused(422, "processing", "Composition.author[0]", "incomplete")
    client("system/Patient.rs").get(url).refused(403, "forbidden")
    other = f"Patient/{fhir.create(patient('Other'))['id']}"
    theirs = fhir.create(observation(other, 5))["id"]
    section = [{"title": "x", "entry": [{"reference": f"Observation/{theirs}"}]}]
    fhir.put(f"Composition/{note['id']}", {**note, "section": section})
    fhir.get(url).refused(422, "processing", "Composition.section[0].entry[0]")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("by_graph", [False, True])
def test_a_reference_to_a_version_brings_that_version(fhir, client, note, by_graph):
    """bundle.html#references: it is resolved by the version as well; the current one came, which it does not mean."""
    (at,) = note["section"][0]["entry"]
    value = fhir.get(at["reference"]).json
    fhir.put(at["reference"], value | {"valueQuantity": value["valueQuantity"] | {"value": 2}, "performer": [
        {"reference": f"{value['performer'][0]['reference']}/_history/1"}]})
    section = [{"title": "x", "entry": [{"reference": f"{at['reference']}/_history/1"}, at]}]
    fhir.put(f"Composition/{note['id']}", note | {"section": section})
    path = {"path": "Composition.section.entry", "target": [{"type": "Observation"}]}
    url = f"Composition/{note['id']}/$document" + (f"?graph={graph(fhir, path)}" if by_graph else "")
    made = fhir.get(url).json
    assert sorted((one["meta"]["versionId"], one["valueQuantity"]["value"])
                  for one in (row["resource"] for row in made["entry"])
                  if one["resourceType"] == "Observation") == [("1", 1), ("2", 2)]
    if not by_graph:  # which leaves out what the Observation names
        told = fhir.post("Bundle/$validate", made).json["issue"]
        assert {one["severity"] for one in told} <= {"warning", "information"}
    assert client("system/*.cruds", "admin").delete(f"{at['reference']}/_history/1").status == 200
    fhir.get(url).refused(422, "processing", "Composition.section[0].entry[0]", f"{at['reference']}/_history/1")


@pytest.mark.parametrize("base", ["", f"{BASE}/"], ids=["relative", "absolute"])
def test_whose_record_it_is_is_told_by_references_in_either_form(fhir, note, base):
    other = f"{base}Patient/{fhir.create(patient('Other'))['id']}"
    own = base + note["subject"]["reference"]
    section = [{"title": "x", "entry": [{"reference": f"Observation/{fhir.create(observation(own, 5))['id']}"}]}]
    changed = {**note, "subject": {"reference": own}, "section": section}
    fhir.put(f"Composition/{note['id']}", changed)
    url = f"Composition/{note['id']}/$document"
    assert [one["id"] for one in fhir.get(url).resources() if one["resourceType"] == "Observation"]
    section[0]["entry"][0] = {"reference": f"Observation/{fhir.create(observation(other, 5))['id']}"}
    fhir.put(f"Composition/{note['id']}", changed)
    fhir.get(url).refused(422, "processing", "Composition.section[0].entry[0]")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("url", "status", "code", "expression"), [
    ("Composition/nobody/$document", 404, "not-found", None),
    ("Composition/$document", 400, "invalid", "id"),
    ("Composition/x/$document?id=x", 400, "invalid", "id"),
    ("Composition/$document?id=http://example.org/fhir/Composition/1", 400, "not-supported", "id"),
    ("Composition/$document?id=a_b", 400, "invalid", "Composition.id"),
    ("Composition/x/$document?persist=maybe", 400, "invalid", "persist"),
    ("Patient/x/$document", 404, "not-found", "http.url"),
])  # fmt: skip
def test_what_cannot_be_made_is_refused(fhir, url, status, code, expression):
    fhir.get(url).refused(status, code, expression)


def graph(fhir, *links):
    """Store a GraphDefinition that starts at a Composition and return its canonical URL."""
    url = f"http://example.org/graphs/{fhir.total('GraphDefinition')}"
    fhir.create({"resourceType": "GraphDefinition", "url": url, "name": "Note", "status": "active",
                 "start": "Composition", "link": list(links)})  # fmt: skip
    return url


def test_bytes_of_a_document_are_counted_while_they_are_read(fhir, note, monkeypatch):
    url = f"Composition/{note['id']}/$document"
    assert len(fhir.get(url).entries()) == 6
    monkeypatch.setattr(surroundings, "MOST_BYTES", 500)
    fhir.get(url).refused(422, "too-costly", text="more than 500 bytes")
    person = note["subject"]["reference"]
    told = [one["issue"] for one in fhir.get(f"{person}/$everything").resources()
            if one["resourceType"] == "OperationOutcome"]
    assert [issue["code"] for (issue,) in told] == ["incomplete"]


def test_a_graph_says_what_a_document_holds_beside_what_the_composition_names(fhir, note):
    url = f"Composition/{note['id']}/$document"
    performer = {"path": "performer", "target": [{"type": "PractitionerRole"}]}
    values = {"path": "section.entry", "target": [{"type": "Observation", "link": [performer]}]}
    made = fhir.get(f"{url}?graph={graph(fhir, values)}")
    assert (made.status, made.json["type"], made.resources()[0]["resourceType"]) == (200, "document", "Composition")
    assert sorted(one["resourceType"] for one in made.resources()) == [
        "Composition", "Observation", "Patient", "Practitioner", "PractitionerRole"]  # no Organization
    consent = {"target": [{"type": "Consent", "params": "patient={ref}"}]}
    wide = {"path": "subject", "target": [{"type": "Patient", "link": [consent]}]}
    fhir.create({"resourceType": "Consent", "status": "active", "scope": {"text": "x"}, "category": [{"text": "x"}],
                 "policyRule": {"text": "x"}, "patient": note["subject"]})  # fmt: skip
    held = fhir.get(f"{url}?graph={graph(fhir, wide)}").resources()
    assert sorted(one["resourceType"] for one in held) == [
        "Composition", "Consent", "Observation", "Patient", "Practitioner"]
    fhir.get(f"{url}?graph=http://example.org/none").refused(404, "not-found", "graph")


def test_what_a_composition_names_counts_with_what_its_graph_reads(fhir, note, monkeypatch):
    entries = [{"reference": f"Observation/{fhir.create(observation(note['subject']['reference'], one))['id']}"}
               for one in range(5)]
    fhir.put(f"Composition/{note['id']}", {**note, "section": [{"title": "x", "entry": entries}]})
    subject = {"path": "subject", "target": [{"type": "Patient"}]}
    url = f"Composition/{note['id']}/$document?graph={graph(fhir, subject)}"
    assert len(fhir.get(url).entries()) == 8
    monkeypatch.setattr(reading, "MOST_RESOURCES", 6)
    fhir.get(url).refused(422, "too-costly", "graph", "more than 6 resources")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_document_is_stored_once_where_that_is_asked(fhir, note):
    """As a create is conditional: https://hl7.org/fhir/R4/http.html#ccreate"""
    address, criteria = f"Composition/{note['id']}/$document", f"composition=Composition/{note['id']}"
    first, second = (fhir.post(f"{address}?persist=true", If_None_Exist=criteria) for _ in range(2))
    assert first.status == second.status == 200
    assert first.headers["Location"] == second.headers["Location"]
    assert first.json == second.json
    assert fhir.total("Bundle") == 1
    fhir.post(address, If_None_Exist=criteria).refused(400, "not-supported", "http.If-None-Exist", "persist=true")
    fhir.post(f"{address}?persist=true", If_None_Match="*").refused(400, "not-supported", "http.If-None-Match")


def test_a_document_that_lacks_what_its_graph_asks_for_is_not_made(fhir, client, note):
    url = f"Composition/{note['id']}/$document"
    lacking = graph(fhir, {"path": "encounter", "min": 1, "target": [{"type": "Encounter"}]})
    fhir.get(f"{url}?graph={lacking}").refused(422, "required", "GraphDefinition.link[0]")
    empty = graph(fhir, {"path": "encounter", "target": [{"type": "Encounter"}]})
    assert len(fhir.get(f"{url}?graph={empty}").entries()) == 4
    narrow = client("system/Composition.rs system/Patient.rs system/Observation.rs system/GraphDefinition.s")
    narrow.get(f"{url}?graph={empty}").refused(422, "processing", "Composition.author[0]", "incomplete")


def test_a_document_by_a_graph_holds_nothing_of_somebody_else(fhir, note):
    other = f"Patient/{fhir.create(patient('Other'))['id']}"
    theirs = fhir.create(observation(other, 5))["id"]
    value = note["section"][0]["entry"][0]["reference"]
    fhir.put(value, {**fhir.get(value).json, "hasMember": [{"reference": f"Observation/{theirs}"}]})
    members = {"path": "hasMember", "target": [{"type": "Observation"}]}
    url = graph(fhir, {"path": "section.entry", "target": [{"type": "Observation", "link": [members]}]})
    held = [one["id"] for one in fhir.get(f"Composition/{note['id']}/$document?graph={url}").resources()]
    assert value.partition("/")[2] in held
    assert theirs not in held
