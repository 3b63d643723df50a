"""Chains over canonical URLs and `_has` by them: with and without versions, under the grant, wherever chains stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hie.settings import Settings
from tests.builders import bundle, entry, patient

BASE = "http://localhost/fhir"
FEVER, PAIN = "http://example.org/q/fever", "http://example.org/q/pain"


def questionnaire(id_: str, url: str, title: str, version: str | None = None, **more: Any) -> Any:
    versioned = {} if version is None else {"version": version}
    return {"resourceType": "Questionnaire", "id": id_, "url": url, "title": title, "status": "active", **versioned,
            **more}


def response(id_: str, canonical: str, **more: Any) -> Any:
    return {"resourceType": "QuestionnaireResponse", "id": id_, "status": "completed", "questionnaire": canonical,
            **more}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Let the server have a base address of its own, so that references below it are its own."""
    return replace(settings, base_url=BASE)


@pytest.fixture
def records(fhir: Any) -> Any:
    rows = [
        patient(id="smith"), questionnaire("f1", FEVER, "Fever", "1"), questionnaire("f2", FEVER, "High fever", "2"),
        questionnaire("p", PAIN, "Pain", status="draft"), response("one", f"{FEVER}|1"),
        response("two", f"{FEVER}|2", subject={"reference": "Patient/smith"}), response("any", FEVER),
        response("gone", f"{FEVER}|3"), response("pain", PAIN), response("pain9", f"{PAIN}|9"),
        {"resourceType": "ServiceRequest", "id": "asked", "status": "active", "intent": "order",
         "subject": {"reference": "Patient/smith"}, "instantiatesCanonical": ["http://example.org/plan"]},
        {"resourceType": "PlanDefinition", "id": "plan", "url": "http://example.org/plan", "status": "active",
         "title": "Plan", "action": [{"definitionCanonical": f"{FEVER}|2"}]},
    ]  # fmt: skip
    for row in rows:
        assert fhir.put(f"{row['resourceType']}/{row['id']}", row).status == 201
    return fhir


def ids(answer: Any) -> list[str]:
    assert answer.status == 200, answer.content
    return sorted(row["id"] for row in answer.resources() if row["resourceType"] != "OperationOutcome")


FOUND = {
    "QuestionnaireResponse?questionnaire.title:exact=Fever": ["any", "one"],
    "QuestionnaireResponse?questionnaire.title=high": ["any", "two"],
    "QuestionnaireResponse?questionnaire:Questionnaire.title:contains=fever": ["any", "one", "two"],
    "QuestionnaireResponse?questionnaire.status=draft": ["pain"],
    "QuestionnaireResponse?questionnaire.version=2": ["any", "two"],
    "QuestionnaireResponse?questionnaire.status:not=draft": ["any", "one", "two"],
    "QuestionnaireResponse?questionnaire.title=nobody": [],
    "QuestionnaireResponse?questionnaire.title=high&subject=Patient/smith": ["two"],
    "QuestionnaireResponse?questionnaire.title=high,pain&_sort=_id&_count=50": ["any", "pain", "two"],
    "QuestionnaireResponse?_filter=questionnaire.title eq \"high fever\"": ["any", "two"],
    "QuestionnaireResponse?_filter=not (questionnaire.title eq \"high fever\")": ["gone", "one", "pain", "pain9"],
    "QuestionnaireResponse?_filter=questionnaire.status eq draft or subject eq Patient/smith": ["pain", "two"],
    "Patient?_has:QuestionnaireResponse:subject:questionnaire.title=high": ["smith"],
    "ServiceRequest?instantiates-canonical.title=plan": ["asked"],
    "ServiceRequest?instantiates-canonical:PlanDefinition.definition.title=high": ["asked"],
    "ServiceRequest?instantiates-canonical:ActivityDefinition.title=plan": [],
}


@pytest.mark.proves("chain:*")
def test_a_chain_leads_over_a_canonical_url_to_the_version_that_is_meant(records: Any) -> None:
    assert {search: ids(records.get(search)) for search in FOUND} == FOUND
    for search, found in FOUND.items():
        if "_filter" not in search:
            assert records.total(search) == len(found), search


