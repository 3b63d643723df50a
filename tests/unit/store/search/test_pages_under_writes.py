"""Pages show what the first page saw, whatever was under way while it was read: docs/adr/0018"""

from __future__ import annotations

from dataclasses import replace

import pytest

from hie.fhir.scopes import FULL_GRANT
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.check import check
from hie.store.history import HistoryPage
from hie.store.resources import ResourceStore
from hie.store.search.engine import SearchPage
from hie.store.store import Store
from tests.conftest import Clock
from tests.unit.store.search.changing import SEARCHES, Bind, Walk, back_from, change, fill, measured, shown


@pytest.mark.parametrize("is_sent", [False, True], ids=["before the database has it", "not yet committed"])
def test_pages_show_nothing_of_a_write_that_ended_after_the_first_was_read(
    bind: Bind, clock: Clock, store: Store, is_sent: bool
) -> None:
    fill(bind)
    walks = [Walk(bind, asked, at) for at in (None, clock()) for asked in SEARCHES]
    before = [walk.whole() for walk in walks]
    firsts: list[SearchPage] = []

    def under_way(inside: ResourceStore) -> None:
        change(inside)
        if is_sent:
            inside.connection()  # what is buffered is written
        firsts.extend(walk.page() for walk in walks)

    bind().transact(under_way)
    bind().transact(lambda inside: inside.update("Observation", "o2", measured(3)))
    for walk, whole, first in zip(walks, before, firsts, strict=True):
        pages = list(walk.on_from(first))
        assert [one for page in pages for one in shown(page)] == whole
        assert {page.total for page in pages} == {len(whole)}
        assert [shown(page) for page in back_from(walk, pages[-1])] == [shown(page) for page in reversed(pages)]
    assert check(store).problems == []


def test_pages_show_what_a_witness_referred_to_before_it_was_deleted(bind: Bind) -> None:
    """A Provenance outlives its target, whose place leaves the index with it."""
    fill(bind)

    def told(store: ResourceStore) -> None:
        targets = [{"reference": f"Observation/o{number}"} for number in (2, 3, 8, 9, 10)]
        store.create("Provenance", {"resourceType": "Provenance", "target": targets, "recorded": "2024-01-01T00:00:00Z",
                                    "agent": [{"who": {"reference": "Patient/p"}}]})  # fmt: skip

    bind().transact(told)
    walk = Walk(bind, ("Observation", [("_has:Provenance:target:recorded", "ge2020")]))
    whole, first = walk.whole(), walk.page()
    bind().transact(change)
    assert [one for page in walk.on_from(first) for one in shown(page)] == whole
    assert "o9" in {id_ for _, id_, _ in whole[3:]}  # which is deleted by now


