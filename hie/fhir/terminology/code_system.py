"""A CodeSystem with its concepts by code and its hierarchy: https://hl7.org/fhir/R4/codesystem.html

Parents come from nesting and from the properties `parent`, `child` and `subsumedBy`; a concept may have several.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hie.errors import Unprocessable
from hie.fhir import modifiers
from hie.fhir.terminology import carried_extensions

Json = dict[str, Any]

#: Where R4 defines properties: https://hl7.org/fhir/R4/codesystem-concept-properties.html
PROPERTIES = "http://hl7.org/fhir/concept-properties#"
#: Values of the property status that say: no longer active (the official example of an inactive code is deprecated).
_INACTIVE = frozenset({"retired", "deprecated", "inactive", "withdrawn"})
_STANDARD = ("parent", "child", "inactive", "notSelectable", "status")


@dataclass(slots=True)
class Concept:
    """One concept, as the code system or its supplements tell of it."""

    code: str
    display: str | None
    definition: str | None
    properties: list[Json]
    designations: list[Json]
    parents: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    is_abstract: bool = False
    is_inactive: bool = False
    extensions: tuple[Json, ...] = ()
    """Those that an expansion carries."""


class CodeSystem:
    """What is asked of one code system; built from its resource once, then only read."""

    def __init__(self, resource: Json, supplements: Iterable[Json] = ()) -> None:
        self.resource = resource
        self.url: str = resource.get("url", "")
        self.version: str | None = resource.get("version")
        self.name: str = resource.get("name") or resource.get("title") or self.url
        self.content: str = resource.get("content", "complete")
        self.language: str | None = resource.get("language")
        self.is_case_sensitive: bool = resource.get("caseSensitive") is True
        self.is_compositional: bool = resource.get("compositional") is True
        self.hierarchy_meaning: str | None = resource.get("hierarchyMeaning")
        self.concepts: dict[str, Concept] = {}
        self._is_modified = modifiers.has(resource)
        self._roles = _roles(resource)
        self.properties: dict[str, str] = _properties(resource)
        """URIs of the properties that it or a supplement declares, by their codes; "" where there is none."""
        self._add(resource.get("concept", []), None)
        for supplement in supplements:
            if modifiers.has(supplement):
                continue  # what it says is not known here
            self._supplement(supplement.get("concept", []), _roles(supplement))
            self.properties = _properties(supplement) | self.properties
        self._join()

    @property
    def is_complete(self) -> bool:
        """Tell whether a code that is not here is none of the code system: a grammar makes codes that nobody lists."""
        return self.content == "complete" and self.has_content and not self.is_compositional

    @property
    def has_content(self) -> bool:
        """Tell whether any codes are here at all."""
        return self.content not in ("not-present", "supplement") and bool(self.concepts)

    @property
    def is_subsuming(self) -> bool:
        """Tell whether a parent subsumes its children: https://hl7.org/fhir/R4/valueset-codesystem-hierarchy-meaning.html"""
        return self.hierarchy_meaning in (None, "is-a")

    def get(self, code: str) -> Concept | None:
        """Return a concept, without regard to case unless the code system says that it counts."""
        found = self.concepts.get(code)
        if found is None and not self.is_case_sensitive:
            found = self.concepts.get(self._folded.get(code.lower(), ""))
        return found

    def folded(self, codes: Iterable[str]) -> dict[str, str]:
        """Return codes by how they may be written where case does not count.

        Where the code system does not say whether it does, codes are taken in any case that can mean one of them alone:
        https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.caseSensitive
        """
        if self.is_case_sensitive:
            return {}
        found: dict[str, str] = {}
        several: set[str] = set()
        for one in codes:
            if found.setdefault(one.lower(), one) != one:
                several.add(one.lower())
        if self.resource.get("caseSensitive") is None:
            for one in several:
                del found[one]
        return found

    @cached_property
    def _folded(self) -> dict[str, str]:
        return self.folded(self.concepts)

    def ancestors(self, code: str) -> list[str]:
        """Return all codes above one, nearest first, without itself."""
        return self._reached(code, lambda one: one.parents)

    def descendants(self, code: str) -> list[str]:
        """Return all codes below one, without itself."""
        return self._reached(code, lambda one: one.children)

    def subsumes(self, above: str, below: str) -> bool:
        """Tell whether one code is another one or stands above it."""
        return above == below or above in self.ancestors(below)

    def values(self, concept: Concept, name: str) -> list[Any]:
        """Return the values of a concept's property as plain JSON."""
        match name:
            case "parent":
                return list(concept.parents)
            case "child":
                return list(concept.children)
            case "code" | "concept":
                return [concept.code]
            case "display" | "definition":
                text = concept.display if name == "display" else concept.definition
                return [] if text is None else [text]
        role = self._roles.get(name)
        if role == "inactive":
            return [concept.is_inactive]
        found = [value_of(one) for one in concept.properties if one.get("code") == name]
        return found or ([concept.is_abstract] if role == "notSelectable" else [])

    def knows_property(self, name: str) -> bool:
        """Tell whether a filter can ask for a property."""
        return name in ("code", "concept", "display", "definition", *_STANDARD) or name in self._declared

    @cached_property
    def _declared(self) -> frozenset[Any]:
        """The properties that the code system or a supplement declares, and those that concepts have without that."""
        had = (one["code"] for concept in self.concepts.values() for one in concept.properties)
        return frozenset((*self.properties, *had))

    def has_filter(self, name: str) -> bool:
        """Tell whether the code system names a filter of its own: what that does only its own code knows."""
        return any(one.get("code") == name for one in self.resource.get("filter", []))

    def refuse_modified(self) -> None:
        """Refuse a code system that nothing can be told of, since it or a concept has modifiers."""
        if self._is_modified:
            raise Unprocessable(f"CodeSystem {self.url} has a modifier extension or implicitRules; what these make of "
                                "it is not known here.", expression="CodeSystem")

    def _reached(self, code: str, following: Callable[[Concept], Iterable[str]]) -> list[str]:
        found = {code: None}
        waiting = deque([code])
        while waiting:
            concept = self.concepts.get(waiting.popleft())
            for one in following(concept) if concept is not None else ():
                if one not in found:
                    found[one] = None
                    waiting.append(one)
        del found[code]
        return list(found)

    def _add(self, concepts: list[Json], parent: str | None) -> None:
        # A stack, not recursion: the depth of what was stored is not ours to trust.
        waiting = [(one, parent) for one in reversed(concepts)]
        while waiting:
            row, above = waiting.pop()
            self._is_modified |= modifiers.has(row)
            code = row.get("code")
            if code is None:  # an extension may stand in its place
                waiting += [(one, above) for one in reversed(row.get("concept", []))]
                continue
            concept = self.concepts.get(code)
            if concept is None:
                concept = self.concepts[code] = Concept(code, row.get("display"), row.get("definition"),
                                                        told(row.get("property", []), "code"),
                                                        told(row.get("designation", []), "value"),
                                                        extensions=carried_extensions.of_code_system(row))
            if above is not None:
                concept.parents[above] = None
            waiting += [(one, code) for one in reversed(row.get("concept", []))]

    def _supplement(self, concepts: list[Json], roles: Mapping[str, str]) -> None:
        """Add designations and properties: https://hl7.org/fhir/R4/codesystem.html#supplements"""
        self._roles = {**roles, **self._roles}
        for row in _walk(concepts):
            concept = self.concepts.get(row.get("code", ""))
            if concept is None or modifiers.has(row):
                continue
            concept.designations += told(row.get("designation", []), "value")
            concept.properties += told(row.get("property", []), "code")
            concept.extensions = carried_extensions.joined(concept.extensions, carried_extensions.of_code_system(row))
            if "display" in row and row["display"] != concept.display:
                concept.designations.append({"value": row["display"]})

    def _join(self) -> None:
        """Read the hierarchy and the state of each concept out of its properties."""
        for concept in self.concepts.values():
            for one in concept.properties:
                self._read(concept, self._roles.get(one["code"]), value_of(one))
        for concept in self.concepts.values():
            for parent in concept.parents:
                above = self.concepts.get(parent)
                if above is not None:
                    above.children[concept.code] = None

    def _read(self, concept: Concept, role: str | None, value: Any) -> None:
        if isinstance(value, dict):
            value = value.get("code")  # a Coding
        if role == "parent" and value in self.concepts:
            concept.parents[value] = None
        elif role == "child" and value in self.concepts:
            self.concepts[value].parents[concept.code] = None
        elif role == "notSelectable":
            concept.is_abstract = value is True
        elif (role == "inactive" and value is True) or (role == "status" and value in _INACTIVE):
            concept.is_inactive = True


