"""A record that changes while its pages are read: what is in it, what changes it, and the walk over the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.search.engine import SearchPage
from hie.store.terminology import OfPages
from tests.builders import observation, patient

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


def back_from(walk: Walk, page: SearchPage) -> Iterator[SearchPage]:
    yield page
    while page.cursors.previous is not None:
        page = walk.page(page.cursors.previous)
        yield page
