"""The terminology service: what a canonical URL stands for, and whether a code is in it.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast
from weakref import proxy

from hie.errors import FhirError, NotFound, TooCostly, Unprocessable
from hie.fhir.terminology import shipped
from hie.fhir.terminology.code_system import CodeSystem, is_supplement
from hie.fhir.terminology.grammars import GRAMMARS
from hie.fhir.terminology.implicit import implicit
from hie.fhir.terminology.kept_systems import KEPT
from hie.fhir.terminology.source import Known, Source
from hie.fhir.terminology.value_set import ValueSet, place_of

Json = dict[str, Any]

#: What one question may look at: concepts, members, value sets. All questions of one request, such as the bindings of
#: a profile, may look at so many times as much together.
MOST_STEPS, OF_ALL_QUESTIONS = 3_000_000, 2
#: What it costs to look up a resource, or to take over a value set that another one names.
_OF_LOOKING_UP = 1000
#: What it costs to see which code system a supplement is for.
_OF_SUPPLEMENT = 10
#: Code systems that have later versions than R4's; guides for R4 stand on these.
_GOES_ON = "http://terminology.hl7.org/"
#: Value sets that lead to one another.
MOST_DEEP = 20


@dataclass(frozen=True, slots=True)
class Versions:
    """Which version of a code system is meant: https://hl7.org/fhir/R4/valueset-operation-expand.html"""

    default: Mapping[str, str] = field(default_factory=dict)
    checked: Mapping[str, str] = field(default_factory=dict)
    forced: Mapping[str, str] = field(default_factory=dict)

    def of(self, url: str, stated: str | None) -> str | None:
        """Return the version to use where a value set states one, or none."""
        return self.forced.get(url) or stated or self.default.get(url) or self.checked.get(url)

    def check(self, url: str, used: str | None) -> None:
        """Refuse another version than the one that has to be used; a listed code is of one too."""
        wanted = self.checked.get(url)
        if wanted is not None and used != wanted:
            raise Unprocessable(f"check-system-version asks for {url}|{wanted}; {used} would be used.",
                                expression="check-system-version")


