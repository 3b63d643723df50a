"""A store with Observations of two Patients, and how the tests of the search engine ask it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import engine, query
from hie.store.search.engine import SearchPage

Bind = Callable[..., ResourceStore]
LAB, VITAL = "laboratory", "vital-signs"


def observation(number: int, patient: str = "a", category: str = LAB, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"o{number}", "status": "final",
        "code": {"coding": [{"code": f"c{number}"}]},
        "category": [{"coding": [{"code": category}]}], "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2024-01-{number % 28 + 1:02}", **more,
    }  # fmt: skip


def write(store: ResourceStore, *resources: dict[str, Any]) -> None:
    def unit(inside: ResourceStore) -> None:
        for one in resources:
            inside.update(one["resourceType"], one["id"], one)

    store.transact(unit)


@pytest.fixture
def filled(bind: Bind) -> ResourceStore:
    """Two patients; forty laboratory Observations of one, five vital signs of the other."""
    patients = [{"resourceType": "Patient", "id": id_, "gender": "female",
                 "name": [{"family": f"Family {id_}"}]} for id_ in "ab"]  # fmt: skip
    write(bind(), *patients, *(observation(number) for number in range(40)))
    write(bind(), *(observation(number, "b", VITAL) for number in range(40, 45)))
    return bind()


def search(store: ResourceStore, type_name: str | None, *parameters: tuple[str, str]) -> SearchPage:
    return engine.search(store, query.parse(type_name, parameters, now=store.clock(), base_url=store.base_url))


def ids(page: SearchPage) -> list[str]:
    return [one.id for one in page.matches]


def follow(store: ResourceStore, *parameters: tuple[str, str], cursor: str | None = None) -> list[str]:
    found: list[str] = []
    page = search(store, "Observation", *parameters, *([("_cursor", cursor)] if cursor else []))
    while True:
        found += ids(page)
        if page.next_cursor is None:
            return found
        page = search(store, "Observation", *parameters, ("_cursor", page.next_cursor))
