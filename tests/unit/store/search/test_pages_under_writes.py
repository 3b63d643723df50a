"""Pages show what the first page saw, whatever was under way while it was read: docs/adr/0018"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import pytest

from hie.errors import Expired
from hie.fhir.scopes import FULL_GRANT
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.check import check
from hie.store.history import HistoryPage
from hie.store.resources import ResourceStore
from hie.store.search import ordering, pages, query, seen, totals
from hie.store.search.engine import SearchPage
from hie.store.search.seen import MOST_UNSEEN, Seen, from_json, told
from hie.store.store import Store
from hie.store.terminology import OfPages
from tests.builders import observation, patient
from tests.conftest import Clock

Bind = Callable[..., ResourceStore]
Shown = list[tuple[str, str, int]]
#: Without an order, by the time of the last update, by a date of the row, by a side table, by what is sealed; a chain,
#: a code, ranges, a text that is verified; several types; what is contained, and what contains it.
SEARCHES: list[tuple[str | None, list[tuple[str, str]]]] = [
    ("Observation", []),
    ("Observation", [("_sort", "_lastUpdated")]),
    ("Observation", [("_sort", "-_lastUpdated")]),
    ("Observation", [("_sort", "-date")]),
    ("Observation", [("_sort", "value-quantity")]),
    ("Observation", [("_sort", "-status,_id")]),
    ("Observation", [("patient.family", "smith")]),
    ("Observation", [("code", "8867-4"), ("status", "final")]),
    ("Observation", [("value-quantity", "gt10"), ("date", "ge2020")]),
    ("Observation", [("code:text", "heart")]),
    (None, [("_type", "Patient,Observation"), ("_sort", "-_lastUpdated")]),
    ("Patient", [("_contained", "true"), ("_containedType", "contained"), ("name", "inner")]),
    ("Observation", [("performer:Practitioner.name", "inner")]),
    ("Observation", [("category:in", "http://example.org/reds")]),
    ("Observation", [("category:in", "ValueSet/reds"), ("_sort", "-_id")]),
    ("Observation", [("category:not-in", "http://example.org/greens")]),
    ("Observation", [("category:below", "http://example.org/colours|red"), ("_sort", "-date")]),
    ("Observation", [("_filter", 'category in "http://example.org/reds" and subject.family eq "smith"')]),
    ("Patient", [("_has:Observation:patient:category:in", "http://example.org/reds")]),
]
COLOURS = "http://example.org/colours"
INNER = {"contained": [{"resourceType": "Patient", "id": "x", "name": [{"family": "Inner"}]},
                       {"resourceType": "Practitioner", "id": "y", "name": [{"family": "Inner"}]}],
         "performer": [{"reference": "#y"}], "focus": [{"reference": "#x"}]}  # fmt: skip


def measured(value: float, **more: Any) -> dict[str, Any]:
    category = [{"coding": [{"system": COLOURS, "code": "rose"}]}]
    return observation("Patient/p", value=value, category=category, **INNER, **more)


def colours(*red: str) -> dict[str, Any]:
    below = [{"code": one} for one in red]
    return {"resourceType": "CodeSystem", "url": COLOURS, "status": "active", "content": "complete",
            "hierarchyMeaning": "is-a", "concept": [{"code": "red", "concept": below}, {"code": "green"}]}


def value_set(name: str, top: str) -> dict[str, Any]:
    among = [{"property": "concept", "op": "is-a", "value": top}]
    return {"resourceType": "ValueSet", "url": f"http://example.org/{name}", "status": "active",
            "compose": {"include": [{"system": COLOURS, "filter": among}]}}


def fill(bind: Bind) -> None:
    def work(store: ResourceStore) -> None:
        store.create("Patient", patient("Smith"), id="p")
        store.create("CodeSystem", colours("rose"), id="colours")
        store.create("ValueSet", value_set("reds", "red"), id="reds")
        store.create("ValueSet", value_set("greens", "green"), id="greens")
        for number in range(12):
            store.create("Observation", measured(20 + number), id=f"o{number}")

    bind().transact(work)
    bind().transact(lambda store: store.update("Observation", "o8", measured(40)))
    bind().transact(lambda store: store.delete("Observation", "o11"))


def change(store: ResourceStore) -> None:
    """Replace, delete, revive and create: what pages would show twice, or lose."""
    store.update("Observation", "o1", measured(99, status="amended"))
    store.update("Observation", "o8", measured(1, effectiveDateTime="2001-01-01"))
    store.delete("Observation", "o9")
    store.update("Observation", "o11", measured(50))
    store.create("Observation", measured(25), id="new")
    store.update("Patient", "p", patient("Smithson"))
    store.update("CodeSystem", "colours", colours("other"))
    store.update("ValueSet", "greens", value_set("greens", "rose"))
    store.delete("ValueSet", "reds")


class Walk:
    """One search, of the record as of an instant where there is one."""

    def __init__(
        self, bind: Bind, asked: tuple[str | None, list[tuple[str, str]]], at: int | None = None, scope: str = ""
    ) -> None:
        self._bind, (self._type, self._asked), self._at, self._scope = bind, asked, at, scope

    def page(self, cursor: str | None = None, count: int = 3) -> SearchPage:
        more = [("_count", str(count)), ("_total", "accurate")] + ([("_cursor", cursor)] if cursor else [])
        store = self._bind(self._scope) if self._scope else self._bind()
        return self.of(store if self._at is None else store.as_of(self._at), [*self._asked, *more], cursor)

    def of(self, store: ResourceStore, asked: list[tuple[str, str]], cursor: str | None = None) -> SearchPage:
        with OfPages(store, cursor) as terminology:
            read = query.parse(self._type, asked, contained=True, terminology=terminology)
            return terminology.store.search(read)

    def whole(self) -> Shown:
        return shown(self.page(count=100))

    def on_from(self, first: SearchPage) -> Iterator[SearchPage]:
        page = first
        yield page
        while page.next_cursor is not None:
            page = self.page(page.next_cursor)
            yield page


def shown(page: SearchPage) -> Shown:
    return [(one.type, one.id, one.vid) for one in page.matches]


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


def back_from(walk: Walk, page: SearchPage) -> Iterator[SearchPage]:
    yield page
    while page.cursors.previous is not None:
        page = walk.page(page.cursors.previous)
        yield page


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


def test_a_value_set_is_read_at_the_state_of_the_first_page(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed between its expansion and the page's own statement belongs to neither, or to both."""
    fill(bind)
    walk, read = Walk(bind, ("Observation", [("category:in", "http://example.org/reds")])), query.parse
    whole = walk.whole()

    def then_written(*arguments: Any, **more: Any) -> Any:
        found = read(*arguments, **more)
        writer = Thread(target=lambda: bind().transact(change))
        writer.start()
        writer.join()
        monkeypatch.undo()
        return found

    monkeypatch.setattr(query, "parse", then_written)
    assert [one for page in walk.on_from(walk.page()) for one in shown(page)] == whole