class Terminology:
    """Answers the questions of one request; what it has found it keeps."""

    def __init__(self, source: Source | None = None, versions: Versions | None = None,
                 given: Iterable[Json] = (), most_steps: int | None = MOST_STEPS) -> None:
        self._source, self.versions = source, versions or Versions()
        self._most = self._left = most_steps
        self._left_in_all = 0 if most_steps is None else OF_ALL_QUESTIONS * most_steps
        self._spent_before = 0
        self._given = {(one["resourceType"], one.get("url")): one for one in given}
        self._found: dict[tuple[str, str, str | None], Known | None] = {}
        self._systems: dict[Hashable, CodeSystem] = {}
        self._value_sets: dict[str, ValueSet | None] = {}
        self._of_containers: dict[int, tuple[Json, ValueSet | None]] = {}
        self._imported: dict[tuple[int, int], ValueSet] = {}
        self._all_codes: dict[tuple[str, str | None], Json | None] = {}
        self._contained: dict[int, tuple[Json, dict[tuple[str, str], Json]]] = {}
        self.used_supplements: tuple[str, ...] = ()

    def use(self, supplements: Iterable[str]) -> None:
        """Add supplements to the code systems of every question; the error says which is not here, or none."""
        used = tuple(dict.fromkeys(supplements))
        for one in used:
            self.supplement(one)
        self.used_supplements = used

    def begins_anew(self) -> bool:
        """Let the questions of a further resource look at as much as those of one may.

        False where too little was left for those before, or so much has been found that it is better let go.
        """
        if self._most is None:
            return True
        whole = OF_ALL_QUESTIONS * self._most
        is_short = self._left_in_all < 0
        self._spent_before += whole - self._left_in_all
        self._left_in_all = whole
        return not is_short and self._spent_before <= whole

    @property
    def _kept_within(self) -> Terminology:
        """This one, for the value sets that it keeps: were each to keep the other, both would stay until somebody
        searches for such circles.
        """
        return cast(Terminology, proxy(self))

    # ---- questions ---------------------------------------------------------------------------------------------------

    def in_value_set(self, url: str, system: str | None, code: str) -> bool | None:
        """Tell whether a code is in a value set; None where the value set or its content is not here."""
        self._left = self._most
        if url not in self._value_sets:
            try:
                self._value_sets[url] = ValueSet(self.value_set_resource(url), self._kept_within)
            except FhirError:
                self._refuse_more()
                self._value_sets[url] = None
        found = self._value_sets[url]
        return None if found is None else found.has(system, code)

    def in_contained(self, value_set: Json, container: Json, system: str | None, code: str) -> bool | None:
        """Tell the same of a value set that another resource contains."""
        self._left = self._most
        if id(value_set) not in self._of_containers:
            try:
                self._of_containers[id(value_set)] = value_set, ValueSet(value_set, self._kept_within, (), container)
            except FhirError:
                self._refuse_more()
                self._of_containers[id(value_set)] = value_set, None
        found = self._of_containers[id(value_set)][1]
        return None if found is None else found.has(system, code)

    def value_set(self, canonical: str) -> ValueSet:
        """Return a value set by its canonical URL; NotFound."""
        return ValueSet(self.value_set_resource(canonical), self)

    def value_set_named(self, text: str) -> ValueSet:
        """Return a value set by its canonical URL, or by ValueSet/[id] where it is stored."""
        type_name, slash, id_ = text.partition("/")
        if slash and type_name == "ValueSet" and self._source is not None:
            return ValueSet(self._source.read(type_name, id_), self)
        return self.value_set(text)

    def value_set_resource(self, canonical: str) -> Json:
        """Return a value set's resource, of an implicit one too; NotFound."""
        url, version = split_canonical(canonical)
        known = self.find("ValueSet", url, version)
        resource = known.resource if known is not None else implicit(url) or self._of_all_codes(url, version)
        if resource is None:
            raise NotFound(f"{self._unknown('ValueSet', url, version)}", expression="url")
        return resource

    def _of_all_codes(self, url: str, version: str | None) -> Json | None:
        """Return the value set that a code system names as that of all its codes.

        https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.valueSet
        """
        place = (url, version)
        if place not in self._all_codes:
            self._all_codes[place] = self._looked_up_of_all_codes(url, version)
        return self._all_codes[place]

    def _looked_up_of_all_codes(self, url: str, version: str | None) -> Json | None:
        named = url if version is None else f"{url}|{version}"
        given = (one for one in self._given.values() if one["resourceType"] == "CodeSystem")
        system = next((one for one in given if named in _names(one.get("valueSet"))), None)
        if system is None and self._source is not None:
            known = self._source.of_all_codes(url, version)
            system = None if known is None else known.resource
        if system is None or "url" not in system:
            return None
        include = {name: system[old] for name, old in (("system", "url"), ("version", "version")) if old in system}
        return {"resourceType": "ValueSet", "url": url, "status": system.get("status", "unknown"),
                "compose": {"include": [include]}} | ({} if version is None else {"version": version})

    def code_system(self, url: str, version: str | None = None, *, supplemented: bool = False) -> CodeSystem:
        """Return a code system whose codes are here; NotFound, or the error that says what is not here."""
        try:
            system = self._code_system(url, version, supplemented, self.used_supplements)
        except _Unknown as error:
            raise NotFound(error.diagnostics, expression="system") from None
        return self.with_codes(system)

    def given_system(self, resource: Json) -> CodeSystem:
        """Return a code system that is given itself, with its codes and what the supplements in use add to it."""
        used = [self.supplement(one).resource for one in self.used_supplements]
        return self.with_codes(CodeSystem(resource, [one for one in used if is_supplement(one, resource)]))

    def known_system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """Return what is here of a code system, be it without codes; None where it is not known."""
        return None if self.find("CodeSystem", url, version) is None else self._code_system(url, version, False, ())

    def is_dated(self, url: str) -> bool:
        """Tell whether a code system is here as R4 brings it, and goes on elsewhere: it may have got further codes."""
        known = self.find("CodeSystem", url) if url.startswith(_GOES_ON) else None
        return known is not None and known.key == ("R4", url)

    def with_codes(self, system: CodeSystem) -> CodeSystem:
        """Return the code system; the error says that it has no codes here."""
        url = system.url
        system.refuse_modified()
        if system.content == "supplement":
            raise Unprocessable(f"{url} is a supplement of {system.resource.get('supplements')}; name that code "
                                "system.", expression="system")
        if not system.has_content:
            raise self.absent(url)
        return system

    def find(self, type_name: str, url: str, version: str | None = None) -> Known | None:
        """Return a resource by its canonical URL: one given with the request, a stored one, or the specification's."""
        place = (type_name, url, version)
        if place not in self._found:
            self.spend(_OF_LOOKING_UP)
            self._found[place] = self._looked_up(type_name, url, version)
        return self._found[place]

    def concept_maps(self, criteria: Mapping[str, str], source: str | None, target: str | None) -> list[Json]:
        """Return the concept maps between two code systems, of each URL the version that this means without one.

        Stored ones are found by search criteria.
        """
        stored = self._source.concept_maps(criteria) if self._source is not None else []
        found = [*stored, *shipped.concept_maps(source, target)]
        return [one for one in found if "url" not in one or self._is_meant(one)]

    def _is_meant(self, concept_map: Json) -> bool:
        known = self.find("ConceptMap", concept_map["url"])
        return known is not None and all(known.resource.get(name) == concept_map.get(name) for name in ("id", "meta"))

    # ---- what value sets ask -----------------------------------------------------------------------------------------

    def spend(self, steps: int) -> None:
        """Count what a question costs; TooCostly where that is too much."""
        if self._left is not None:
            self._left -= steps
            self._left_in_all -= steps
            if self._left < 0 or self._left_in_all < 0:
                raise TooCostly("The question looks at too many codes; ask for less.")

    def _refuse_more(self) -> None:
        """Raise TooCostly where all questions have used up what they may: nothing is known of this one then."""
        if self._left_in_all < 0:
            self.spend(0)

    def imported(self, canonical: str, owner: ValueSet) -> ValueSet:
        """Return a value set that another one names; the error says what is missing, or that they go in a circle."""
        container = owner.container if canonical.startswith("#") else None
        if container is not None:
            resource = self._contained_in(container, canonical, "ValueSet")
        else:
            resource = self._named_by_another(canonical)
        if (place := place_of(resource, container)) in owner.within:
            raise Unprocessable(f"The value sets include one another: {' > '.join((*owner.within, place))[:800]}.",
                                expression="ValueSet.compose.include.valueSet")
        if len(owner.within) >= MOST_DEEP:
            raise TooCostly(f"Value sets include one another over more than {MOST_DEEP} steps.")
        self.spend(_OF_LOOKING_UP)
        key = (id(resource), id(container))
        if key not in self._imported:
            made = ValueSet(resource, self._kept_within, owner.within, container)
            self.spend(made.size)
            if made.has_imports:  # which may go in a circle from here, and from elsewhere not
                return made
            self._imported[key] = made
        return self._imported[key]

    def _named_by_another(self, canonical: str) -> Json:
        """Return a value set that another one includes; that it is not here is no 404 of the one asked for."""
        try:
            return self.value_set_resource(canonical)
        except NotFound as error:
            raise _Unknown(error.diagnostics, expression="ValueSet.compose.include.valueSet") from None

    def code_system_of(self, resource: Json, url: str, version: str | None, supplements: list[str]) -> CodeSystem:
        """Return the code system that an include of a value set names."""
        if url.startswith("#"):
            return self._contained_system(self._contained_in(resource, url, "CodeSystem"))
        return self._code_system(url, self.versions.of(url, version), False, tuple(supplements))

    def supplement(self, canonical: str) -> Known:
        """Return a supplement that a value set names; the error says that it is not here, or none."""
        known = self.find("CodeSystem", *split_canonical(canonical))
        if known is None:
            raise _Unknown(f"The supplement {canonical[:200]} is not known here, and what needs it is not to be "
                           "used without it.", expression="ValueSet.extension")
        if known.resource.get("content") != "supplement":
            raise Unprocessable(f"CodeSystem {canonical[:200]} is no supplement, as which it is named.",
                                expression="ValueSet.extension")
        return known

    def _contained_in(self, resource: Json, reference: str, type_name: str) -> Json:
        """Return what a resource contains under an id, looking all of it through once."""
        if id(resource) not in self._contained:
            rows = reversed(resource.get("contained", []))
            self._contained[id(resource)] = resource, {(one["resourceType"], one["id"]): one for one in rows
                                                       if "id" in one}
        found = self._contained[id(resource)][1].get((type_name, reference[1:]))
        if found is None:
            raise Unprocessable(f"{reference[:80]} names no contained {type_name}.",
                                expression="ValueSet.compose.include")
        return found

    def _contained_system(self, resource: Json) -> CodeSystem:
        """Return a contained code system, read once however many includes name it."""
        key = ("contained", id(resource))
        if key not in self._systems:
            self._systems[key] = CodeSystem(resource)
            self.spend(len(self._systems[key].concepts))
        self._systems[key].refuse_modified()
        return self._systems[key]

    def absent(self, url: str, version: str | None = None) -> FhirError:
        """Say that the codes of a code system, or of a version of it, are not here."""
        if url in GRAMMARS:
            return Unprocessable(f"The codes of {url} are a grammar: they can be checked, not listed or looked up.",
                                 expression="system")
        if self.find("CodeSystem", url, version) is None:
            return _Unknown(self._unknown("CodeSystem", url, version) + " Load the CodeSystem with its "
                                  "concepts, or a ValueSet that lists the codes.", expression="system")
        return _ContentAbsent(f"CodeSystem {url} is known here without its content: codes of it cannot be listed, "
                              "looked up or filtered. Load a CodeSystem resource with its concepts.",
                              expression="system")

    # ---- finding -----------------------------------------------------------------------------------------------------

    def _code_system(
        self, url: str, version: str | None, supplemented: bool, supplements: tuple[str, ...]
    ) -> CodeSystem:
        known = self.find("CodeSystem", url, version)
        if known is None:
            raise self.absent(url) if version is None else _Unknown(
                self._unknown("CodeSystem", url, version), expression="version")
        self.spend(_OF_SUPPLEMENT * len(supplements))
        added = [self.supplement(one) for one in supplements]
        if supplemented:
            added += self._supplements_of(url)
        added = list({one.key: one for one in added if is_supplement(one.resource, known.resource)}.values())
        key = (known.key, *(one.key for one in added))
        if key not in self._systems:
            self._systems[key] = KEPT.system(key, known.resource, [one.resource for one in added])
        self._systems[key].refuse_modified()
        return self._systems[key]

    def _supplements_of(self, url: str) -> list[Known]:
        found = self._source.supplements(url) if self._source is not None else []
        ours = [name for name, entry in shipped.index("CodeSystem").items()
                if split_canonical(entry.facts.get("supplements", ""))[0] == url]
        known = (_of_the_specification("CodeSystem", name, None) for name in ours)
        return found + [one for one in known if one is not None]

    def _looked_up(self, type_name: str, url: str, version: str | None) -> Known | None:
        given = self._given.get((type_name, url))
        if given is not None and version in (None, given.get("version")):
            return Known(given, ("given", id(given)))
        stored = self._source.find(type_name, url, version) if self._source is not None else None
        return stored if stored is not None else _of_the_specification(type_name, url, version)

    def _unknown(self, type_name: str, url: str, version: str | None) -> str:
        if version is None:
            return f"{type_name} {url[:200]} is not known here."
        other = self.find(type_name, url)
        has = "" if other is None else f" Known is {other.resource.get('version', 'one without version')}."
        return f"{type_name} {url[:200]} is not known here in version {version[:80]}.{has}"


