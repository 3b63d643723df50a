"""Codes and displays that their code system does not have, where that is here: https://hl7.org/fhir/R4/datatypes.html#Coding

What the reader sees and what the code says must not be two different things. A warning: other versions of the code
system, and other languages, may have other displays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hie.errors import FhirError, TooCostly
from hie.fhir.primitives import shown
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.displays import is_display
from hie.fhir.terminology.terminology import Terminology
from hie.fhir.validation.issue import Problem
from hie.fhir.working_time import WorkingTime

from .walk import Found

#: Code systems that are looked up, and different codings that are looked at.
MOST_SYSTEMS, MOST_CODINGS = 50, 2_000

_Named = tuple[str, "str | None"]


class Displays:
    """The codings of a resource, each the first time that it says something else."""

    def __init__(self) -> None:
        self._codings: dict[_Named, dict[tuple[str, str | None], str]] = defaultdict(dict)
        self._count = 0

    def note(self, one: Found) -> None:
        """Keep a coding to be looked at."""
        system, code, display = (_text(one.value, name) for name in ("system", "code", "display"))
        if system is None or code is None:
            return
        of_system = self._codings[system, _text(one.value, "version")]
        if (code, display) in of_system:
            return
        self._count += 1
        if self._count <= MOST_CODINGS:
            of_system[code, display] = one.path

    def wrong(self, terminology: Terminology, time: WorkingTime) -> Iterator[Problem]:
        """Give, at paths of their own, what is not as the code systems say that are here."""
        for (url, version), codings in list(self._codings.items())[:MOST_SYSTEMS]:
            if not time.is_left:
                yield "", "information", "incomplete", f"Not all codes and displays were looked at: {time.told}"
                return
            try:
                with time:
                    found = _of_system(terminology, url, version, codings)
            except TooCostly:
                self._count = MOST_CODINGS + 1
                break
            yield from found
        if self._count > MOST_CODINGS or len(self._codings) > MOST_SYSTEMS:
            text = f"Of codes and their displays only the first were looked at: {MOST_CODINGS} different ones of " \
                   f"{MOST_SYSTEMS} code systems at most."  # fmt: skip
            yield "", "information", "incomplete", text


def _of_system(
    terminology: Terminology, url: str, version: str | None, codings: dict[tuple[str, str | None], str]
) -> list[Problem]:
    named = [*_named(terminology, url, version, codings)]
    system = _system(terminology, url, version)
    if system is None:
        return named
    return named + [one for (code, display), path in codings.items()
                    for one in _of(system, code, display, path, terminology)]


def _named(
    terminology: Terminology, url: str, version: str | None, codings: dict[tuple[str, str | None], str]
) -> Iterator[Problem]:
    """Give what names a code system as none may be named: https://hl7.org/fhir/R4/codesystem.html#supplements"""
    known = terminology.find("CodeSystem", url, version)
    resource = {} if known is None else known.resource
    for path in codings.values():
        if resource.get("content") == "supplement":
            text = f"{shown(url)} is a supplement of {shown(resource.get('supplements'))}, whose codes are meant."
            yield f"{path}.system", "error", "code-invalid", text
        elif resource.get("versionNeeded") is True and version is None:
            text = f"The codes of {shown(url)} mean another thing in other versions; which is meant has to be said."
            yield f"{path}.version", "error", "required", text


def _system(terminology: Terminology, url: str, version: str | None) -> CodeSystem | None:
    """Find a code system with its supplements; None where its codes are not here."""
    try:
        return terminology.code_system(url, version, supplemented=True)
    except TooCostly:
        raise
    except FhirError:
        return None


def _of(
    system: CodeSystem, code: str, display: str | None, path: str, terminology: Terminology
) -> Iterator[Problem]:
    concept = system.get(code)
    if concept is None:
        if system.is_complete:
            here = f", of which version {system.version[:80]} is here" if system.version else ""
            yield f"{path}.code", "warning", "code-invalid", f"{shown(code)} is no code of {system.url[:200]}{here}."
        return
    terminology.spend(len(concept.designations))
    if display is not None and concept.display is not None and not is_display(
        display, concept.display, concept.designations
    ):
        text = f"{shown(display)} is no display of {shown(code)}; in {system.url[:200]} it is {shown(concept.display)}."
        yield f"{path}.display", "warning", "code-invalid", text


def _text(value: dict[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) else None
