"""Single sentences of the specification's page on searching, each by what it promises: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, entry, observation, patient, put
from tests.conformance.conftest import Answer, Fhir

OWN = "http://localhost/fhir/StructureDefinition/me"


def held(id_: str, media_type: str) -> dict[str, Any]:
    return {"resourceType": "DocumentReference", "id": id_, "status": "current",
            "content": [{"attachment": {"contentType": media_type, "url": f"http://x/{id_}"}}]}


def canonical(type_name: str, id_: str, url: str, version: str) -> dict[str, Any]:
    return {"resourceType": type_name, "id": id_, "status": "active", "url": url, "version": version}


def answered(id_: str, questionnaire: str) -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "id": id_, "status": "completed", "questionnaire": questionnaire}


RECORDS = [
    held("plain", "text/xml"), held("utf", "Text/XML; charset=UTF-8"), held("html", "text/html"),
    patient(id="a", active=True, meta={"profile": [OWN, "http://x/sd|1.2", "http://x/other|10"]}, telecom=[
        {"system": "email", "value": "me@example.org"}]),
    patient(id="s1", meta={"source": "http://x/app#r1"}), patient(id="s2", meta={"source": "http://x/app"}),
    patient(id="s3", meta={"source": "http://x/app2#r1"}),
    canonical("ValueSet", "v1", "http://x/v", "1.0"), canonical("ValueSet", "v2", "http://x/v", "2.0"),
    answered("q1", "http://x/q|1"), answered("q10", "http://x/q|1.0"), answered("q2", "http://x/q|10"),
    answered("q", "http://x/q"),
]  # fmt: skip


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    assert fhir.post("", bundle(*map(put, RECORDS))).status == 200
    return fhir


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return sorted(row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match")


FOUND = {
    "DocumentReference?contenttype=text/xml": ["plain"],
    "DocumentReference?contenttype:below=text/xml": ["plain", "utf"],
    "DocumentReference?contenttype:below=TEXT/xml,text/html": ["html", "plain", "utf"],
    "DocumentReference?contenttype:below=image/png": [],
    "DocumentReference?contenttype:below=Text": ["html", "plain", "utf"],
    "DocumentReference?contenttype:below=image": [],
    "Patient?_profile=StructureDefinition/me": ["a"],
    "Patient?_profile=StructureDefinition/you": [],
    "Patient?_profile:below=http://x/sd|1": ["a"],
    "Patient?_profile:below=http://x/other|1": [],
    "Patient?_source=http://x/app": ["s2"],
    "Patient?_source:below=http://x/app": ["s1", "s2"],
    "Patient?_source:below=http://x": ["s1", "s2", "s3"],
    "Patient?active=http://terminology.hl7.org/CodeSystem/special-values|true": ["a"],
    "Patient?active=http://hl7.org/fhir/special-values|false": [],
    "Patient?active=|true": ["a"],
    "ValueSet?url=http://x/v": ["v1", "v2"],
    "ValueSet?url=http://x/v|2.0": ["v2"],
    "ValueSet?url=http://x/v|1.0,http://x/v|3": ["v1"],
    "?_type=ValueSet,CodeSystem&url=http://x/v|2.0": ["v2"],
    "ValueSet?url:below=http://x/v|1": ["v1"],
    "ValueSet?url:below=http://x/v|2.0,http://x/v|3": ["v2"],
    "ValueSet?url:below=http://x/v|1.0.5": [],
    "?_type=ValueSet,CodeSystem&url:below=http://x/v|1": ["v1"],
    "ValueSet?url:not=http://x/v|2.0": ["v1"],
    "ValueSet?_filter=url ne http://x/v|2.0": ["v1"],
    "ValueSet?_filter=url eq http://x/v|2.0 or url ne http://x/v": ["v2"],
    'ValueSet?_filter=url eq "http://x/v" and version eq "2.0"': ["v2"],
    "QuestionnaireResponse?questionnaire=http://x/q": ["q", "q1", "q10", "q2"],
    "QuestionnaireResponse?questionnaire:below=http://x/q": ["q", "q1", "q10", "q2"],
    "QuestionnaireResponse?questionnaire:below=http://x/q|1": ["q1", "q10"],
    "QuestionnaireResponse?questionnaire:below=http://x/q|1.0,http://x/q|10": ["q10", "q2"],
}


@pytest.mark.proves("modifier:token:below", "modifier:reference:below")
def test_what_the_specification_promises_is_found(stored: Fhir) -> None:
    for search, expected in FOUND.items():
        answer = stored.get(quote(search, safe="?&=:|/$,-"))
        assert ids(answer) == expected, search
        assert answer.json["total"] == len(expected), search


def test_versions_below_one_are_found_as_they_were(stored: Fhir) -> None:
    search = "ValueSet?url:below=http://x/v|1"
    before = stored.get(search).json["meta"]["lastUpdated"]
    assert stored.put("ValueSet/v1", canonical("ValueSet", "v1", "http://x/v", "10")).status == 200
    assert ids(stored.get(search)) == []
    assert ids(stored.get(f"{search}&_asOf={before}")) == ["v1"]


REFUSED = {
    "DocumentReference?contenttype:below=xml": ("contenttype:below", "as in text/xml"),
    "DocumentReference?contenttype:below=image/": ("contenttype:below", "a kind of them, as in image"),
    "ValueSet?url:above=http://x/v|1.0": ("url:above", "without a version"),
    "Patient?_profile:below=http://x/sd|": ("_profile:below", "without a version"),
    "DocumentReference?contenttype:above=text/xml": ("contenttype:above", "system|code"),
    "QuestionnaireResponse?questionnaire:below=q": ("questionnaire:below", "canonical URL"),
}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_could_find_nothing_is_refused(fhir: Fhir) -> None:
    for search, (expression, words) in REFUSED.items():
        fhir.get(search).refused(400, "invalid", expression, words)
    fhir.get("Observation?subject:below=1").refused(400, "not-supported", "subject:below")
    fhir.get("QuestionnaireResponse?questionnaire:above=http://x/q").refused(400, "not-supported")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("search", ["Observation?", "Observation/$lastn?patient=a&"])
def test_elements_are_those_of_matches_and_of_types_that_are_named(stored: Fhir, search: str) -> None:
    stored.create(observation("Patient/a"))
    url = f"{search}_include=Observation:subject&_elements="
    match, included = stored.get(f"{url}status").resources()
    assert "valueQuantity" not in match
    assert included == stored.get("Patient/a").json
    match, included = stored.get(f"{url}status,Patient.name").resources()
    assert "valueQuantity" not in match
    assert "name" in included
    assert "telecom" not in included


def named(id_: str, *parts: str, **more: Any) -> dict[str, Any]:
    name = {"family": parts[0]} | ({"given": list(parts[1:])} if parts[1:] else {})
    return patient(id=id_, name=[name], **more)


SOUNDS = {
    "smith": ["1", "2", "3"], "SMYTHE": ["1", "2", "3"], "smi": [], "Jonathan": ["1"], "Maier": ["4"],
    "van der Berck": ["5"], "van": ["5"], "berg": [], "Philipp": [], "Kathrin": ["6"], "obrian": ["7"],
    "Иванов": ["8"], "Иванова": [], "smith,maier": ["1", "2", "3", "4"],
}  # fmt: skip


def test_phonetic_finds_names_that_sound_alike(fhir: Fhir) -> None:
    """https://hl7.org/fhir/R4/patient.html#search: some kind of phonetic matching algorithm."""
    records = [named("1", "Smith", "Jonathon"), named("2", "Smyth"), named("3", "Schmitt"), named("4", "Meyer"),
               named("5", "van der Berg"), named("6", "Catherine"), named("7", "O’Brien"), named("8", "Иванов")]
    assert fhir.post("", bundle(*map(put, records))).status == 200
    for asked, found in SOUNDS.items():
        assert ids(fhir.get(f"Patient?phonetic={quote(asked)}")) == found, asked
    assert fhir.total("Patient?phonetic=smith") == 3


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_phonetic_may_stand_in_chains_and_not_in_scopes(fhir: Fhir, client: Any) -> None:
    fhir.put("Patient/1", named("1", "Smith"))
    fhir.put("Organization/1", {"resourceType": "Organization", "id": "1", "name": "Mayer & Sons"})
    fhir.put("Observation/1", observation("Patient/1", 1, id="1"))
    assert ids(fhir.get("Observation?patient.phonetic=smyth")) == ["1"]
    assert ids(fhir.get("Organization?phonetic=meier")) == ["1"]
    assert ids(fhir.get("Organization?phonetic:exact=Mayer %26 Sons")) == ["1"]
    fhir.get("Patient?phonetic='").refused(400, "invalid", "phonetic")
    client("system/Patient.rs?phonetic=smith").get("Patient").refused(403, "forbidden")


