"""Pages of a search inside a transaction show what it saw, whatever others write: docs/adr/0018"""

from __future__ import annotations

from threading import Event, Thread

import pytest

from hie.store.history import HistoryPage
from hie.store.resources import ResourceStore
from tests.unit.store.search.changing import SEARCHES, Bind, Walk, back_from, change, fill, measured, shown


@pytest.mark.parametrize("asked", SEARCHES, ids=str)
def test_pages_of_a_search_inside_a_transaction_show_what_it_saw(
    bind: Bind, asked: tuple[str | None, list[tuple[str, str]]]
) -> None:
    """Its own writes, and nothing of what ended after the first page, be it of a transaction that began before."""
    fill(bind)
    walk, wholes, firsts = Walk(bind, asked), [], []
    more = [("_count", "3"), ("_total", "accurate")]
    neighbour = Neighbour(bind)

    def work(inside: ResourceStore) -> None:
        for number in (1, 4, 5):
            inside.update("Observation", f"o{number}", measured(60 + number, status="amended"))
        inside.delete("Observation", "o6")
        inside.create("Observation", measured(7), id="own")
        wholes.append(shown(walk.of(inside, [*asked[1], ("_count", "100")])))
        neighbour.writes()
        firsts.append(walk.of(inside, [*asked[1], *more]))

    bind().transact(work)
    neighbour.ends()
    bind().transact(change)
    pages = list(walk.on_from(firsts[-1]))
    assert [one for page in pages for one in shown(page)] == wholes[-1]
    assert len(wholes[-1]) < 4 or len(pages) > 1
    assert [shown(page) for page in back_from(walk, pages[-1])] == [shown(page) for page in reversed(pages)]


def test_pages_of_a_history_inside_a_transaction_show_what_it_saw(bind: Bind) -> None:
    fill(bind)
    wholes: list[HistoryPage] = []

    def work(inside: ResourceStore) -> None:
        inside.update("Observation", "o1", measured(60))
        inside.connection()
        wholes.extend(inside.history("Observation", count=count) for count in (100, 3))

    bind().transact(work)
    bind().transact(change)
    whole, page = wholes
    found = [*page.versions]
    while page.next is not None:
        page = bind().history("Observation", count=3, cursor=page.next)
        found += page.versions
    assert [(one.id, one.vid) for one in found] == [(one.id, one.vid) for one in whole.versions]


class Neighbour:
    """Somebody whose transaction is open while another searches, and one that commits beside: on PostgreSQL."""

    def __init__(self, bind: Bind) -> None:
        self._bind, self._has_written, self._may_end = bind, Event(), Event()
        self._is_alone = bind().database.dialect == "sqlite"  # one transaction writes at a time
        self._open = Thread(target=lambda: bind().transact(self._stay))

    def _stay(self, store: ResourceStore) -> None:
        store.update("Observation", "o2", measured(3))
        store.create("Observation", measured(4), id="beside")
        store.connection()
        self._has_written.set()
        self._may_end.wait(20)

    def writes(self) -> None:
        if self._is_alone or self._has_written.is_set():
            return
        self._open.start()
        assert self._has_written.wait(20)
        # What is committed raises the number up to which all were seen, beyond that of the one that is open.
        quick = Thread(target=lambda: self._bind().transact(lambda store: store.create("Basic", _BASIC)))
        quick.start()
        quick.join()

    def ends(self) -> None:
        self._may_end.set()
        if not self._is_alone:
            self._open.join()


_BASIC = {"resourceType": "Basic", "code": {"text": "x"}}
