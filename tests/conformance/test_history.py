"""history of an instance, a type and the system: https://hl7.org/fhir/R4/http.html#history"""

import base64
import json

import pytest

from hie.fhir.instants import instant
from hie.store.history_statements import count_statement, page_statement
from tests.builders import bundle, entry, observation, patient

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


def test_links_to_pages_belong_to_what_was_asked_under_the_same_scopes(client, fhir):
    """Else a token would be told what another one's history counted."""
    for number in range(4):
        fhir.create(patient(f"Name{number}"))
    first = fhir.get("Patient/_history?_count=1")
    others = client("system/Patient.rs?family=Name3"), client("system/Patient.rs", "system/Observation.rs")
    for link in (first.link("next"), first.link("last"), fhir.get(first.link("next")).link("previous")):
        for other in others:
            other.get(link).refused(400, "invalid", "_cursor", "begin again")
        for asked in ("Observation/_history?", "_history?", "Patient/_history?_since=2020-01-01T00:00:00Z&",
                      "Patient/_history?_at=2026&"):
            fhir.get(link.replace("Patient/_history?", asked)).refused(400, "invalid", "_cursor", "begin again")
        assert fhir.get(link.replace("_count=1", "_count=2")).status == 200


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


def test_further_pages_tell_what_the_first_counted(fhir):
    for name in "ABC":
        fhir.create(patient(name))
    first = fhir.get("Patient/_history?_count=1")
    fhir.create(patient("Later"))
    pages = [first]
    while pages[-1].link("next"):
        pages.append(fhir.get(pages[-1].link("next")))
    assert [page.json["total"] for page in pages] == [3, 3, 3]
    assert fhir.get(first.link("last")).json["total"] == 3


def test_no_total_is_told_where_none_is_asked_for(fhir):
    for name in "ABC":
        fhir.create(patient(name))
    first = fhir.get("Patient/_history?_count=2&_total=none")
    second = fhir.get(first.link("next"))
    assert [len(page.entries()) for page in (first, second)] == [2, 1]
    assert "total" not in first.json
    assert "total" not in second.json
    assert len(fhir.get(first.link("last")).entries()) == 1
    for how in ("accurate", "estimate"):
        assert fhir.get(f"Patient/_history?_count=2&_total={how}").json["total"] == 3
    assert fhir.get("Patient/_history?_total=none&_summary=count").json["total"] == 3


def test_a_parameter_that_is_repeated_as_it_was_says_no_more(fhir):
    """As in a search; two that differ are refused."""
    fhir.create(patient())
    url = "Patient/_history?_since=2020&_since=2020&_count=1&_count=1&_summary=true&_summary=true"
    assert len(fhir.get(url).entries()) == 1


def test_the_history_of_what_never_was_is_not_found(fhir):
    fhir.get("Patient/nobody/_history").refused(404, "not-found")
    assert fhir.get("Patient/_history").json["total"] == 0


NOT_OF_HISTORY = [
    ("_since=yesterday", "invalid", "_since"), ("_count=-1", "invalid", "_count"), ("_count=x", "invalid", "_count"),
    ("_at=yesterday", "invalid", "_at"), ("_list=none", "not-found", "_list"),
    ("_list=$current-problems", "not-supported", "_list"), ("_list=Patient/1", "invalid", "_list"),
    ("_list=1&_list=2", "invalid", "_list"), ("_list=List/1/_history/1", "invalid", "_list"),
    ("_sort=_id", "not-supported", "_sort"), ("_total=all", "invalid", "_total"),
    ("_at=ap2020", "invalid", "_at"), ("_at=ge2020&_at=gt2021", "invalid", "_at"),
    ("_at=ge2021&_at=lt2020", "invalid", "_at"), ("_at=ge2020&_at=lt2021&_at=lt2022", "invalid", "_at"),
    ("name=x", "invalid", "name"), ("_cursor=x", "invalid", None),
    ("_since=2020&_since=2021", "invalid", "_since"), ("_at=2020&_at=2021&_count=1", "invalid", "_at"),
    ("_count=1&_count=2", "invalid", "_count"), ("_cursor=x&_cursor=y", "invalid", "_cursor"),
    ("_summary=true&_summary=count", "invalid", "_summary"),
]  # fmt: skip


