"""A search as of an instant finds what a plain walk finds over the versions that were valid then, whatever the token.

The history is random: resources are created, changed, deleted and made again; each instant's world is kept as JSON.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hie.errors import BrokenReference, Expired, Gone, NotFound, Referenced
from hie.fhir import json_format
from hie.settings import Settings
from hie.store.check import check
from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.search import then as past_ends
from hie.store.store import Store
from hie.store.versions import StoredVersion
from tests.conftest import Clock
from tests.property import plain
from tests.property.plain_filter import Json
from tests.property.test_search_joins import GRANTS, World, criterion, is_in_compartment, world

Place = tuple[str, str]


class History:
    """What was written, and when: the naive record as of an instant."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Place, Json | None]] = []

    def at(self, instant: int) -> dict[Place, Json | None]:
        found: dict[Place, Json | None] = {}
        for when, place, record in self.events:
            if when <= instant:
                found[place] = record
        return found


def live_through(bind: Callable[..., ResourceStore], seed: int, changes: int) -> History:
    """Store the joined records and change them at random; what refers and is referred to stays whole."""
    rng, history = random.Random(seed), History()

    def created(inside: ResourceStore) -> None:
        for record in world(seed):
            version = inside.create(record["resourceType"], record, id=record["id"])
            history.events.append((version.updated, (version.type, version.id), record))

    bind().transact(created)
    more_changes(bind, history, rng, changes)
    return history


def more_changes(bind: Callable[..., ResourceStore], history: History, rng: random.Random, changes: int) -> None:
    others = changes_to()
    for _ in range(changes):
        place = rng.choice(sorted(others))
        record = None
        if rng.random() > 0.3:
            record = {**others[rng.choice([one for one in others if one[0] == place[0]])], "id": place[1]}
        try:
            version = bind().transact(partial(changed, place, record))
        except (Referenced, BrokenReference):
            continue
        if version is not None:
            history.events.append((version.updated, place, record))


@cache
def changes_to() -> dict[Place, Json]:
    """What records become: those of another world, by their place."""
    return {(one["resourceType"], one["id"]): one for one in world(105)}