def test_all_that_is_wrong_with_a_search_is_told_at_once(fhir: Fhir) -> None:
    """As of a resource: who mends the first need not ask again to hear of the next. Ten at most."""
    asked = "Patient?nme=a&birthdate=soon&_sort=foo&gender=male&_query=x&_include=Patient:foo&name:below=a"
    for answer in (fhir.get(asked), fhir.post("Patient/_search", asked.partition("?")[2],
                                              Content_Type="application/x-www-form-urlencoded")):
        answer.refused(400, "invalid", "nme", text="did you mean name")
        assert [(one["code"], one["expression"][0]) for one in answer.json["issue"]] == [
            ("invalid", "nme"), ("invalid", "birthdate"), ("invalid", "_sort"), ("not-supported", "_query"),
            ("invalid", "_include"), ("invalid", "name:below")]
    lenient = fhir.get(asked, Prefer="handling=lenient").json["issue"]
    assert [one["expression"][0] for one in lenient] == ["birthdate", "_sort", "_query", "_include", "name:below"]
    many = fhir.get("Patient?" + "&".join(f"unknown{number}=1" for number in range(90)))
    assert (many.status, len(many.json["issue"])) == (400, 10)
    (row,) = fhir.post("", bundle(entry("GET", "Patient?nme=a&gnder=b"), type_="batch")).entries()
    assert len(row["response"]["outcome"]["issue"]) == 2