def test_a_parameter_that_history_does_not_have_is_refused(fhir, subtests):
    for query, code, expression in NOT_OF_HISTORY:
        with subtests.test(query):
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


def test_what_is_asked_for_one_token_is_made_once_and_another_of_its_shape_sees_its_own(
    client, fhir, app, database_kind, request
):
    if database_kind == "postgresql":  # what is read beside a transaction has a statement of its own
        request.getfixturevalue("postgres").rest()
    for tag, id_ in (("x", "1"), ("y", "2"), ("x", "3")):
        for gender in ("male", "female"):
            fhir.put(f"Patient/{id_}", patient(id=id_, gender=gender, meta={"tag": [{"code": tag}]}))
    fhir.put("Observation/o", observation(id="o", meta={"tag": [{"code": "y"}]}))
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    assert fhir.post("Patient/3/$meta-delete", parameters).status == 200  # an update keeps the tag
    expected = {"x": ["1/1", "1/2"], "y": ["2/1", "2/2", "o/1"], "none": []}
    made = []
    for tag in ("x", "y", "none", "x"):
        token, seen, url = client(f"system/*.rs?_tag={tag}", name=f"{tag}{len(made)}"), [], "_history?_count=2"
        while url:
            app.extensions["hie"].store.database.settle_records()
            page = token.get(url)
            assert page.json["total"] == len(expected[tag])
            seen += [f"{one['id']}/{one['meta']['versionId']}" for one in page.resources()]
            url = page.link("next")
        assert sorted(seen) == expected[tag]
        made.append(sum(one.cache_info().misses for one in (page_statement, count_statement)))
    assert made[1] <= made[0] + 2, "a page behind the first was not asked for yet, nor the count beside it"
    assert made[1:] == [made[1]] * 3


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
    assert vids(f"{here}/_history?_at=gt{day}02:00Z") == ['W/"4"', 'W/"3"']
    assert vids(f"{here}/_history?_at=lt{day}01:00Z") == vids(f"{here}/_history?_at=eb{day}01:00Z") == ['W/"1"']
    assert vids(f"{here}/_history?_at=le{day}01:00Z") == ['W/"2"', 'W/"1"']
    assert vids(f"{here}/_history?_at=ge{day}01:01Z&_at=lt{day}01:59Z") == ['W/"2"']
    assert vids(f"{here}/_history?_at=sa{day}03:00Z") == ['W/"4"']
    assert vids(f"{here}/_history?_at=2026-01-01") == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    assert vids(f"Patient/_history?_at={day}01:45:00Z") == ['W/"1"', 'W/"2"']
    assert vids(f"_history?_at={day}02:30:00Z&_since={day}02:00:00Z") == ['W/"3"']
    first_page = fhir.get("Patient/_history?_at=2026-01-01&_count=2")
    assert "_at=2026-01-01" in first_page.link("next")
    assert len(fhir.get(first_page.link("next")).entries()) == 2


