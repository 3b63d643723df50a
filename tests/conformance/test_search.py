"""search, as it goes over HTTP: https://hl7.org/fhir/R4/http.html#search"""

import pytest

from hie.store.search import opened_order
from tests.builders import SYSTEM, bundle, encounter, entry, observation, patient

DOCUMENT = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"title": "x"}}]}

@pytest.mark.proves("interaction:search-type")
def test_a_searchset_lists_matches_with_links_and_total(fhir):
    id_ = fhir.create(patient("Smith"))["id"]
    fhir.create(patient("Jones"))
    answer = fhir.get("Patient?family=Smith")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert (answer.json["type"], answer.json["total"]) == ("searchset", 1)
    row = answer.entries()[0]
    assert row["fullUrl"] == f"http://localhost/fhir/Patient/{id_}"
    assert row["search"] == {"mode": "match"}
    assert row["resource"] == fhir.get(f"Patient/{id_}").json
    assert answer.link("self") == "http://localhost/fhir/Patient?family=Smith"
    assert answer.link("next") is None


@pytest.mark.proves("interaction:search-type")
def test_post_search_finds_what_get_finds(fhir):
    fhir.create(patient("Smith", identifier="1"))
    fhir.create(patient("Smith", identifier="2"))
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    got = fhir.get(f"Patient?family=Smith&identifier={SYSTEM}|1")
    posted = fhir.post("Patient/_search", f"family=Smith&identifier={SYSTEM}%7C1", **form)
    mixed = fhir.post("Patient/_search?family=Smith", f"identifier={SYSTEM}%7C1", **form)
    empty = fhir.post("Patient/_search?family=Smith", None)
    assert [one.json["total"] for one in (got, posted, mixed, empty)] == [1, 1, 1, 2]
    assert posted.link("self") == got.link("self")


def test_a_search_form_in_another_format_is_refused(fhir):
    fhir.post("Patient/_search", {"family": "x"}).refused(415, "not-supported", "http.Content-Type",
                                                          "application/x-www-form-urlencoded")
    fhir.post("Patient/_search", b"family=\xff", Content_Type="application/x-www-form-urlencoded").refused(
        400, "invalid")
    fhir.get("Patient/_search").refused(405, "not-supported")


@pytest.mark.proves("parameter:_count", "parameter:_cursor")
def test_pages_follow_each_other(fhir):
    for number in range(5):
        fhir.create(patient(f"Name{number}"))
    seen, url = set(), "Patient?_count=2"
    pages = 0
    while url:
        answer = fhir.get(url)
        assert answer.status == 200
        assert answer.link("self").startswith("http://localhost/fhir/Patient?_count=2")
        seen |= {one["name"][0]["family"] for one in answer.resources()}
        url, pages = answer.link("next"), pages + 1
    assert (len(seen), pages) == (5, 3)
    assert fhir.get("Patient?_count=2&_cursor=forged").status == 400


@pytest.mark.proves("parameter:_offset")
def test_an_offset_leaves_out_the_first_matches_and_its_links_go_by_what_it_saw(fhir, client):
    people = [fhir.create(patient(f"Name{number}")) for number in range(9)]
    by_id = [one["id"] for one in people]
    for order in ("", "&_sort=-_lastUpdated", "&_sort=-family", "&_sort=-birthdate,family", "&name:contains=ame"):
        whole = [one["id"] for one in fhir.get(f"Patient?_count=50{order}").resources()]
        for offset in (0, 1, 4, 8, 9, 300):
            page = fhir.get(f"Patient?_count=3&_offset={offset}{order}")
            assert [one["id"] for one in page.resources()] == whole[offset : offset + 3], (order, offset)
            assert ("_offset" in page.link("self")) is bool(offset)
            assert page.json.get("total", 9 if offset < 6 else None) == 9, (order, offset)
    first = fhir.get("Patient?_count=3&_offset=4&_total=accurate&_sort=_id")
    assert [link["relation"] for link in first.json["link"]] == ["self", "first", "previous", "next", "last"]
    by_id.sort()
    fhir.delete(f"Patient/{by_id[0]}")
    fhir.put(f"Patient/{by_id[8]}", patient("Other", id=by_id[8]))
    fhir.put("Patient/0", patient("Zero", id="0"))
    ways = {"previous": by_id[1:4], "next": by_id[7:9], "first": by_id[:3], "last": by_id[6:9]}
    for way, expected in ways.items():
        page = fhir.get(first.link(way))
        assert ([one["id"] for one in page.resources()], page.json["total"]) == (expected, 9), way
        assert "_offset" not in page.link("self")
    before = fhir.get(fhir.get(first.link("previous")).link("previous"))
    assert ([one["id"] for one in before.resources()], before.link("previous")) == (by_id[:1], None)
    again = fhir.get(fhir.get(first.link("next")).link("previous"))
    assert [one["id"] for one in again.resources()] == by_id[4:7]


