"""Sorted by what matches refer to, resources come as a plain walk puts them, whatever the token may see.

https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hie.settings import Settings
from hie.store.resources import ResourceStore
from hie.store.search import chained_order, query
from hie.store.search.engine import SearchPage
from tests.conftest import Clock
from tests.property import plain
from tests.property.plain_order import order
from tests.property.test_as_of import Place, changed, covered_then_and_now, live_through
from tests.property.test_search_joins import GRANTS, World, is_in_compartment, world

TYPES = ["Patient", "Observation", "Observation", "Encounter", "Organization"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nothing keeps what others refer to: what is deleted is referred to still."""
    return replace(settings, referential_integrity="none")


@pytest.mark.proves("parameter:_sort")
@pytest.mark.parametrize(("seed", "at_once"), [(1, 200), (2, 3)], ids=["together", "few at once"])
def test_matches_come_in_the_order_of_what_they_refer_to(
    bind: Callable[..., ResourceStore], monkeypatch: pytest.MonkeyPatch, seed: int, at_once: int
) -> None:
    monkeypatch.setattr(chained_order, "AT_ONCE", at_once)
    monkeypatch.setattr(chained_order, "_IDS", at_once)
    here = World(world(seed))
    plain.store_all(bind(), here.found)
    stores = [(bind(*scopes), visible) for scopes, visible in GRANTS]

    @examples(max_examples=100, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(st.data())
    def law(data: st.DataObject) -> None:
        store, here.visible = data.draw(st.sampled_from(stores))
        type_name = data.draw(st.sampled_from(TYPES))
        sort, place = data.draw(order(here, type_name))
        within = data.draw(st.sampled_from([None, None, None, "p0"])) if type_name != "Organization" else None
        matching = [one for one in here.found if one["resourceType"] == type_name and here.visible(one)
                    and (within is None or is_in_compartment(one, within))]  # fmt: skip
        asked = [("_sort", sort), ("_count", data.draw(st.sampled_from(["7", "1000"]))), ("_total", "accurate")]
        ids, totals = plain.pages(store, type_name, asked, ("Patient", within) if within else None)
        assert ids == [one["id"] for one in sorted(matching, key=place)], sort
        assert totals == {len(matching)}, sort

    law()


def test_as_of_an_instant_the_order_is_that_of_what_was_there(bind: Callable[..., ResourceStore]) -> None:
    history = live_through(bind, 5, 160)
    times = [when for when, _, _ in history.events]
    latest = history.at(times[-1])
    bound = [(bind(*scopes), visible) for scopes, visible in GRANTS]
    first_stored = {place: number for number, (_, place, _) in reversed([*enumerate(history.events)])}

    @examples(max_examples=80, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(st.data())
    def law(data: st.DataObject) -> None:
        store, visible = data.draw(st.sampled_from(bound))
        at = data.draw(st.sampled_from(times))
        here = World([one for one in history.at(at).values() if one is not None])
        here.visible = partial(covered_then_and_now, visible, store, latest)
        type_name = data.draw(st.sampled_from(TYPES))
        sort, place = data.draw(order(here, type_name))
        matching = sorted((one for one in here.found if one["resourceType"] == type_name and here.visible(one)),
                          key=lambda one: first_stored[one["resourceType"], one["id"]])  # fmt: skip
        ids, _ = plain.pages(store.as_of(at), type_name, [("_sort", sort), ("_count", "9")])
        assert ids == [one["id"] for one in sorted(matching, key=place)], sort

    law()


def test_pages_have_the_order_that_the_first_one_saw(
    bind: Callable[..., ResourceStore], clock: Clock
) -> None:
    live_through(bind, 6, 30)
    others = [one for one in world(7) if one["resourceType"] in ("Patient", "Organization", "Encounter")]
    rng = random.Random(8)
    for sort in ("-patient.family", "patient.organization.name,-date", "-date,subject.birthdate", "encounter.class"):
        whole = [one.id for one in _page(bind(), sort, 1000).matches]
        page, found = _page(bind(), sort, 6), []
        while page.cursors.next is not None:
            found += [one.id for one in page.matches]
            for record in rng.sample(others, 4):
                bind().transact(partial(changed, (record["resourceType"], record["id"]), rng.choice([record, None])))
            clock.forward(rng.choice([0, 1]))
            page = _page(bind(), sort, 6, page.cursors.next)
        assert [*found, *(one.id for one in page.matches)] == whole, sort
        assert len(whole) > 40


def _page(store: ResourceStore, sort: str, count: int, cursor: str | None = None) -> SearchPage:
    more = [] if cursor is None else [("_cursor", cursor)]
    return store.search(query.parse("Observation", [("_sort", sort), ("_count", str(count)), *more]))


@pytest.mark.parametrize(("scopes", "visible"), GRANTS[1:], ids=["patients hidden", "encounters hidden"])
def test_what_is_hidden_leaves_the_order_as_it_is(
    bind: Callable[..., ResourceStore], scopes: list[str], visible: Callable[[dict[str, object]], bool]
) -> None:
    """Whether hidden targets are there, changed or deleted, the answers to the token are the same."""
    here, rng = World(world(3)), random.Random(4)
    plain.store_all(bind(), here.found)
    hidden: dict[Place, dict[str, object]] = {
        (one["resourceType"], one["id"]): one for one in here.found if not visible(one)}  # fmt: skip
    sorts = ["patient.family", "-subject.birthdate", "encounter.date,-patient.gender", "patient.organization.name",
             "-date,subject:Patient.name", "encounter.part-of._id,-has-member.code"]  # fmt: skip
    before = [_all(bind(*scopes), sort) for sort in sorts]
    for place in rng.sample(sorted(hidden), len(hidden) * 2 // 3):
        record = {**rng.choice([one for one in hidden.values() if one["resourceType"] == place[0]]), "id": place[1]}
        bind().transact(partial(changed, place, rng.choice([None, record])))
    assert [_all(bind(*scopes), sort) for sort in sorts] == before
    assert [_all(bind(), sort) for sort in sorts] != before


def _all(store: ResourceStore, sort: str) -> tuple[list[str], set[int | None]]:
    return plain.pages(store, "Observation", [("_sort", sort), ("_count", "11"), ("_total", "accurate")])
