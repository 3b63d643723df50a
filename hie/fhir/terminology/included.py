"""One include or exclude of a value set: https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.compose.include"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hie.errors import FhirError, NotFound, TooCostly, Unprocessable
from hie.fhir.terminology import carried_extensions, filters
from hie.fhir.terminology.code_system import CodeSystem, Concept, told
from hie.fhir.terminology.grammars import GRAMMARS, judged
from hie.fhir.terminology.member import Member

if TYPE_CHECKING:
    from hie.fhir.terminology.terminology import Terminology
    from hie.fhir.terminology.value_set import ValueSet

Json = dict[str, Any]

#: Stands for every version of a code system: https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.compose.include.version
_ALL_VERSIONS = "*"


class Part:
    """One include or exclude: a code system's codes, by list or filters, that are in every value set it names."""

    def __init__(self, row: Json, owner: ValueSet, terminology: Terminology, supplements: list[str]) -> None:
        self._terminology = terminology
        self.url: str = row.get("system", "")
        self._row = row
        self._language: str | None = owner.resource.get("language")
        self._problem: FhirError | None = None
        self._system: CodeSystem | None = None
        if self.url:
            self._find_system(owner, row.get("version"), supplements)
        self._listed = self._valid(told(row["concept"], "code")) if "concept" in row else None
        self._folded: dict[str, str] = self._system.folded(self._listed or ()) if self._system is not None else {}
        self._filters = self._compiled(row.get("filter", []))
        self.imports: list[ValueSet] = []  # those that are here
        self._missing: FhirError | None = None
        for one in dict.fromkeys(row.get("valueSet", [])):
            if one is None:  # an extension stands in its place
                continue
            try:
                self.imports.append(terminology.imported(one, owner))
            except NotFound as error:
                self._missing = error.without_frames()
                continue
            if "|" not in one and not one.startswith("#"):
                self._missing = _other_at_its_date(self.imports[-1].resource, owner) or self._missing

    @property
    def size(self) -> int:
        """Count the codes that are listed."""
        return len(self._listed or ())

    @property
    def system(self) -> CodeSystem | None:
        """Return the code system that the codes are of; None where it is not here."""
        return self._system

    @property
    def has_imports(self) -> bool:
        """Tell whether other value sets are named, be they here or not."""
        return bool(self.imports) or self._missing is not None

    @property
    def is_whole(self) -> bool:
        """Tell whether every code of the system is meant."""
        return bool(self.url) and not self._row.get("valueSet") and self._listed is None and not self._row.get("filter")

    @property
    def listed_codes(self) -> Iterable[str] | None:
        """The codes of a plain list, which alone tells what is in it; None for any other part."""
        is_plain = self.url and not (self.imports or self._missing)
        return self._listed if is_plain else None

    @property
    def is_folded(self) -> bool:
        """Tell whether codes that are listed may be written in another case."""
        return bool(self._folded)

    @property
    def is_open(self) -> bool:
        """Tell whether it takes codes that a grammar makes and nobody lists."""
        if not self.url:
            return any(one.is_open for one in self.imports)
        return self._listed is None and self._system is not None and self._system.is_compositional

    def problems(self, system: str | None) -> Iterator[FhirError]:
        """Yield why the codes of a code system are not known here, where it names that; None: whichever it names."""
        self._terminology.spend(1)
        if self._problem is not None and system in (None, self.url):
            yield self._problem
        for one in self.imports:
            yield from one.problems(system)

    def systems(self) -> Iterator[CodeSystem]:
        """Yield the code systems that are used."""
        if self._system is not None:
            yield self._system
        for one in self.imports:
            yield from one.systems()

    def named_systems(self) -> Iterator[str]:
        """Yield the URL of its code system, or of those that the first value set has which it names."""
        self._terminology.spend(1)
        if self.url:
            yield self.url
        elif self.imports:
            yield from self.imports[0].named_systems()

    def has(self, system: str | None, code: str) -> bool | None:
        """Tell whether the part takes a code."""
        self._terminology.spend(1)
        found: bool | None = bool(self.url or self.imports or self._missing)
        if self.url:
            found = self._has_own(code) if system in (None, self.url) else False
        for one in self.imports:
            if found is False:
                return False
            found = both(found, one.has(system, code))
        return both(found, None) if self._missing is not None else found

    def takes(self, member: Member) -> bool:
        """Tell whether the part takes a member; the error says why it cannot be told."""
        found = self.has(member.system, member.code)
        if found is None:
            raise self._undecided()
        return found

    def member(self, system: str | None, code: str) -> Member | None:
        """Return a code that the part takes, with what is known of it."""
        if self.has(system, code) is not True:
            return None
        if not self.url:
            return next((found for one in self.imports if (found := one.member(system, code)) is not None), None)
        concept = self._system.get(code) if self._system is not None else None
        return self._member(code if concept is None else concept.code, concept)

    def members(self) -> Iterator[Member]:
        """Yield every code that the part takes."""
        if self._missing is not None:
            raise self._missing
        if not self.url and not self.imports:
            return
        if not self.url:
            first, *others = self.imports
            candidates: Iterable[Member] = first.members().values()
        else:
            candidates, others = self._own_members(), self.imports
        for one in candidates:
            self._terminology.spend(1)
            if all(self._is_in(one, other) for other in others):
                yield one

    def _is_in(self, member: Member, other: ValueSet) -> bool:
        found = other.has(member.system, member.code)
        if found is None:
            raise Unprocessable(f"Whether {member.system}|{member.code} is in ValueSet {shown(other.resource)} cannot "
                                "be told: the content of a code system is not here.",
                                expression="ValueSet.compose.include.valueSet")
        return found

    def _valid(self, rows: list[Json]) -> dict[str, Json]:
        """Return the listed codes that are codes: https://hl7.org/fhir/R4/valueset.html#expansion"""
        system = self._system
        may_have_more = self.has_all_versions or ("version" not in self._row and self._terminology.is_dated(self.url))
        if system is None or not system.is_complete or may_have_more:
            return {one["code"]: one for one in rows}
        self._terminology.spend(len(rows))
        return {one["code"]: one for one in rows if system.get(one["code"]) is not None}

    @property
    def has_all_versions(self) -> bool:
        """Tell whether other versions of the code system are meant too, of which codes may be that are not here."""
        return bool(self._row.get("version") == _ALL_VERSIONS)

    def _find_system(self, owner: ValueSet, version: str | None, supplements: list[str]) -> None:
        known = None if version == _ALL_VERSIONS else version
        self._terminology.versions.check(self.url, self._terminology.versions.of(self.url, known))
        try:
            found = self._terminology.code_system_of(owner.container, self.url, known, supplements)
        except FhirError as error:
            self._problem = error.without_frames()
            return
        if version is None and not self.url.startswith("#"):
            self._problem = _other_at_its_date(found.resource, owner)
            if self._problem is not None:
                return
        if self.url.startswith("#"):  # its codes are of the code system, wherever that is written down
            self.url = found.url or self.url
        asked = [one["property"] for one in told(self._row.get("filter", []), "property")]
        if self.url not in GRAMMARS or found.is_complete or all(map(found.knows_property, asked)):
            self._system = found  # else the grammar alone tells what the filters ask

    def _compiled(self, rows: list[Json]) -> list[filters.Test]:
        system = self._system
        if system is None or not system.has_content:
            return []
        self._terminology.spend(len(rows) * len(system.concepts) // 2)
        return [filters.compiled(one, system, _counted_by(self._terminology)) for one in rows]

    def _has_own(self, code: str) -> bool | None:
        system = self._system
        if self._listed is not None:
            return self._listed_as(code) is not None
        if system is None or not system.has_content:
            return judged(self.url, self._row.get("filter", []), code)
        concept = system.get(code)
        if concept is None:
            is_none = system.is_complete and not self.has_all_versions
            return False if is_none else judged(self.url, self._row.get("filter", []), code)
        return all(test(concept) for test in self._filters)

    def _listed_as(self, code: str) -> str | None:
        """Return a listed code as it is written in the list; None where it is not listed."""
        if self._listed is not None and code in self._listed:
            return code
        found, system = self._folded.get(code.lower()) if self._folded else None, self._system
        if found is None or system is None:
            return None
        concept = system.get(code)  # another one may be written so
        if concept is None:
            return None if system.is_complete else found
        return found if concept is system.get(found) else None

    def _own_members(self) -> Iterator[Member]:
        if self._listed is not None:
            for code in self._listed:
                concept = self._system.get(code) if self._system is not None else None
                yield self._member(code if concept is None else concept.code, concept)
            return
        system = self._system
        if system is None or not system.has_content:
            raise self._undecided()
        for concept in system.concepts.values():
            self._terminology.spend(1)
            if all(test(concept) for test in self._filters):
                yield self._member(concept.code, concept)

    def _undecided(self) -> FhirError:
        if self.url in GRAMMARS:
            return TooCostly(f"The codes of {self.url} are a grammar without end; they can be checked, not listed.",
                             expression="ValueSet.compose.include.system")
        return self._missing or self._problem or self._terminology.absent(self.url)

    def _member(self, code: str, concept: Concept | None) -> Member:
        listed = (self._listed or {}).get(self._listed_as(code) or "", {})
        designations = told(listed.get("designation", []), "value")
        stated = None if self.has_all_versions else self._row.get("version")
        version, display = self._terminology.versions.forced.get(self.url) or stated, listed.get("display")
        system = self._system
        if concept is None or system is None:
            return Member(self.url, code, version, display, tuple(designations), language=self._language,
                          extensions=carried_extensions.of_value_set(listed),
                          is_deprecated=carried_extensions.is_deprecated(listed))
        language = system.language
        if display is not None:  # is of the language of the value set, if that says one
            own = {} if language is None else {"language": language}
            designations += [own | {"value": concept.display}] * (concept.display not in (None, display))
            language = self._language or language
        return Member(
            self.url, code, version or system.version, display or concept.display,
            (*designations, *concept.designations), concept.is_abstract, concept.is_inactive, language,
            carried_extensions.joined(carried_extensions.of_value_set(listed), concept.extensions),
            carried_extensions.is_deprecated(listed),
        )  # fmt: skip


def _other_at_its_date(resource: Json, owner: ValueSet) -> FhirError | None:
    """Say that what is here may not be what a locked value set means: it is of a later day, or of none."""
    locked, date = owner.locked_at, str(resource.get("date", ""))
    if locked is None or (date and date[: len(locked)] <= locked[: len(date)]):
        return None
    return Unprocessable(f"ValueSet {shown(owner.resource)} is locked at {locked}; {shown(resource)} is here as of "
                         f"{date[:30] or 'no date'}, and what it was then is not known.",
                         expression="ValueSet.compose.lockedDate")


def _counted_by(terminology: Terminology) -> Callable[[int], None]:
    """Give what counts steps of a terminology, and does not keep what only refers to it."""
    return lambda steps: terminology.spend(steps)


def both(one: bool | None, other: bool | None) -> bool | None:
    """Tell whether two things are so, of which each may be undecided."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def shown(resource: Json) -> str:
    """Name a resource in an error."""
    return str(resource.get("url") or resource.get("id") or "without url")[:200]
