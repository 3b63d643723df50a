"""What a version written lately is found by is remembered, and never taken for what another one is found by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hie.errors import BrokenReference
from hie.fhir import search_parameters
from hie.fhir.search_parameters import CustomParameters
from hie.store import writes
from hie.store.check import check
from hie.store.resources import ResourceStore
from hie.store.search import indexed, query
from hie.store.search.index import IndexRows
from hie.store.search.indexed import Indexed
from hie.store.store import Store
from tests.builders import observation, patient

Bind = Callable[..., ResourceStore]
ROWS = IndexRows([1, 2], [(1, 2, 3)], [], 4, None, None, ((0, 9),), frozenset({"Patient/p1"}), "p1")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The types of resources whose index rows were made."""
    types: list[str] = []
    original = writes.index_rows

    def index_rows(content: dict[str, Any], *given: Any, **named: Any) -> IndexRows:
        types.append(content["resourceType"])
        return original(content, *given, **named)

    monkeypatch.setattr(writes, "index_rows", index_rows)
    return types


def written(bound: ResourceStore, content: dict[str, Any], id_: str) -> None:
    bound.transact(lambda inside: inside.update(content["resourceType"], id_, content))


def found(bound: ResourceStore, *criteria: tuple[str, str]) -> list[str]:
    return [one.id for one in bound.search(query.parse("Patient", list(criteria))).matches]


def test_a_change_and_a_deletion_of_what_was_just_written_index_only_what_is_new(
    store: Store, bind: Bind, made: list[str]
) -> None:
    written(bind(), patient(family="Smith"), "p1")
    then = store.clock()
    written(bind(), patient(family="Jones"), "p1")
    assert made == ["Patient", "Patient"]
    assert (found(bind(), ("family", "smith")), found(bind(), ("family", "jones"))) == ([], ["p1"])
    bind().transact(lambda inside: inside.delete("Patient", "p1"))
    assert made == ["Patient", "Patient"]
    assert found(bind(), ("family", "jones")) == []
    assert found(bind().as_of(then), ("family", "smith")) == ["p1"]
    assert check(store).problems == []


def test_what_was_refused_or_is_of_another_address_is_not_taken_for_what_is_stored(
    store: Store, bind: Bind, made: list[str]
) -> None:
    with pytest.raises(BrokenReference):
        written(bind(), observation("Patient/nobody", value=1), "o1")
    written(bind(), observation(value=2), "o1")
    made.clear()
    elsewhere = replace(bind(), base_url="https://elsewhere.example/fhir")
    written(elsewhere, observation(value=3), "o1")
    # before and after; PostgreSQL copies what it has of the one before (hie.store.past)
    on_sqlite = store.database.dialect == "sqlite"
    assert len(made) == (2 if on_sqlite else 1)
    bind().transact(lambda inside: inside.delete("Observation", "o1"))
    assert len(made) == (3 if on_sqlite else 1)  # before: it was written for the other address
    assert check(store).problems == []


def test_what_another_process_wrote_long_ago_is_not_indexed_anew_on_postgresql(
    store: Store, bind: Bind, made: list[str]
) -> None:
    """What is replaced has its rows there; SQLite finds tokens by their hash alone."""
    old = {"contained": [observation(value=1) | {"id": "one"}], "hasMember": [{"reference": "#one"}]}
    written(bind(), patient(family="Smith"), "p1")
    written(bind(), observation() | old, "o1")
    bind().keys.indexed = Indexed()  # as in a process that was started since
    made.clear()
    then = store.clock()
    written(bind(), patient(family="Jones"), "p1")
    written(bind(), observation(value=2), "o1")
    rows_of_before = [] if store.database.dialect == "postgresql" else ["Patient"]
    assert made == [*rows_of_before, "Patient", "Observation", "Observation"]  # what contains something ends it itself
    assert found(bind().as_of(then), ("family", "smith")) == ["p1"]
    assert check(store).problems == []


def test_a_token_with_conditions_may_leave_a_reference_that_a_resource_had(bind: Bind) -> None:
    written(bind(), patient(), "p1")
    written(bind(), observation("Patient/p1", value=1), "o1")
    written(bind("system/Observation.cruds", "system/Patient.r?gender=male"), observation("Patient/p1", value=2), "o1")
    assert bind().read("Observation", "o1").vid == 2


def test_no_text_is_remembered_and_rows_are_taken_once() -> None:
    memory = Indexed()
    memory.keep("Patient", b"content", "", ROWS, words=False)
    for other in (("Patient", b"other", ""), ("Patient", b"content", "https://elsewhere.example")):
        assert memory.take(*other, words=False) is None
    assert memory.take("Patient", b"content", "", words=True) is None
    taken = memory.take("Patient", b"content", "", words=False)
    assert taken == replace(ROWS, refers=frozenset(), patient=None)
    assert memory.take("Patient", b"content", "", words=False) is None


def test_a_type_with_parameters_of_its_own_is_indexed_anew() -> None:
    memory, before = Indexed(), search_parameters.installed()
    memory.keep("Patient", b"content", "", ROWS, words=False)
    own = replace(search_parameters.for_type("Patient")["gender"], code="shoe", state="indexing")
    search_parameters.install(CustomParameters.of_all([own]))
    try:
        assert memory.take("Patient", b"content", "", words=False) is None
        memory.keep("Observation", b"content", "", ROWS, words=False)
        assert memory.take("Observation", b"content", "", words=False) is not None
    finally:
        search_parameters.install(before)


def test_it_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexed, "MOST", 4)
    memory = Indexed()
    for number in range(9):
        memory.keep("Patient", str(number).encode(), "", ROWS, words=False)
    kept = [number for number in range(9) if memory.take("Patient", str(number).encode(), "", words=False)]
    assert kept == [6, 7, 8]
    memory.keep("Patient", b"large", "", replace(ROWS, tokens=list(range(indexed.MOST_ROWS))), words=False)
    assert memory.take("Patient", b"large", "", words=False) is None
