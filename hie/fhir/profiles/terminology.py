"""The value sets and code systems of packages beside those that are stored: https://hl7.org/fhir/R4/terminology-service.html"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hie.fhir.terminology.terminology import Known, Source, Terminology

from .checking import InValueSet
from .library import Definition, Library

Json = dict[str, Any]


class PackagedTerminology:
    """What a package defines goes before what others define, and before what is stored."""

    def __init__(self, library: Library, package: str, stored: Source | None) -> None:
        self._library, self._package, self._stored = library, package, stored

    def find(self, type_name: str, url: str, version: str | None) -> Known | None:
        """Return the resource with this canonical URL."""
        found = self._library.terminology(type_name, url, version, self._package)
        if found is not None:
            return Known(found[1], found[0])
        return None if self._stored is None else self._stored.find(type_name, url, version)

    def read(self, type_name: str, id_: str) -> Json:
        """Return the stored resource with this id."""
        if self._stored is None:
            raise LookupError(f"{type_name}/{id_} is not stored here.")
        return self._stored.read(type_name, id_)

    def of_all_codes(self, url: str, version: str | None) -> Known | None:
        """Return the stored code system that names this value set as that of all its codes."""
        return None if self._stored is None else self._stored.of_all_codes(url, version)

    def supplements(self, url: str) -> list[Known]:
        """Return the stored supplements of a code system."""
        return [] if self._stored is None else self._stored.supplements(url)

    def concept_maps(self, criteria: Mapping[str, str]) -> list[Json]:
        """Return the stored concept maps that match search criteria."""
        return [] if self._stored is None else self._stored.concept_maps(criteria)


def asked_by(library: Library, stored: Source | None = None) -> Callable[[Definition], InValueSet]:
    """Give what answers the bindings of a profile: one terminology for each package, kept for one validation."""
    kept: dict[str, Terminology] = {}

    def of(definition: Definition) -> InValueSet:
        if definition.package not in kept:
            kept[definition.package] = Terminology(PackagedTerminology(library, definition.package, stored))
        return kept[definition.package].in_value_set

    return of
