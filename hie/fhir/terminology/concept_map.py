"""From a code to those that a ConceptMap gives for it: https://hl7.org/fhir/R4/conceptmap.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hie.errors import Unprocessable
from hie.fhir import modifiers

Json = dict[str, Any]

#: Maps that name another one for what they do not map, one after the other.
MOST_FORWARDED = 5
#: So many elements are passed over for what looking at a concept costs.
_ELEMENTS_OF_STEP = 10
#: How a relation reads from the other side: https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html
_REVERSED = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}


@dataclass(frozen=True, slots=True)
class Match:
    """One translation; `code` None: the map says that there is none."""

    equivalence: str | None
    system: str | None
    code: str | None
    version: str | None = None
    display: str | None = None
    products: tuple[Json, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be translated: a code of a system (None: any) and version, to a target system (None: any).

    `dependencies` are the values of other elements on which a translation may depend, as (element, CodeableConcept).
    `implied_source` and `implied_target` are the systems of groups that name none: those of the map's value sets.
    """

    system: str | None
    code: str
    target: str | None = None
    is_reverse: bool = False
    dependencies: tuple[tuple[str, Json], ...] = ()
    version: str | None = None
    implied_source: str | None = None
    implied_target: str | None = None

    @property
    def cost_of_condition(self) -> int:
        """Return with how many values a dependsOn is compared."""
        return sum(1 + len(concept.get("coding", [])) for _, concept in self.dependencies)


def translations(
    concept_map: Json, question: Question, spend: Callable[[int], None]
) -> tuple[list[Match], list[str]]:
    """Return the matches, and the maps that are named for a code that this one does not have; `spend` counts."""
    found: list[Match] = []
    others: list[str] = []
    _refuse_modified(concept_map)
    for group in _asked(concept_map, question):
        _refuse_modified(group)
        spend(1 + len(group.get("element", [])) // _ELEMENTS_OF_STEP)
        matches = list(_reversed(group, question, spend) if question.is_reverse else _mapped(group, question, spend))
        if not matches and not question.is_reverse and not _is_listed(group, question.code):
            matches, named = _unmapped(group, question)
            others += named
        url = concept_map.get("url")
        found += [Match(one.equivalence, one.system, one.code, one.version, one.display, one.products, url)
                  for one in matches]
    return found, others


def _asked(concept_map: Json, question: Question) -> list[Json]:
    """Return the groups between the systems that are asked for; of several versions that of the code, if it is one."""
    rows = [_between_systems(one, question) for one in concept_map.get("group", [])]
    near, far = ("target", "source") if question.is_reverse else ("source", "target")
    found = [one for one in rows if question.system is None or one.get(near) in (None, question.system)]
    found = [one for one in found if question.target in (None, one.get(far))]
    versions = {one.get(f"{near}Version") for one in found}
    if question.version is None or question.version not in versions:
        return found
    return [one for one in found if one.get(f"{near}Version") in (None, question.version)]


def _between_systems(group: Json, question: Question) -> Json:
    """Return a group with the systems that the map's value sets say where it does not.

    https://hl7.org/fhir/R4/conceptmap-definitions.html#ConceptMap.group.source
    """
    implied = {"source": question.implied_source, "target": question.implied_target}
    return {name: one for name, one in implied.items() if one is not None} | group


def _mapped(group: Json, question: Question, spend: Callable[[int], None]) -> Iterator[Match]:
    for element in group.get("element", []):
        if element.get("code") == question.code:
            _refuse_modified(element)
            for target in element.get("target", []):
                _refuse_modified(target, *target.get("dependsOn", ()), *target.get("product", ()))
                spend(1 + len(target.get("dependsOn", [])) * question.cost_of_condition)
                if _is_met(target.get("dependsOn", []), question.dependencies, group.get("source")):
                    own = {"system": group["target"]} if "target" in group else {}
                    products = tuple(own | one for one in target.get("product", []))
                    yield Match(target.get("equivalence"), group.get("target"), target.get("code"),
                                group.get("targetVersion"), target.get("display"), products)


def _reversed(group: Json, question: Question, spend: Callable[[int], None]) -> Iterator[Match]:
    for element in group.get("element", []):
        spend(len(element.get("target", [])) // _ELEMENTS_OF_STEP)
        for target in element.get("target", []):
            if target.get("code") == question.code and "code" in element:
                _refuse_modified(element, target)
                equivalence = target.get("equivalence", "")
                yield Match(_REVERSED.get(equivalence, equivalence) or None, group.get("source"), element["code"],
                            group.get("sourceVersion"), element.get("display"))


def _refuse_modified(*rows: Json) -> None:
    """Refuse to translate by what has modifiers: https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    if any(map(modifiers.has, rows)):
        raise Unprocessable("The ConceptMap has a modifier extension or implicitRules there; what these make of the "
                            "translation is not known here.", expression="ConceptMap")


def _is_listed(group: Json, code: str) -> bool:
    return any(element.get("code") == code for element in group.get("element", []))


def _is_met(conditions: Sequence[Json], dependencies: Sequence[tuple[str, Json]], source: str | None) -> bool:
    """Tell whether every dependsOn of a target has the value it asks for; without a system it is a code of the source.
    """
    own = {} if source is None else {"system": source}
    return all(any(one.get("property") == element and _is_value(own | one, concept, "system" in one)
                   for element, concept in dependencies) for one in conditions)


def _is_value(condition: Json, concept: Json, has_said_system: bool) -> bool:
    wanted, system = condition.get("value"), condition.get("system")
    if wanted is None:
        return False
    for coding in concept.get("coding", []):
        if coding.get("code") == wanted and (system in (None, coding.get("system"))
                                             or (not has_said_system and "system" not in coding)):
            return True
    return concept.get("text") == wanted


def _unmapped(group: Json, question: Question) -> tuple[list[Match], list[str]]:
    """Say what stands for a code that the group does not have: https://hl7.org/fhir/R4/valueset-conceptmap-unmapped-mode.html"""
    unmapped = group.get("unmapped", {})
    _refuse_modified(unmapped)
    if question.system not in (None, group.get("source")):
        return [], []  # of a system that is not that of the group, as far as is known
    match unmapped.get("mode"):
        case "provided":
            return [Match("equal", group.get("target"), question.code, group.get("targetVersion"))], []
        case "fixed":
            return [Match("inexact", group.get("target"), unmapped.get("code"), group.get("targetVersion"),
                          unmapped.get("display"))], []
        case "other-map":
            return [], [unmapped["url"]] if "url" in unmapped else []
    return [], []
