"""Order by what an index tells first, and by what it does not only among those alike in that: `_sort=-date,code`.

Rows are met in the order of the first keys. Those alike in all of these are opened and sorted by the others, alike
after alike until the page is full. https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from hie.store.search import ordering, pages
from hie.store.search.asked import Asked
from hie.store.search.chained_order import AT_ONCE as TOGETHER
from hie.store.search.chained_order import SortValues, Values
from hie.store.search.opened_order import Match, Sorted, led
from hie.store.search.ordering import Position
from hie.store.search.pages import Found, Part
from hie.store.search.query import SearchQuery
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: So many rows more than a page are read at once, among which the next tie ends; of a large page so many at once.
MORE, AT_ONCE = 20, 1_000
#: Above all keys of rows.
_LAST_KEY = 2**63 - 1


def nearest(
    store: ResourceStore, query: SearchQuery, asked: Asked, position: Position | None, wanted: int
) -> list[tuple[Values, Match]]:
    """Return the matches next to a position, the nearest first, with what they are sorted by; TooCostly."""
    first = led(query)
    count = len(first.sort)
    parts = pages.parts_of(store, first, asked)
    edge = None if position is None or position.phase is None else position
    start = position if edge is None else _start_of_tie(edge, count, parts)
    at_once = min(wanted + MORE, AT_ONCE)
    rows = SortValues(store, query, count).each(_opened(store, asked, parts, start, at_once), min(at_once, TOGETHER))
    found: list[tuple[Values, Match]] = []
    for values, tied in groupby(rows, key=lambda row: row[1][0][0]):
        is_edge = edge is not None and values == edge.values[:count]
        inside = None if position is None else replace(position, phase=0 if is_edge else None,
                                                       values=position.values[count:])  # fmt: skip
        ordered = Sorted(query, inside, wanted - len(found), behind=count)
        ordered.take((own, (key, version)) for own, ((_, key), version) in tied)
        found += [((*values, *own), match) for own, match in ordered.found]
        if len(found) >= wanted:
            break
    return found


def _start_of_tie(edge: Position, count: int, parts: Sequence[Part]) -> Position:
    """Return the position before all rows that are alike in the first keys with that of a page's end."""
    values = edge.values[:count]
    number = ordering.placed(values, [part.phase for part in parts])
    falls = ordering.falls(parts[number].phase) != edge.backward
    return replace(edge, phase=number, values=values, key=_LAST_KEY if falls else -1)


def _opened(
    store: ResourceStore, asked: Asked, parts: Sequence[Part], start: Position | None, at_once: int
) -> Iterator[tuple[tuple[Values, int], StoredVersion]]:
    """Yield the values of the first keys and the row's key with each match, opened a batch at a time."""
    rows = pages.rows_behind(store, asked, parts, start, _LAST_KEY, at_once)
    while True:
        found = Found()
        for row, version in rows:
            found.add(row, version)
            if len(found.rows) == at_once:
                break
        for (number, row), version in zip(found.rows, pages.each_found(store, parts, found, at_once), strict=True):
            yield (pages.sort_values(parts[number], row), row.key), version
        if len(found.rows) < at_once:
            return
