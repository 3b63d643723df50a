"""Stored StructureDefinitions made ready to judge by, once for each version; the least used goes first.

One without a snapshot is made of others, which another token may not see, or which change: what is kept of it is good
where each of them is what it was.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from hie.fhir import json_format, modifiers
from hie.fhir.profiles import judging
from hie.fhir.profiles.library import STORED, Definition
from hie.fhir.profiles.making import NotMade, made
from hie.fhir.profiles.slimming import slim, slim_base
from hie.fhir.snapshots import Allowance
from hie.fhir.terminology.source import Known

Json = dict[str, Any]

#: What tells one version of a definition from others; None: there is none.
Name = Hashable
#: Tells what a canonical URL means to a token, and reads that.
Bases = Callable[[str], tuple[Name, Callable[[], "Json | None"]]]

#: Definitions, ways in which one was made, and bytes of all of them as JSON.
_MOST_KEPT, _MOST_WAYS, _MOST_BYTES = 200, 4, 16_000_000


class _Judged(NamedTuple):
    """A definition, or why it cannot be used, and what it was made of."""

    found: Definition | str
    made_of: dict[str, Name]
    size: int


class Judged:
    """What is kept of stored definitions, for all tenants of a process: the name of a version has its tenant's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[_Judged, ...]] = OrderedDict()
        self._size = 0

    def of(self, known: Known, bases: Bases, allowance: Allowance) -> Definition | str:
        """Return a definition that resources can be judged by, or say why it cannot be used."""
        with self._lock:
            ways = self._kept.get(known.key, ())
            if ways:
                self._kept.move_to_end(known.key)
        for one in ways:
            if all(bases(canonical)[0] == name for canonical, name in one.made_of.items()):
                return one.found
        judged, is_lasting = _judge(known.resource, bases, allowance)
        if is_lasting:
            self._keep(known.key, judged)
        return judged.found

    def _keep(self, key: Hashable, judged: _Judged) -> None:
        with self._lock:
            before = self._kept.pop(key, ())
            self._kept[key] = (judged, *before)[:_MOST_WAYS]
            self._size += _size(self._kept[key]) - _size(before)
            while len(self._kept) > _MOST_KEPT or (self._size > _MOST_BYTES and len(self._kept) > 1):
                self._size -= _size(self._kept.popitem(last=False)[1])


def _judged(found: Definition | str, made_of: dict[str, Name]) -> _Judged:
    return _Judged(found, made_of, len(found if isinstance(found, str) else json_format.dump(found.resource)))


def _size(ways: tuple[_Judged, ...]) -> int:
    return sum(one.size for one in ways)


def _judge(resource: Json, bases: Bases, allowance: Allowance) -> tuple[_Judged, bool]:
    """Judge a definition; what came of it is not lasting where too much had been made before."""
    place = f"StructureDefinition/{resource.get('id')}"
    if _is_modified(resource):
        told = f"{place} has modifier extensions or implicitRules: what these make of it is not known here."
        return _judged(told, {}), True
    if judging.usable(resource):
        wrong = judging.problems(resource)
        found = f"{place} cannot be used: {'; '.join(wrong)}" if wrong else Definition(slim(resource), STORED)
        return _judged(found, {}), True
    if not judging.makeable(resource):
        told = f"{place} is no profile or extension with a snapshot or a differential: nothing can be judged by it."
        return _judged(told, {}), True
    seen = _Seen(bases)
    try:
        return _judged(Definition(made(slim_base(resource), seen, allowance), STORED), seen.names), True
    except NotMade as error:
        return _judged(f"{place} cannot be used: {error}", seen.names), not error.is_costly


def _is_modified(resource: Json) -> bool:
    """Tell whether a profile may mean something else: https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    views = (resource.get(name) for name in ("snapshot", "differential"))
    elements = (one for view in views if view is not None for one in view.get("element", ()))
    return modifiers.has(resource) or any(map(modifiers.has, elements))


class _Seen:
    """Definitions, and the names of those that were asked for."""

    def __init__(self, bases: Bases) -> None:
        self._bases = bases
        self.names: dict[str, Name] = {}

    def find(self, canonical: str) -> Json | None:
        """Return the definition with this canonical URL; None where it is not here."""
        self.names[canonical], read = self._bases(canonical)
        return read()


JUDGED = Judged()
