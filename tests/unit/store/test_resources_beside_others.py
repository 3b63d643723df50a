"""Several who write at once: every version counts, and nobody writes over what was not seen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from hie.errors import Gone, PreconditionFailed
from hie.store.check import check
from hie.store.models import data_key
from hie.store.resources import ResourceStore
from hie.store.store import Store
from hie.store.versions import StoredVersion
from tests.unit.store.written import Bind, content, create, observation, patient, put


def test_concurrent_updates_of_one_resource_all_count(bind: Bind, store: Store) -> None:
    first = create(bind(), patient())

    def increase(number: int) -> int:
        return put(bind(), first.id, patient(birthDate=f"2000-01-{number + 1:02d}")).vid

    with ThreadPoolExecutor(8) as pool:
        vids = sorted(pool.map(increase, range(24)))
    assert vids == list(range(2, 26))
    assert check(store).problems == []


def test_of_concurrent_updates_with_one_expected_version_one_wins(bind: Bind) -> None:
    first = create(bind(), patient())

    def attempt(number: int) -> bool:
        try:
            put(bind(), first.id, patient(birthDate=f"2000-01-{number + 1:02d}"), if_match=1)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_concurrent_first_writes_of_one_patient_share_one_data_key(bind: Bind, store: Store) -> None:
    create(bind(), patient(), id="shared")

    def about(_: int) -> None:
        create(bind(), observation("Patient/shared"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(about, range(16)))
    owners = store.database.connection().execute(select(data_key.c.owner)).scalars().all()
    assert sorted(owners) == ["", "shared"]
    assert check(store).problems == []


def _meanwhile(bind: Bind, work: Callable[[ResourceStore], Any]) -> Callable[[], None]:
    """Return what lets a neighbour write once, while this thread is about to."""
    left = [work]

    def act() -> None:
        if left:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(bind().transact, left.pop()).result()

    return act


@pytest.mark.parametrize("neighbour", [
    lambda inside: inside.update("Patient", "p", patient(gender="male")),
    lambda inside: inside.delete("Patient", "p"),
], ids=["changed", "deleted"])  # fmt: skip
@pytest.mark.parametrize("mine", [
    lambda inside: inside.update("Patient", "p", patient(active=True)),
    lambda inside: inside.delete("Patient", "p"),
    lambda inside: (inside.read_to_change("Patient", "p"), inside.update("Patient", "p", patient(active=True)))[1],
    lambda inside: (inside.update("Patient", "p", patient(active=True)), inside.create("Patient", patient()))[0],
], ids=["update", "delete", "patch", "several"])  # fmt: skip
def test_what_a_neighbour_changed_after_it_was_read_is_not_written_over(
    store: Store, bind: Bind, mine: Callable[[ResourceStore], Any], neighbour: Callable[[ResourceStore], Any]
) -> None:
    create(bind(), patient(), id="p")
    meanwhile = _meanwhile(bind, neighbour)

    def work(inside: ResourceStore) -> Any:
        written = mine(inside)
        meanwhile()
        return written

    try:
        stored = bind().transact(work)
    except Gone:  # what was deleted is not there to be patched
        stored = None
    versions = bind().history("Patient", "p").versions
    assert [one.vid for one in versions] == ([3, 2, 1] if stored is not None else [2, 1])
    assert stored is None or stored.content == versions[0].content
    assert check(store).problems == []


def test_a_resource_that_a_neighbour_made_first_is_changed(store: Store, bind: Bind) -> None:
    create(bind(), patient(), id="other")
    meanwhile = _meanwhile(bind, lambda inside: inside.update("Patient", "p", patient()))

    def work(inside: ResourceStore) -> StoredVersion:
        stored = inside.update("Patient", "p", patient(active=True))
        meanwhile()
        return stored

    stored = bind().transact(work)
    assert (stored.vid, stored.came_into_being) == (2, False)
    assert check(store).problems == []


def test_of_two_who_name_one_version_the_second_is_refused(store: Store, bind: Bind) -> None:
    create(bind(), patient(), id="p")
    meanwhile = _meanwhile(bind, lambda inside: inside.update("Patient", "p", patient(gender="male"), if_match=1))

    def work(inside: ResourceStore) -> StoredVersion:
        stored = inside.update("Patient", "p", patient(active=True), if_match=1)
        meanwhile()
        return stored

    with pytest.raises(PreconditionFailed):
        bind().transact(work)
    assert content(bind().read("Patient", "p"))["gender"] == "male"
    assert check(store).problems == []
