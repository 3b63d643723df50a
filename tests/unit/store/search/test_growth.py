"""What an index can serve costs the same in a store four times as large: steps of SQLite's machine, not time.

Each search here read its type, or the store, before an index led it. What grows, and why: docs/search.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import counting, drivers, pages, query, rare
from hie.store.store import Store
from tests.builders import observation, patient
from tests.machine_steps import bound, steps, stores_of

Json = dict[str, Any]
SIZES = (300, 1_200)
S = "urn:s"


def made(number: int, size: int) -> Iterator[Json]:
    """Yield what stands beside one Observation; ten of each type are rare, whatever the size."""
    rare = number % (size // 10) == 3
    day = "2030-05-05" if rare else f"{2000 + number % 20}-{number % 12 + 1:02}-{number % 28 + 1:02}"
    tag = {"meta": {"tag": [{"system": S, "code": "rare" if rare else "common"}]}}
    if number < 20:
        yield patient("Rare" if number == 3 else "Common", id=f"p{number}", gender="male" if number == 3 else "female")
    person = f"Patient/p{number % 20}"
    its: Json = {"value": 900 if rare else number % 100, "unit": "1", "system": S, "code": "u"}
    category = [{"coding": [{"system": S, **({"display": "Rare"} if rare else {"code": "x"})}]}]
    yield observation(person, code="rare" if rare else "c", id=f"o{number}", effectiveDateTime=day, valueQuantity=its,
                      **tag) | ({"category": category} if rare else {})  # fmt: skip
    if number % 3 == 0:
        yield {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": person}, "recordedDate": day,
               "code": {"coding": [{"code": "c"}]}, **tag}
        inside = observation(id="x", code="c", effectiveDateTime=day, valueQuantity=its)
        yield {"resourceType": "DiagnosticReport", "id": f"r{number}", "status": "final", "code": {"text": "x"},
               "contained": [inside], "result": [{"reference": "#x"}]}
        named = f"Patient/p{3 if rare else 4}"
        yield {"resourceType": "Binary", "id": f"b{number}", "contentType": "text/plain", "data": "eA==",
               "securityContext": {"reference": named}}


def fill(store: ResourceStore, size: int) -> None:
    def unit(inside: ResourceStore) -> None:
        for one in (one for number in range(size) for one in made(number, size)):
            inside.create(one["resourceType"], one, id=one["id"])

    store.transact(unit)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    with stores_of(SIZES, tmp_path_factory, fill) as opened:
        yield opened


TWO = ("_type", "Observation,Condition")
LED: list[tuple[str | None, list[tuple[str, str]], tuple[str, ...]]] = [
    ("Observation", [("date", "ge2012-01-01"), ("date", "lt2012-01-20")], ()),
    ("Condition", [("recorded-date", "ge2030-01-01"), ("recorded-date", "le2030-12-31")], ()),
    ("Condition", [("recorded-date", "2030-05-05")], ()),
    ("Condition", [("_sort", "-recorded-date")], ()),
    ("Observation", [("value-quantity", "ge899"), ("value-quantity", "lt901")], ()),
    ("Observation", [("category", f"{S}|")], ()),
    ("Observation", [("code", "rare,c"), ("date", "ge2030")], ()),
    ("Observation", [("code", "rare,c"), ("date", "2030-05-05")], ()),
    ("Observation", [("_lastUpdated", "gt2000"), ("date", "ge2030")], ()),
    *[("Observation", [("date", "ge2030"), ("_sort", by)], ())
      for by in ("-_lastUpdated", "_id", "value-quantity", "-date,_id", "code", "-_lastUpdated,code")],
    ("Observation", [("code", "rare,c"), ("value-quantity", "gt800"), ("_sort", "_id")], ()),
    ("Observation", [("_tag", "rare"), ("status", "final")], ()),
    (None, [], ()),
    (None, [("_sort", "-_lastUpdated")], ()),
    (None, [("_tag", "rare")], ()),
    (None, [TWO], ()),
    (None, [TWO, ("_sort", "_id")], ()),
    (None, [TWO, ("_sort", "-_lastUpdated")], ()),
    (None, [TWO, ("code", "c")], ()),
    (None, [TWO, ("subject:Patient.family", "rare"), ("_count", "5")], ()),
    (None, [("_type", "Observation,DiagnosticReport"), ("date", "ge2030")], ()),
    *[(None, [("_type", "Observation,DiagnosticReport"), ("date", "ge2030"), ("_sort", by)], ())
      for by in ("_lastUpdated", "_id", "-date")],
    (None, [("_tag:not", "rare")], ()),
    ("Observation", [("_contained", "true"), ("date", "2030-05-05")], ()),
    ("Observation", [("_contained", "true"), ("date", "ge2030")], ()),
    ("Observation", [("_contained", "both"), ("date", "2030-05-05"), ("_containedType", "contained")], ()),
    ("Observation", [("_contained", "true"), ("date", "ge2010"), ("_containedType", "contained")], ()),
    ("Observation", [("_contained", "true"), ("value-quantity", "gt800")], ()),
    (None, [], ("system/*.rs?_tag=urn:s|rare",)),
    (None, [("_summary", "count")], ("system/*.rs?_tag=urn:s|rare",)),
    (None, [("_sort", "-_lastUpdated")], ("system/Condition.rs?_tag=urn:s|rare", "system/Observation.rs")),
    (None, [("_lastUpdated", "gt2000")], ("system/*.rs?_tag=urn:s|rare",)),
    (None, [], ("system/Patient.rs?_id=p3", "system/Observation.rs?_tag=urn:s|rare")),
    (None, [TWO], ("system/Condition.rs?_tag=urn:s|rare", "system/Observation.rs?_id=o3,o4")),
    (None, [("_lastUpdated", "gt2000")], ("system/Patient.rs?_id=p3", "system/Observation.rs?_tag=urn:s|rare")),
    (None, [("_sort", "-_lastUpdated")], ("system/Patient.rs?_id=p3", "system/Observation.rs?_tag=urn:s|rare")),
    ("Observation", [("date", "ge2000")], ("system/Observation.rs?_tag=urn:s|rare",)),
    ("Observation", [("date", "ge2000"), ("_sort", "-_lastUpdated")], ("system/Observation.rs?_tag=urn:s|rare",)),
    ("Observation", [("_lastUpdated", "gt2000"), ("_tag", "rare")], ()),
    ("Observation", [], ("system/Observation.rs?_id=o3,o4",)),
    ("Observation", [("_id", "o3,o4"), ("_sort", "-_lastUpdated")], ()),
    ("Observation", [("_id", "o3,o4,o5"), ("_sort", "date"), ("status", "final")], ()),
    ("Patient", [("birthdate", "gt1900")], ("system/Patient.rs?_id=p3",)),
    ("Binary", [], ("system/Binary.rs", "system/Patient.rs?gender=male")),
    ("Binary", [("_summary", "count")], ("system/Binary.rs", "system/Patient.rs?gender=male")),
]


@pytest.mark.parametrize(("type_name", "asked", "scopes"), LED)
def test_a_search_that_an_index_serves_does_not_grow_with_the_store(
    stores: list[Store], type_name: str | None, asked: list[tuple[str, str]], scopes: tuple[str, ...]
) -> None:
    counted = []
    for opened in stores:
        store = bound(opened, *scopes)
        parsed = query.parse(type_name, [("_count", "5"), ("_total", "none"), *asked], contained=True)
        if ("_summary", "count") in asked:
            parsed = replace(parsed, total=None)
        page = store.search(parsed)  # decides where to begin, once
        assert page.matches or page.total, "nothing was found"
        counted.append(steps(store, partial(store.search, parsed)))
    assert counted[1] < 1.5 * counted[0] + 20, counted


@pytest.mark.parametrize(("type_name", "asked", "scopes"), [
    ("Observation", [("date", "ge2000"), ("_tag", "rare")], ()),
    ("Observation", [("date", "ge2000")], ("system/Observation.rs?_tag=urn:s|rare",)),
    (None, [("_lastUpdated", "gt2000")], ("system/*.rs?_tag=urn:s|rare",)),
])  # fmt: skip
def test_a_further_page_begins_where_the_first_did(
    stores: list[Store], type_name: str | None, asked: list[tuple[str, str]], scopes: tuple[str, ...]
) -> None:
    counted = []
    for opened in stores:
        store = bound(opened, *scopes)
        cursor = store.search(query.parse(type_name, [("_count", "3"), ("_total", "none"), *asked])).next_cursor
        assert cursor
        parsed = query.parse(type_name, [("_count", "3"), ("_total", "none"), *asked, ("_cursor", cursor)])
        assert store.search(parsed).matches
        counted.append(steps(store, partial(store.search, parsed)))
    assert counted[1] < 1.5 * counted[0] + 20, counted


FROM = ("date", "ge2015")
LONG = [("_type", "Observation,DiagnosticReport"), ("_tag", "common")]


@pytest.mark.parametrize(("type_name", "asked"), [
    *[("Observation", [("code", code), *of]) for code in ("c", "c,d") for of in (
        [FROM, ("_sort", "date")], [("date", "gt2015-06"), ("_sort", "date,_id")], [FROM, ("_sort", "-date")],
        [("_sort", "date")], [("date", "ap2015"), ("_sort", "-date")])],
    *[("Observation", [*of, *by]) for of in ([], [("code", "c")], [("_tag", "common")]) for by in (
        [("_sort", "-value-quantity")], [("_sort", "value-quantity")],
        [("value-quantity", "lt60"), ("_sort", "-value-quantity")],
        [("value-quantity", "ge40"), ("_sort", "value-quantity")],
        [("value-quantity", "gt20"), ("value-quantity", "le70"), ("_sort", "-value-quantity")],
        [("_sort", "-value-quantity,-date")], [("_sort", "value-quantity,_id,code")], [("_sort", "-date,code")],
        [("_sort", "-date,-value-quantity,status")])],
    *[("Observation", [("code", "c,d"), *of]) for of in (
        [], [("status", "final")], [("value-quantity", "lt600")], [("_tag:not", "rare")])],
    *[("Observation", [("value-quantity", "gt20"), of]) for of in (FROM, ("_lastUpdated", "gt2000"))],
    (None, [("_tag", "common,other")]),
    ("Condition", [("recorded-date", "lt2010"), ("_sort", "-recorded-date")]),
    *[(None, [*LONG, *of]) for of in (
        [FROM, ("_sort", "date")], [("date", "ge2010"), ("date", "lt2017"), ("_sort", "date")],
        [("date", "ap2015"), ("_sort", "-date")])],
])  # fmt: skip
def test_an_index_in_the_order_asked_for_is_read_from_what_is_asked_on(
    stores: list[Store], type_name: str | None, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from the first of all dates or numbers: of what very many carry, from a day or a value on, in its order."""
    for where, name, number in ((drivers, "FREQUENT", 100), (drivers, "FEW", 100), (rare, "MANY", 100),
                                (pages, "MANY", 20)):  # fmt: skip
        monkeypatch.setattr(where, name, number)
    monkeypatch.setattr(counting, "_counted", counting._counted.__wrapped__)
    parsed = query.parse(type_name, [("_count", "5"), ("_total", "none"), *asked])
    counted = []
    for opened in stores:
        store = bound(opened)
        page = store.search(parsed)
        assert len(page.matches) == 5
        counted.append(steps(store, partial(store.search, parsed)))
    assert counted[1] < 1.5 * counted[0] + 20, counted


@pytest.mark.parametrize("order", ["-date", "_id", "-value-quantity"])
def test_what_excludes_itself_is_not_looked_for_among_all_rows(
    stores: list[Store], order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing carries a code and lacks it: only those that carry it are looked at."""
    monkeypatch.setattr(drivers, "FREQUENT", 5)
    monkeypatch.setattr(counting, "_counted", counting._counted.__wrapped__)
    asked = [("code", "rare"), ("code:not", "rare"), ("_sort", order), ("_total", "none")]
    store, parsed, counted = bound(stores[1]), query.parse("Observation", asked), []
    for many in (5, 0):
        monkeypatch.setattr(pages, "MANY", many)
        assert not store.search(parsed).matches
        counted.append(steps(store, partial(store.search, parsed)))
    assert 10 * counted[0] < counted[1], counted
