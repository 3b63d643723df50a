"""StructureDefinition resources that are stored, as profiles: https://hl7.org/fhir/R4/structuredefinition.html

Seen through the grant of who asks: what a search of the token would not find is no profile for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from hie.errors import Forbidden
from hie.fhir.profiles import judging
from hie.fhir.profiles.library import STORED, Definition
from hie.fhir.profiles.package import slim
from hie.fhir.terminology.terminology import Known
from hie.store.search import engine
from hie.store.search.query import SearchQuery
from hie.store.terminology import StoredTerminology

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

_TYPE = "StructureDefinition"
#: Distinct definitions that one validation looks up; a resource may name thousands of extensions.
MOST_LOOKED_UP = 100
_MOST_KEPT = 200


class StoredProfiles:
    """The profiles and extensions of one tenant that a token may see, for one validation."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._found: dict[str, Definition | str | None] = {}
        self._is_empty: bool | None = None

    def find(self, canonical: str) -> Definition | None:
        """Return the definition with this URL, of the version named or else the highest in use."""
        found = self._look(canonical)
        return found if isinstance(found, Definition) else None

    def reason(self, canonical: str) -> str | None:
        """Tell why a definition that is stored cannot be used; None where there is none."""
        found = self._look(canonical)
        return found if isinstance(found, str) else None

    def _look(self, canonical: str) -> Definition | str | None:
        if canonical not in self._found:
            if len(self._found) >= MOST_LOOKED_UP or self._has_none():
                return None
            url, _, version = canonical.partition("|")
            known = StoredTerminology(self._store).find(_TYPE, url, version or None)
            self._found[canonical] = None if known is None else _JUDGED.of(known)
        return self._found[canonical]

    def _has_none(self) -> bool:
        """Tell whether there is no definition at all, as in most stores: then nothing more is asked."""
        if self._is_empty is None:
            try:
                found = engine.search(self._store, SearchQuery(_TYPE, (), count=1, total="none")).matches
            except Forbidden:
                found = []
            self._is_empty = not found
        return self._is_empty


class _Judged:
    """Definitions by the version they were read from, judged once; the least used goes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, Definition | str] = OrderedDict()

    def of(self, known: Known) -> Definition | str:
        with self._lock:
            if known.key in self._kept:
                self._kept.move_to_end(known.key)
                return self._kept[known.key]
        found = _judged(known.resource)
        with self._lock:
            self._kept[known.key] = found
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return found


def _judged(resource: dict[str, Any]) -> Definition | str:
    place = f"{_TYPE}/{resource.get('id')}"
    if not judging.usable(resource):
        return f"{place} is no profile or extension with a snapshot, so that nothing can be judged by it."
    wrong = judging.problems(resource)
    if wrong:
        return f"{place} cannot be used: {'; '.join(wrong)}"
    return Definition(slim(resource), STORED)


_JUDGED = _Judged()