def test_nothing_is_told_through_a_definition_that_the_token_may_not_search(records: Any, client: Any) -> None:
    narrow = client("system/QuestionnaireResponse.rs", "system/Questionnaire.rs?status=active", "system/Patient.rs")
    for search, found in {"questionnaire.status=draft": [], "questionnaire.title=pain": [],
                          "questionnaire.title:contains=pain": [], "questionnaire.title=high": ["any", "two"],
                          "questionnaire.title:missing=false": ["any", "one", "two"]}.items():  # fmt: skip
        answer = narrow.get(f"QuestionnaireResponse?{search}&_total=accurate")
        assert (ids(answer), answer.json["total"]) == (found, len(found)), search
    hidden = client("system/QuestionnaireResponse.rs?_id=one", "system/Questionnaire.rs", "system/Patient.rs")
    assert ids(hidden.get("QuestionnaireResponse?questionnaire.title=fever")) == ["one"]
    assert ids(hidden.get("Patient?_has:QuestionnaireResponse:subject:questionnaire.title=high")) == []
    blind = client("system/QuestionnaireResponse.rs", "system/Questionnaire.r")
    blind.get("QuestionnaireResponse?questionnaire.title=high").refused(403, "forbidden", text="system/Questionnaire.s")
    by_scope = client("system/QuestionnaireResponse.rs?questionnaire=" + FEVER + "|1", "system/Questionnaire.rs")
    assert ids(by_scope.get("QuestionnaireResponse?questionnaire.title=fever")) == ["one"]


def test_what_is_deleted_or_was_is_meant_as_it_is_or_was(records: Any, clock: Any) -> None:
    before = records.get("Questionnaire/f2").json["meta"]["lastUpdated"]
    clock.forward(10)
    records.put("Questionnaire/f2", questionnaire("f2", FEVER, "Cold", "2"))
    assert ids(records.get("QuestionnaireResponse?questionnaire.title=high")) == []
    assert ids(records.get("QuestionnaireResponse?questionnaire.title=cold")) == ["any", "two"]
    clock.forward(10)
    records.delete("Questionnaire/f2")
    assert ids(records.get("QuestionnaireResponse?questionnaire.title=cold")) == []
    later = records.get("PlanDefinition/plan").json["meta"]["lastUpdated"]
    assert later > before
    assert ids(records.get(f"QuestionnaireResponse?questionnaire.title=high&_asOf={later}")) == ["any", "two"]