class _Unknown(Unprocessable):
    code = "not-found"


class _ContentAbsent(Unprocessable):
    code = "not-supported"


def split_canonical(canonical: str) -> tuple[str, str | None]:
    """Return URL and version of `url|version`: https://hl7.org/fhir/R4/references.html#canonical"""
    url, _, version = canonical.partition("|")
    return url, version or None


def in_value_set(url: str, system: str | None, code: str, terminology: Terminology | None = None) -> bool | None:
    """Tell whether a code is in a value set: of the specification, or of `terminology`, which knows stored ones too.

    Without a system (elements of type code): whether any system of the value set has the code there. None where it
    cannot be told: the value set is not known, or the content of its code system is not here.
    """
    service = terminology or (_specification() if _of_the_specification("ValueSet", *split_canonical(url)) else None)
    return (service or Terminology()).in_value_set(url, system, code)


@cache
def _specification() -> Terminology:
    return Terminology(most_steps=None)


def _of_the_specification(type_name: str, url: str, version: str | None) -> Known | None:
    entry = shipped.index(type_name).get(url)
    # The version of FHIR stands for what that version brings, as in ValueSet/…|4.0.1 of the R4 elements.
    if entry is None or version not in (None, entry.version, "4.0.1"):
        return None
    resource = shipped.resource(type_name, url)
    return None if resource is None else Known(resource, ("R4", url))


def _names(canonical: Any) -> tuple[str, ...]:
    """Return what a canonical may be asked for by: with its version, and without."""
    return (canonical, split_canonical(canonical)[0]) if isinstance(canonical, str) else ()
