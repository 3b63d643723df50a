"""How the codes of a closure table stand to one another: https://hl7.org/fhir/R4/terminology-service.html#closure

That a code subsumes itself is not told. Of two codes one of which subsumes the other, the narrower one is the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.terminology import Terminology

Json = dict[str, Any]

#: What an entry costs, in codes that are looked at.
_OF_ENTRY = 4


class Concept(NamedTuple):
    """One code of a closure table; `version` is the one that its coding named, None where it named none."""

    system: str
    version: str | None
    code: str

    @property
    def key(self) -> tuple[str, str]:
        """By which a table knows it: system and code, as the client wrote them."""
        return self.system, self.code


class Entry(NamedTuple):
    """One row of a closure table: `target` subsumes `source`, or is another writing of it."""

    system: str
    source: str
    equivalence: str
    target: str


def entries(concepts: Sequence[Concept], systems: Mapping[str, CodeSystem], service: Terminology) -> set[Entry]:
    """Return all entries between concepts, each of which is in its code system."""
    codes: dict[str, list[str]] = {}
    for one in concepts:
        codes.setdefault(one.system, []).append(one.code)
    return {entry for url, some in codes.items() for entry in _of_one(url, some, systems[url], service)}


def _of_one(url: str, codes: list[str], system: CodeSystem, service: Terminology) -> Iterator[Entry]:
    written: dict[str, list[str]] = {}
    for code in codes:
        concept = system.get(code)
        if concept is None:
            raise LookupError(f"{code} is not in {url}.")
        others = written.setdefault(concept.code, [])
        service.spend(_OF_ENTRY * len(others))
        for other in others:
            yield Entry(url, code, "equal", other)
        others.append(code)
    for code, spelled in written.items():
        above = system.ancestors(code)
        targets = [one for ancestor in above for one in written.get(ancestor, ())]
        service.spend(len(above) + len(spelled) + _OF_ENTRY * len(targets) * len(spelled))
        for target in targets:
            for source in spelled:
                yield Entry(url, source, "subsumes", target)


def groups(found: set[Entry], systems: Mapping[str, CodeSystem]) -> list[Json]:
    """Write entries as the groups of a ConceptMap, in the order of their codes."""
    by_system: dict[str, dict[str, list[Json]]] = {}
    for one in sorted(found):
        elements = by_system.setdefault(one.system, {})
        elements.setdefault(one.source, []).append({"code": one.target, "equivalence": one.equivalence})
    return [_group(url, systems[url].version, elements) for url, elements in by_system.items()]


def _group(url: str, version: str | None, elements: Mapping[str, list[Json]]) -> Json:
    ends: Json = {"source": url, "target": url}
    if version is not None:
        ends = {"source": url, "sourceVersion": version, "target": url, "targetVersion": version}
    return ends | {"element": [{"code": code, "target": targets} for code, targets in elements.items()]}
