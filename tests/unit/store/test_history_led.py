"""Histories under a grant that lets few resources through: the same versions as else, without looking at all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from hie.store import history_led
from hie.store.resources import ResourceStore
from hie.store.store import Store
from tests.builders import observation, patient
from tests.machine_steps import bound, steps, stores_of

Bind = Callable[..., ResourceStore]
SCOPES = [
    ("system/Observation.rs?subject=Patient/p1",), ("system/Observation.rs?code=c1,c2",),
    ("system/Observation.rs?status=final&subject=Patient/p2",), ("system/Observation.rs?_id=o3,o4,o5",),
    ("system/Observation.rs?date=ge2024-02-10",), ("system/Observation.rs?date=2024-02-03,2024-01-05",),
    ("system/Observation.rs?subject=Patient/p1", "system/Observation.rs?code=c3"),
    ("system/Observation.rs?subject=Patient/p1", "system/Patient.rs?_id=p1"),
    ("system/Observation.rs?_tag=x", "system/Patient.rs?_tag=x"),
    ("system/Patient.rs", "system/Observation.rs?code=c1"),
    ("system/Observation.rs?subject=Patient/nobody",), ("system/Binary.rs?_id=b1",),
    ("system/Observation.rs?code:not=c1",),
]  # fmt: skip


@pytest.fixture
def filled(bind: Bind) -> Bind:
    """Thirty Observations of three patients, most of them changed, deleted or brought back, some of another then."""

    def made(number: int, patient_: int, **more: Any) -> dict[str, Any]:
        tag = {"meta": {"tag": [{"code": "x" if number % 4 else "y"}]}}
        day = f"2024-0{number % 2 + 1}-{number % 28 + 1:02d}"
        return observation(f"Patient/p{patient_}", code=f"c{number % 5}", effectiveDateTime=day, **tag, **more)

    def unit(inside: ResourceStore) -> None:
        for one in range(1, 4):
            inside.create("Patient", patient(gender="male" if one == 1 else "female"), id=f"p{one}")
        inside.create("Binary", {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}, id="b1")
        for number in range(30):
            inside.create("Observation", made(number, number % 3 + 1), id=f"o{number}")

    def change(inside: ResourceStore) -> None:
        for number in range(0, 30, 2):
            inside.update("Observation", f"o{number}", made(number, number % 3 + 1, note=[{"text": "changed"}]))
        for number in range(0, 30, 5):
            inside.update("Observation", f"o{number}", made(number, (number + 1) % 3 + 1))

    def delete(inside: ResourceStore) -> None:
        for number in (3, 4, 6, 9):
            inside.delete("Observation", f"o{number}")
        inside.update("Observation", "o9", made(9, 1))
        inside.update("Patient", "p1", patient("Other", gender="male"))

    for one in (unit, change, delete):
        bind().transact(one)
    return bind


def versions(store: ResourceStore, place: tuple[str | None, str | None], count: int, **asked: Any) -> list[list[str]]:
    """Return what the pages have, then what they have from the last one back."""
    pages, cursor, last, total = [], None, None, None
    while True:
        page = store.history(*place, count=count, cursor=cursor, **asked)
        pages.append([f"{one.type}/{one.id}/{one.vid}" for one in page.versions])
        total = total or page.total
        assert page.total == total
        last, cursor = last or page.last, page.next
        if cursor is None:
            break
    assert sum(map(len, pages)) == total
    back, cursor = [], last
    while cursor is not None:
        page = store.history(*place, count=count, cursor=cursor, **asked)
        back.append([f"{one.type}/{one.id}/{one.vid}" for one in page.versions])
        cursor = page.previous
    assert not back or back[::-1] == pages
    return pages


@pytest.mark.parametrize("scopes", SCOPES, ids=" ".join)
def test_what_is_shown_does_not_depend_on_where_it_begins(
    filled: Bind, scopes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(*scopes)
    since = filled().read("Observation", "o2").updated
    types = sorted({scope.partition("/")[2].partition(".")[0] for scope in scopes} - {"*"})
    for place in [(None, None), *((name, None) for name in types)]:
        for asked in ({}, {"since": since}, {"during": (0, since)}):
            found = []
            for few in (history_led.FEW, 0):
                monkeypatch.setattr(history_led, "FEW", few)
                found.append(versions(store, place, 4, **asked))
            assert found[0] == found[1], (place, asked)


def fill(store: ResourceStore, size: int) -> None:
    """Make so many Observations and change each once; five of them are of one patient."""

    def unit(inside: ResourceStore, some: range, value: int) -> None:
        for number in some:
            of = 0 if number % (size // 5) == 3 else number % 4 + 1
            inside.update("Observation", f"o{number}", observation(f"Patient/p{of}", value=value))

    store.transact(lambda inside: [inside.create("Patient", patient(), id=f"p{one}") for one in range(5)])
    for value in (80, 90):
        for first in range(0, size, 10):
            store.transact(partial(unit, some=range(first, first + 10), value=value))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    with stores_of((100, 800), tmp_path_factory, fill) as opened:
        yield opened


MINE = ("system/Observation.rs?subject=Patient/p0", "system/Patient.rs?_id=p0")


@pytest.mark.parametrize(
    ("place", "scopes", "number"),
    [(("Observation", None), MINE, 10), ((None, None), MINE, 11), (("Observation", "o3"), MINE, 2),
     (("Observation", "o3"), ("system/Observation.rs?code=8867-4",), 2), (("Observation", "o3"), (), 2)],
)  # fmt: skip
def test_the_history_of_few_does_not_grow_with_the_store(
    stores: list[Store], place: tuple[str | None, str | None], scopes: tuple[str, ...], number: int
) -> None:
    counted = []
    for opened in stores:
        store = bound(opened, *scopes)
        assert store.history(*place).total == number  # decides where to begin, once
        counted.append(steps(store, lambda store=store: store.history(*place)))
    assert counted[1] < 1.2 * counted[0] + 20, counted


def test_a_further_page_does_not_count_again(stores: list[Store]) -> None:
    counted = []
    for opened in stores:
        store = bound(opened)
        first = store.history("Observation", count=5)
        assert first.next
        page = store.history("Observation", count=5, cursor=first.next)
        assert page.total == first.total
        counted.append(steps(store, lambda store=store, next_=first.next: store.history(
            "Observation", count=5, cursor=next_)))
        assert store.history("Observation", count=5, counts=False).total is None
    assert counted[1] < 1.2 * counted[0] + 20, counted