def test_an_offset_counts_what_the_token_sees_and_holds_in_every_kind_of_search(fhir, client):
    for number in range(6):
        fhir.put(f"Patient/p{number}", patient(id=f"p{number}", meta={"tag": [{"code": "ab"[number % 2]}]}))
        fhir.put(f"Observation/o{number}", observation("Patient/p0", id=f"o{number}"))
    narrow = client("system/Patient.rs?_tag=b")
    assert [one["id"] for one in narrow.get("Patient?_offset=1&_count=5").resources()] == ["p3", "p5"]
    assert narrow.get("Patient?_offset=1&_count=5").json["total"] == 3
    assert narrow.get("Patient?_offset=7").json["total"] == 3
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    expected = {"Observation?subject:Patient._id=p0": "o5", "Patient/p0/Observation?code=8867-4": "o5",
                "?_type=Patient,Observation&_sort=_id": "p1", "Observation?_include=Observation:subject": "o5"}
    for search, id_ in expected.items():
        offset = 7 if "_type" in search else 5
        page = fhir.get(f"{search}&_offset={offset}&_count=1")
        found = [row["resource"]["id"] for row in page.entries() if row["search"]["mode"] == "match"]
        assert found == [id_], search
    assert [one["id"] for one in fhir.post("Patient/_search", "_offset=5", **form).resources()] == ["p5"]
    carried = fhir.post("", bundle(entry("GET", "Patient?_offset=5"))).resources()[0]
    assert [row["resource"]["id"] for row in carried["entry"]] == ["p5"]
    assert fhir.get("Patient?_offset=3&_summary=count").json["total"] == 6


@pytest.mark.parametrize(("asked", "code", "expression", "text"), [
    ("Patient?_offset=-1", "invalid", "_offset", "whole number"), ("Patient?_offset=x", "invalid", "_offset", ""),
    ("Patient?_offset=10001", "too-costly", "_offset", "10000 is the most"),
    ("Patient?_offset=1&_offset=2", "invalid", "_offset", "twice"),
    ("Patient?_offset=1&_cursor=x", "invalid", "_offset", "beside it"),
    ("Patient?_getpagesoffset=20", "invalid", "_getpagesoffset", "link next"),
    ("Patient?_page=2", "invalid", "_page", "_offset"),
    ("Observation/$lastn?_offset=1&patient=1", "not-supported", "_offset", "not for this"),
    ("_history?_offset=x", "invalid", "_offset", ""),
])  # fmt: skip
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_offsets_that_cannot_be_answered_are_refused(fhir, asked, code, expression, text):
    fhir.get(asked).refused(400, code, expression, text)


@pytest.mark.proves("parameter:_cursor", "parameter:_total")
def test_pages_lead_back_and_to_the_first_and_the_last_where_the_total_is_asked_for(fhir):
    people = [fhir.create(patient(f"Name{number}")) for number in range(5)]
    first = fhir.get("Patient?_count=2&_sort=family&_total=accurate")
    assert [link["relation"] for link in first.json["link"]] == ["self", "first", "next", "last"]
    fhir.create(patient("Name00"))
    fhir.delete(f"Patient/{people[3]['id']}")
    last = fhir.get(first.link("last"))
    assert (last.resources(), last.json["total"]) == (people[4:], 5)
    assert [link["relation"] for link in last.json["link"]] == ["self", "first", "previous", "last"]
    second = fhir.get(last.link("previous"))
    assert second.resources() == people[2:4]
    assert fhir.get(second.link("next")).resources() == people[4:]
    back = fhir.get(second.link("previous"))
    assert back.resources() == people[:2] == fhir.get(last.link("first")).resources()
    assert back.link("previous") is None
    assert fhir.get(second.link("self")).resources() == people[2:4]
    plain = fhir.get(fhir.get("Patient?_count=2").link("next"))
    assert [link["relation"] for link in plain.json["link"]] == ["self", "previous", "next"]
    assert [link["relation"] for link in fhir.get("Patient?_total=accurate").json["link"]] == ["self"]
    fhir.get("Patient?_count=2&_cursor=until.forged").refused(400, "invalid", "_cursor")
    fhir.get("Patient?_count=2&_cursor=until.").refused(400, "invalid", "_cursor")


