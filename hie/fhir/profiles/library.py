"""The profiles of all installed packages, found by canonical URL: https://hl7.org/fhir/R4/references.html#canonical"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Protocol

from hie.fhir.version_order import version_order
from hie.fhir.working_time import WorkingTime

from . import making, specification
from .package import Package
from .slimming import as_base, base_of_r4, is_of_r4
from .tree import Node, build

Json = dict[str, Any]

#: In place of a package's name: of a definition that is stored as a resource.
STORED = ""


class Definition:
    """A profile or extension of one package; its tree is made when it is first asked for."""

    __slots__ = ("_tree", "package", "resource", "type", "url", "version")

    def __init__(self, resource: Json, package: str) -> None:
        self.resource = resource
        self.package = package
        self.url: str = resource["url"]
        self.version = str(resource.get("version", ""))
        self.type: str = resource.get("type", "")
        self._tree: tuple[Node, dict[str, Node]] | None = None

    @property
    def is_stored(self) -> bool:
        """Tell whether a client stored it, rather than an operator installed it."""
        return self.package == STORED

    @property
    def has_snapshot(self) -> bool:
        """Tell whether it can be asked as it is, rather than after a snapshot is made."""
        return "snapshot" in self.resource

    @property
    def root(self) -> Node:
        """The definition of the resource or value itself."""
        return self._built()[0]

    def node(self, identifier: str) -> Node | None:
        """Give the element with an id, as contentReference names it."""
        return self._built()[1].get(identifier)

    def _built(self) -> tuple[Node, dict[str, Node]]:
        if self._tree is None:
            self._tree = build(self.resource["snapshot"]["element"])
        return self._tree

    @property
    def canonical(self) -> str:
        """URL and version, as a message names the profile."""
        return f"{self.url}|{self.version}" if self.version else self.url


def of_r4(canonical: str) -> Definition | None:
    """Find one of R4's own profiles and extensions, which need not be installed; None where R4 has none."""
    return _of_r4(canonical.partition("|")[0]) if is_of_r4(canonical) else None


@cache
def _of_r4(url: str) -> Definition | None:
    found = specification.find(url)
    return None if found is None else Definition(found, specification.PACKAGE)


