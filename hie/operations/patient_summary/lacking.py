"""What IPS wants of a record, and what is stored has not: such a summary claims no profile.

https://hl7.org/fhir/uv/ips/STU1.1/profiles.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from hie.fhir.terminology.grammars import GRAMMARS
from hie.operations.patient_summary.choosing import Chosen
from hie.operations.patient_summary.inside import Inside

Json = dict[str, Any]


class _Wanted(NamedTuple):
    """What a profile wants: elements, and references of which what they lead to has to be as wanted too, by its type.
    """

    elements: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    of: frozenset[str] = frozenset()
    languages: tuple[str, ...] = ()
    """What R4 and so IPS has a language for: by a code of BCP 47."""


_PERFORMERS = frozenset({"Organization", "Practitioner", "PractitionerRole"})
_LANGUAGES = "urn:ietf:bcp:47"
#: Beyond what is wanted of whatever is stored.
_WANTED = {
    "Patient": _Wanted(("birthDate",), languages=("communication.language",)),
    "Condition": _Wanted(("clinicalStatus", "code")),
    "Procedure": _Wanted(("code", "performed"), ("performer.actor", "performer.onBehalfOf"), _PERFORMERS),
    "DeviceUseStatement": _Wanted(("timing",), ("device",), frozenset({"Device"})),
    "Device": _Wanted(("patient",)),
    "Practitioner": _Wanted(("name",), languages=("communication",)),
    "Organization": _Wanted(("name",)),
    "PractitionerRole": _Wanted((), ("practitioner", "organization"), frozenset({"Organization", "Practitioner"})),
}


def of_patient(patient: Json, inside: Inside) -> Iterator[str]:
    """Say what the Patient lacks."""
    names = patient.get("name", [])
    if not names or not all({"family", "given", "text"} & set(one) for one in names):
        yield "Patient.name with a family name, a given name or a text in each."
    for lack in _of(patient, patient, inside):
        yield f"{lack}."


def of_section(one: Chosen, inside: Inside) -> Iterator[str]:
    """Say what all entries lack of a section of which IPS wants one by its profile."""
    if not one.section.is_profiled:
        return
    lacks = []
    for entry in one.entries:
        lack = next(_of(entry.resource, entry.resource, inside), None)
        if lack is None:
            return
        lacks.append(f"{entry.stored.type}/{entry.stored.id} lacks {lack}")
    if lacks:
        yield f"{one.section.title} with an entry by its profile: {lacks[0]}."


def _of(resource: Json, root: Json, inside: Inside) -> Iterator[str]:
    """Say what a resource lacks, or what it refers to."""
    type_name = resource["resourceType"]
    wanted = _WANTED.get(type_name, _Wanted())
    yield from (f"{type_name}.{name}" for name in wanted.elements if not _has(resource, name))
    for path in wanted.references:
        for reference in _along(resource, path.split(".")):
            found = inside.found(reference, root)
            if found is not None and found.resource["resourceType"] in wanted.of:
                yield from _of(*found, inside)
    for path in wanted.languages:
        if not all(_is_language(one) for one in _along(resource, path.split("."))):
            yield f"{type_name}.{path} of BCP 47"


def _is_language(concept: Json) -> bool:
    """Tell whether a concept is a language, or the reason why it is absent."""
    codes = (one.get("code") for one in concept.get("coding", []) if one.get("system") == _LANGUAGES)
    return not concept.keys() - {"id", "extension"} or any(code and GRAMMARS[_LANGUAGES](code) for code in codes)


def _along(value: Any, path: list[str]) -> Iterator[Json]:
    """Yield what stands at the end of a path."""
    if isinstance(value, list):
        for one in value:
            yield from _along(one, path)
    elif isinstance(value, dict):
        if path:
            yield from _along(value.get(path[0]), path[1:])
        else:
            yield value


def _has(resource: Json, name: str) -> bool:
    """Tell whether a resource has an element, of whichever type, or the reason why it is absent."""
    return any(re.fullmatch(f"_?{name}([A-Z][A-Za-z]*)?", key) for key in resource)
