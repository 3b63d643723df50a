"""An estimated total is one of what the token may see: asked of all resources, the sample tells the very number."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import estimate, query
from hie.store.search.engine import SearchPage
from tests.builders import observation, patient
from tests.property.test_as_of import live_through
from tests.property.test_pages import SEARCHES
from tests.property.test_search_joins import GRANTS

Asked = list[tuple[str, str]]
MORE: list[tuple[str | None, Asked, str | None]] = [
    ("Observation", [("code:text", "bod")], None), ("Observation", [("status:not", "final")], None),
    ("Observation", [("value-quantity", "gt1")], None), ("Patient", [("birthdate:missing", "false")], None),
    ("Observation", [("date", "ge1980"), ("status", "final,amended")], None), ("Patient", [("gender", "male")], None),
    ("Encounter", [("patient.gender", "male,female")], None),
    ("Patient", [("_has:Observation:patient:date", "ge1980")], None),
    (None, [("_type", "Patient,Encounter"), ("_lastUpdated", "ge2000")], None),
]  # fmt: skip


def total(store: ResourceStore, search: tuple[str | None, Asked, str | None], kind: str) -> int:
    type_name, asked, patient = search
    compartment = None if patient is None else ("Patient", patient)
    found = store.search(query.parse(type_name, [*asked, ("_total", kind), ("_count", "0")], compartment=compartment))
    assert found.total is not None
    return found.total



@pytest.fixture
def sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is so few that it is counted."""
    for name in ("EXACT", "EXACT_TOKENS", "EXACT_TOKEN", "EXACT_OPENED"):
        monkeypatch.setattr(estimate, name, 3)
    monkeypatch.setattr(estimate, "FEWEST", 1)


def test_a_sample_of_all_tells_what_is_counted(bind: Callable[..., ResourceStore], sampling: None) -> None:
    live_through(bind, 6, 60)  # some are deleted
    several = 0
    for scopes, _ in GRANTS:
        store = bind(*scopes)
        for search in [*SEARCHES, *MORE]:
            counted = total(store, search, "accurate")
            rounded = round(counted, 2 - len(str(counted)))  # two digits
            assert total(store, search, "estimate") == (counted if counted <= 3 else rounded), (scopes, search)
            several += counted > 10
    assert several > 60


def test_a_sample_of_some_comes_near_and_takes_nothing_from_what_is_hidden(
    bind: Callable[..., ResourceStore], sampling: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of all is asked. Three in four are hidden; all of these have the code, of the others one in three."""

    def created(inside: ResourceStore) -> None:
        for number in range(2_400):
            hidden = number % 4 > 0
            code = "8867-4" if hidden or number % 3 == 0 else "8480-6"
            record = observation(code=code, status="amended" if hidden else "final")
            inside.create("Observation", record, id=f"o{number}")

    bind().transact(created)
    for name in ("ASKED", "ASKED_OPENED"):
        monkeypatch.setattr(estimate, name, 1_200)
    monkeypatch.setattr(estimate, "SLICES", 64)
    narrow = bind("system/Observation.rs?status=final")
    for asked, visible in (([], 600), ([("code", "8867-4")], 200), ([("code:text", "heart"), ("code", "8480-6")], 400)):
        told = total(narrow, ("Observation", asked, None), "estimate")
        assert visible * 0.7 < told < visible * 1.3, (asked, told)
        assert told == total(narrow, ("Observation", asked, None), "estimate")
        assert total(narrow, ("Observation", asked, None), "accurate") == visible
    assert total(narrow, ("Observation", [("status", "amended")], None), "estimate") == 0


NARROW = {"a condition": "system/Observation.rs?status=final", "one type": "system/Observation.rs",
          "what may be changed": "system/*.u system/Observation.rs?status=final"}


@pytest.mark.parametrize("scope", NARROW.values(), ids=NARROW)
def test_what_is_hidden_changes_no_estimate(
    bind: Callable[..., ResourceStore], sampling: None, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    """Neither the number nor whether it is rounded: the share of the store that a sample is tells how large that is."""
    for name, value in {"ASKED": 100, "ASKED_OPENED": 100, "FEWEST": 20}.items():
        monkeypatch.setattr(estimate, name, value)
    questions: list[Asked] = [[], [("code:text", "heart")], [("date", "ge1980")]]

    def stored(resource: dict[str, Any], number: int) -> list[int]:
        bind().transact(lambda inside: [inside.create(resource["resourceType"], resource) for _ in range(number)])
        return [total(bind(scope), ("Observation", asked, None), "estimate") for asked in questions]

    assert stored(observation(status="final"), 317) == [320] * 3
    assert stored(patient(), 500) == [320] * 3
    assert stored(patient(), 2_000) == [320] * 3


def test_few_are_counted_and_so_are_those_of_whom_a_sample_tells_too_little(
    bind: Callable[..., ResourceStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    def created(inside: ResourceStore) -> None:
        for number in range(123):
            inside.create("Observation", observation(), id=f"o{number}")

    bind().transact(created)
    search = ("Observation", [("status:not", "amended")], None)
    assert total(bind(), search, "estimate") == 123
    monkeypatch.setattr(estimate, "EXACT", 10)
    assert total(bind(), search, "estimate") == 120
    monkeypatch.setattr(estimate, "FEWEST", 124)
    assert total(bind(), search, "estimate") == 123
    assert total(bind().as_of(bind().clock()), search, "estimate") == 123


def test_pages_keep_the_estimate_until_one_asks_to_count(
    bind: Callable[..., ResourceStore], sampling: None
) -> None:
    def created(inside: ResourceStore) -> None:
        for number in range(123):
            inside.create("Observation", observation(), id=f"o{number}")

    bind().transact(created)

    def page(kind: str, cursor: str | None) -> SearchPage:
        more = [("_cursor", cursor)] if cursor else []
        return bind().search(query.parse("Observation", [("_total", kind), *more]))

    first = page("estimate", None)
    second = page("estimate", first.next_cursor)
    counted = page("accurate", second.next_cursor)
    assert [first.total, second.total, counted.total] == [120, 120, 123]
    assert dict(first.cursors).keys() == {"next"}
    assert page("accurate", counted.cursors.previous).total == 123
    assert len(page("accurate", counted.cursors.last).matches) == 3
    assert page("estimate", counted.next_cursor).total == 123


def test_slices_lie_apart_and_reach_from_end_to_end() -> None:
    for low, high, share in ((1, 8_192, 1.0), (7, 100_000, 0.08), (1, 10_000_000, 8_192 / 1e7), (5, 5, 1.0)):
        found = [(one["slice_from"], one["slice_to"]) for one in estimate._slices(low, high, share)]
        assert all(before < after for (_, before), (after, _) in itertools.pairwise(found))
        assert found[0][0] >= low
        assert found[-1][1] <= high + 1
        width = sum(to - start for start, to in found)
        assert abs(width - share * (high - low + 1)) <= 0.02 * share * (high - low + 1)