@pytest.mark.proves("include:*")
def test_included_resources_are_marked(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.create(observation(f"Patient/{id_}"))
    rows = fhir.get("Observation?_include=Observation:subject").entries()
    assert [(row["resource"]["resourceType"], row["search"]["mode"]) for row in rows] == [
        ("Observation", "match"), ("Patient", "include")]
    reverse = fhir.get("Patient?_revinclude=Observation:subject").entries()
    assert [row["search"]["mode"] for row in reverse] == ["match", "include"]


@pytest.mark.proves("parameter:_summary")
def test_summary_count_tells_the_total_only(fhir):
    fhir.create(patient())
    answer = fhir.get("Patient?_summary=count")
    assert answer.json["total"] == 1
    assert answer.entries() == []


@pytest.mark.proves("parameter:_summary", "parameter:_elements")
def test_summary_and_elements_cut_each_match(fhir):
    fhir.create(observation())
    found = fhir.get("Observation?_elements=issued").resources()[0]
    assert set(found) == {"resourceType", "id", "meta", "status", "code"}
    assert found["meta"]["tag"][0]["code"] == "SUBSETTED"


def test_an_unknown_parameter_is_refused_naming_the_nearest(fhir):
    fhir.get("Patient?famly=Smith").refused(400, "invalid", "famly", "family")


def test_lenient_handling_leaves_an_unknown_parameter_out_and_says_so(fhir):
    fhir.create(patient("Smith"))
    answer = fhir.get("Patient?famly=x&family=Smith", Prefer="handling=lenient")
    assert answer.status == 200
    assert answer.link("self") == "http://localhost/fhir/Patient?family=Smith"
    rows = answer.entries()
    told = [row for row in rows if row["search"]["mode"] == "outcome"]
    assert "famly" in told[0]["resource"]["issue"][0]["diagnostics"]
    assert answer.json["total"] == 1


@pytest.mark.parametrize("query", ["_content=x", "_filter=x", "_list=$problems", "name:text=x", "_query=x"])
def test_what_belongs_to_later_is_refused_even_when_lenient(fhir, query):
    for prefer in ("handling=strict", "handling=lenient"):
        answer = fhir.get(f"Patient?{query}", Prefer=prefer)
        assert answer.status == 400, answer.content
        assert answer.json["issue"][0]["code"] in ("not-supported", "invalid")


def test_a_search_without_the_scope_is_refused(client, fhir):
    client("system/Patient.r").get("Patient").refused(403, "forbidden")


def test_pretty_applies_to_bundles(fhir):
    fhir.create(patient())
    assert b'\n  "type"' in fhir.get("Patient?_pretty=true").content


def test_more_includes_than_an_answer_holds_are_told(fhir, monkeypatch):
    monkeypatch.setattr("hie.store.search.inclusion.MOST_INCLUDED", 2)
    subject = fhir.create(patient("Smith"))["id"]
    for _ in range(3):
        fhir.create(observation(subject=f"Patient/{subject}"))
    rows = fhir.get("Patient?_revinclude=Observation:subject").entries()
    assert [row["search"]["mode"] for row in rows] == ["outcome", "match", "include", "include"]
    assert rows[0]["resource"]["issue"][0]["code"] == "incomplete"


def test_the_parameters_that_are_named_are_those_that_are_answered(fhir):
    told = fhir.get("Patient?famly=x").json["issue"][0]["diagnostics"]
    assert "family" in told
    assert "_filter" not in told


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_reference_parameter_that_names_no_types_refers_to_any(fhir):
    """RequestGroup-instantiates-canonical and two others have no target in R4's registry."""
    here = fhir.create(patient())["id"]
    url = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject"
    is_subject = {"url": url, "valueBoolean": True}
    item = {"linkId": "1", "extension": [is_subject], "answer": [{"valueReference": {"reference": f"Patient/{here}"}}]}
    fhir.create({"resourceType": "QuestionnaireResponse", "status": "completed", "item": [item]})
    url = "http://example.org/PlanDefinition/1"
    fhir.create({"resourceType": "RequestGroup", "status": "draft", "intent": "plan", "instantiatesCanonical": [url]})
    for asked in (f"item-subject=Patient/{here}", f"item-subject={here}", "item-subject:Patient.family=smith"):
        assert fhir.total(f"QuestionnaireResponse?{asked}") == 1, asked
    assert fhir.total("QuestionnaireResponse?item-subject=Group/1") == 0
    assert fhir.total(f"RequestGroup?instantiates-canonical={url}") == 1
    assert fhir.total("DiagnosticReport?assessed-condition=Condition/1") == 0


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_conditions_are_found_by_their_subject(fhir):
    subject = f"Patient/{fhir.create(patient())['id']}"
    fhir.create({"resourceType": "Condition", "subject": {"reference": subject}})
    assert fhir.total(f"Condition?subject={subject}") == 1
    assert fhir.total("Condition?subject:Patient.gender=female") == 1


SORTED = [
    ("Patient?_sort=family", ["a", "b", "c", "d"]), ("Patient?_sort=-family", ["c", "b", "a", "d"]),
    ("Patient?_sort=birthdate", ["b", "a", "c", "d"]), ("Patient?_sort=-birthdate", ["a", "c", "b", "d"]),
    ("Patient?_sort=gender,-_id", ["c", "a", "b", "d"]), ("Patient?_sort=-gender,family", ["b", "a", "c", "d"]),
    ("Patient?_sort=identifier,family", ["c", "b", "a", "d"]), ("Patient?_sort=_profile", ["d", "a", "b", "c"]),
    ("Patient?_sort=-name,_lastUpdated&gender=female", ["a", "c"]),
    ("?_type=Patient&_sort=-_profile", ["d", "a", "b", "c"]), ("Observation?_sort=subject", ["o2", "o3", "o1"]),
    ("Observation?_sort=-patient,value-quantity", ["o3", "o2", "o1"]),
]  # fmt: skip


@pytest.fixture
def unsorted(fhir):
    for person in (
        patient("Abel", "Zoe", id="a", birthDate="1980-05", identifier="7"),
        patient("ÁBELE", "Ann", id="b", birthDate="1979-12-31", gender="male", identifier="10"),
        patient("Zed", "Yan", id="c", birthDate="1980-05", identifier="07"),
        {"resourceType": "Patient", "id": "d", "meta": {"profile": ["http://p/x"]}},
    ):
        assert fhir.put(f"Patient/{person['id']}", person).status == 201
    for id_, subject, value in (("o1", None, 1), ("o2", "Patient/a", 2), ("o3", "Patient/c", 3)):
        fhir.put(f"Observation/{id_}", observation(subject, value=value, id=id_))


@pytest.mark.proves("parameter:_sort")
def test_matches_are_sorted_by_what_the_index_does_not_tell(fhir, unsorted, subtests):
    for search, expected in SORTED:
        with subtests.test(search):
            assert [one["id"] for one in fhir.get(search).resources()] == expected
            found, link = [], f"{search}&_count=1"
            while link:
                answer = fhir.get(link)
                assert answer.json["total"] == len(expected)
                found += [one["id"] for one in answer.resources()]
                link = answer.link("next")
            assert found == expected


PERIODS = {
    "long": ("2020-01-01", "2020-12-31"), "short": ("2020-02-01", "2020-02-02"), "endless": ("2020-03-01", None),
    "early": (None, "2021-01-01"), "none": (None, None),
}  # fmt: skip


@pytest.mark.proves("parameter:_sort")
def test_periods_are_sorted_by_when_they_begin_in_both_directions(fhir):
    """Of several the one that comes first in the order counts: search.html#sort"""
    for id_, (start, end) in PERIODS.items():
        period = {name: one for name, one in (("start", start), ("end", end)) if one}
        where = [{"location": {"display": "Ward"}, "period": one} for one in (period, *(
            [{"start": "2020-06-01"}] if id_ == "short" else []))]
        dated = {"period": period, "location": where} if period else {}
        fhir.put(f"Encounter/{id_}", {**encounter("Patient/p"), "id": id_, "subject": {"display": "p"}, **dated})
        fhir.put(f"Condition/{id_}", {"resourceType": "Condition", "id": id_, "subject": {"display": "p"},
                                      **({"onsetPeriod": period} if period else {})})  # fmt: skip
    for search, rising, falling in (
        ("Encounter?_sort={}date", "early long short endless none", "endless short long early none"),
        ("Condition?_sort={}onset-date", "early long short endless none", "endless short long early none"),
        ("?_type=Encounter&_sort={}date", "early long short endless none", "endless short long early none"),
        ("Encounter?_sort={}location-period", "early long short endless none", "short endless long early none"),
        ("Encounter?date=ge2020-06&_sort={}date", "early long endless", "endless long early"),
        ("Encounter?date=le2020-02-02&_sort={}date", "early long short", "short long early"),
    ):
        for sign, expected in (("", rising), ("-", falling)):
            found, link = [], f"{search.format(sign)}&_count=2"
            while link:
                answer = fhir.get(link)
                found += [one["id"] for one in answer.resources()]
                link = answer.link("next")
            assert " ".join(found) == expected, (search, sign)


def test_an_order_is_of_what_the_token_sees_and_of_not_too_many(fhir, client, unsorted, monkeypatch):
    women = client("system/Patient.rs?gender=female")
    answer = women.get("Patient?_sort=birthdate&_count=1")
    assert ([one["id"] for one in answer.resources()], answer.json["total"]) == (["a"], 2)
    assert [one["id"] for one in women.get(answer.link("next")).resources()] == ["c"]
    monkeypatch.setattr(opened_order, "MOST", 3)
    fhir.get("Patient?_sort=family").refused(422, "too-costly", "_sort", "More than 3 resources match")
    assert women.get("Patient?_sort=family").status == 200


def test_only_those_alike_in_what_an_index_tells_are_opened(fhir, monkeypatch):
    monkeypatch.setattr(opened_order, "MOST", 3)
    for id_, day, status in (("a", 1, "final"), ("b", 2, "amended"), ("c", 2, "final"), ("d", 3, "amended"),
                             ("e", 2, "cancelled")):  # fmt: skip
        fhir.put(f"Observation/{id_}", observation(id=id_, effectiveDateTime=f"2024-01-0{day}", status=status))
    answer = fhir.get("Observation?_sort=-date,-status&_count=2")
    pages = [[one["id"] for one in answer.resources()]]
    while answer.link("next"):
        answer = fhir.get(answer.link("next"))
        pages.append([one["id"] for one in answer.resources()])
    assert pages == [["d", "c"], ["e", "b"], ["a"]]
    assert answer.json["total"] == 5
    fhir.put("Observation/f", observation(id="f", effectiveDateTime="2024-01-02"))
    fhir.get("Observation?_sort=-date,-status&_count=2").refused(
        422, "too-costly", "_sort", "More than 3 resources match, alike in date, and sorting by status")


@pytest.mark.proves("parameter:_id", "parameter:_lastUpdated", "parameter:_profile", "parameter:_security",
                    "parameter:_source", "parameter:_tag")  # fmt: skip
def test_the_parameters_of_every_resource_find_by_its_meta(fhir, clock):
    meta = {"tag": [{"system": "urn:t", "code": "red"}], "security": [{"system": "urn:s", "code": "R"}],
            "profile": ["http://example.org/profile|2"], "source": "urn:feed:7"}  # fmt: skip
    first = fhir.create(patient(meta=meta))
    clock.forward(3600)
    second = fhir.create(patient())
    between = first["meta"]["lastUpdated"][:17] + "59Z"
    for query, found in {
        "_tag=urn:t%7Cred": [first], "_security=R": [first], "_profile=http://example.org/profile": [first],
        "_source=urn:feed:7": [first], "_source=urn:feed": [], f"_id={second['id']}": [second],
        f"_id={first['id']},{second['id']},x": [first, second], f"_lastUpdated=gt{between}": [second],
        f"_lastUpdated=lt{between}": [first], f"_lastUpdated=ge{first['meta']['lastUpdated']}": [first, second],
        f"_lastUpdated=lt{first['meta']['lastUpdated']}": [], f"_lastUpdated=gt{between}&_tag=red": [],
    }.items():  # fmt: skip
        for address in (f"Patient?{query}", f"?_type=Patient,Group&{query}"):
            assert [one["id"] for one in fhir.get(address).resources()] == [one["id"] for one in found], address


@pytest.mark.proves("parameter:_sort", "parameter:_total", "parameter:_count")
def test_matches_come_in_the_order_and_number_that_is_asked_for(fhir):
    for value in (3, 1, 2):
        fhir.create(observation(value=value, effectiveDateTime=f"2024-01-0{4 - value}"))
    for sort, values in {"value-quantity": [1, 2, 3], "-value-quantity": [3, 2, 1], "date": [3, 2, 1]}.items():
        answer = fhir.get(f"Observation?_sort={sort}&_count=2&_total=accurate")
        rest = fhir.get(answer.link("next"))
        assert [one["valueQuantity"]["value"] for one in (*answer.resources(), *rest.resources())] == values
        assert (answer.json["total"], len(answer.entries())) == (3, 2)
    assert "total" not in fhir.get("Observation?_count=1&_total=none").json


def test_a_code_that_has_one_system_is_found_by_that_system_alone(fhir):
    id_ = fhir.create(observation())["id"]
    fhir.create({"resourceType": "Patient", "id": "p", "active": True})
    system = "http://hl7.org/fhir/observation-status"
    for query, found in {
        "Observation?status=final": [id_], f"Observation?status={system}|final": [id_],
        f"Observation?status={system}|": [id_], "Observation?status=urn:x|": [], "Observation?status=urn:x|final": [],
        "Observation?status=|final": [], f"Observation?status={system}|amended": [],
        "Observation?status:not=urn:x|final": [id_], f"Observation?status:not={system}|": [],
    }.items():  # fmt: skip
        assert [one["id"] for one in fhir.get(query).resources()] == found, query
    totals = {"active=true": 1, "active=|true": 1, "active=urn:x|true": 0, "active=false": 0}
    for query, total in totals.items():
        assert fhir.get(f"Patient?{query}&_summary=count").json["total"] == total, query


@pytest.mark.proves("search:number", "search:composite", "modifier:number:missing", "modifier:composite:missing")
def test_numbers_and_composites_find_and_are_asked_for_where_they_are_missing(fhir):
    risk = {"resourceType": "RiskAssessment", "status": "final", "subject": {"identifier": {"value": "1"}}}
    likely = fhir.create({**risk, "prediction": [{"probabilityDecimal": 0.83}]})["id"]
    unknown = fhir.create(risk)["id"]
    pulse = fhir.create(observation(value=80))["id"]
    bare = observation(value=80)
    del bare["valueQuantity"]
    unmeasured = fhir.create(bare)["id"]
    first = fhir.create(DOCUMENT)["id"]
    related = {"code": "appends", "target": {"reference": f"DocumentReference/{first}"}}
    second = fhir.create({**DOCUMENT, "relatesTo": [related]})["id"]
    for query, found in {
        "DocumentReference?relationship=" + "$".join((first, "appends")): [second],
        "DocumentReference?relationship=DocumentReference/" + "$".join((first, "appends")): [second],
        "DocumentReference?relationship=DocumentReference/" + "$".join((first, "replaces")): [],
        "DocumentReference?relationship=" + "$".join((second, "appends")): [],
        "DocumentReference?relationship:missing=true": [first],
        "RiskAssessment?probability=0.83": [likely], "RiskAssessment?probability=gt0.9": [],
        "RiskAssessment?probability:missing=true": [unknown], "RiskAssessment?probability:missing=false": [likely],
        "Observation?code-value-quantity=8867-4$80": [pulse], "Observation?code-value-quantity=8867-4$81": [],
        "Observation?code-value-quantity=http://loinc.org|8867-4$80": [pulse],
        "Observation?code-value-quantity=urn:other|8867-4$80": [],
        "Observation?code-value-quantity=|8867-4$80": [],
        "Observation?code-value-quantity=http://loinc.org|$80": [pulse],
        "Observation?combo-code-value-quantity=http://loinc.org|8867-4$80": [pulse],
        "Observation?combo-code-value-quantity=urn:other|8867-4$80": [],
        "Observation?code-value-quantity=http://loinc.org|8867-4$lt9,http://loinc.org|8867-4$gt79": [pulse],
        "Observation?code-value-quantity:missing=false": [pulse],
        "Observation?code-value-quantity:missing=true": [unmeasured],
    }.items():  # fmt: skip
        assert [one["id"] for one in fhir.get(query).resources()] == found, query


TIMELINE = {
    "?_type=Observation,Encounter&_sort=date": ["o1", "e1", "o2", "e2", "e0"],
    "?_type=Observation,Encounter&_sort=-date": ["e2", "o2", "e1", "o1", "e0"],
    "?_type=Observation,Encounter&_sort=-date&status=final,finished": ["e2", "o2", "e1", "o1", "e0"],
    "?_type=Observation,Encounter&_sort=-date,_id&date=ge2021": ["e2", "o2", "e1"],
    "?_type=Observation,Encounter&_sort=date&patient=Patient/a": ["o1", "e1", "e2"],
    "Patient/a/*?_type=Observation,Encounter&_sort=-date": ["e2", "e1", "o1"],
    "?_type=Observation,Encounter,MedicationRequest&_sort=date": ["o1", "e1", "m", "o2", "e2", "e0"],
    "?_type=Observation,Encounter&_sort=-patient,date": ["o2", "e0", "o1", "e1", "e2"],
    "?_type=Observation,Encounter&_sort=status,-date": ["o2", "o1", "e2", "e1", "e0"],
    "?_type=Patient,Encounter&_sort=-identifier,_id": ["b", "a", "e0", "e1", "e2"],
}


@pytest.fixture
def timeline(fhir):
    for id_ in "ab":
        fhir.put(f"Patient/{id_}", patient(id=id_, identifier=id_))
    for id_, subject, start in (("e1", "a", "2020-02"), ("e2", "a", "2022-01"), ("e0", "b", None)):
        more = {"period": {"start": start}} if start else {}
        fhir.put(f"Encounter/{id_}", encounter(f"Patient/{subject}", id=id_, **more))
    for id_, subject, at in (("o1", "a", "2020-01-01"), ("o2", "b", "2021-06-01")):
        fhir.put(f"Observation/{id_}", observation(f"Patient/{subject}", id=id_, effectiveDateTime=at))
    fhir.put("MedicationRequest/m", {
        "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
        "medicationCodeableConcept": {"text": "x"}, "subject": {"reference": "Patient/b"}, "authoredOn": "2023",
        "dosageInstruction": [{"timing": {"event": ["2020-03-01"]}}]})
    return fhir


@pytest.mark.proves("parameter:_sort")
@pytest.mark.parametrize("search", TIMELINE)
def test_several_types_are_sorted_by_what_each_of_them_has(timeline, search):
    expected = TIMELINE[search]
    assert [one["id"] for one in timeline.get(search).resources()] == expected
    found, pages, link = [], [], f"{search}&_count=2&_total=accurate"
    while link:
        answer = timeline.get(link)
        assert answer.json["total"] == len(expected)
        pages.append([one["id"] for one in answer.resources()])
        found += pages[-1]
        back, link = answer.link("previous"), answer.link("next")
    assert found == expected
    for page in reversed(pages[:-1]):
        answer = timeline.get(back)
        assert [one["id"] for one in answer.resources()] == page
        back = answer.link("previous")


def test_an_order_of_several_types_is_of_what_the_token_sees(timeline, client):
    narrow = client("system/Encounter.rs?patient=Patient/a", "system/Observation.rs")
    url = "?_type=Observation,Encounter&_sort=date"
    assert [one["id"] for one in narrow.get(url).resources()] == ["o1", "e1", "o2", "e2"]
    timeline.get("?_type=Observation,Encounter&_sort=class").refused(400, "invalid", "_sort", "no parameter")
    timeline.get("?_sort=date").refused(400, "invalid", "_sort")
