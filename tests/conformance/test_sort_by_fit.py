"""_sort=_score and _sort=near: how well a match fits, and how far it is. https://hl7.org/fhir/R4/search.html#sort"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, entry, observation, patient, put
from tests.conformance.conftest import Answer, Fhir

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


def says(id_: str, times: int, gender: str = "female", **more: Any) -> dict[str, Any]:
    told = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">hip {"knee " * times}</div>'}
    return patient(id=id_, gender=gender, text=told, **more)


def place(id_: str, latitude: float, status: str = "active", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Location", "id": id_, "status": status,
            "position": {"latitude": latitude, "longitude": 8}, **more}


RECORDS = [
    says("twice", 2), says("once", 1, "male"), says("often", 9, "male"), says("never", 0), says("thrice", 3),
    {**observation(code="w", id="seen"), "text": says("x", 5)["text"]},
    place("far", 47.3), place("here", 47.0), place("by", 47.1, "inactive"), place("south", 46.8), place("abroad", 10),
]  # fmt: skip


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    assert fhir.post("", bundle(*map(put, RECORDS))).status == 200
    return fhir


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return [row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match"]


def walked(fhir: Fhir, search: str) -> list[str]:
    """Return what the pages have that follow each other."""
    answer, found = fhir.get(search), []
    while True:
        found += ids(answer)
        if (link := answer.link("next")) is None:
            return found
        answer = fhir.get(link)


SORTED = {
    "Patient?_text=knee&_sort=_score": ["often", "thrice", "twice", "once"],
    "Patient?_sort=-_score&_text=knee": ["once", "twice", "thrice", "often"],
    "Patient?_text=knee&_sort=gender,_score": ["thrice", "twice", "often", "once"],
    "?_type=Patient,Observation&_text=knee&_sort=_score": ["often", "seen", "thrice", "twice", "once"],
    "Location?near=47|8|40|km&_sort=near": ["here", "by", "south", "far"],
    "Location?near=47|8|40|km&_sort=-near": ["far", "south", "by", "here"],
    "Location?near=47|8|40|km&_sort=status,near": ["here", "south", "far", "by"],
    "Location?near=47.3|8|1|km,46.8|8|25000|m&_sort=near,_id": ["far", "south", "here"],
}


@pytest.mark.proves("parameter:_text", "parameter:near", "parameter:_score", "parameter:_sort")
def test_the_best_fit_and_the_nearest_place_come_first(stored: Fhir) -> None:
    for search, expected in SORTED.items():
        asked = quote(search, safe="?&=,-")
        assert ids(stored.get(asked)) == expected, search
        assert walked(stored, f"{asked}&_count=2") == expected, search
    rows = stored.get("Patient?_text=knee&_sort=_score").entries()
    assert [row["search"]["score"] for row in rows] == [0.9, 0.75, 0.6667, 0.5]
    rows = stored.get("Location?near=47%7C8%7C40000%7Cm&_sort=near").entries()
    told = [row["search"]["extension"][0]["valueDistance"]["value"] for row in rows]
    assert told == sorted(told)
    assert told[0] == 0


def test_the_distance_told_is_the_shortest_whatever_the_units(stored: Fhir) -> None:
    (row,) = stored.get(quote("Location?near=47.1|8|30|km,46.8|8|900|m&_id=south", safe="?&=")).entries()
    assert row["search"]["extension"][0]["valueDistance"]["value"] == 0


def test_pages_keep_the_order_that_the_first_saw(stored: Fhir) -> None:
    for search, change in (("Patient?_text=knee&_sort=_score", says("once", 50, "male")),
                           ("Location?near=47%7C8%7C40%7Ckm&_sort=near", place("far", 47.01))):
        expected = ids(stored.get(search))
        first = stored.get(f"{search}&_count=2&_total=accurate")
        assert stored.put(f"{change['resourceType']}/{change['id']}", change).status == 200
        second = stored.get(first.link("next") or "")
        assert ids(first) + ids(second) == expected
        assert ids(stored.get(second.link("previous") or "")) == ids(first)
        assert ids(stored.get(first.link("last") or "")) == ids(second)
        assert ids(stored.get(search)) != expected


def test_an_order_tells_a_restricted_token_nothing(stored: Fhir, client: Callable[..., Fhir]) -> None:
    narrow = client("system/Patient.rs?gender=male", "system/Location.rs?status=active")
    assert walked(narrow, "Patient?_text=knee&_sort=_score&_count=1") == ["often", "once"]
    assert narrow.get("Patient?_text=knee&_sort=_score").json["total"] == 2
    assert walked(narrow, "Location?near=47%7C8%7C40%7Ckm&_sort=-near&_count=1") == ["far", "south", "here"]
    link = stored.get("Patient?_text=knee&_sort=_score&_count=1").link("next")
    narrow.get(link or "").refused(400, "invalid", "_cursor")
    client("system/Patient.rs").get("Location?near=47%7C8&_sort=near").refused(403, "forbidden")


@sqlite
def test_other_doors_sort_the_same_way(stored: Fhir, client: Callable[..., Fhir]) -> None:
    (inner,) = stored.post("", bundle(entry("GET", "Patient?_text=knee&_sort=_score"), type_="batch")).resources()
    assert [row["resource"]["id"] for row in inner["entry"]] == ["often", "thrice", "twice", "once"]
    form = stored.post("Location/_search", "near=47|8|40|km&_sort=near",
                       Content_Type="application/x-www-form-urlencoded")
    assert ids(form) == ["here", "by", "south", "far"]
    explained = client("system/*.cruds admin").get("Patient/$explain?_text=knee&_sort=_score").json["parameter"]
    assert any(row["name"] == "growth" and "every match is opened" in row["valueString"] for row in explained)
    assert any(row["name"] == "statement" for row in explained)
    holder = observation("#in", code="w", id="holder", contained=[says("in", 1), says("inside", 4)],
                         performer=[{"reference": "#inside"}])
    assert stored.put("Observation/holder", holder).status == 201
    found = stored.get("Patient?_contained=true&_containedType=contained&_text=knee&_sort=_score")
    assert [row["resource"]["id"] for row in found.entries()] == ["inside", "in"]


REFUSED = {
    "Patient?_sort=_score": "search.score",
    "Patient?_sort=_score&name=x": "_text and _content",
    "Observation?subject:Patient._text=knee&_sort=-_score": "_text and _content",
    "Location?_sort=near": "near=latitude|longitude",
    "Location?_sort=near&near:missing=false": "near=latitude|longitude",
    "PractitionerRole?location.near=47%7C8&_sort=near": "no parameter of",
    "Patient?_sort=_text&_text=knee": "cannot be sorted by",
}


@sqlite
def test_an_order_of_nothing_is_refused(fhir: Fhir) -> None:
    for search, words in REFUSED.items():
        fhir.get(search).refused(400, "invalid", "_sort", words)