def _roles(resource: Json) -> dict[str, str]:
    """Say which standard property each code stands for: https://hl7.org/fhir/R4/codesystem-concept-properties.html"""
    roles = {name: name for name in _STANDARD} | {"subsumedBy": "parent", "abstract": "notSelectable"}
    for one in resource.get("property", []):
        name = str(one.get("uri", "")).removeprefix(PROPERTIES)
        if name != one.get("uri", "") and name in _STANDARD and "code" in one:
            roles[one["code"]] = name
    return roles


def _properties(resource: Json) -> dict[str, str]:
    return {one["code"]: str(one.get("uri", "")) for one in told(resource.get("property", []), "code")}


def _walk(concepts: list[Json]) -> Iterator[Json]:
    waiting = list(reversed(concepts))
    while waiting:
        row = waiting.pop()
        yield row
        waiting += reversed(row.get("concept", []))


def is_supplement(resource: Json, system: Json) -> bool:
    """Tell whether a supplement is for a code system in its version; others are for other systems of a value set."""
    url, _, version = str(resource.get("supplements", "")).partition("|")
    return url == system.get("url") and version in ("", system.get("version"))


def told(rows: Iterable[Json], *names: str) -> list[Json]:
    """Return the rows in which these elements have a value; R4 lets an extension stand in the place of one."""
    return [row for row in rows if all(name in row for name in names)]


def value_of(row: Json) -> Any:
    """Return what stands under value[x] of a property; None where nothing does."""
    return next((value for name, value in row.items() if name.startswith("value")), None)