class Library:
    """What packages define. A name without version means the asking package's own, else the highest there is."""

    def __init__(self, packages: Iterable[Package] = ()) -> None:
        self._definitions: dict[str, list[Definition]] = {}
        self._terminology: dict[tuple[str, str], list[tuple[str, Json]]] = {}
        self.packages = {one.key: one for one in packages}
        self._made: dict[tuple[str, str], Definition | str] = {}
        self._digests = {one.key: (one.key, one.digest) for one in self.packages.values()}
        for one in self.packages.values():
            for resource in one.resources:
                if resource["resourceType"] == "StructureDefinition":
                    found = Definition(resource, one.key)
                    self._definitions.setdefault(found.url, []).append(found)
                else:
                    place = (resource["resourceType"], resource["url"])
                    self._terminology.setdefault(place, []).append((one.key, resource))
        for rows in self._terminology.values():
            rows.sort(key=lambda row: version_order(str(row[1].get("version", ""))), reverse=True)
        for ones in self._definitions.values():
            ones.sort(key=lambda one: version_order(one.version), reverse=True)

    def find(self, canonical: str, asking: str | None = None) -> Definition | None:
        """Find a definition that can be used; None where no package nor R4 has it, or not in the version asked for."""
        found = self.named(canonical, asking)
        if found is None:
            return of_r4(canonical)
        if found.has_snapshot:
            return found
        usable = self._usable(found)
        return None if isinstance(usable, str) else usable

    def reason(self, canonical: str) -> str | None:
        """Tell why an installed definition cannot be used; None where it can, or where there is none."""
        found = self.named(canonical)
        usable = found if found is None or found.has_snapshot else self._usable(found)
        return usable if isinstance(usable, str) else None

    def _usable(self, found: Definition) -> Definition | str:
        """Make the snapshot of a profile that came without one, once."""
        mark = (found.package, found.canonical)
        if mark not in self._made:
            bases = Bases(self, found.package)
            try:
                resource = making.made(bases.pinned(found), bases)
                self._made[mark] = Definition(resource, found.package)
            except making.NotMade as error:
                self._made[mark] = f"{found.canonical} of {found.package} cannot be used: {error}"
        return self._made[mark]

    def named(self, canonical: str, asking: str | None = None) -> Definition | None:
        """Find a definition, whether it has a snapshot or only a differential."""
        url, _, version = canonical.partition("|")
        ones = self._definitions.get(url, ())
        if version:
            return next((one for one in ones if one.version == version), None)
        return next((one for one in ones if one.package == asking), ones[0] if ones else None)

    def profiles_of(self, type_name: str) -> list[str]:
        """Name the profiles on a resource type, for the CapabilityStatement."""
        return sorted(
            url
            for url, ones in self._definitions.items()
            if any(one.type == type_name and one.resource.get("kind") == "resource" for one in ones)
        )

    def terminology(
        self, type_name: str, url: str, version: str | None, asking: str
    ) -> tuple[tuple[str, ...], Json] | None:
        """Find a value set or code system, the asking package's own first; with a name for this version of it."""
        rows = [one for one in self._terminology.get((type_name, url), ()) if version in (None, one[1].get("version"))]
        found = next((one for one in rows if one[0] == asking), rows[0] if rows else None)
        return None if found is None else ((*self._digests[found[0]], type_name, url), found[1])

    def edition(self, definition: Definition) -> tuple[str, ...]:
        """Name the version of a definition of these packages, so that another one has another name."""
        return (*self._digests[definition.package], definition.canonical)

    def code_systems(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        """Give every code system of every package, of one URL the highest version first; each with its name."""
        for (type_name, url), rows in self._terminology.items():
            if type_name == "CodeSystem":
                yield from (((*self._digests[package], type_name, url), resource) for package, resource in rows)

    def systems_with_codes(self) -> tuple[tuple[str, str | None], ...]:
        """Give URL and version of every code system whose codes are here."""
        ones = (resource for _, resource in self.code_systems())
        return tuple((one["url"], one.get("version")) for one in ones
                     if one.get("content") not in ("not-present", "supplement"))


class Bases:
    """What profiles of one package are made of: what is installed, and R4."""

    def __init__(self, library: Library, asking: str) -> None:
        self._library, self._asking = library, asking

    def find(self, canonical: str) -> Json | None:
        """Return the definition with this canonical URL, as far as validation needs it."""
        found = self._library.named(canonical, self._asking)
        return self.pinned(found) if found is not None else base_of_r4(canonical)

    def pinned(self, definition: Definition) -> Json:
        """Return a definition as what others are made of."""
        return pinned(as_base(definition.resource), definition, self._library)


def pinned(resource: Json, definition: Definition, library: Library) -> Json:
    """Return what an installed definition says, with that base which its own package means."""
    base = resource.get("baseDefinition")
    named = None if base is None or "|" in base else library.named(base, definition.package)
    return resource if named is None else {**resource, "baseDefinition": named.canonical}


class Stored(Protocol):
    """The definitions that are stored as resources, as far as who asks may see them."""

    time: WorkingTime | None
    """What bounds the judging by them, if anything does."""

    def find(self, canonical: str) -> Definition | None:
        """Find a definition that can be used."""

    def reason(self, canonical: str) -> str | None:
        """Tell why one that is stored cannot be used."""

    def is_left_out(self, canonical: str) -> bool:
        """Tell whether it was not looked for, which is told elsewhere."""


class WithStored(Library):
    """What is installed, and behind it what is stored."""

    def __init__(self, installed: Library, stored: Stored) -> None:
        self._installed, self._stored = installed, stored
        self.packages = installed.packages

    def find(self, canonical: str, asking: str | None = None) -> Definition | None:
        """Find a definition; an installed one goes first."""
        return self._installed.find(canonical, asking) or self._stored.find(canonical)

    def reason(self, canonical: str) -> str | None:
        """Tell why a definition cannot be used; an installed one goes first."""
        return self._installed.reason(canonical) or self._stored.reason(canonical)

    def terminology(
        self, type_name: str, url: str, version: str | None, asking: str
    ) -> tuple[tuple[str, ...], Json] | None:
        """Find a value set or code system of the installed packages."""
        return self._installed.terminology(type_name, url, version, asking)

    def code_systems(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        """Give every code system of the installed packages."""
        return self._installed.code_systems()
