"""Which codes have given properties: https://hl7.org/fhir/R4/codesystem-operation-find-matches.html

The best matches are returned: a code is left out where another one has all that it has of what was asked for, and more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from hie.fhir.terminology.code_system import CodeSystem, Concept

Json = dict[str, Any]


class Property(NamedTuple):
    """One property that is asked for; `value` is what its value[x] (`type`, as in valueCode) has as JSON."""

    code: str
    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class Match:
    """A code with the numbers of the properties that it has, and of those that it may have by their words."""

    concept: Concept
    exact: frozenset[int]
    possible: frozenset[int] = frozenset()


def matches(
    system: CodeSystem, asked: Sequence[Property], *, by_words: bool, spend: Callable[[int], None]
) -> list[Match]:
    """Return the best matches, those that have most first; `by_words`: possible ones too."""
    spend(len(system.concepts) * len(asked))
    found = [_match(system, concept, asked, by_words) for concept in system.concepts.values()]
    kinds = {(one.exact, one.possible) for one in found if one.exact or one.possible}
    spend(len(kinds) ** 2)
    best = {kind for kind in kinds if not any(_is_better(other, kind) for other in kinds)}
    kept = [one for one in found if (one.exact, one.possible) in best]
    return sorted(kept, key=lambda one: (-len(one.exact), -len(one.possible)))


def _match(system: CodeSystem, concept: Concept, asked: Sequence[Property], by_words: bool) -> Match:
    exact, possible = set(), set()
    for number, one in enumerate(asked):
        values = _values(system, concept, one.code)
        if any(_is_same(found, one.value, system.url) for found in values):
            exact.add(number)
        elif by_words and isinstance(one.value, str) and _has_words(values, one.value):
            possible.add(number)
    return Match(concept, frozenset(exact), frozenset(possible))


_Kind = tuple[frozenset[int], frozenset[int]]


def _is_better(one: _Kind, than: _Kind) -> bool:
    return one != than and one[0] >= than[0] and one[0] | one[1] >= than[0] | than[1]


def _values(system: CodeSystem, concept: Concept, name: str) -> list[Any]:
    told = [one["value"] for one in concept.designations]
    if name == "designation":
        return told
    return system.values(concept, name) + (told if name == "display" else [])


def _is_same(found: Any, asked: Any, url: str) -> bool:
    """Compare two values: codings by system and code, a coding with a code of the code system, numbers as numbers."""
    if isinstance(found, dict) or isinstance(asked, dict):
        here, there = (one if isinstance(one, dict) else {"system": url, "code": one} for one in (found, asked))
        systems = {one["system"] for one in (here, there) if "system" in one}
        return isinstance(here.get("code"), str) and here["code"] == there.get("code") and len(systems) < 2
    if isinstance(found, bool) or isinstance(asked, bool):
        return found is asked
    if isinstance(found, int | Decimal) and isinstance(asked, int | Decimal):
        return found == asked
    return isinstance(found, str) and found == asked


def _has_words(values: Sequence[Any], text: str) -> bool:
    words = text.lower().split()
    return bool(words) and any(isinstance(one, str) and all(word in one.lower() for word in words) for one in values)
