"""`_asOf`: the record as it was at an instant, for read, search and $everything. docs/adr/0018"""

import pytest

from tests.builders import bundle, observation, patient, post


@pytest.fixture
def past(fhir):
    """A patient and two results as they were before all of them changed, and that moment."""
    made = fhir.create(patient("Smith", gender="female"))
    reference = f"Patient/{made['id']}"
    heart = fhir.create(observation(reference, value=80))
    gone = fhir.create(observation(reference, value=90, status="preliminary"))
    then = gone["meta"]["lastUpdated"]
    assert fhir.put(reference, {**made, "name": [{"family": "Jones"}], "gender": "male"}).status == 200
    changed = {**heart, "status": "amended", "valueQuantity": {**heart["valueQuantity"], "value": 60}}
    assert fhir.put(f"Observation/{heart['id']}", changed).status == 200
    assert fhir.delete(f"Observation/{gone['id']}").status == 200
    fhir.create(observation(reference, value=70))
    return {"at": then, "patient": made, "heart": heart, "gone": gone}


def ids(answer):
    assert answer.status == 200, answer.content
    return [row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match"]


@pytest.mark.proves("documentation:_asOf", "parameter:_asOf")
def test_a_read_gives_the_version_of_then(fhir, past):
    answer = fhir.get(f"Patient/{past['patient']['id']}?_asOf={past['at']}")
    assert (answer.status, answer.vid, answer.json) == (200, "1", past["patient"])
    began = answer.json["meta"]["lastUpdated"]
    assert fhir.get(f"Patient/{past['patient']['id']}?_asOf={began}").json == past["patient"]
    assert fhir.get(f"Observation/{past['gone']['id']}?_asOf={past['at']}").json == past["gone"]
    fhir.get(f"Observation/{past['gone']['id']}").refused(410, "deleted")


def test_what_was_not_there_yet_is_not_found_and_what_was_deleted_then_is_gone(fhir, past):
    here = f"Observation/{past['gone']['id']}"
    fhir.get(f"{here}?_asOf=2020-01-01T00:00:00Z").refused(404, "not-found", text="at that time")
    deleted = fhir.get(f"{here}/_history").entries()[0]["response"]["lastModified"]
    fhir.put(here, {**past["gone"], "status": "final"})
    assert fhir.get(here).status == 200
    fhir.get(f"{here}?_asOf={deleted}").refused(410, "deleted")


OF_THEN = [
    "Observation?subject=Patient/{id}", "Observation?value-quantity=gt85,80", "Observation?status=preliminary,final",
    "Observation?patient.name=smith", "Observation?patient:Patient.gender=female&code=8867-4",
    "Observation?date=2024-03-01&_sort=value-quantity", "Patient/{id}/Observation?", "Observation?_sort=-date",
    "Observation?_lastUpdated=le{at}", "Observation?subject:missing=false",
]  # fmt: skip


@pytest.mark.proves("documentation:_asOf", "parameter:_asOf")
def test_a_search_finds_what_was_there_then(fhir, past, subtests):
    for search in OF_THEN:
        with subtests.test(search):
            asked = search.format(id=past["patient"]["id"], at=past["at"])
            answer = fhir.get(f"{asked}&_asOf={past['at']}&_total=accurate")
            assert sorted(ids(answer)) == sorted([past["heart"]["id"], past["gone"]["id"]])
            assert answer.json["total"] == 2
            first = fhir.get(f"{asked}&_asOf={past['at']}&_count=1&_total=accurate")
            assert first.json["total"] == 2
            assert f"_asOf={past['at']}" in first.link("self")
            assert ids(first) + ids(fhir.get(first.link("next"))) == ids(answer)
            assert fhir.get(f"{asked}&_asOf=2020-01-01T00:00:00Z").json.get("entry") is None


def test_what_is_included_is_of_then_as_well(fhir, past):
    at, heart = past["at"], past["heart"]["id"]
    answer = fhir.get(f"Observation?_id={heart}&_include=Observation:patient&_asOf={at}")
    assert answer.resources() == [past["heart"], past["patient"]]
    for directive in ("Observation:patient", "Observation:*", "*"):
        answer = fhir.get(f"Patient?_revinclude={directive}&_asOf={at}")
        assert answer.resources() == [past["patient"], past["heart"], past["gone"]]
    assert ids(fhir.get(f"Patient?_has:Observation:patient:status=preliminary&_asOf={at}")) == [past["patient"]["id"]]
    assert ids(fhir.get("Patient?_has:Observation:patient:status=preliminary")) == []


@pytest.mark.proves("documentation:_asOf", "parameter:_asOf")
def test_everything_is_of_then(fhir, past):
    answer = fhir.get(f"Patient/{past['patient']['id']}/$everything?_asOf={past['at']}")
    assert answer.json["total"] == 3
    assert answer.resources() == [past["patient"], past["heart"], past["gone"]]
    first = fhir.get(f"Patient/{past['patient']['id']}/$everything?_asOf={past['at']}&_count=2")
    assert fhir.get(first.link("next")).resources()[0] == past["gone"]
    fhir.get(f"Patient/{past['patient']['id']}/$everything?_asOf=2020-01-01T00:00:00Z").refused(404, "not-found")


def test_what_everything_takes_along_stands_in_the_order_of_then(fhir):
    for id_ in "abc":
        fhir.put(f"Practitioner/{id_}", {"resourceType": "Practitioner", "id": id_})
    doctors = [{"reference": f"Practitioner/{id_}"} for id_ in "cab"]
    fhir.put("Patient/p", patient(id="p", generalPractitioner=doctors))
    before = fhir.get("Patient/p/$everything")
    for id_ in "ca":
        fhir.put(f"Practitioner/{id_}", {"resourceType": "Practitioner", "id": id_, "active": True})
    at = before.json["meta"]["lastUpdated"]
    assert fhir.get(f"Patient/p/$everything?_asOf={at}").resources() == before.resources()


def test_a_granular_scope_covers_what_a_version_was_and_what_the_resource_is_now(client, fhir, past):
    at, here = past["at"], f"Patient/{past['patient']['id']}"
    women, men = client("system/Patient.rs?gender=female"), client("system/Patient.rs?gender=male")
    for closed in (women, men):  # a woman then, a man now: closed to both
        closed.get(f"{here}?_asOf={at}").refused(404, "not-found")
        assert closed.total(f"Patient?_asOf={at}") == 0
        assert closed.total(f"?_type=Patient&_asOf={at}") == 0
    assert (women.total("Patient"), men.total("Patient")) == (0, 1)
    now = fhir.get(here).json
    fhir.put(here, {**now, "gender": "female"})
    assert women.get(f"{here}?_asOf={at}").json == past["patient"]
    assert (women.total(f"Patient?_asOf={at}"), men.total(f"Patient?_asOf={at}")) == (1, 0)
    assert women.total(f"?_type=Patient&_asOf={at}") == 1
    assert client("system/Observation.rs?status=final").total(f"Observation?_asOf={at}") == 0  # amended now, or deleted
    results = client("system/Observation.rs", "system/Patient.rs?gender=male")
    answer = results.get(f"Observation?_asOf={at}&_include=Observation:patient&_total=accurate")
    assert (answer.resources(), answer.json["total"]) == ([past["heart"], past["gone"]], 2)
    assert results.get(f"Observation?patient.name=smith&_asOf={at}").json.get("entry") is None
    only = client("system/Observation.rs")
    only.get(f"Patient?_asOf={at}").refused(403, "forbidden")
    only.get(f"{here}?_asOf={at}").refused(403, "forbidden")


def test_an_erased_version_is_gone_from_the_past(client, fhir, past):
    here = f"Patient/{past['patient']['id']}"
    assert client("system/*.cruds", "admin").delete(f"{here}/_history/1").status in (200, 204)
    fhir.get(f"{here}?_asOf={past['at']}").refused(410, "deleted", text="erased")
    assert fhir.get(f"Patient?_asOf={past['at']}").json["total"] == 0
    assert fhir.get(f"Patient?name=smith&_asOf={past['at']}").json["total"] == 0


@pytest.mark.parametrize(("text", "told"), [
    ("yesterday", "is an instant"), ("2024-05", "is an instant"), ("2024-01-01T00:00:00", "is an instant"),
    ("", "is an instant"),
    ("2999-01-01T00:00:00Z", "yet to come"), ("2024-01-01T00:00:00Z&_asOf=2023-01-01T00:00:00Z", "once"),
])  # fmt: skip
def test_what_is_no_instant_of_the_past_is_refused(fhir, text, told):
    for url in ("Patient", "Patient/1", "Patient/1/$everything"):
        fhir.get(f"{url}?_asOf={text}").refused(400, "invalid", "_asOf", told)


def test_the_instant_is_taken_in_entries_and_forms_and_refused_where_it_means_nothing(fhir, past):
    at = past["at"]
    batch = bundle({"request": {"method": "GET", "url": f"Observation?_asOf={at}"}}, type_="batch")
    assert fhir.post("", batch).resources()[0]["total"] == 2
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert ids(fhir.post("Observation/_search", f"_asOf={at}", **form)) == [past["heart"]["id"], past["gone"]["id"]]
    assert len(ids(fhir.get(f"?_type=Patient,Observation&_asOf={at}"))) == 3
    fhir.get(f"Observation/$explain?_asOf={at}").refused(400, "not-supported", "_asOf")
    fhir.get(f"Patient/{past['patient']['id']}/_history/1?_asOf={at}").refused(400, "not-supported", "_asOf")
    fhir.post("", bundle(post(patient())))
    fhir.put(f"Patient?name=jones&_asOf={at}", patient("Jones")).refused(400, "not-supported", "_asOf")
    fhir.get("Patient?_asof=2024-01-01T00:00:00Z").refused(400, "invalid", "_asof")


def test_pages_are_of_one_moment_for_one_grant_and_for_a_day(fhir, client, clock):
    people = [fhir.create(patient(family)) for family in "ABCDE"]
    first = fhir.get("Patient?_count=2&_sort=_lastUpdated&_total=accurate")
    fhir.put(f"Patient/{people[0]['id']}", {**people[0], "gender": "male"})  # would come again, at the end
    fhir.put(f"Patient/{people[2]['id']}", {**people[2], "gender": "male"})
    fhir.delete(f"Patient/{people[3]['id']}")
    fhir.create(patient("F"))
    second = fhir.get(first.link("next"))
    third = fhir.get(second.link("next"))
    assert [*first.resources(), *second.resources(), *third.resources()] == people
    assert {one.json["total"] for one in (first, second, third)} == {5}
    assert third.link("next") is None
    again = client("system/*.cruds", name="again").get(first.link("next"))
    assert again.resources() == second.resources()
    client("system/Patient.rs?gender=male").get(first.link("next")).refused(400, "invalid", "_cursor")
    clock.forward(25 * 3600)
    fhir2 = client("system/*.cruds", name="later")
    fhir2.get(first.link("next")).refused(400, "expired", "_cursor", "24 hours")


def test_a_chain_goes_on_from_what_only_what_is_contained_leads_to(fhir):
    """The other end of the outer hop is found by a contained resource alone."""
    place = fhir.create({"resourceType": "Location", "name": "Ward"})["id"]
    listed = fhir.create({
        "resourceType": "List", "status": "current", "mode": "working", "subject": {"reference": "#p"},
        "contained": [patient(id="p", identifier="inside")], "entry": [{"item": {"reference": f"Location/{place}"}}],
    })
    then = listed["meta"]["lastUpdated"]
    for value, found in (("inside", [place]), ("elsewhere", [])):
        asked = f"Location?_has:List:item:subject:Patient.identifier={value}"
        assert ids(fhir.get(asked)) == ids(fhir.get(f"{asked}&_asOf={then}")) == found