def test_list_gives_the_versions_that_a_list_names(fhir, client, clock):
    """https://hl7.org/fhir/R4/http.html#history: of what it names without a version, all versions"""
    one, two, three = (fhir.create(patient(name))["id"] for name in ("A", "B", "C"))
    for id_ in (one, two, three):
        fhir.put(f"Patient/{id_}", patient("D", id=id_))
    seen = fhir.create(observation())["id"]
    items = [f"Patient/{one}/_history/1", f"Patient/{two}", f"Observation/{seen}"]
    listed = {"resourceType": "List", "id": "l", "status": "current", "mode": "working",
              "entry": [*({"item": {"reference": item}} for item in items), {"item": {"display": "x"}}]}
    fhir.put("List/l", listed)

    def rows(answer):
        return [(row["fullUrl"].rpartition("/")[2], row["response"]["etag"]) for row in answer.entries()]

    named = {(one, 'W/"1"'), (two, 'W/"1"'), (two, 'W/"2"')}
    assert set(rows(fhir.get("_history?_list=l"))) == {*named, (seen, 'W/"1"')}
    for list_ in ("l", "List/l", "http://localhost/fhir/List/l"):
        assert set(rows(fhir.get(f"Patient/_history?_list={list_}"))) == named
    assert rows(fhir.get(f"Patient/{one}/_history?_list=l")) == [(one, 'W/"1"')]
    assert rows(fhir.get(f"Patient/{three}/_history?_list=l")) == []
    first = fhir.get("Patient/_history?_list=l&_count=2")
    assert (first.json["total"], len(first.entries())) == (3, 2)
    clock.forward(1)
    fhir.put("List/l", {**listed, "entry": listed["entry"][:1]})
    second = fhir.get(first.link("next"))
    assert set(rows(first)) | set(rows(second)) == named, "further pages ask what it named when the first was read"
    assert rows(fhir.get("Patient/_history?_list=l")) == [(one, 'W/"1"')]
    client("system/Patient.rs").get("Patient/_history?_list=l").refused(403, "forbidden")
    hidden = client("system/Patient.rs", "system/List.r?_id=x").get("Patient/_history?_list=l")
    hidden.refused(400, "not-found", "_list")
    client("system/Observation.rs", "system/List.r").get("Patient/_history?_list=l").refused(403, "forbidden")
    fhir.delete("List/l")
    fhir.get("Patient/_history?_list=l").refused(400, "not-found", "_list")


# ---- what the answer of then said ------------------------------------------------------------------------------------

PATCH = {"Content_Type": "application/json-patch+json"}
OF_P, OF_Q = "Patient/p", "Patient/q"
GENDER = [{"op": "replace", "path": "/gender", "value": "other"}]
BIRTH = [{"op": "add", "path": "/birthDate", "value": "1970"}]
META = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}


def binary(patch):
    data = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def patient_of(id_, family, **more):
    return patient(family, id=id_, gender="female", **more)


#: What is asked, and how history tells of it: None where nothing is stored.
LIVED = [
    (("PUT", OF_P, patient_of("p", "A")), ("PUT", OF_P, "201 Created")),  # update as create
    (("PUT", OF_P, patient_of("p", "A")), None),
    (("PUT", OF_P, patient_of("p", "B")), ("PUT", OF_P, "200 OK")),
    (("PATCH", OF_P, GENDER), ("PATCH", OF_P, "200 OK")),
    (("PATCH", OF_P, GENDER), None),
    (("POST", f"{OF_P}/$meta-add", META), ("PUT", OF_P, "200 OK")),
    (("DELETE", OF_P, None), ("DELETE", OF_P, "200 OK")),
    (("DELETE", OF_P, None), None),
    (("PUT", OF_P, patient_of("p", "C")), ("PUT", OF_P, "201 Created")),  # brought back to life
    (("PATCH", "Patient?family=C", BIRTH), ("PATCH", OF_P, "200 OK")),
    (("PUT", "Patient?family=C", patient("D")), ("PUT", OF_P, "200 OK")),
    (("PUT", "Patient?family=nobody", patient("E")), ("PUT", "Patient/*", "201 Created")),
    (("PUT", "Patient?family=nobody", patient_of("e", "E")), ("PUT", "Patient/e", "201 Created")),
    (("POST", "Patient", patient("F")), ("POST", "Patient", "201 Created")),
    (("DELETE", "Patient?family=F", None), ("DELETE", "Patient/*", "200 OK")),
]
#: The same as entries of one Bundle, in the order in which a transaction takes them.
ENTRIES = [
    (entry("DELETE", OF_P), ("DELETE", OF_P, "200 OK")),
    (entry("POST", "Patient", patient("G")), ("POST", "Patient", "201 Created")),
    (entry("POST", "Patient", patient("H", identifier="h"), ifNoneExist="identifier=h"),
     ("POST", "Patient", "201 Created")),
    (entry("PUT", OF_Q, patient_of("q", "Q2")), ("PUT", OF_Q, "201 Created")),
    (entry("PUT", "Patient?family=nobody", patient("J")), ("PUT", "Patient/*", "201 Created")),
    (entry("PUT", "Patient/r", patient_of("r", "R2")), ("PUT", "Patient/r", "200 OK")),
    (entry("PATCH", "Patient/s", binary(GENDER)), ("PATCH", "Patient/s", "200 OK")),
]  # fmt: skip