@pytest.mark.parametrize("source", ["List", "Provenance"])
def test_has_shows_what_was_referred_to_before_it_was_deleted_where_nothing_keeps_it(
    settings: Settings, clock: Clock, source: str
) -> None:
    """Without referential integrity whatever refers outlives its target, as of an instant and on further pages."""
    store = Store.open(replace(settings, referential_integrity="none"), clock=clock)

    def bound(*_: str) -> ResourceStore:
        return store.bind(FULL_GRANT, AuditEntry(1, clock(), "request", "test", "client"))

    fill(bound)
    targets = [{"reference": f"Observation/o{number}"} for number in (2, 3, 8, 9, 10)]
    by_type = {
        "List": ({"status": "current", "mode": "working", "entry": [{"item": one} for one in targets]}, "item:status"),
        "Provenance": ({"target": targets, "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"display": "x"}}]},
                       "target:recorded"),
    }  # fmt: skip
    content, path = by_type[source]
    bound().transact(lambda inside: inside.create(source, {"resourceType": source, **content}))
    asked = ("Observation", [(f"_has:{source}:{path}", "current" if source == "List" else "ge2020")])
    walk, then = Walk(bound, asked), Walk(bound, asked, clock())
    whole, firsts = walk.whole(), [walk.page(), then.page()]
    bound().transact(change)
    for each, first in zip((walk, then), firsts, strict=True):
        assert [one for page in each.on_from(first) for one in shown(page)] == whole
    assert then.whole() == whole
    assert "o9" in {id_ for _, id_, _ in whole}  # which is deleted by now
    store.close()


@pytest.mark.parametrize("order", [[], [("_sort", "-name")], [("_sort", "-_lastUpdated")]], ids=str)
def test_what_is_indexed_anew_stays_where_it_was_among_what_is_contained(
    bind: Bind, order: list[tuple[str, str]]
) -> None:
    fill(bind)
    asked = ("Patient", [("_contained", "true"), ("_containedType", "contained"), *order])
    then = bind().clock()
    walk, whole = Walk(bind, asked), Walk(bind, asked).whole()
    first = walk.page()
    for number in (1, 8):
        bind().transact(lambda inside, number=number: inside.index_anew("Observation", f"o{number}"))
    bind().transact(change)
    bind().transact(lambda inside: inside.index_anew("Observation", "o1"))
    assert [one for page in walk.on_from(first) for one in shown(page)] == whole
    assert Walk(bind, asked, then).whole() == whole


def test_a_chain_of_many_hops_shows_what_was_at_each_of_them(bind: Bind) -> None:
    hops_ = 11

    def work(store: ResourceStore, name: str) -> None:
        for number in range(hops_ + 1):
            above = {"partOf": {"reference": f"Organization/h{number - 1}"}} if number else {}
            own = {"resourceType": "Organization", "name": name, **above}
            store.update("Organization", f"h{number}", own)
        for number in range(6):
            at = {"partOf": {"reference": f"Organization/h{hops_ - number % 2}"}, "name": name}
            store.update("Organization", f"leaf{number}", {"resourceType": "Organization", **at})

    bind().transact(lambda store: work(store, "before"))
    walk = Walk(bind, ("Organization", [(".".join(["partof"] * hops_) + ".name", "before")]))
    whole, first = walk.whole(), walk.page()
    bind().transact(lambda store: [store.update("Organization", f"h{number}", {"resourceType": "Organization",
                                   "name": "after"}) for number in (0, 3, 7)])
    bind().transact(lambda store: work(store, "after"))
    assert len(whole) > 3
    assert [one for page in walk.on_from(first) for one in shown(page)] == whole


def test_pages_open_nothing_that_was_closed_or_deleted_since(bind: Bind) -> None:
    """A condition of a scope must hold of what a version was, and of what its resource is."""
    fill(bind)
    walk, firsts = Walk(bind, ("Observation", [("_sort", "-_id")]), scope="system/Observation.rs?status=final"), []
    whole = walk.whole()

    def under_way(inside: ResourceStore) -> None:
        firsts.append(walk.page())
        change(inside)

    bind().transact(under_way)
    _, *further = walk.on_from(firsts[0])
    closed = {"o1", "o9"}
    assert closed <= {id_ for _, id_, _ in whole}
    assert [one for page in further for one in shown(page)] == [one for one in whole[3:] if one[1] not in closed]


def test_what_further_pages_include_is_what_the_first_page_would_have_included(bind: Bind) -> None:
    fill(bind)
    asked: list[tuple[str, str]] = [("_include", "Observation:subject"), ("_revinclude", "Provenance:target")]
    walk, firsts = Walk(bind, ("Observation", asked)), []

    def under_way(inside: ResourceStore) -> None:
        target = {"resourceType": "Provenance", "target": [{"reference": "Observation/o5"}],
                  "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"reference": "Patient/p"}}]}  # fmt: skip
        inside.create("Provenance", target)
        change(inside)
        firsts.append(walk.page())

    bind().transact(under_way)
    pages = list(walk.on_from(firsts[0]))
    assert [[(one.type, one.vid) for one in page.included] for page in pages] == [[("Patient", 1)]] * len(pages)


@pytest.mark.parametrize("of", [("Observation", None), ("Observation", "o8"), (None, None)], ids=str)
def test_pages_of_a_history_show_nothing_of_a_write_that_ended_after_the_first_was_read(
    bind: Bind, of: tuple[str | None, str | None]
) -> None:
    fill(bind)

    def page(cursor: str | None = None, count: int = 3 if of[1] is None else 1) -> HistoryPage:
        return bind().history(*of, count=count, cursor=cursor)

    whole, firsts = page(count=100), []

    def under_way(inside: ResourceStore) -> None:
        change(inside)
        inside.connection()
        firsts.append(page())

    bind().transact(under_way)
    pages = [firsts[0]]
    while (onwards := pages[-1].next) is not None:
        pages.append(page(onwards))
    assert [(one.id, one.vid) for p in pages for one in p.versions] == [(one.id, one.vid) for one in whole.versions]
    assert {p.total for p in pages} == {whole.total}
    assert [one.vid for one in page(pages[0].last).versions] == [one.vid for one in pages[-1].versions]
