"""history of an instance, a type and the system: https://hl7.org/fhir/R4/http.html#history"""

import pytest

from tests.builders import observation, patient

CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.mark.proves("interaction:history-instance")
def test_the_history_of_an_instance_lists_every_version_newest_first(fhir):
    id_ = fhir.create(patient("One"))["id"]
    fhir.put(f"Patient/{id_}", patient("Two", id=id_))
    fhir.delete(f"Patient/{id_}")
    answer = fhir.get(f"Patient/{id_}/_history")
    assert (answer.status, answer.json["type"], answer.json["total"]) == (200, "history", 3)
    deleted, updated, created = answer.entries()
    assert deleted["request"] == {"method": "DELETE", "url": f"Patient/{id_}"}
    assert "resource" not in deleted
    assert updated["request"] == {"method": "PUT", "url": f"Patient/{id_}"}
    assert updated["response"]["status"] == "200 OK"
    assert updated["response"]["etag"] == 'W/"2"'
    assert updated["resource"]["name"][0]["family"] == "Two"
    assert created["request"] == {"method": "POST", "url": "Patient"}
    assert created["response"]["status"] == "201 Created"
    assert created["response"]["lastModified"] == created["resource"]["meta"]["lastUpdated"]
    assert {row["fullUrl"] for row in answer.entries()} == {f"http://localhost/fhir/Patient/{id_}"}
    assert answer.link("self") == f"http://localhost/fhir/Patient/{id_}/_history"


@pytest.mark.proves("interaction:history-type")
def test_pages_follow_each_other_without_gap_or_repetition(fhir):
    for number in range(5):
        fhir.create(patient(f"Name{number}"))
    seen, url = [], "Patient/_history?_count=2"
    while url:
        answer = fhir.get(url)
        assert answer.json["total"] == 5
        seen += [one["name"][0]["family"] for one in answer.resources()]
        url = answer.link("next")
    assert seen == [f"Name{number}" for number in (4, 3, 2, 1, 0)]


def test_pages_lead_back_to_what_the_first_page_saw(fhir):
    for number in range(5):
        fhir.create(patient(f"Name{number}"))
    first = fhir.get("Patient/_history?_count=2")
    assert first.link("previous") is None
    second = fhir.get(first.link("next"))
    third = fhir.get(second.link("next"))
    fhir.create(patient("Later"))
    back = fhir.get(third.link("previous"))
    assert back.resources() == second.resources()
    start = fhir.get(back.link("previous"))
    assert (start.resources(), start.link("previous")) == (first.resources(), None)
    assert fhir.get(start.link("next")).resources() == second.resources()


def test_the_first_and_the_last_page_are_those_of_what_the_first_page_saw(client, fhir):
    for number in range(5):
        fhir.create(patient(f"Name{number}", gender="female"))
    pages, url = [], "Patient/_history?_count=2"
    while url:
        pages.append(fhir.get(url))
        url = pages[-1].link("next")
    changed = {**pages[0].resources()[0], "gender": "male"}
    fhir.put(f"Patient/{changed['id']}", changed)
    rows = [one.resources() for one in pages]
    assert [len(one) for one in rows] == [2, 2, 1]
    for page in pages:
        first, last = fhir.get(page.link("first")), fhir.get(page.link("last"))
        assert (first.resources(), first.link("previous")) == (rows[0], None)
        assert (last.resources(), last.link("next")) == (rows[2], None)
        assert fhir.get(first.link("next")).resources() == rows[1]
        before = fhir.get(last.link("previous"))
        assert (before.resources(), fhir.get(before.link("previous")).resources()) == (rows[1], rows[0])
        assert fhir.get(before.link("next")).resources() == rows[2]
        assert fhir.get(fhir.get(last.link("first")).link("last")).resources() == rows[2]
    alone = fhir.get("Patient/_history?_count=6")
    assert (alone.link("first"), alone.link("last")) == (None, None)
    empty = fhir.get("Patient/_history?_count=0")
    assert (empty.link("first"), empty.link("last")) == (None, None)
    narrow = client("system/Patient.rs?gender=female")
    some = narrow.get("Patient/_history?_count=3")
    assert (len(narrow.get(some.link("last")).resources()), some.json["total"]) == (1, 4), "no more than is covered"


@pytest.mark.proves("system:history-system")
def test_the_history_of_the_system_has_all_types(fhir):
    fhir.create(patient())
    fhir.create(observation())
    answer = fhir.get("_history")
    assert [one["resourceType"] for one in answer.resources()] == ["Observation", "Patient"]


def test_since_leaves_out_what_is_older(fhir, clock):
    fhir.create(patient("Old"))
    clock.forward(3600)
    fhir.create(patient("New"))
    answer = fhir.get("Patient/_history?_since=2026-01-01T00:30:00Z")
    assert [one["name"][0]["family"] for one in answer.resources()] == ["New"]
    assert answer.json["total"] == 1
    assert fhir.get("Patient/_history?_since=2026-01-01T01:30:00%2B01:00").json["total"] == 1


def test_a_count_of_none_tells_the_total_only(fhir):
    fhir.create(patient())
    for url in ("Patient/_history?_count=0", "Patient/_history?_summary=count"):
        answer = fhir.get(url)
        assert answer.json["total"] == 1
        assert answer.entries() == []


