"""StructureDefinition resources that are stored, as profiles: https://hl7.org/fhir/R4/structuredefinition.html

Seen through the grant of who asks: what a search of the token would not find is no profile for it, nor the base of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hie.errors import Forbidden
from hie.fhir.profiles.library import STORED, Bases, Definition, Library
from hie.fhir.profiles.slimming import is_of_r4, slim_base
from hie.fhir.snapshots import Allowance
from hie.fhir.snapshots.problems import refused
from hie.fhir.terminology.source import Known, Source
from hie.fhir.working_time import WorkingTime
from hie.store.judged_profiles import JUDGED, Name
from hie.store.search import engine
from hie.store.search.query import SearchQuery
from hie.store.terminology import StoredTerminology

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

Json = dict[str, Any]

_TYPE = "StructureDefinition"
#: Distinct definitions that one validation looks up; a resource may name thousands of extensions.
MOST_LOOKED_UP = 100


class StoredProfiles:
    """The profiles and extensions of one tenant that a token may see, for one validation."""

    def __init__(
        self, store: ResourceStore, installed: Library, source: Source | None = None, time: WorkingTime | None = None
    ) -> None:
        self._store, self._installed = store, installed
        self._source = source or StoredTerminology(store)
        self.time = time
        """What bounds the judging by them, where others are judged in the same request."""
        self._bases = Bases(installed, STORED)
        self._known: dict[str, Known | None] = {}
        self._found: dict[str, Definition | str | None] = {}
        self._left_out: set[str] = set()
        self._allowance = Allowance()
        self._is_empty: bool | None = None

    def find(self, canonical: str) -> Definition | None:
        """Return the definition with this URL, of the version named or else the highest in use."""
        found = self._look(canonical)
        return found if isinstance(found, Definition) else None

    def reason(self, canonical: str) -> str | None:
        """Tell why a definition that is stored cannot be used; None where there is none."""
        found = self._look(canonical)
        return found if isinstance(found, str) else None

    def is_left_out(self, canonical: str) -> bool:
        """Tell whether there was no time or room to look for a definition."""
        return canonical in self._left_out

    def base(self, canonical: str) -> tuple[Name, Callable[[], Json | None]]:
        """Name the version of what profiles of this tenant are made of, and give what reads it as validation needs it:
        what is installed, R4's own, what is stored. None where the token sees none of it.
        """
        installed = self._installed.named(canonical)
        if installed is not None:
            return self._installed.edition(installed), lambda: self._bases.find(canonical)
        if is_of_r4(canonical):
            return (canonical,), lambda: self._bases.find(canonical)
        known = self._stored(canonical)
        if known is None:
            if canonical not in self._known and not self._has_none():
                raise refused(f"More than {MOST_LOOKED_UP} definitions are looked up.",
                              "StructureDefinition.baseDefinition", "too-costly")
            return None, lambda: None
        return known.key, lambda: slim_base(known.resource)

    def _look(self, canonical: str) -> Definition | str | None:
        if canonical not in self._found:
            if self._has_none():
                return None
            if self.time is None:
                return self._made(canonical)
            if not self.time.may_begin(f"the definition {canonical}"):
                self._left_out.add(canonical)
                return None
            with self.time:
                return self._made(canonical)
        return self._found[canonical]

    def _made(self, canonical: str) -> Definition | str | None:
        known = self._stored(canonical)
        if known is not None:
            self._found[canonical] = JUDGED.of(known, self.base, self._allowance)
        elif self.time is not None and canonical not in self._known:
            self._left_out.add(canonical)
            self.time.leave_out(f"the definition {canonical}", f"{MOST_LOOKED_UP} others that are not installed are "
                                "named, and no more are looked for. Name fewer in one resource.")
        return self._found.get(canonical)

    def _stored(self, canonical: str) -> Known | None:
        """Look a definition up; None where it is not there, or where too many have been looked up."""
        if canonical not in self._known:
            if len(self._known) >= MOST_LOOKED_UP or self._has_none():
                return None
            url, _, version = canonical.partition("|")
            self._known[canonical] = self._source.find(_TYPE, url, version or None)
        return self._known[canonical]

    def _has_none(self) -> bool:
        """Tell whether there is no definition at all, as in most stores: then nothing more is asked."""
        if self._is_empty is None:
            try:
                found = engine.search(self._store, SearchQuery(_TYPE, (), count=1, total="none")).matches
            except Forbidden:
                found = []
            self._is_empty = not found
        return self._is_empty