def test_it_stands_wherever_chains_stand(records: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = bundle(entry("GET", "QuestionnaireResponse?questionnaire.title=high"), type_="batch")
    (row,) = records.post("", batch).entries()
    assert sorted(one["resource"]["id"] for one in row["resource"]["entry"]) == ["any", "two"]
    seen, url = [], "QuestionnaireResponse?questionnaire.title=fever,high&_count=1"
    while url:
        answer = records.get(url)
        seen += ids(answer)
        url = answer.link("next")
    assert sorted(seen) == ["any", "one", "two"]
    refers = [{"url": "http://example.org/e", "valueReference": {"reference": f"#{id_}"}} for id_ in ("c1", "c2")]
    inside = patient(id="holder", extension=refers,
                     contained=[response("c1", f"{FEVER}|2"), response("c2", f"{FEVER}|7")])  # fmt: skip
    assert records.put("Patient/holder", inside).status == 201
    found = records.get("QuestionnaireResponse?questionnaire.title=high&_contained=true&_containedType=contained")
    assert [row["resource"]["id"] for row in found.entries()] == ["c1"]
    assert records.get("$explain?questionnaire.title=high&_type=QuestionnaireResponse").status in (200, 400)
    assert records.get("QuestionnaireResponse/$explain?questionnaire.title=high").status == 200
    monkeypatch.setattr("hie.store.search.narrowed._BATCH", 1)
    monkeypatch.setattr("hie.store.search.narrowed.MOST_OPENED", 2)
    records.get("QuestionnaireResponse?questionnaire.title:missing=false").refused(400, "too-costly")


NAMED = {
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=one": ["f1"],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=any": ["f1", "f2"],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=gone,pain9": [],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=two,pain": ["f2", "p"],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed&_sort=-_id": ["f1", "f2", "p"],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed&status=draft": ["p"],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=amended": [],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:subject.name=Smith": ["f2"],
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed&_filter=title eq pain": ["p"],
    "Questionnaire?_has:PlanDefinition:definition:_has:ServiceRequest:instantiates-canonical:intent=order": ["f2"],
    "PlanDefinition?_has:ServiceRequest:instantiates-canonical:subject=Patient/smith": ["plan"],
    "PlanDefinition?definition:Questionnaire._has:QuestionnaireResponse:questionnaire:_id=two": ["plan"],
    "PlanDefinition?definition._has:QuestionnaireResponse:questionnaire:_id=one": [],
    "?_has:QuestionnaireResponse:questionnaire:_id=two": ["f2"],
    "?_type=ActivityDefinition,PlanDefinition&_has:ServiceRequest:instantiates-canonical:intent=order": ["plan"],
}


@pytest.mark.proves("parameter:_has")
def test_has_leads_back_over_a_canonical_url_to_the_version_that_is_meant(records: Any) -> None:
    assert {search: ids(records.get(search)) for search in NAMED} == NAMED
    for search, found in NAMED.items():
        assert records.total(search) == len(found), search


def test_has_tells_nothing_of_what_the_token_may_not_search(records: Any, client: Any) -> None:
    search = "Questionnaire?_has:QuestionnaireResponse:questionnaire:{}&_total=accurate"
    narrow = client("system/Questionnaire.rs?status=active", "system/QuestionnaireResponse.rs?subject=Patient/smith")
    for asked, found in {"status=completed": ["f2"], "_id=any": [], "_id=pain": [], "_id=two": ["f2"],
                         "subject:missing=true": []}.items():  # fmt: skip
        answer = narrow.get(search.format(asked))
        assert (ids(answer), answer.json["total"]) == (found, len(found)), asked
    back = "QuestionnaireResponse?questionnaire._has:QuestionnaireResponse:questionnaire:_id=pain"
    assert ids(records.get(back)) == ["pain"]
    assert ids(narrow.get(back)) == []
    blind = client("system/Questionnaire.rs", "system/QuestionnaireResponse.r")
    blind.get(search.format("_id=one")).refused(403, "forbidden", text="system/QuestionnaireResponse.s")
    middle = client("system/ServiceRequest.rs", "system/PlanDefinition.rs?status=draft", "system/Questionnaire.rs")
    nested = "Questionnaire?_has:PlanDefinition:definition:_has:ServiceRequest:instantiates-canonical:intent=order"
    assert ids(middle.get(nested)) == []


def test_has_by_a_canonical_url_stands_wherever_has_stands(
    records: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = "Questionnaire?_has:QuestionnaireResponse:questionnaire:_id={}"
    (row,) = records.post("", bundle(entry("GET", search.format("two")), type_="batch")).entries()
    assert [one["resource"]["id"] for one in row["resource"]["entry"]] == ["f2"]
    at = records.get("PlanDefinition/plan").json["meta"]["lastUpdated"]
    clock.forward(10)
    records.put("QuestionnaireResponse/two", response("two", f"{FEVER}|1"))
    records.delete("Questionnaire/p")
    assert (ids(records.get(search.format("two"))), ids(records.get(search.format("pain")))) == (["f1"], [])
    assert ids(records.get(search.format("two,pain") + f"&_asOf={at}")) == ["f2", "p"]
    records.get(search.format("two") + "&_contained=true").refused(400, "not-supported")
    seen, url = [], search.format("any") + "&_count=1"
    while url:
        answer = records.get(url)
        seen += ids(answer)
        url = answer.link("next")
    assert sorted(seen) == ["f1", "f2"]
    assert records.get("Questionnaire/$explain?_has:QuestionnaireResponse:questionnaire:_id=two").status == 200
    monkeypatch.setattr("hie.store.search.narrowed._BATCH", 1)
    monkeypatch.setattr("hie.store.search.narrowed.MOST_OPENED", 2)
    asked = "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed"
    records.get(asked).refused(400, "too-costly")


def test_a_definition_under_this_servers_own_address_is_meant_by_its_url(fhir: Any) -> None:
    own = f"{BASE}/Questionnaire/own"
    device = {"resourceType": "Device", "id": "d", "url": own, "version": [{"value": "1"}]}
    for row in (questionnaire("own", own, "Own", "1"), response("to", f"{own}|1"), response("no", f"{own}|2"), device):
        assert fhir.put(f"{row['resourceType']}/{row['id']}", row).status == 201
    assert ids(fhir.get("QuestionnaireResponse?questionnaire.title=own")) == ["to"]
    assert ids(fhir.get("Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=to")) == ["own"]
    assert ids(fhir.get("Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=no")) == []
    fhir.get("ActivityDefinition?composed-of:Device.status=active").refused(400, "invalid", text="refers to")


def test_a_canonical_that_says_where_a_definition_stands_leads_there(fhir: Any, client: Any) -> None:
    nameless = questionnaire("bare", FEVER, "Bare", "3")
    del nameless["url"]
    for row in (nameless, response("at", "Questionnaire/bare"), response("at3", "Questionnaire/bare|3"),
                response("at9", "Questionnaire/bare|9"), response("own", f"{BASE}/Questionnaire/bare"),
                response("else", "Questionnaire/other"), response("far", "http://example.org/fhir/Questionnaire/bare"),
                questionnaire("other", PAIN, "Other", status="draft"), response("url", PAIN)):  # fmt: skip
        assert fhir.put(f"{row['resourceType']}/{row['id']}", row).status == 201
    forward = "QuestionnaireResponse?questionnaire."
    back = "Questionnaire?_has:QuestionnaireResponse:questionnaire:_id="
    assert ids(fhir.get(f"{forward}title=bare")) == ["at", "at3", "own"]
    assert ids(fhir.get(f"{forward}title:contains=bar")) == ["at", "at3", "own"]
    assert ids(fhir.get(f"{forward}_id=other")) == ["else", "url"]
    assert {one: ids(fhir.get(back + one)) for one in ("at", "at3", "at9", "own", "else", "far", "url")} == {
        "at": ["bare"], "at3": ["bare"], "at9": [], "own": ["bare"], "else": ["other"], "far": [], "url": ["other"]}
    include = "QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire&_id="
    assert {one: included(fhir.get(include + one)) for one in ("at", "at3", "at9", "own", "far")} == {
        "at": ["bare"], "at3": ["bare"], "at9": [], "own": ["bare"], "far": []}
    for what in ("QuestionnaireResponse:questionnaire", "QuestionnaireResponse:*", "*"):
        assert included(fhir.get(f"Questionnaire?_id=bare&_revinclude={what}")) == ["at", "at3", "own"], what
    search = "QuestionnaireResponse?questionnaire="
    for place in ("Questionnaire/bare", f"{BASE}/Questionnaire/bare"):
        found = {version: ids(fhir.get(search + place + version)) for version in ("", "|3", "|9", "|4")}
        assert found == {"": ["at", "at3", "at9", "own"], "|3": ["at3"], "|9": ["at9"], "|4": []}
    assert fhir.put("QuestionnaireResponse/lib", response("lib", "http://example.org/Library/q|1")).status == 201
    for url in ("http://example.org/Library/q", "http://example.org/Library/q|1"):  # a URL says nothing of a type
        assert ids(fhir.get(search + url)) == ["lib"]
    for wrong in ("Questionnaire/bare|", "bare|3", "Patient/bare|3"):
        fhir.get(search + wrong).refused(400, "invalid")
    fhir.get("QuestionnaireResponse?subject=Patient/bare|3").refused(400, "invalid")
    narrow = client("system/QuestionnaireResponse.rs", "system/Questionnaire.rs?status=draft")
    assert ids(narrow.get(f"{forward}title=bare")) == ids(narrow.get(back + "at")) == []
    assert (ids(narrow.get(f"{forward}_id=other")), included(narrow.get(include + "at"))) == (["else", "url"], [])


INCLUDED = {
    "QuestionnaireResponse?_id=one&_include=QuestionnaireResponse:questionnaire": ["f1"],
    "QuestionnaireResponse?_id=any,two&_include=QuestionnaireResponse:questionnaire": ["f1", "f2"],
    "QuestionnaireResponse?_id=gone,pain9&_include=QuestionnaireResponse:questionnaire": [],
    "QuestionnaireResponse?_id=two&_include=*": ["f2", "smith"],
    "QuestionnaireResponse?_id=two&_include=QuestionnaireResponse:*:Questionnaire": ["f2"],
    "PlanDefinition?_id=plan&_include=PlanDefinition:definition:ActivityDefinition": [],
    "PlanDefinition?_id=plan&_include=PlanDefinition:definition": ["f2"],
    "ServiceRequest?_include=ServiceRequest:instantiates-canonical&_include:iterate=PlanDefinition:definition": [
        "f2", "plan"],
    "Questionnaire?_id=f1&_revinclude=QuestionnaireResponse:questionnaire": ["any", "one"],
    "Questionnaire?_id=f1,p&_revinclude=QuestionnaireResponse:*": ["any", "one", "pain"],
    "Questionnaire?_id=f1,p&_revinclude=*": ["any", "one", "pain"],
    "Questionnaire?_id=f2&_revinclude=QuestionnaireResponse:questionnaire&_include:iterate=QuestionnaireResponse:subject":
        ["any", "smith", "two"],
}  # fmt: skip


def included(answer: Any) -> list[str]:
    assert answer.status == 200, answer.content
    return sorted(row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "include")


def test_includes_follow_canonical_urls_to_the_version_that_is_meant(records: Any, client: Any, clock: Any) -> None:
    assert {search: included(records.get(search)) for search in INCLUDED} == INCLUDED
    search, back, every = list(INCLUDED)[1], list(INCLUDED)[8], "Questionnaire?_id=f1,p&_revinclude=*"
    seen = client("system/QuestionnaireResponse.rs", "system/Questionnaire.rs?version=2")
    assert included(seen.get(search)) == ["f2"]
    for scope in ("system/Questionnaire.r", "system/Questionnaire.s"):
        assert included(client("system/QuestionnaireResponse.rs", scope).get(search)) == []
    seen = client("system/Questionnaire.rs", "system/QuestionnaireResponse.rs?questionnaire=http://nothing.org")
    assert included(seen.get(back)) == included(seen.get(every)) == []
    assert included(client("system/Questionnaire.rs", "system/QuestionnaireResponse.r").get(every)) == []
    then = records.get("PlanDefinition/plan").json["meta"]["lastUpdated"]
    clock.forward(10)
    assert records.delete("QuestionnaireResponse/any").status == 200
    assert included(records.get(back)) == ["one"]
    assert included(records.get(f"{back}&_asOf={then}")) == ["any", "one"]
