"""Order by what the index does not tell: names, codes, references, uris, dates of birth, how well a match fits.

An index in the order of names would tell names. So the matches are opened, a batch at a time, and only the best of a
page are kept; a search with too many matches is refused: docs/adr/0019-sorting-by-what-is-sealed.md
https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import total_ordering
from itertools import takewhile
from typing import Any

from hie.errors import TooCostly
from hie.fhir import search_parameters
from hie.fhir.datatypes import normalize_string
from hie.fhir.search_parameters import IndexValues, SearchParameter, extract
from hie.store.contents import LARGE
from hie.store.opening import parsed
from hie.store.search.ordering import Position
from hie.store.search.plan import indexed_by, plan_of
from hie.store.search.query import SearchQuery, SortKey, is_ordered
from hie.store.search.relevance import Relevance
from hie.store.versions import StoredVersion

#: So many matches are opened for one page at most, 20 to 50 µs each.
MOST = 20_000
#: Texts are compared up to here; what is equal so far comes in the order in which it was first stored.
_LENGTH = 200

Values = tuple[Any, ...]
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
        names = sorted(query.types) if query.types else [query.type or "Resource"]
        asked = Relevance.asked(query.criteria)
        self._keys = [_Fit(one, asked) if one.parameter.is_special else _Key(one, names)
                      for one in query.sort[behind:]]
        self._alike = [one.parameter.code for one in query.sort[:behind]]
        self._backward = position is not None and position.backward
        no_row = position is None or position.phase is None
        self._edge = None if position is None or no_row else self._order(position.values, position.key)
        self._wanted = wanted
        self.total = 0
        self.found: list[tuple[Values, Match]] = []

    def take(self, matches: Iterable[Match]) -> None:
        """Look at every match; TooCostly."""
        nearest = heapq.nlargest if self._backward else heapq.nsmallest
        best = nearest(self._wanted, self._placed(matches), key=lambda one: one[0])
        self.found = [(values, match) for _, values, match in best]

    def _placed(self, matches: Iterable[Match]) -> Iterator[tuple[Any, Values, Match]]:
        for match in matches:
            self.total += 1
            if self.total > MOST:
                raise self._too_many()
            content = parsed(match[1])
            values = extract(content)
            own = tuple(key.value(values, match[1]) for key in self._keys)
            order = self._order(own, match[0])
            if self._edge is None or (order <= self._edge if self._backward else order > self._edge):
                yield order, own, (match[0], _light(match[1]))

    def _too_many(self) -> TooCostly:
        names = ", ".join(one.code for one in self._keys)
        alike = f", alike in {', '.join(self._alike)}" if self._alike else ""
        return TooCostly(
            f"More than {MOST} resources match{alike}, and sorting by {names} opens each of them, as no index may tell "
            "such an order; narrow the search, or sort by what has an index: _lastUpdated, _id, dates and numbers.",
            expression="_sort",
        )

    def _order(self, values: Sequence[Any], row: int) -> tuple[Any, ...]:
        return (*(key.place(value) for key, value in zip(self._keys, values, strict=True)), row)


def _light(version: StoredVersion) -> StoredVersion:
    """Let a large content go, which is read again if it comes to stand on the page (ResourceStore.whole)."""
    is_large = version.fragment != "" and len(version.content or b"") > LARGE
    return version._replace(content=None) if is_large else version


class _Key:
    """One key of _sort: what a resource has for it, and where that puts the resource."""

    def __init__(self, key: SortKey, type_names: Sequence[str]) -> None:
        self.code, self._descending = key.parameter.code, key.descending
        self._type = key.parameter.type
        of_each = {name: search_parameters.for_type(name)[self.code] for name in type_names}
        self._to = {name: one.restricts[1] for name, one in of_each.items() if one.restricts}
        self._answers = {name: frozenset(_codes(name, one)) for name, one in of_each.items()}
        self._only = type_names[0] if len(type_names) == 1 else None

    def value(self, values: IndexValues, version: StoredVersion) -> Any:
        """Return the least of a resource's values, descending the greatest; None where it has none."""
        if self.code == "_id":
            return version.id if version.fragment is None else version.fragment
        if self.code == "_lastUpdated":
            return version.updated
        name = self._only or values.root["resourceType"]
        found = [one for value in self._all(values) if (one := self._one(value, name)) is not None]
        if not found:
            return None
        return max(found) if self._descending else min(found)

    def _all(self, values: IndexValues) -> Iterator[Any]:
        answers = self._answers[self._only or values.root["resourceType"]]
        for value in getattr(values, _KINDS[self._type]):
            if value[0] in answers:
                yield value

    def _one(self, value: Any, type_name: str) -> Any:
        match self._type:
            case "string":
                return normalize_string(value[1])[:_LENGTH]
            case "token":
                return f"{value[2]}\n{value[1] or ''}"[:_LENGTH]
            case "reference":
                return self._reference(value, self._to.get(type_name))
            case "uri":
                return value[1][:_LENGTH]
            case "date":
                return value[1]
        return float("-inf") if value[1] is None else float(value[1])

    def _reference(self, value: Any, to: str | None) -> str | None:
        _, type_name, id_, url, identifier, _ = value
        if to is not None and type_name != to:
            return None
        if type_name and id_:
            return f"{type_name}/{id_}"
        text = url or (identifier[1] if identifier else None)
        return None if text is None else text[:_LENGTH]

    def place(self, value: Any) -> tuple[Any, ...]:
        """Return what is compared."""
        return _placed(value, descending=self._descending)


class _Fit:
    """One key of _sort that is no element but how well a match fits: _score, near."""

    def __init__(self, key: SortKey, asked: Relevance) -> None:
        self.code, self._descending, self._asked = key.parameter.code, key.descending, asked

    def value(self, values: IndexValues, _: StoredVersion) -> float | None:
        """Return how well it fits, the best the least; None where that cannot be said."""
        return self._asked.place(self.code, values.root)

    def place(self, value: Any) -> tuple[Any, ...]:
        """Return what is compared."""
        return _placed(value, descending=self._descending)


def _placed(value: Any, *, descending: bool) -> tuple[Any, ...]:
    """Return what is compared: missing values come last, whatever the direction."""
    if value is None:
        return (1, 0)
    return (0, _Down(value) if descending else value)


_KINDS = {
    "string": "strings", "token": "tokens", "reference": "references", "uri": "uris", "date": "dates",
    "number": "numbers", "quantity": "quantities",
}  # fmt: skip


def _codes(type_name: str, parameter: SearchParameter) -> Iterator[str]:
    for one in indexed_by(type_name, parameter):
        yield one.code


@total_ordering
class _Down:
    """A value that is the smaller the greater it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and self.value == other.value

    def __lt__(self, other: _Down) -> bool:
        return bool(other.value < self.value)

    def __hash__(self) -> int:
        return hash(self.value)
