"""Properties of concepts in an expansion, as R5 has them there.

https://hl7.org/fhir/R5/valueset-operation-expand.html, property; in R4 they are written by extensions that stand for
elements of R5: https://hl7.org/fhir/R5/versions.html#extensions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hie.errors import TooCostly
from hie.fhir.terminology.code_system import PROPERTIES, CodeSystem, Concept
from hie.fhir.terminology.member import Member

Json = dict[str, Any]

#: Values that one expansion tells.
MOST_VALUES = 100_000
EVERY = "*"
_BASE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion."
#: Those that every code system can be asked for, which it need not declare; the last is told where it is named.
_ALWAYS = ("parent", "child", "inactive", "definition", "notSelectable")


class Properties:
    """The properties that are wanted, by code or by URI (`*`: all), of the concepts of some code systems."""

    def __init__(self, wanted: Iterable[str], systems: Iterable[CodeSystem]) -> None:
        self._wanted = frozenset(wanted)
        self._systems: dict[tuple[str, str | None], CodeSystem] = {}
        for one in systems:
            self._systems.setdefault((one.url, one.version), one)
            self._systems.setdefault((one.url, None), one)
        self._found: dict[CodeSystem, dict[str, str]] = {}
        self._uris: dict[str, str] = {}
        self._left = MOST_VALUES

    def of_member(self, member: Member) -> Iterator[Json]:
        """Yield an extension for each value of a property that a code has."""
        system = self._systems.get((member.system, member.version)) if self._wanted else None
        concept = system.get(member.code) if system is not None else None
        if system is None or concept is None:
            return
        names = self._names(system)
        for name, typed in _values(system, concept, names):
            self._left -= 1
            if self._left < 0:
                raise TooCostly(f"The properties of these codes have more than {MOST_VALUES} values; ask for fewer of "
                                "them, or for pages by offset and count.", expression="property")
            self._uris.setdefault(name, names[name])
            yield {"url": f"{_BASE}contains.property",
                   "extension": [{"url": "code", "valueCode": name}, {"url": "value", **typed}]}

    def declared(self) -> list[Json]:
        """Return an extension for each property that was told: what its code stands for."""
        return [{"url": f"{_BASE}property", "extension": [
            {"url": "code", "valueCode": name}, *([{"url": "uri", "valueUri": uri}] if uri else [])]}
            for name, uri in self._uris.items()]

    def _names(self, system: CodeSystem) -> dict[str, str]:
        """Return the properties of a code system that are wanted, with their URIs."""
        if system not in self._found:
            known = {name: PROPERTIES + name for name in _ALWAYS} | system.properties
            every = EVERY in self._wanted
            self._found[system] = {
                name: uri for name, uri in known.items()
                if name in self._wanted or (uri != "" and uri in self._wanted)
                or (every and (name != _ALWAYS[-1] or name in system.properties))}
        return self._found[system]


def _values(system: CodeSystem, concept: Concept, names: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    for name in _ALWAYS:
        for found in system.values(concept, name) if name in names else ():
            if isinstance(found, bool):
                yield name, {"valueBoolean": found}
            else:
                yield name, {"valueString" if name == "definition" else "valueCode": found}
    for row in concept.properties:
        if row["code"] in names and row["code"] not in _ALWAYS:
            yield from ((row["code"], {key: found}) for key, found in row.items() if key.startswith("value"))
