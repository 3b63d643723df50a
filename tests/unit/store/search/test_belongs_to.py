"""What belongs to an encounter is found by the index in a store of any size: steps of SQLite's machine, not time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from hie.fhir.facts import RESOURCE_TYPES
from hie.store.resources import ResourceStore
from hie.store.search.criteria import BelongsTo
from hie.store.search.index import index_rows, place, refers_beside
from hie.store.search.query import SearchQuery
from hie.store.store import Store
from tests.builders import encounter, observation, patient
from tests.machine_steps import bound, steps, stores_of

SIZES = (300, 1_200)
EXTENSION = "http://hl7.org/fhir/StructureDefinition/encounter-associatedEncounter"


def fill(store: ResourceStore, size: int) -> None:
    """Store encounters of two Observations and one Basic each, which says so by an extension."""

    def unit(inside: ResourceStore) -> None:
        inside.create("Patient", patient(), id="p")
        for number in range(size // 4):
            inside.create("Encounter", encounter("Patient/p"), id=f"e{number}")
            to = {"reference": f"Encounter/e{number}"}
            for _ in range(2):
                inside.create("Observation", observation(encounter=to))
            inside.create("Basic", {"resourceType": "Basic", "code": {"text": "x"},
                                    "extension": [{"url": EXTENSION, "valueReference": to}]})

    store.transact(unit)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    with stores_of(SIZES, tmp_path_factory, fill) as opened:
        yield opened


@pytest.mark.parametrize("scopes", [
    (), ("system/Encounter.rs", "system/Basic.rs", "system/Observation.rs?status=final"),
], ids=["whole", "restricted"])  # fmt: skip
@pytest.mark.parametrize("types", [RESOURCE_TYPES, frozenset({"Encounter", "Basic", "Observation"})],
                         ids=["all types", "some"])
@pytest.mark.parametrize("total", ["accurate", "none"])
def test_it_does_not_grow_with_the_store(
    stores: list[Store], types: frozenset[str], scopes: tuple[str, ...], total: str
) -> None:
    counted = []
    for opened in stores:
        store = bound(opened, *scopes)
        query = SearchQuery(None, (BelongsTo("Encounter/e5", types),), count=10, total=total)
        page = store.search(query)
        assert [one.type for one in page.matches] == ["Encounter", "Observation", "Observation", "Basic"]
        assert page.total in (4, None)
        counted.append(steps(store, partial(store.search, query)))
    assert counted[1] < 1.5 * counted[0] + 20, counted


def test_a_resource_itself_tells_what_the_index_does(stores: list[Store]) -> None:
    """What is in the compartment as well is no reference beside it; an Encounter that is part of it is in none."""
    store = bound(stores[0])
    to = {"reference": "Encounter/e1"}
    beside = {"extension": [{"url": EXTENSION, "valueReference": to}]}
    for resource, expected in (
        ({"resourceType": "Basic"} | beside, True), (observation(encounter=to) | beside, False),
        (encounter("Patient/p", partOf=to) | beside, True), (encounter("Patient/p", partOf=to), False),
        (observation(encounter=to), False),
        ({"resourceType": "Basic"}, False),
        ({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Basic"} | beside}]},
         False),
    ):
        found = place("Encounter", "e1", store.blind) in index_rows(resource, store.blind).tokens
        assert refers_beside(resource, ("Encounter", "e1"), store.blind, "") is found is expected
