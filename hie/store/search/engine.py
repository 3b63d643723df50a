"""Searches on the store: one page, its total, what it includes. https://hl7.org/fhir/R4/search.html

What is asked (asked), its rows (pages) and how many there are (totals) are put together here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from hie.errors import InvalidSearch
from hie.store.opening import up_to
from hie.store.search import cursors, inclusion, opened_order, ordering, pages, relevance, tied_order, totals
from hie.store.search.asked import Asked, asked_by
from hie.store.search.chain import leads_on
from hie.store.search.chained_order import SortValues, Values
from hie.store.search.cursors import Cursors
from hie.store.search.ordering import Position
from hie.store.search.pages import Found, Part
from hie.store.search.query import SearchQuery
from hie.store.search.reading import one_state, seen_by_page, still
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: Rows that are read at a time to leave them out.
AT_ONCE = 1_000
#: Takes the keys of contained resources apart from those of others, where both are sorted together.
_BEFORE = 2**62


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page. `total` None: not asked for, or not known cheaply."""

    matches: list[StoredVersion]
    included: list[StoredVersion]
    total: int | None
    cursors: Cursors = cursors.NONE
    is_cut: bool = False
    """More would have been included than one answer holds (inclusion.MOST_INCLUDED)."""
    told: tuple[dict[str, Any], ...] = ()
    """What else is told of each match (hie.store.search.relevance); empty where nothing is."""

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the page behind this one; None: the last page."""
        return self.cursors.next


def search(store: ResourceStore, query: SearchQuery) -> SearchPage:
    """Return one page of a search, nothing in it beyond the grant."""
    is_one = store.reading is not None or store.seen is not None  # it is read as another search is that asks it
    is_over = query.cursor is not None or store.at is not None
    if is_over and not is_one and any(map(leads_on, query.criteria)):
        return still(store, partial(_search, query=query))  # what was replaced since is read first, then what was not
    if query.cursor is not None or query.count == 0 or is_one:
        return _search(store, query)
    return one_state(store, partial(_search, query=query))


def _search(store: ResourceStore, query: SearchQuery) -> SearchPage:
    store, position, asked = _read_from(store, query)
    if query.sort and query.count and pages.is_sorted_opened(query, asked):
        return _page_in_order(store, query, asked, position)
    if query.count == 0:
        return SearchPage([], [], totals.of_all(store, query, asked))
    parts = pages.parts_of(store, query, asked, position)
    position = pages.placed(position, parts)
    size, total = query.count, None
    if position is not None and position.is_end:
        total = totals.count(store, query, asked, None)
        size = cursors.last_page_size(total, size)
    rows = _rows(store, query, asked, parts, position, size + 1)
    left_out, last = 0, None
    for (number, row), _ in islice(rows, query.offset):
        left_out, last = left_out + 1, (number, row)
    found, room = Found(), query.most_bytes
    for row, version in rows:
        found.add(row, version)
        room -= 0 if version is None else len(version.content or b"")
        if room < 0 and len(found.rows) > 1:  # this one stands on the next page
            size = len(found.rows) - 1
            break
    page, _ = up_to(pages.each_found(store, parts, found, size), query.most_bytes)
    more = len(found.rows) > len(page)
    size = len(page)
    if total is None:
        total = totals.of_page(store, query, asked, position, left_out + len(page), more)
    further = _place(parts, *_end(found, size, position)) if more else None
    before = None if last is None else _place(parts, *last)
    return _page_of(store, query, position, page, total, further, pages.orders_of(query, parts), before)


def _read_from(store: ResourceStore, query: SearchQuery) -> tuple[ResourceStore, Position | None, Asked]:
    """Return the store as the first page saw it, where the page begins, and what is asked.

    Where only the moment of the first page is known, ends of chains are opened. If that is too much, further pages are
    of what is current, behind the last row: a page is not refused that follows one that was answered.
    """
    position = ordering.open_(store, query)
    if position is None or position.at is None:
        return store, position, asked_by(store, query)
    then = store.as_of(position.at, position.seen)
    try:
        return then, position, asked_by(then, query)
    except InvalidSearch as error:
        if error.code != "too-costly" or store.at is not None or position.seen is not None:
            raise
    return store, replace(position, at=None, seen=None), asked_by(store, query)


def _rows(
    store: ResourceStore, query: SearchQuery, asked: Asked, parts: Sequence[Part], position: Position | None,
    wanted: int,
) -> Iterator[tuple[tuple[int, Any], StoredVersion | None]]:
    """Yield the rows of a page, first those that it leaves out."""
    if not query.offset:
        return pages.rows_behind(store, asked, parts, position, wanted)
    if store.reading is not None:
        store.reading.hold()
    return pages.rows_behind(store, asked, parts, position, query.offset + wanted, max(wanted, AT_ONCE))


def _end(found: Found, size: int, position: Position | None) -> tuple[int, Any]:
    """Return where the page ends: its last row, or read backwards the one before its first."""
    return found.rows[size if position is not None and position.backward else size - 1]


def _place(parts: Sequence[Part], phase: int, row: Any) -> cursors.Place:
    return parts[phase].number, pages.sort_values(parts[phase], row), row.key


def _page_of(
    store: ResourceStore,
    query: SearchQuery,
    position: Position | None,
    page: list[StoredVersion],
    total: int | None,
    further: cursors.Place | None,
    orders: tuple[str, ...] = (),
    before: cursors.Place | None = None,
) -> SearchPage:
    if position is not None and position.backward:
        page.reverse()
    included, is_cut = inclusion.included(store, query.includes, page) if query.includes else ([], False)
    if store.reading is not None:
        store.reading.confirm()
    leads = further is not None or before is not None
    saw = seen_by_page(store) if leads and position is None else None
    around = cursors.around(store, query, position, further, page, total, saw, orders, before)
    is_of_containers = query.contained is not None and query.contained.whole
    return SearchPage(page, included, total, around, is_cut, () if is_of_containers else relevance.told(query, page))


def _page_in_order(store: ResourceStore, query: SearchQuery, asked: Asked, position: Position | None) -> SearchPage:
    """Return a page in an order that no index has (hie.store.search.opened_order), or only the beginning of."""
    if store.reading is not None:
        store.reading.hold()
    size, further, before = query.count, None, None
    wanted = query.offset + size + 1
    is_end = position is not None and position.is_end
    if pages.is_met_in_part(query, asked):
        found = tied_order.nearest(store, query, asked, position, wanted)
        total = totals.of_page(store, query, asked, position, min(len(found), wanted - 1), len(found) == wanted)
        size = cursors.last_page_size(totals.count(store, query, asked, None), size) if is_end else size
    else:
        ordered = opened_order.Sorted(query, position, wanted)
        ordered.take(SortValues(store, query).each(_each_opened(store, asked)))
        found, total = ordered.found, None if query.total == "none" else ordered.total
        size = cursors.last_page_size(ordered.total, size) if is_end else size
    left_out, found = found[: query.offset], found[query.offset :]
    page, _ = up_to((store.whole(version) for _, (_, version) in found[:size]), query.most_bytes)
    if len(found) > len(page):
        size = len(page)
        further = _place_in_order(found[size if position is not None and position.backward else size - 1])
    if left_out:
        before = _place_in_order(left_out[-1])
    return _page_of(store, query, position, page, total, further, before=before)


def _place_in_order(found: tuple[Values, opened_order.Match]) -> cursors.Place:
    values, (key, _) = found
    return 0, values, key


def _each_opened(store: ResourceStore, asked: Asked) -> Iterator[tuple[int, StoredVersion]]:
    """Yield every match, opened a batch at a time."""
    behind: Position | None = None
    parts = pages.unordered(store, asked)
    while True:
        found = Found()
        for row, version in pages.rows_behind(store, asked, parts, behind, pages.BATCH):
            found.add(row, version)
        opened = pages.each_found(store, parts, found, pages.BATCH)
        for (number, row), version in zip(found.rows, opened, strict=True):
            yield row.key - (_BEFORE if parts[number].arm.inside else 0), version
        if len(found.rows) < pages.BATCH:
            return
        phase, last = found.rows[-1]
        behind = Position(phase, (), last.key)
