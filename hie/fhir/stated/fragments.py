"""Canonicals that mean what is contained (`#id`): it is there. https://hl7.org/fhir/R4/references.html#canonical

Those of References are asked with the structure (ref-1).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from hie.fhir.facts import NAMES_KEPT
from hie.fhir.fhirpath import model
from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem

from .walk import Found


class Fragments:
    """What each resource seen so far contains."""

    def __init__(self) -> None:
        self._contained: dict[str, frozenset[str]] = {}

    def of(self, one: Found) -> Iterator[Problem]:
        """Tell the canonicals of an object that mean nothing in the resource that it is of."""
        if one.path == one.root:
            self._contained[one.root] = _ids(one.value.get("contained"))
        for name, element in _canonicals(one.type):
            if name not in one.value:
                continue
            value = one.value[name]
            is_list = isinstance(value, list)
            for index, text in enumerate(value if is_list else (value,)):
                if isinstance(text, str) and text[:1] == "#" and not self._knows(one, text[1:]):
                    where = f".{element}[{index}]" if is_list else f".{element}"
                    yield where, "error", "not-found", f"{shown(text)} names no contained resource of this resource."

    def _knows(self, one: Found, id_: str) -> bool:
        return not id_ or id_ in self._contained.get(one.root, ())


def _ids(contained: Any) -> frozenset[str]:
    rows = contained if isinstance(contained, list) else ()
    return frozenset(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)


@lru_cache(maxsize=NAMES_KEPT)
def _canonicals(type_name: str) -> tuple[tuple[str, str], ...]:
    """Give the JSON property and the element of each canonical of a type."""
    return tuple((property_, child.name) for child in model.children(type_name).values()
                 for property_, kind in child.forms if kind == "canonical")