# -- inside a transaction ----------------------------------------------------------------------------------------------


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


# -- one page is read at one state of the store ------------------------------------------------------------------------


@pytest.fixture
def between(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[ResourceStore], Any]], None]:
    """Commit a write behind the first statement of the search that follows."""

    def arranged(work: Callable[[ResourceStore], Any]) -> None:
        is_due, run = [True], pages.run

        def followed(*arguments: Any, **more: Any) -> list[Any]:
            rows = run(*arguments, **more)
            if is_due.pop():
                writer = Thread(target=lambda: bind().transact(work))
                writer.start()
                writer.join()
            is_due.append(False)
            return rows

        for module in (pages, totals):
            monkeypatch.setattr(module, "run", followed)

    return arranged


@pytest.mark.parametrize("is_first_empty", [False, True])
def test_a_page_of_two_parts_shows_what_moved_from_one_to_the_other_once(
    bind: Bind, between: Callable[[Any], None], is_first_empty: bool
) -> None:
    """Sorted by a date, resources without one come last, and are read by a statement of their own."""
    undated = {key: value for key, value in observation("Patient/p").items() if key != "effectiveDateTime"}

    def work(inside: ResourceStore) -> None:
        inside.create("Patient", patient(), id="p")
        inside.create("Observation", undated, id="a")
        if not is_first_empty:
            inside.create("Observation", observation("Patient/p"), id="b")

    bind().transact(work)
    between(lambda inside: inside.update("Observation", "a", observation("Patient/p")))
    page = Walk(bind, ("Observation", [("_sort", "date")])).page(count=10)
    assert sorted(one.id for one in page.matches) == (["a"] if is_first_empty else ["a", "b"])
    assert page.total == len(page.matches)


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("sort", ["date", "-date"])
def test_a_page_inside_a_transaction_is_read_at_one_state(
    bind: Bind, between: Callable[[Any], None], sort: str
) -> None:
    fill(bind)
    undated = {key: value for key, value in measured(1).items() if key != "effectiveDateTime"}
    for_later: list[SearchPage] = []
    walk = Walk(bind, ("Observation", [("_sort", sort)]))

    def work(inside: ResourceStore) -> None:
        inside.create("Observation", undated, id="own")
        inside.connection()
        between(lambda beside: beside.update("Observation", "o2", undated))
        for_later.append(walk.of(inside, [("_sort", sort), ("_total", "accurate"), ("_count", "12")]))

    bind().transact(work)
    bind().transact(change)
    found = [one for page in walk.on_from(for_later[-1]) for one in shown(page)]
    assert len(found) == for_later[-1].total == 12
    assert sorted(id_ for _, id_, _ in found) == sorted([*(f"o{number}" for number in range(11)), "own"])


