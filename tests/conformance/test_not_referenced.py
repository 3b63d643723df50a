"""Microsoft's `_not-referenced`: what nothing refers to, of what the token may search. docs/search.md"""

from dataclasses import replace

import pytest

from tests.builders import bundle, encounter, observation, patient, practitioner

#: Who was seen, who was only measured, whom an extension names, whom a Provenance is about, and who is alone.
PATIENTS = ("alone", "measured", "named", "seen", "witnessed")


@pytest.fixture
def settings(settings, request):
    return replace(settings, referential_integrity=getattr(request, "param", "both"))


@pytest.fixture
def records(fhir):
    for id_ in PATIENTS:
        fhir.put(f"Patient/{id_}", patient(id=id_))
    fhir.put("Practitioner/p", practitioner(id="p", extension=[
        {"url": "urn:knows", "valueReference": {"reference": "Patient/named"}}]))
    fhir.put("Encounter/e", encounter("Patient/seen", id="e"))
    fhir.put("Observation/o", observation("Patient/measured", id="o", code="8867-4"))
    fhir.put("Provenance/w", {
        "resourceType": "Provenance", "id": "w", "target": [{"reference": "Patient/witnessed"}],
        "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"reference": "Practitioner/p"}}]})
    return fhir


def ids(answer):
    assert answer.status == 200, answer.content
    return sorted(row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match")


def without(*others):
    return sorted(set(PATIENTS) - set(others))


FOUND = {
    "Patient?_not-referenced=Encounter:subject": without("seen"),
    "Patient?_not-referenced=Encounter:patient": without("seen"),
    "Patient?_not-referenced=Encounter:*": without("seen"),
    "Patient?_not-referenced=Observation:performer": without(),
    "Patient?_not-referenced=Observation:*&_not-referenced=Encounter:*": without("measured", "seen"),
    "Patient?_not-referenced=Practitioner:*": without("named"),
    "Patient?_not-referenced=*:*": ["alone", "witnessed"],
    "Patient?_not-referenced=*:*&_not-referenced=Provenance:*": ["alone"],
    "Patient?_not-referenced=*:*&_id=seen,alone&_sort=-_id": ["alone"],
    "Practitioner?_not-referenced=*:*": ["p"],
    "Practitioner?_not-referenced=Provenance:agent": [],
    "?_not-referenced=*:*": ["alone", "e", "o", "p", "w", "witnessed"],
    "?_type=Patient,Observation&_not-referenced=*:*": ["alone", "o", "witnessed"],
    "Encounter?patient._not-referenced=Observation:*": ["e"],
    "Encounter?patient._not-referenced=Encounter:*": [],
    "Observation?subject._not-referenced=Encounter:subject": ["o"],
    "Observation?subject._not-referenced=Observation:subject": [],
    "Observation?subject._not-referenced=Encounter:*": ["o"],
    "Observation?subject._not-referenced=*:*": [],
    "Patient?_has:Encounter:patient:_not-referenced=*:*": ["seen"],
}


@pytest.mark.proves("parameter:_not-referenced")
def test_what_nothing_refers_to_is_found(records):
    assert {search: ids(records.get(search)) for search in FOUND} == FOUND
    for search, found in FOUND.items():
        assert records.total(search) == len(found), search
    assert records.get("Patient/$explain?_not-referenced=*:*").status == 200


def test_what_refers_no_longer_counts_no_longer(records):
    records.put("Encounter/e", encounter("Patient/alone", id="e"))
    assert ids(records.get("Patient?_not-referenced=Encounter:*")) == without("alone")
    records.delete("Encounter/e")
    records.put("Practitioner/p", practitioner(id="p"))
    assert ids(records.get("Patient?_not-referenced=*:*")) == without("measured")


def test_only_what_the_token_may_search_refers(records, client):
    narrow = client("system/Patient.rs", "system/Observation.rs?code=29463-7")
    assert ids(narrow.get("Patient?_not-referenced=*:*")) == without()
    assert ids(narrow.get("Patient?_not-referenced=Observation:*")) == without()
    assert ids(narrow.get("Patient?_not-referenced=Observation:subject")) == without()
    for code in ("*", "subject"):
        narrow.get(f"Patient?_not-referenced=Encounter:{code}").refused(403, "forbidden", text="system/Encounter.s")
    assert ids(client("system/Patient.rs", "system/Observation.rs?code=8867-4").get(
        "Patient?_not-referenced=*:*")) == without("measured")
    witness = client("system/Patient.rs?_id=alone,witnessed", "system/Provenance.rs")
    assert ids(witness.get("Patient?_not-referenced=*:*")) == ["alone", "witnessed"]


def test_what_nothing_refers_to_can_be_deleted_at_once(records, client):
    cleaning = client("system/Patient.ds", "system/Encounter.s")
    assert cleaning.delete("Patient?_not-referenced=*:*&_count=9").status == 409  # others refer to them
    assert records.delete("Patient?_not-referenced=*:*&_count=9").status == 200
    assert ids(records.get("Patient")) == without("alone", "witnessed")


NO_QUESTIONS = [
    ("Encounter", "Encounter:subject"), ("", "Encounter:subject"), (":subject", "Encounter:subject"),
    ("*", "Encounter:subject"), ("Encounter:", "Encounter:subject"), ("*:*,Encounter:*", "repeated"),
    ("*:subject", "Encounter:subject"), ("Visit:subject", "'Visit'"), ("Visit:*", "'Visit'"),
    ("Encounter:nothing", "Encounter has no search parameter"), ("Encounter:status", "no reference"),
    ("Encounter:location", "cannot refer to a Patient"), ("Encounter:subject:Patient", "search parameter"),
]  # fmt: skip


def test_what_is_no_such_question_is_refused(fhir, subtests):
    for asked, text in NO_QUESTIONS:
        with subtests.test(asked):
            fhir.get(f"Patient?_not-referenced={asked}").refused(400, "invalid", text=text)
            fhir.get(f"Patient?_not-referenced={asked}", Prefer="handling=lenient").refused(400, "invalid", text=text)


def test_neither_a_modifier_nor_what_is_contained_is_asked(fhir):
    fhir.get("Patient?_not-referenced:not=*:*").refused(400, "invalid", text="no modifiers")
    fhir.get("Patient?_not-referenced=*:*&_contained=true").refused(400, "not-supported", text="container")


@pytest.mark.parametrize("asked", ["Encounter:subject", "Encounter:*", "*:*"])
def test_it_is_asked_of_then_as_well(fhir, asked):
    fhir.put("Patient/a", patient(id="a"))
    fhir.put("Patient/b", patient(id="b"))
    fhir.put("Encounter/moved", encounter("Patient/a", id="moved"))
    then = fhir.put("Encounter/gone", encounter("Patient/b", id="gone")).json["meta"]["lastUpdated"]
    fhir.put("Patient/c", patient(id="c"))
    later = fhir.put("Encounter/moved", encounter("Patient/c", id="moved")).json["meta"]["lastUpdated"]
    fhir.delete("Encounter/gone")
    last = fhir.put("Patient/b", patient("Other", id="b")).json["meta"]["lastUpdated"]
    fhir.delete("Encounter/moved")
    fhir.delete("Patient/c")
    search = f"Patient?_not-referenced={asked}"
    assert {at: ids(fhir.get(f"{search}&_asOf={at}")) for at in (then, later, last)} == {
        then: [], later: ["a"], last: ["a", "b"]}
    assert ids(fhir.get(search)) == ["a", "b"]
    assert ids(fhir.get(f"?_type=Patient,Group&_not-referenced={asked}&_asOf={later}")) == ["a"]


@pytest.mark.parametrize("settings", ["none"], indirect=True)
@pytest.mark.parametrize("asked", ["Encounter:*", "Practitioner:*", "*:*"])
def test_what_refers_on_to_something_deleted_since_referred_to_it_then(fhir, asked):
    for id_ in ("a", "alone"):
        fhir.put(f"Patient/{id_}", patient(id=id_))
    fhir.put("Encounter/e", encounter("Patient/a", id="e"))
    then = fhir.put("Practitioner/p", practitioner(id="p", extension=[
        {"url": "urn:knows", "valueReference": {"reference": "Patient/a"}}])).json["meta"]["lastUpdated"]
    assert fhir.delete("Patient/a").status == 200
    for type_name in ("Patient?", "?_type=Patient,Group&"):
        assert ids(fhir.get(f"{type_name}_not-referenced={asked}&_asOf={then}")) == ["alone"]


@pytest.mark.parametrize("asked", ["Encounter:subject", "Encounter:*", "*:*"])
def test_further_pages_show_the_state_of_the_first(fhir, asked):
    fhir.post("", bundle(*({"resource": patient(id=f"p{n}"), "request": {"method": "PUT", "url": f"Patient/p{n}"}}
                           for n in range(6))))
    fhir.put("Encounter/e", encounter("Patient/p5", id="e"))
    page = fhir.get(f"Patient?_not-referenced={asked}&_count=2&_sort=_id")
    seen = ids(page)
    fhir.put("Encounter/e", encounter("Patient/p2", id="e"))  # p5 stays left out, p2 comes
    fhir.put("Encounter/f", encounter("Patient/p4", id="f"))
    fhir.put("Patient/p3", patient("Other", id="p3"))
    while page.link("next"):
        page = fhir.get(page.link("next"))
        seen += ids(page)
    assert seen == ["p0", "p1", "p2", "p3", "p4"]