def test_the_history_of_what_never_was_is_not_found(fhir):
    fhir.get("Patient/nobody/_history").refused(404, "not-found")
    assert fhir.get("Patient/_history").json["total"] == 0


@pytest.mark.parametrize(
    ("query", "code", "expression"),
    [("_since=yesterday", "invalid", "_since"), ("_count=-1", "invalid", "_count"), ("_count=x", "invalid", "_count"),
     ("_at=yesterday", "invalid", "_at"), ("_list=1", "not-supported", "_list"),
     ("name=x", "invalid", "name"), ("_cursor=x", "invalid", None)],
)  # fmt: skip
def test_a_parameter_that_history_does_not_have_is_refused(fhir, query, code, expression):
    fhir.get(f"Patient/_history?{query}").refused(400, code, expression)


@pytest.mark.parametrize("scope", ["category:not=vital-signs", "category=laboratory", "derived-from:missing=true"])
def test_conditions_hold_of_each_version_and_of_the_resource_as_it_stands(client, fhir, scope):
    """A deleted resource has no values, and matches every :not; what it was must not be opened by that."""
    laboratory, vital = ([{"coding": [{"system": CATEGORIES, "code": code}]}] for code in ("laboratory", "vital-signs"))
    shown = observation(id="open", category=laboratory)
    derived = [{"reference": "Observation/open"}]
    secret = observation(id="x", category=vital, derivedFrom=derived, note=[{"text": "secret"}])
    fhir.put("Observation/open", shown)
    for one in (secret, secret | {"status": "amended"}):
        fhir.put("Observation/x", one)
    narrow = client(f"system/Observation.rs?{scope}")
    fhir.delete("Observation/x")
    for url in ("Observation/x", "Observation/x/_history", "Observation/x/_history/1", "Observation/x/_history/2",
                "Observation/x/_history/3", "Observation/x/$diff?fromVersion=1&toVersion=2", "Observation/x/$meta"):
        narrow.get(url).refused(404, "not-found")
    for url in ("Observation/_history", "_history"):
        answer = narrow.get(url)
        assert ([one["id"] for one in answer.resources()], answer.json["total"]) == (["open"], 1)
    fhir.put("Observation/x", shown | {"id": "x"})
    assert narrow.get("Observation/x").vid == "4"
    for url in ("Observation/x/_history/1", "Observation/x/$diff?fromVersion=1"):
        narrow.get(url).refused(404, "not-found")
    for url in ("Observation/x/_history", "Observation/_history?_count=2", "_history?_count=2"):
        rows = narrow.get(url).entries()
        assert [row["response"]["etag"] for row in rows[:2]] == ['W/"4"', 'W/"3"'], "that it was deleted is told"
        assert "resource" not in rows[1]
    assert narrow.get("Observation/x/_history").json["total"] == 2
    fhir.put("Observation/x", shown | {"id": "x", "status": "amended"})
    assert narrow.get("Observation/x/_history/4").status == 200
    assert fhir.get("Observation/x/_history").json["total"] == 5


def test_history_shows_only_what_the_token_covers(client, fhir):
    fhir.create(patient())
    fhir.create(observation())
    narrow = client("system/Observation.rs")
    assert [one["resourceType"] for one in narrow.get("_history").resources()] == ["Observation"]
    narrow.get("Patient/_history").refused(403, "forbidden")


def test_at_gives_the_versions_that_were_current_in_a_period(fhir, clock):
    """Versions of one resource at 0:00, 1:00 and 2:00, deleted at 3:00; another from 1:30 on."""
    first = fhir.create(patient())
    here = f"Patient/{first['id']}"
    clock.forward(3600)
    fhir.put(here, {**first, "gender": "male"})
    clock.forward(1800)
    fhir.create(patient("Other"))
    clock.forward(1800)
    changed = fhir.put(here, {**first, "gender": "other"}).json
    clock.forward(3600)
    fhir.delete(here)
    clock.forward(3600)

    def vids(url):
        answer = fhir.get(url)
        assert answer.status == 200, answer.content
        assert answer.json["total"] == len(answer.entries())
        return [row["response"]["etag"] for row in answer.entries()]

    day = "2026-01-01T"
    assert vids(f"{here}/_history?_at={day}00:30:00Z") == ['W/"1"']
    assert vids(f"{here}/_history?_at={day}01:30:00%2B01:00") == ['W/"1"']
    assert vids(f"{here}/_history?_at={changed['meta']['lastUpdated']}") == ['W/"3"']
    assert vids(f"{here}/_history?_at={day}03:30:00Z") == ['W/"4"'], "the deletion was the state of then"
    assert vids(f"{here}/_history?_at=2025") == []
    assert vids(f"{here}/_history?_at=2026-01-01") == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    assert vids(f"Patient/_history?_at={day}01:45:00Z") == ['W/"1"', 'W/"2"']
    assert vids(f"_history?_at={day}02:30:00Z&_since={day}02:00:00Z") == ['W/"3"']
    first_page = fhir.get("Patient/_history?_at=2026-01-01&_count=2")
    assert "_at=2026-01-01" in first_page.link("next")
    assert len(fhir.get(first_page.link("next")).entries()) == 2