@pytest.mark.parametrize("more", [[], [("_include", "Observation:subject")]], ids=["counted", "included"])
def test_what_is_counted_and_included_belongs_to_the_page(
    bind: Bind, between: Callable[[Any], None], more: list[tuple[str, str]]
) -> None:
    fill(bind)

    def work(inside: ResourceStore) -> None:
        inside.update("Patient", "p", patient("Smithson"))
        for number in range(11):
            inside.update("Observation", f"o{number}", observation(None, value=number))

    between(work)
    page = Walk(bind, ("Observation", [("subject", "Patient/p"), *more])).page(count=3 if not more else 20)
    shown_ = page.total, len(page.matches), [one.vid for one in page.included]
    assert shown_ in ((0, 0, []), (11, 11, [1]) if more else (11, 3, []))  # as it was before, or as it is


# -- cursors -----------------------------------------------------------------------------------------------------------


def test_a_link_of_a_server_from_before_is_refused_in_words(bind: Bind) -> None:
    fill(bind)
    bound, asked = bind(), query.parse("Observation", [("_count", "1")])
    position = ordering.Position(0, (), 1, None, bound.clock())
    parts = json.loads(bound.open_text(ordering.seal(bound, asked, position)))
    cursor = bound.seal_text(json.dumps([*parts[:7], *parts[8:-1]]))
    with pytest.raises(Expired, match="upgraded; begin again"):
        bound.search(query.parse("Observation", [("_count", "1"), ("_cursor", cursor)]))
    place, made = [1, "Observation", "o1", 1, 1], bound.clock()
    for more in ([made], [made, [1, 1], made], [made, [1, 1], made, 5]):
        old = bound.seal_text(json.dumps(["history", *place, *more]))
        with pytest.raises(Expired, match="upgraded; begin again"):
            bound.history("Observation", cursor=old)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("saw", [
    Seen(10**15, (), 10**15), Seen(900, (7, 8, 11, 400, 899)), None], ids=["many", "under way", "not told"])
def test_the_length_of_a_link_tells_nothing_of_how_much_others_write(bind: Bind, saw: Seen | None) -> None:
    bound, asked = bind(), query.parse("Observation", [("_sort", "-date")])
    few = ordering.Position(0, (5,), 1, 3, bound.clock(), Seen(2))
    many = replace(few, key=10**15, seen=saw)
    assert len(ordering.seal(bound, asked, few)) == len(ordering.seal(bound, asked, many))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7:12:7,8,11", Seen(12, (7, 8, 11))),
        ("7:7:", Seen(7)),
        (f"1:{10 * MOST_UNSEEN}:{','.join(map(str, range(1, MOST_UNSEEN + 2)))}", None),
    ],
    ids=["under way", "all", "too many"],
)
def test_what_a_statement_saw_is_carried_by_a_cursor(value: str, expected: Seen | None) -> None:
    assert told(value) == expected
    if expected is not None:
        assert from_json(json.loads(json.dumps(expected.to_json())), at_instant=False) == expected


@pytest.mark.parametrize(
    ("later", "misses"),
    [("7:12:7,8,11", False), ("7:13:7,8,11,12", False), ("7:13:7,8,11", True), ("8:12:8,11", True), ("9:9000:", True)],
)
def test_a_state_is_another_where_something_was_committed_since(later: str, misses: bool) -> None:
    first, second = told("7:12:7,8,11"), told(later)
    assert first is not None
    assert second is not None
    assert first.misses(second) == misses


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_beside_more_writes_than_a_cursor_names_pages_go_by_the_moment_of_the_first(
    bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST_UNSEEN", -1)
    fill(bind)
    walk = Walk(bind, ("Observation", [("_include", "Observation:subject")]))
    first = walk.page()
    bind().transact(change)
    further = [one for page in list(walk.on_from(first))[1:] for one in shown(page)]
    assert further == [("Observation", f"o{number}", 2 if number == 8 else 1) for number in range(3, 11)]
