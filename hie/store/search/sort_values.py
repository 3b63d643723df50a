"""What a resource has for one key of _sort, and where it puts it among others (ADR 19).

https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import total_ordering
from typing import Any

from hie.fhir import search_parameters
from hie.fhir.datatypes import normalize_string
from hie.fhir.search_parameters import IndexValues, SearchParameter
from hie.store.search import number
from hie.store.search.plan import indexed_by
from hie.store.search.relevance import Relevance
from hie.store.versions import StoredVersion

#: Texts are compared up to here; what is equal so far comes in the order in which it was first stored.
_LENGTH = 200


class Own:
    """The values that resources of some types have for a parameter of these."""

    def __init__(self, parameter: SearchParameter, type_names: Sequence[str], *, descending: bool) -> None:
        self.code, self._descending, self._type = parameter.code, descending, parameter.type
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
        return number.bounds(value[1], value[2])[0]  # as the index has it

    def _reference(self, value: Any, to: str | None) -> str | None:
        _, type_name, id_, url, identifier, _ = value
        if to is not None and type_name != to:
            return None
        if type_name and id_:
            return f"{type_name}/{id_}"
        text = url or (identifier[1] if identifier else None)
        return None if text is None else text[:_LENGTH]


class Fit:
    """What is no element but how well a match fits: _score, near."""

    def __init__(self, code: str, asked: Relevance) -> None:
        self._code, self._asked = code, asked

    def value(self, values: IndexValues, _: StoredVersion) -> float | None:
        """Return how well it fits, the best the least; None where that cannot be said."""
        return self._asked.place(self._code, values.root)


def placed(value: Any, *, descending: bool) -> tuple[Any, ...]:
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