def told(row):
    """What a history entry tells: its request, its status, its ETag and its time."""
    address = row["request"]["url"]
    answer = row["response"]
    return (row["request"]["method"], address, answer["status"], answer["etag"], answer["lastModified"])


def matches(row, expected):
    method, address, status = expected
    id_ = row["fullUrl"].rpartition("/")[2]
    return told(row)[:3] == (method, address.replace("*", id_), status)


def check_told(fhir, expected, status, vid, before):
    """History says of the newest version what its answer said, wherever it is asked, also without the one before."""
    type_history = fhir.get("Patient/_history?_count=1")
    (row,) = type_history.entries()
    assert matches(row, expected), (row, expected)
    assert row["response"]["status"].startswith(str(status))
    assert row["response"]["etag"] == vid
    assert ("resource" in row) is (expected[0] != "DELETE")
    place = row["fullUrl"].removeprefix("http://localhost/fhir/")
    since = f"_since={row['response']['lastModified']}"
    for url in (f"{place}/_history?_count=1", f"{place}/_history?{since}", f"Patient/_history?{since}",
                f"_history?{since}", "_history?_count=1"):
        assert fhir.get(url).entries()[:1] == [row], url
    assert fhir.get(f"Patient/_history?{since}").json["total"] == 1
    assert type_history.json["total"] == before + 1


@pytest.mark.proves("interaction:history-instance", "interaction:history-type", "system:history-system")
def test_history_tells_of_a_version_what_the_answer_of_then_said(fhir):
    total = 0
    for (method, url, body), expected in LIVED:
        answer = fhir(method, url, body, **(PATCH if method == "PATCH" else {}))
        assert answer.status in (200, 201), answer.content
        if expected is None:
            assert fhir.get("Patient/_history?_count=0").json["total"] == total
            continue
        check_told(fhir, expected, answer.status, answer.headers["ETag"], total)
        total += 1
    whole = [told(row)[:3] for row in reversed(fhir.get("Patient/p/_history").entries())]
    assert whole == [one for _, one in LIVED if one is not None and one[1] == OF_P]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_history_tells_of_the_entries_of_a_bundle_what_their_answers_said(fhir, clock, kind):
    for id_ in "pqrs":
        fhir.put(f"Patient/{id_}", patient_of(id_, id_.upper()))
    fhir.delete(OF_Q)
    clock.forward(60)
    answer = fhir.post("", bundle(*(one for one, _ in ENTRIES), type_=kind))
    assert answer.status == 200, answer.content
    since = instant(clock() - 30_000_000)
    rows = fhir.get(f"Patient/_history?_since={since}").entries()
    by_version = {(row["fullUrl"], row["response"]["etag"]): row for row in rows}
    assert len(rows) == len(ENTRIES)
    for live, (asked, expected) in zip(answer.entries(), ENTRIES, strict=True):
        response = live["response"]
        url = response.get("location", f"http://localhost/fhir/{asked['request']['url']}").partition("/_history")[0]
        row = by_version[url, response["etag"]]
        assert matches(row, expected)
        assert {name: response[name] for name in row["response"]} == row["response"]