def changed(place: Place, record: Json | None, inside: ResourceStore) -> StoredVersion | None:
    return inside.delete(*place) if record is None else inside.update(*place, record)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nothing keeps what others refer to: what is deleted is referred to still."""
    return replace(settings, referential_integrity="none")


@pytest.fixture
def lived(bind: Callable[..., ResourceStore]) -> tuple[History, Callable[..., ResourceStore]]:
    return live_through(bind, 5, 260), bind


def covered_then_and_now(
    visible: Callable[[Json], bool], store: ResourceStore, latest: dict[Place, Json | None], record: Json
) -> bool:
    """A condition of the grant holds of a version as it was and of its resource as it is; without one, all is seen."""
    if store.grant.queries(record["resourceType"], "s") is None:
        return visible(record)
    now = latest.get((record["resourceType"], record["id"]))
    return visible(record) and now is not None and visible(now)


def test_a_search_as_of_an_instant_finds_what_was_there_then(
    lived: tuple[History, Callable[..., ResourceStore]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_ends, "_BATCH", 5)
    monkeypatch.setattr(past_ends, "_FEW", 2)  # few ends of chains are named by tokens, many joined
    history, bind = lived
    times = [when for when, _, _ in history.events]
    bound = [(bind(*scopes), visible) for scopes, visible in GRANTS]
    latest = history.at(times[-1])
    assert check(store).problems == []

    @examples(max_examples=150, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(st.data())
    def law(data: st.DataObject) -> None:
        at = data.draw(st.sampled_from(times)) + data.draw(st.sampled_from([-1, 0, 0, 500_000]))
        here = World([record for record in history.at(at).values() if record is not None])
        now, covered = data.draw(st.sampled_from(bound))
        here.visible = partial(covered_then_and_now, covered, now, latest)
        then = now.as_of(at)
        type_name = data.draw(st.sampled_from(["Patient", "Observation", "Observation", "Encounter", "Organization"]))
        if data.draw(st.booleans()) and type_name != "Organization":
            hops: tuple[int, ...] = ()
            _, asked, result = data.draw(plain.searches(type_name))
        else:
            hops = data.draw(st.sampled_from([(0,), (1,), (2,), (1, 0)]))
            asked, result = [data.draw(criterion(here, type_name, left)) for left in hops], []
        expected = {
            one["id"] for one in here.found
            if one["resourceType"] == type_name and here.visible(one) and all(meaning(one) for _, _, meaning in asked)
        }  # fmt: skip
        within = data.draw(st.sampled_from([None, None, "p0", "p1"])) if type_name != "Organization" else None
        if within is not None:
            expected &= {one["id"] for one in here.found if is_in_compartment(one, within)}
        parameters = [(name, text) for name, text, _ in asked]
        result = result or [("_count", data.draw(st.sampled_from(["7", "1000"]))), ("_total", "accurate")]
        ids, totals = plain.pages(then, type_name, [*parameters, *result], ("Patient", within) if within else None)
        assert set(ids) == expected, parameters
        assert len(ids) == len(expected), f"{parameters}: a resource came twice"
        assert totals == {len(expected)}, parameters

    law()


def test_a_resource_is_read_as_of_an_instant(lived: tuple[History, Callable[..., ResourceStore]]) -> None:
    history, bind = lived
    rng = random.Random(1)
    latest, places = history.at(2**62), sorted({place for _, place, _ in history.events})
    for number, (when, changed_then, _) in enumerate(rng.sample(history.events, 40)):
        when -= number % 2  # the last moment of a version, or the first
        world_then = history.at(when)
        for scopes, visible in GRANTS:
            then = bind(*scopes).as_of(when)
            searched = then.grant.types("s")
            asked = {changed_then, *rng.sample(places, 5)}
            asked = {place for place in asked if place[0] in searched}
            many = then.read_many(sorted(asked))
            for type_name in sorted({type_name for type_name, _ in asked}):
                ids = ",".join(id_ for one, id_ in sorted(asked) if one == type_name)
                found, _ = plain.pages(then, type_name, [("_id", ids), ("_total", "accurate")])
                assert sorted(found) == sorted(id_ for one, id_ in many if one == type_name)
            for place in sorted(asked):
                record = world_then.get(place)
                if record is not None and covered_then_and_now(visible, then, latest, record):
                    assert place in many
                    shown = json_format.parse(then.read(*place).content or b"")
                    assert {**shown, "meta": 0} == {**record, "meta": 0}
                    continue
                assert place not in many
                with pytest.raises((Gone, NotFound)):
                    then.read(*place)
                if record is not None:  # there, but not for this token: as if it had never been
                    with pytest.raises(NotFound):
                        then.read(*place)


@pytest.mark.parametrize("seed", [1])
def test_pages_show_what_the_first_page_saw_while_others_write(
    bind: Callable[..., ResourceStore], clock: Clock, seed: int
) -> None:
    history, rng = live_through(bind, 6, 40), random.Random(seed)
    searches = [
        ("Observation", [("_sort", "-date")]), ("Observation", [("_sort", "value-quantity")]), ("Patient", []),
        ("Observation", [("status", "final,amended"), ("_sort", "-_lastUpdated")]), ("Encounter", [("date", "ge1980")]),
        ("Observation", [("subject:missing", "false")]), ("Observation", [("patient.gender", "male,female")]),
        ("Patient", [("_sort", "-family,birthdate")]), ("Observation", [("_sort", "subject,-status")]),
    ]  # fmt: skip
    for type_name, asked in searches:
        expected, _ = plain.pages(bind(), type_name, [*asked, ("_count", "1000")])
        shown = {one.id: one.vid for one in bind().search(query.parse(type_name, [*asked, ("_count", "1000")])).matches}
        page = bind().search(query.parse(type_name, [*asked, ("_count", "5"), ("_total", "accurate")]))
        found, totals = [(one.id, one.vid) for one in page.matches], {page.total}
        while page.next_cursor is not None:
            more_changes(bind, history, rng, 12)
            clock.forward(rng.choice([1, 1, 1_000]))  # what is recent is asked in another way
            asked_next = [*asked, ("_count", "5"), ("_total", "accurate"), ("_cursor", page.next_cursor)]
            page = bind().search(query.parse(type_name, asked_next))
            found += [(one.id, one.vid) for one in page.matches]
            totals.add(page.total)
        assert [id_ for id_, _ in found] == expected, asked
        assert dict(found) == shown
        assert totals == {len(expected)}


def test_links_to_pages_expire(bind: Callable[..., ResourceStore], clock: Clock) -> None:
    live_through(bind, 6, 0)
    cursor = bind().search(query.parse("Patient", [("_count", "1")])).next_cursor
    asked = query.parse("Patient", [("_count", "1"), ("_cursor", cursor or "")])
    clock.forward(23.9 * 3600)
    assert bind().search(asked).next_cursor is not None
    clock.forward(0.2 * 3600)
    with pytest.raises(Expired, match="24 hours; begin again"):
        bind().search(asked)
