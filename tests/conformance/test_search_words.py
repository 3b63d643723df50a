"""Search by units, words, filters and places, as it goes over HTTP: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask

from hie.app import create_app
from hie.settings import Settings
from tests.builders import bundle, entry, observation, patient, put
from tests.conformance.conftest import Answer, Fhir

UCUM = "http://unitsofmeasure.org"
sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


def weighed(id_: str, value: float, unit: str, subject: str = "Patient/a", **more: Any) -> dict[str, Any]:
    amount = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return observation(subject, code="w", id=id_, valueQuantity=amount, **more)


def place(id_: str, latitude: float, longitude: float, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Location", "id": id_, "name": "Ward", "status": "active",
            "position": {"latitude": latitude, "longitude": longitude}, **more}


def told(text: str) -> dict[str, Any]:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}


KIND = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}], "text": "Medical record"}
RECORDS = [
    patient("Petersen", id="a", identifier=[{"type": KIND, "system": "urn:mrn", "value": "1|2"}],
            text=told("Severe <b>knee</b> pain, no metastases")),
    patient("Carpet", id="b", gender="male", text=told("Knee surgery; pain after")),
    weighed("o1", 5000, "mg"), weighed("o2", 5, "g", "Patient/b"), weighed("o3", 5, "mL"), weighed("o4", 7, "[pH]"),
    {"resourceType": "ValueSet", "id": "v", "status": "active", "url": "http://acme.org/fhir/ValueSet/x"},
    place("zurich", 47.3769, 8.5417), place("bern", 46.948, 7.4474), place("fiji", -17.7, 179.99),
]  # fmt: skip


@pytest.fixture
def app(settings: Settings, clock: Any) -> Iterator[Flask]:
    made = create_app(replace(settings, content_search=True), clock=clock)
    yield made
    made.extensions["hie"].close()


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    answer = fhir.post("", bundle(*map(put, RECORDS)))
    assert answer.status == 200, answer.content
    return fhir


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return [row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match"]


FOUND = {
    f"Observation?value-quantity=5|{UCUM}|g": ["o1", "o2"],
    f"Observation?value-quantity=5.0|{UCUM}|g&_sort=-_id": ["o2", "o1"],
    f"Observation?value-quantity=gt4999|{UCUM}|mg": ["o1", "o2"],
    f"Observation?value-quantity=lt1|{UCUM}|kg": ["o1", "o2"],
    f"Observation?value-quantity=0.005|{UCUM}|L": ["o3"],
    f"Observation?value-quantity=7|{UCUM}|[pH]": ["o4"],
    "Observation?value-quantity=5||g": ["o2"],
    "Observation?value-quantity=5||": ["o2", "o3"],
    f"Observation?code-value-quantity=w$5|{UCUM}|g": ["o1", "o2"],
    f"Observation?code-value-quantity=http://loinc.org|w$5|{UCUM}|g": ["o1", "o2"],
    "Observation?code:text=HEART": ["o1", "o2", "o3", "o4"],
    "Observation?code:text=He&value-quantity=7": ["o4"],
    "Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|1\\|2": ["a"],
    "Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|SS|1\\|2": [],
    "Patient?identifier:text=medical": ["a"],
    "ValueSet?url:below=http://acme.org/fhir": ["v"],
    "ValueSet?url:below=http://acme.org/fh": [],
    "ValueSet?url:above=http://acme.org/fhir/ValueSet/x/y": ["v"],
    "Patient?_text=knee": ["a", "b"],
    'Patient?_text="knee pain"': ["a"],
    'Patient?_text="severe pain"': [],
    'Patient?_text="severe pain"~1': ["a"],
    'Patient?_text="pain knee"~2': ["a"],
    'Patient?_text="pain knee"~3': ["a", "b"],
    'Patient?_text="pain knee"~3 AND (metastases OR hepatic)': ["a"],
    'Patient?_text=-"severe pain"~1 knee': ["b"],
    'Patient?_text="knee after"~1': [],
    'Patient?_text="knee after"~2': ["b"],
    "Patient?_text=knee -surgery": ["a"],
    "Patient?_text=surg*": None,
    "Patient?_text=knee surg*": ["b"],
    "?_text=knee": ["a", "b"],
    '?_text="knee pain"': ["a"],
    "?_text=knee -surgery&_total=accurate": ["a"],
    "?_type=Patient,Observation&_text=surgery": ["b"],
    "Patient/a/*?_text=knee": ["a"],
    "Patient?_content=petersen": ["a"],
    "Observation?_content=heart rate": ["o1", "o2", "o3", "o4"],
    "Observation?subject:Patient._text=surgery": ["o2"],
    'Patient?_filter=name co "pet" and gender eq male': ["b"],
    "Observation?_filter=subject.name sw pet or value-quantity eq 7": ["o1", "o3", "o4"],
    "Observation?_filter=subject[gender eq female].name co pet": ["o1", "o3", "o4"],
    "Observation?_filter=not (subject.name ew pet)": ["o1", "o3", "o4"],
    "Observation?patient.family=peter&_filter=value-quantity lt 6": ["o3"],
    "Observation?_filter=" + " or ".join(["subject:Patient.family eq carpet and status eq final"] * 20): ["o2"],
    "Patient?_filter=gender ni http://hl7.org/fhir/ValueSet/administrative-gender": [],
    "Observation?_filter=code ni http://hl7.org/fhir/ValueSet/administrative-gender": ["o1", "o2", "o3", "o4"],
    "Observation?_filter=code eq loinc|w and code ne snomed|w and value-quantity eq 5|ucum|mL": ["o3"],
    "Observation?_filter=code-value-quantity eq loinc|w$7|ucum|[pH]": ["o4"],
    "Observation?_filter=code-value-quantity ne loinc|w$7|ucum|[pH]": ["o1", "o2", "o3"],
    "Location?near=47.4|8.5|10|km": ["zurich"],
    "Location?near=47.4|8.5|100": ["zurich", "bern"],
    "Location?near=-17.7|-179.99|3|km": ["fiji"],
    "Location?near:missing=true": [],
}


@pytest.mark.proves("search:quantity", "search:composite", "search:special", "modifier:token:text",
                    "modifier:token:of-type", "modifier:uri:above", "modifier:uri:below", "parameter:_text",
                    "parameter:_content", "parameter:_filter", "parameter:near")  # fmt: skip
def test_what_is_asked_by_units_words_filters_and_places_is_found(stored: Fhir) -> None:
    for search, expected in FOUND.items():
        answer = stored.get(quote(search, safe="?&=:|/$,-"))
        if expected is None:
            answer.refused(400, "invalid", "_text", "ask for one beside it")
        else:
            assert sorted(ids(answer)) == sorted(expected), search
            assert answer.json.get("total", len(expected)) == len(expected), search


@sqlite
def test_a_score_and_a_distance_are_told_where_they_mean_something(stored: Fhir) -> None:
    rows = stored.get("Patient?_text=pain OR knee&_elements=name").entries()
    assert [row["search"] for row in rows] == [{"mode": "match", "score": 0.5}, {"mode": "match", "score": 0.5}]
    (row,) = stored.get("Location?near=47.3769|8.5417|1|m").entries()
    (extension,) = row["search"]["extension"]
    assert extension["url"] == "http://hl7.org/fhir/StructureDefinition/location-distance"
    assert extension["valueDistance"] == {"value": 0, "unit": "m", "system": UCUM, "code": "m"}
    assert stored.get("Patient?_id=a").entries()[0]["search"] == {"mode": "match"}


REFUSED = [
    ("Patient?_text=(knee", "invalid", "_text", "has a ( without a )"),
    ("Patient?_text=", "invalid", "_text", "no word"),
    ('Patient?_text="knee pain', "invalid", "_text", "without its second one"),
    ('Patient?_text="knee pain"~101', "invalid", "_text", "more than 100 apart"),
    ('Patient?_text="knee knee"~1', "invalid", "_text", "says a word twice"),
    ("Patient?_text=pain~1", "invalid", "_text", "~ stands behind phrases"),
    ("Patient?_text=p*n", "invalid", "_text", "* at the end of words"),
    ("Patient?_text=" + "*" * 60_000 + "n", "invalid", "_text", "* at the end of words"),
    ("Patient?_text=" + "*" * 60_000, "invalid", "_text", "no letter or digit"),
    ("Patient?_text:missing=true", "invalid", "_text:missing", "no modifiers"),
    ("Patient?identifier:of-type=a|b", "invalid", "identifier:of-type", "system|code|value"),
    ("Patient?gender:of-type=a|b|c", "invalid", "gender:of-type", "its modifiers are :missing, :not, :text"),
    ("ValueSet?url:below=urn:oid:1.2", "invalid", "url:below", "not for URNs"),
    ("Patient?name:text=x", "invalid", "name:text", ":exact"),
    ("Observation?subject:text=x", "invalid", "subject:text", ":identifier"),
    ("Location?near=91|0", "invalid", "near", "no latitude"),
    ("Location?near=1", "invalid", "near", "latitude|longitude|distance|units"),
    ("Location?near=1|2|3|kg", "invalid", "near", "no UCUM unit of length"),
    ("Location?near=1|2|-3", "invalid", "near", "not negative"),
    ("Patient?_filter=name po x", "invalid", "_filter", "character 6, at 'po x': name is of type string and takes eq"),
    ("Patient?_filter=_lastUpdated co 2020", "invalid", "_filter", "takes eq, ne, gt, lt, ge, le, ap, sa, eb, po, pr"),
    ("Patient?_filter=(name eq x", "invalid", "_filter", "character 11, at the end: a ) is expected"),
    ("Patient?_filter=_text eq x", "invalid", "_filter", "cannot stand in a filter"),
    ("Patient?_filter=_has:Observation:patient:code eq x", "invalid", "_filter", "_has cannot stand in a filter"),
    ("Observation?_filter=patient._list eq 1", "invalid", "_filter", "_list cannot stand in a filter"),
    ("Patient?_filter=gender in urn:none", "not-found", "_filter", "character 11"),
    ("Patient?_filter=" + " or ".join(["active eq true and gender eq male"] * 30), "invalid", "_filter", "40 deep"),
    ("Patient?_filter=" + " or ".join(["active eq true"] * 101), "invalid", "_filter", "more than 100 comparisons"),
    ("Patient?_summary=text&_include=Patient:organization", "invalid", "_summary", "_include"),
    ("Patient?_sort=_score", "invalid", "_sort", ""),
]  # fmt: skip


@sqlite
def test_what_cannot_be_asked_is_refused_saying_where_and_why(fhir: Fhir) -> None:
    for search, code, expression, words in REFUSED:
        for prefer in ("handling=strict", "handling=lenient"):
            fhir.get(quote(search, safe="?&=:|/$,-"), Prefer=prefer).refused(400, code, expression, words)


@pytest.mark.proves("parameter:_text", "parameter:_filter", "parameter:near")
def test_a_restricted_token_learns_nothing_by_words_filters_and_distances(
    stored: Fhir, client: Callable[..., Fhir]
) -> None:
    male = client("system/Patient.rs?gender=male", "system/Observation.rs")
    assert ids(male.get("Patient?_text=knee")) == ["b"]
    assert male.get("Patient?_text=severe").json["total"] == 0
    assert ids(male.get("?_text=knee")) == ["b"]
    assert male.get("?_text=severe&_total=accurate").json["total"] == 0
    assert ids(male.get('Patient?_text="knee pain" OR "knee surgery"')) == ["b"]
    assert ids(male.get("Patient?_filter=name co pet")) == ["b"]
    assert male.get("Patient?_filter=name co peters&_total=accurate").json["total"] == 0
    assert ids(male.get("Observation?_filter=subject.name co pet")) == ["o2"]
    assert ids(male.get("Observation?_filter=not (subject.name co peter)")) == ["o1", "o2", "o3", "o4"]
    assert ids(male.get("Observation?_filter=subject.name sw peter or value-quantity eq 7")) == ["o4"]
    assert ids(male.get("Patient?_content=severe OR petersen")) == []
    male.get("Location?near=47|8").refused(403, "forbidden")
    client("system/Observation.rs").get("Observation?_filter=subject:Patient.name co pet").refused(403, "forbidden")


@sqlite
def test_a_batch_searches_by_the_same_door_and_conditions_too(stored: Fhir) -> None:
    answer = stored.post("", bundle(entry("GET", "Patient?_filter=name%20sw%20carp"), type_="batch"))
    (inner,) = answer.resources()
    assert [row["resource"]["id"] for row in inner["entry"]] == ["b"]
    condition = f"value-quantity=5|{UCUM}|g&subject=Patient/b"
    assert stored.post("Observation", weighed("new", 5, "g", "Patient/b"), If_None_Exist=condition).status == 200


@sqlite
def test_content_is_refused_where_it_is_not_indexed(settings: Settings, clock: Any) -> None:
    made = create_app(settings, clock=clock)
    try:
        application = made.extensions["hie"]
        assert application.store.tenants[1].content_words is False
    finally:
        application.close()


def test_words_units_filters_and_places_are_searched_as_of_an_instant(stored: Fhir, clock: Any) -> None:
    then = stored.get("Location/fiji").json["meta"]["lastUpdated"]
    clock.forward(10)
    for one in (patient("Other", id="a"), weighed("o1", 1, "kg"), {**place("zurich", 0, 0)}):
        assert stored.put(f"{one['resourceType']}/{one['id']}", one).status == 200
    for search, before, now in (
        ("Patient?_text=severe", ["a"], []),
        ("Patient?_filter=name co peters", ["a"], []),
        ("Observation?_filter=subject.name co peters and value-quantity gt 0", ["o1", "o3", "o4"], []),
        (f"Observation?value-quantity=5|{UCUM}|g", ["o1", "o2"], ["o2"]),
        ("Patient?identifier:text=medical", ["a"], []),
        ("Location?near=47.4|8.5|10|km", ["zurich"], []),
    ):
        search = quote(search, safe="?&=:|/$,-")
        assert sorted(ids(stored.get(search))) == now, search
        assert sorted(ids(stored.get(f"{search}&_asOf={quote(then)}"))) == before, search
