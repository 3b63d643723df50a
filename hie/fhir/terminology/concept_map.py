"""From a code to those that a ConceptMap gives for it: https://hl7.org/fhir/R4/conceptmap.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
    """What is to be translated: a code of a system (None: any), to a target system (None: any).

    `dependencies` are the values of other elements on which a translation may depend, as (element, CodeableConcept).
    """

    system: str | None
    code: str
    target: str | None = None
    is_reverse: bool = False
    dependencies: tuple[tuple[str, Json], ...] = ()

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
    for group in concept_map.get("group", []):
        source, target = group.get("source"), group.get("target")
        if question.is_reverse:
            source, target = target, source
        if question.system not in (None, source) and source is not None:
            continue
        if question.target not in (None, target):
            continue
        spend(1 + len(group.get("element", [])) // _ELEMENTS_OF_STEP)
        matches = list(_reversed(group, question, spend) if question.is_reverse else _mapped(group, question, spend))
        if not matches and not question.is_reverse and not _is_listed(group, question.code):
            matches, named = _unmapped(group, question)
            others += named
        url = concept_map.get("url")
        found += [Match(one.equivalence, one.system, one.code, one.version, one.display, one.products, url)
                  for one in matches]
    return found, others


def _mapped(group: Json, question: Question, spend: Callable[[int], None]) -> Iterator[Match]:
    for element in group.get("element", []):
        if element.get("code") == question.code:
            for target in element.get("target", []):
                spend(1 + len(target.get("dependsOn", [])) * question.cost_of_condition)
                if _is_met(target.get("dependsOn", []), question.dependencies):
                    yield Match(target.get("equivalence"), group.get("target"), target.get("code"),
                                group.get("targetVersion"), target.get("display"), tuple(target.get("product", [])))


def _reversed(group: Json, question: Question, spend: Callable[[int], None]) -> Iterator[Match]:
    for element in group.get("element", []):
        spend(len(element.get("target", [])) // _ELEMENTS_OF_STEP)
        for target in element.get("target", []):
            if target.get("code") == question.code and "code" in element:
                equivalence = target.get("equivalence", "")
                yield Match(_REVERSED.get(equivalence, equivalence) or None, group.get("source"), element["code"],
                            group.get("sourceVersion"), element.get("display"))


def _is_listed(group: Json, code: str) -> bool:
    return any(element.get("code") == code for element in group.get("element", []))


def _is_met(conditions: Sequence[Json], dependencies: Sequence[tuple[str, Json]]) -> bool:
    """Tell whether every dependsOn of a target has the value it asks for."""
    return all(any(one.get("property") == element and _is_value(one, concept) for element, concept in dependencies)
               for one in conditions)


def _is_value(condition: Json, concept: Json) -> bool:
    wanted, system = condition.get("value"), condition.get("system")
    if wanted is None:
        return False
    for coding in concept.get("coding", []):
        if coding.get("code") == wanted and system in (None, coding.get("system")):
            return True
    return concept.get("text") == wanted


def _unmapped(group: Json, question: Question) -> tuple[list[Match], list[str]]:
    """Say what stands for a code that the group does not have: https://hl7.org/fhir/R4/valueset-conceptmap-unmapped-mode.html"""
    unmapped = group.get("unmapped", {})
    match unmapped.get("mode"):
        case "provided":
            return [Match("equal", group.get("target"), question.code, group.get("targetVersion"))], []
        case "fixed":
            return [Match("inexact", group.get("target"), unmapped.get("code"), group.get("targetVersion"),
                          unmapped.get("display"))], []
        case "other-map":
            return [], [unmapped["url"]] if "url" in unmapped else []
    return [], []
