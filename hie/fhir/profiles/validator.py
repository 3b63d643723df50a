"""Judge a resource by profiles: https://hl7.org/fhir/R4/profiling.html

The resource is valid by the base rules of R4; these are not repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hie.fhir.validation.issue import Issue

from . import extensions
from .checking import Check, InValueSet, is_base
from .library import Definition, Library
from .must_support import absent
from .place import Place, around, of_resource

Json = dict[str, Any]


def conformance(
    resource: Json,
    profiles: Iterable[str],
    library: Library,
    terminology: Callable[[Definition], InValueSet],
    *,
    with_declared: bool = True,
    with_support: bool = True,
) -> list[Issue]:
    """Give everything that is not as the profiles say: those named, and those that the resource declares.

    A profile that is named and not known is an error; one that is declared and not known is told as a warning.
    """
    check = Check(library, terminology)
    whole = of_resource(resource)
    asked = list(dict.fromkeys(profiles))
    try:
        for canonical in asked:
            _against(check, whole, canonical, with_support, is_asked=True)
        for place in _resources(whole) if with_declared else ():
            for canonical in declared(place.value):
                if place.value is not resource or canonical not in asked:
                    _against(check, place, canonical, with_support and place.value is resource, is_asked=False)
        extensions.check_all(check, whole)
    except RecursionError:
        check.is_cut = True
    if check.is_cut:
        check.tell("warning", "incomplete", "The resource is too large to be checked against its profiles whole.",
                   whole.path)
    if check.unknown:
        names = ", ".join(sorted(check.unknown)[:20])
        check.tell("information", "informational", f"Not checked, since no installed package defines them: {names}.",
                   whole.path)
    return sorted(dict.fromkeys(check.issues), key=lambda one: _ORDER.index(one.severity))


_ORDER = ("fatal", "error", "warning", "information")


def declared(resource: Any) -> list[str]:
    """Name the profiles that a resource declares: https://hl7.org/fhir/R4/resource-definitions.html#Meta.profile"""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    rows = meta.get("profile") if isinstance(meta, dict) else None
    return [one for one in rows if isinstance(one, str)] if isinstance(rows, list) else []


def _against(check: Check, place: Place, canonical: str, with_support: bool, *, is_asked: bool) -> None:
    definition = check.library.find(canonical)
    if definition is None:
        if is_base(canonical):
            if canonical.rpartition("/")[2].partition("|")[0] not in (place.type, "Resource", "DomainResource"):
                check.tell("error", "structure", f"{place.type} is found; {canonical} is meant.", place.path)
            return
        text = f"No installed package has the profile {canonical[:300]}."
        check.tell("error" if is_asked else "warning", "not-found", text, place.path)
        return
    check.against(place, definition)
    missing = absent(definition, place) if with_support and place.type == definition.type else []
    if missing:
        text = f"Of what {definition.canonical} wants supported there is no {', '.join(missing[:30])}."
        check.tell("information", "informational", text, place.path)


def _resources(whole: Place) -> Iterator[Place]:
    """Give the resource, and those that a Bundle carries."""
    yield whole
    entries = whole.value.get("entry") if whole.type == "Bundle" else None
    for index, row in enumerate(entries if isinstance(entries, list) else ()):
        one = row.get("resource") if isinstance(row, dict) else None
        if isinstance(one, dict) and isinstance(one.get("resourceType"), str):
            yield of_resource(one, around(one, whole.around.own), f"Bundle.entry[{index}].resource")
