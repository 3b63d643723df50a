"""The value sets and code systems of packages beside those that are stored: https://hl7.org/fhir/R4/terminology-service.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hie.errors import TooCostly
from hie.fhir.terminology.source import Known, Source
from hie.fhir.terminology.terminology import Terminology, split_canonical
from hie.fhir.working_time import WorkingTime

from .checking import InValueSet
from .library import STORED, Definition, Library

Json = dict[str, Any]


class InstalledTerminology:
    """What packages define, behind what is stored: as the specification's own, it is open to everybody."""

    def __init__(self, stored: Source, library: Callable[[], Library]) -> None:
        self._stored, self._library = stored, library

    def find(self, type_name: str, url: str, version: str | None) -> Known | None:
        """Return the resource with this canonical URL."""
        return self._stored.find(type_name, url, version) or _installed(self._library(), type_name, url, version)

    def read(self, type_name: str, id_: str) -> Json:
        """Return the stored resource with this id."""
        return self._stored.read(type_name, id_)

    def of_all_codes(self, url: str, version: str | None) -> Known | None:
        """Return the code system that names this value set as that of all its codes."""
        return self._stored.of_all_codes(url, version) or _of_all_codes(self._library(), url, version)

    def supplements(self, url: str) -> list[Known]:
        """Return the supplements of a code system."""
        return [*self._stored.supplements(url), *_supplements(self._library(), url)]

    def concept_maps(self, criteria: Mapping[str, str]) -> list[Json]:
        """Return the stored concept maps that match search criteria."""
        return self._stored.concept_maps(criteria)


class PackagedTerminology:
    """What a package defines goes before what others define, and before what is stored."""

    def __init__(self, library: Library, package: str, stored: Source | None) -> None:
        self._library, self._package, self._stored = library, package, stored

    def find(self, type_name: str, url: str, version: str | None) -> Known | None:
        """Return the resource with this canonical URL."""
        found = _installed(self._library, type_name, url, version, self._package)
        if found is not None:
            return found
        return None if self._stored is None else self._stored.find(type_name, url, version)

    def read(self, type_name: str, id_: str) -> Json:
        """Return the stored resource with this id."""
        if self._stored is None:
            raise LookupError(f"{type_name}/{id_} is not stored here.")
        return self._stored.read(type_name, id_)

    def of_all_codes(self, url: str, version: str | None) -> Known | None:
        """Return the code system that names this value set as that of all its codes."""
        found = _of_all_codes(self._library, url, version)
        if found is not None:
            return found
        return None if self._stored is None else self._stored.of_all_codes(url, version)

    def supplements(self, url: str) -> list[Known]:
        """Return the supplements of a code system."""
        return [*_supplements(self._library, url), *([] if self._stored is None else self._stored.supplements(url))]

    def concept_maps(self, criteria: Mapping[str, str]) -> list[Json]:
        """Return the stored concept maps that match search criteria."""
        return [] if self._stored is None else self._stored.concept_maps(criteria)


Service = Callable[[str, Callable[[], Terminology]], Terminology]
"""Gives the terminology of a name, made by what follows."""


def made_anew(_name: str, make: Callable[[], Terminology]) -> Terminology:
    """Make a terminology each time."""
    return make()


def asked_by(
    library: Library, stored: Source | None = None, time: WorkingTime | None = None, service: Service = made_anew
) -> Callable[[Definition], InValueSet]:
    """Give what answers the bindings of a profile: one terminology for each package, kept for one validation.

    Where there is no time left it is not told whether a code is in a value set. `service` may have one made before.
    """
    kept: dict[str, InValueSet] = {}

    def of(definition: Definition) -> InValueSet:
        if definition.package not in kept:
            source = PackagedTerminology(library, definition.package, stored)
            of_package = service(definition.package, lambda: Terminology(source)).in_value_set
            kept[definition.package] = of_package if time is None else within(time, of_package)
        return kept[definition.package]

    return of


def within(time: WorkingTime, asked: InValueSet) -> InValueSet:
    """Ask while there is time; a value set that there is none for, or that looks at too much, is left out."""

    def in_value_set(url: str, system: str | None, code: str) -> bool | None:
        if not time.may_begin(f"the value set {url}"):
            return None
        try:
            with time:
                return asked(url, system, code)
        except TooCostly as error:
            time.leave_out(f"the value set {url}", error.diagnostics)
            return None

    return in_value_set


def _installed(
    library: Library, type_name: str, url: str, version: str | None, asking: str = STORED
) -> Known | None:
    found = library.terminology(type_name, url, version, asking)
    return None if found is None else Known(found[1], found[0])


def _of_all_codes(library: Library, url: str, version: str | None) -> Known | None:
    """https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.valueSet"""
    named = url if version is None else f"{url}|{version}"
    ones = (one for one in _systems(library) if one.resource.get("content") != "supplement")
    return next((one for one in ones if named in _names(str(one.resource.get("valueSet", "")))), None)


def _supplements(library: Library, url: str) -> Iterator[Known]:
    for one in _systems(library):
        of = split_canonical(str(one.resource.get("supplements", "")))[0]
        if one.resource.get("content") == "supplement" and of == url:
            yield one


def _systems(library: Library) -> Iterator[Known]:
    return (Known(resource, name) for name, resource in library.code_systems())


def _names(canonical: str) -> tuple[str, str]:
    return canonical, split_canonical(canonical)[0]
