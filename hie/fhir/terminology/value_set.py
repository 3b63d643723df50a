"""What is in a value set, by its compose or by the expansion it carries: https://hl7.org/fhir/R4/valueset.html#compositions

Membership has three answers: yes, no, and None where the content of a code system is not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hie.errors import FhirError, TooCostly, Unprocessable
from hie.fhir import modifiers
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.included import Part, both, shown
from hie.fhir.terminology.member import Member, carried

if TYPE_CHECKING:
    from hie.fhir.terminology.terminology import Terminology

Json = dict[str, Any]


def place_of(resource: Json, container: Json | None = None) -> str:
    """Name a value set among those that include one another: by URL and version, or by its id inside another one."""
    if container is not None:
        return f"{place_of(container)}#{resource.get('id')}"
    url = str(resource.get("url", ""))
    return f"{url}|{resource['version']}" if url and "version" in resource else url


class ValueSet:
    """One value set; `within` names the value sets that led here, so that a circle is noticed.

    `container` is the resource that contains it, where one does: a resource inside refers to its neighbours by #id.
    """

    def __init__(
        self, resource: Json, terminology: Terminology, within: tuple[str, ...] = (), container: Json | None = None
    ) -> None:
        self.resource = resource
        self.container = resource if container is None else container
        self._terminology = terminology
        place = place_of(resource, container)
        self.within = (*within, place) if place else within
        compose = resource.get("compose")
        self.locked_at: str | None = (compose or {}).get("lockedDate")
        self._is_modified = modifiers.of_value_set(resource)
        self._expansion = None if self._is_modified else carried(resource)
        self._with_inactive = compose is None or compose.get("inactive") is not False
        supplements = list(dict.fromkeys(
            one["valueCanonical"] for one in resource.get("extension", [])
            if one.get("url", "").endswith("/valueset-supplement") and "valueCanonical" in one)
            | dict.fromkeys(terminology.used_supplements))
        self._unmet = _unmet(supplements, terminology)
        self._includes = [Part(one, self, terminology, supplements) for one in (compose or {}).get("include", [])]
        self._excludes = [Part(one, self, terminology, supplements) for one in (compose or {}).get("exclude", [])]
        self._listed_codes: dict[str, set[str]] = {}
        self._others: list[Part] = []  # whose codes are not simply listed
        for part in self._includes:
            if part.listed_codes is not None:
                self._listed_codes.setdefault(part.url, set()).update(part.listed_codes)
            if part.listed_codes is None or part.is_folded:
                self._others.append(part)

    @property
    def size(self) -> int:
        """Count the codes that it lists itself."""
        return len(self._expansion or ()) + sum(one.size for one in (*self._includes, *self._excludes))

    @property
    def has_imports(self) -> bool:
        """Tell whether it takes over what other value sets have."""
        return any(one.has_imports for one in (*self._includes, *self._excludes))

    def has(self, system: str | None, code: str) -> bool | None:
        """Tell whether a code is in the value set; without a system, whether it is one of any system."""
        self._terminology.spend(1)
        if self._is_modified:
            return None
        if self._unmet is not None:
            return None if self._expansion is None else self._expanded(system, code) is not None
        if not self._includes:
            return None if self._expansion is None else self._expanded(system, code) is not None
        found = self._is_listed(system, code) or _any(one.has(system, code) for one in self._others)
        if found is not False and self._excludes:
            found = both(found, _not(_any(one.has(system, code) for one in self._excludes)))
        if found is True and not self._with_inactive:
            found = not self._is_inactive(system, code)
        return self._expanded(system, code) is not None if found is None and self._expansion is not None else found

    def _is_listed(self, system: str | None, code: str) -> bool:
        if system is not None:
            return code in self._listed_codes.get(system, ())
        self._terminology.spend(len(self._listed_codes) // 10)
        return any(code in codes for codes in self._listed_codes.values())

    def member(self, system: str | None, code: str) -> Member | None:
        """Return a code that is in the value set with what is known of it."""
        if self._expansion is not None and (found := self._expanded(system, code)) is not None:
            return found
        return next((found for one in self._includes if (found := one.member(system, code)) is not None), None)

    def versions_of(self, system: str, code: str) -> Iterator[str | None]:
        """Yield the version in which each include has a code of a code system; None where it may be any."""
        if self._expansion is not None and (found := self._expanded(system, code)) is not None:
            yield found.version
        for one in self._includes:
            if (member := one.member(system, code)) is not None:
                yield None if one.has_all_versions else member.version

    def members(self) -> dict[tuple[str, str], Member]:
        """Return every code in the order of the definition; the error says why they cannot be listed."""
        try:
            return self._listed()
        except FhirError as error:
            if self._expansion is None or isinstance(error, TooCostly):
                raise
            return self._expansion

    def systems(self) -> Iterator[CodeSystem]:
        """Yield the code systems that are used."""
        for one in (*self._includes, *self._excludes):
            yield from one.systems()

    def problems(self, system: str | None) -> Iterator[FhirError]:
        """Yield why the codes of a code system that is named are not known here; None: of any that is."""
        for part in (*self._includes, *self._excludes):
            yield from part.problems(system)

    @property
    def is_open(self) -> bool:
        """Tell whether it has codes that a grammar makes and nobody lists."""
        return any(one.is_open for one in self._includes)

    def named_systems(self) -> Iterator[str]:
        """Yield the URL of every code system that it may have codes of, be the system here or not."""
        for one in self._includes:
            yield from one.named_systems()
        yield from (system for system, _ in self._expansion or ())

    def whole_systems(self) -> list[tuple[str, CodeSystem | None]] | None:
        """Return the code systems that make up the value set where it is all codes of each; None for any other.

        Each by its URL and as it is here, in the version that is meant; None where it is not here.
        """
        parts = self._includes
        if self._is_modified or self._unmet or self._excludes or not parts or not self._with_inactive:
            return None
        if not all(one.is_whole for one in parts):
            return None
        return [(one.url, one.system) for one in parts]

    def refuse_unusable(self) -> None:
        """Refuse a value set that nothing can be told of: it, or one that it takes over, has modifiers, or needs a
        supplement that is not here.
        """
        if self._is_modified:
            raise Unprocessable(f"ValueSet {shown(self.resource)} has a modifier extension or implicitRules; what "
                                "these make of it is not known here.", expression="ValueSet")
        if self._unmet is not None and self._expansion is None:
            raise self._unmet
        for part in (*self._includes, *self._excludes):
            for one in part.imports:
                one.refuse_unusable()

    def _listed(self) -> dict[tuple[str, str], Member]:
        self.refuse_unusable()
        if self._unmet is not None:
            raise self._unmet
        if not self._includes:
            if self._expansion is None:
                raise Unprocessable(f"ValueSet {shown(self.resource)} has neither a compose nor a whole expansion.",
                                    expression="ValueSet.compose")
            return self._expansion
        found: dict[tuple[str, str], Member] = {}
        for part in self._includes:
            for one in part.members():
                found.setdefault(one.key, one)
        return {key: one for key, one in found.items()
                if (self._with_inactive or not one.is_inactive) and not any(part.takes(one) for part in self._excludes)}

    def _expanded(self, system: str | None, code: str) -> Member | None:
        expansion = self._expansion or {}
        if system is not None:
            return expansion.get((system, code))
        self._terminology.spend(len(expansion) // 10)
        return next((one for one in expansion.values() if one.code == code), None)

    def _is_inactive(self, system: str | None, code: str) -> bool:
        member = self.member(system, code)
        return member is not None and member.is_inactive


def _unmet(supplements: Iterable[str], terminology: Terminology) -> FhirError | None:
    """Say which supplement is not here that a value set needs, and without which it is not to be used.

    https://hl7.org/fhir/R4/extension-valueset-supplement.html
    """
    for one in supplements:
        try:
            terminology.supplement(one)
        except Unprocessable as error:
            return error.without_frames()
    return None


def _any(answers: Iterable[bool | None]) -> bool | None:
    found: bool | None = False
    for one in answers:
        if one is True:
            return True
        found = None if one is None else found
    return found


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer
