"""Order by what the index does not tell: names, codes, references, uris, dates of birth, how well a match fits.

An index in the order of names would tell names. So the matches are opened, a batch at a time, and only the best of a
page are kept; a search with too many matches is refused: docs/adr/0019-sorting-by-what-is-sealed.md
https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from hie.errors import TooCostly
from hie.store.search.chained_order import Values
from hie.store.search.ordering import Position
from hie.store.search.plan import plan_of
from hie.store.search.query import SearchQuery
from hie.store.search.sort_keys import SortKey, is_ordered
from hie.store.search.sort_values import placed
from hie.store.versions import StoredVersion

#: So many matches are opened for one page at most, 20 to 50 µs each.
MOST = 20_000

Match = tuple[int, StoredVersion]
"""The row's key, and the resource."""


def is_needed(query: SearchQuery) -> bool:
    """Tell whether a key of the search is in no index's order."""
    return len(led(query).sort) < len(query.sort)


def led(query: SearchQuery) -> SearchQuery:
    """Return the search sorted only by those of its first keys that are in an index's order."""
    known = takewhile(lambda one: is_ordered(one.parameter) and _is_of_one_index(query, one), query.sort)
    return replace(query, sort=tuple(known))


def _is_of_one_index(query: SearchQuery, key: SortKey) -> bool:
    """Tell whether the order of several types stands in one place: that of their primary dates, and of every row."""
    code = key.parameter.code
    return query.types is None or code in ("_id", "_lastUpdated") or all(
        plan_of(one).primary_date == code for one in query.types)


class Sorted:
    """The matches next to a position, the nearest first, and how many matches there are in all.

    `behind`: so many of the first keys say nothing, as the matches are alike in them.
    """

    def __init__(self, query: SearchQuery, position: Position | None, wanted: int, behind: int = 0) -> None:
        self._keys, self._alike = query.sort[behind:], query.sort[:behind]
        self._backward = position is not None and position.backward
        no_row = position is None or position.phase is None
        self._edge = None if position is None or no_row else self._order(position.values, position.key)
        self._wanted = wanted
        self.total = 0
        self.found: list[tuple[Values, Match]] = []

    def take(self, matches: Iterable[tuple[Values, Match]]) -> None:
        """Look at every match, with what it is sorted by; TooCostly."""
        nearest = heapq.nlargest if self._backward else heapq.nsmallest
        best = nearest(self._wanted, self._placed(matches), key=lambda one: one[0])
        self.found = [(values, match) for _, values, match in best]

    def _placed(self, matches: Iterable[tuple[Values, Match]]) -> Iterator[tuple[Any, Values, Match]]:
        for values, match in matches:
            self.total += 1
            if self.total > MOST:
                raise self._too_many()
            order = self._order(values, match[0])
            if self._edge is None or (order <= self._edge if self._backward else order > self._edge):
                yield order, values, match

    def _too_many(self) -> TooCostly:
        names = ", ".join(one.name for one in self._keys)
        alike = f", alike in {', '.join(one.name for one in self._alike)}" if self._alike else ""
        return TooCostly(
            f"More than {MOST} resources match{alike}, and sorting by {names} opens each of them, as no index may tell "
            "such an order; narrow the search, or sort by what has an index: _lastUpdated, _id, dates and numbers.",
            expression="_sort",
        )

    def _order(self, values: Sequence[Any], row: int) -> tuple[Any, ...]:
        return (*(placed(value, descending=key.descending) for key, value in zip(self._keys, values, strict=True)), row)
