"""Judge a resource by profiles: https://hl7.org/fhir/R4/profiling.html

The resource is valid by the base rules of R4; these are not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

from hie.fhir import vital_signs
from hie.fhir.validation.issue import Issue, Severity

from . import extensions
from .base_types import is_base
from .checking import Check, InValueSet, TooMuch
from .library import Definition, Library, Stored, WithStored
from .must_support import absent
from .place import Place, around, of_resource
from .resolving import Elsewhere

Json = dict[str, Any]


def conformance(
    resource: Json,
    profiles: Iterable[str],
    library: Library,
    terminology: Callable[[Definition], InValueSet],
    *,
    with_declared: bool = True,
    with_support: bool = True,
    stored: Stored | None = None,
    targets: Elsewhere | None = None,
    of_vital_signs: Severity | None = None,
) -> list[Issue]:
    """Give everything that is not as the profiles say: those named, those that the resource declares, and, told as
    `of_vital_signs` at worst, those that R4 has for vital signs; None does not ask them.

    A profile that is named and not known is an error; one that is declared and not known is told as a warning. What is
    installed is judged by itself: a definition that a client stored can neither change nor exhaust that. Slices that
    references tell apart ask `targets` for what lies beyond the resource.
    """
    whole = of_resource(resource)
    wanted = _wanted(whole, list(dict.fromkeys(profiles)), with_declared)
    check = Check(library, terminology, targets=targets)
    vital = Check(library, terminology)
    if of_vital_signs is not None:
        _judge_vital_signs(vital, whole, wanted, of_vital_signs)
        if of_vital_signs != "error" and stored is not None and stored.time is not None:
            stored.time.take_left_out()  # nobody is refused for it
    if stored is None:
        _judge(check, whole, wanted, with_support)
        return _told([check, vital], whole)
    behind = Check(WithStored(library, stored), terminology, stored, targets)
    behind_names = {one for one in dict.fromkeys(row.canonical for row in wanted) if _is_stored(one, library, stored)}
    later = [row for row in wanted if row.canonical in behind_names]
    check.elsewhere = stored
    _judge(check, whole, [row for row in wanted if row.canonical not in behind_names], with_support)
    check.unknown = {one for one in check.unknown if stored.find(one) is None}
    with stored.time or nullcontext():
        _judge(behind, whole, later, with_support)
    return _told([check, vital, behind], whole)


class _Wanted(NamedTuple):
    """A profile that a resource is judged by, and why."""

    place: Place
    canonical: str
    is_asked: bool


def _wanted(whole: Place, asked: list[str], with_declared: bool) -> list[_Wanted]:
    rows = [_Wanted(whole, canonical, True) for canonical in asked]
    for place in _resources(whole) if with_declared else ():
        rows += [_Wanted(place, one, False) for one in declared(place.value) if place is not whole or one not in asked]
    return rows


def _is_stored(canonical: str, library: Library, stored: Stored) -> bool:
    return library.find(canonical) is None and not is_base(canonical) and stored.find(canonical) is not None


def _judge(check: Check, whole: Place, wanted: list[_Wanted], with_support: bool) -> None:
    try:
        for row in wanted:
            _against(check, row.place, row.canonical, with_support and row.place is whole, is_asked=row.is_asked)
        extensions.check_all(check, whole)
    except (TooMuch, RecursionError):
        check.is_cut = True


def _judge_vital_signs(check: Check, whole: Place, wanted: list[_Wanted], worst: Severity) -> None:
    """Judge what has the code of a vital sign by the profile of it: https://hl7.org/fhir/R4/observation-vitalsigns.html"""
    declared_too = {(id(row.place.value), row.canonical.partition("|")[0]) for row in wanted}
    try:
        for place in _resources(whole):
            for code, canonical in vital_signs.of(place.value):
                if (id(place.value), canonical.partition("|")[0]) not in declared_too:
                    _vital_sign(check, place, code, canonical)
    except (TooMuch, RecursionError):
        check.is_cut = True
    check.issues = [replace(one, severity="warning" if _is_of_a_component(one) else worst)
                    if one.severity == "error" else one for one in check.issues]


def _is_of_a_component(issue: Issue) -> bool:
    """Tell whether the units of vital signs are asked for in a component: R4 binds what goes along with a vital sign,
    as the flow of oxygen in L/min does, to them too. HL7's own guides and validator do not hold anybody to that.
    """
    is_of_units = issue.code == "code-invalid" and _UNITS in issue.diagnostics
    return is_of_units and _COMPONENT.search(issue.expression) is not None


_COMPONENT = re.compile(r"\.component\[\d+\]\.value$")
_UNITS = "http://hl7.org/fhir/ValueSet/ucum-vitals-common"


def _vital_sign(check: Check, place: Place, code: str, canonical: str) -> None:
    before = len(check.issues)
    _against(check, place, canonical, False, is_asked=False)
    if any(one.severity == "error" for one in check.issues[before:]):
        text = f"Its code {code} of LOINC makes it a vital sign, which has to conform to {canonical}."
        check.tell("information", "informational", text, f"{place.path}.code")


def _told(checks: list[Check], whole: Place) -> list[Issue]:
    """Give what was found, errors first.

    What profiles were not asked of is an error, as it could be wrong there; what only vital signs were not, is none.
    """
    found = dict.fromkeys(issue for check in checks for issue in check.issues)
    if any(check.is_cut for check in checks):
        text = "The resource is too large to be checked against its profiles whole."
        is_error = any(check.is_cut for check in checks[:1] + checks[2:])
        found[Issue("error" if is_error else "warning", "incomplete", text, whole.path)] = None
    unknown = {one for check in checks for one in check.unknown if not _is_left_out(checks[0], one)}
    reasons = {one: reason for one in sorted(unknown)[:MOST_EXPLAINED] if (reason := _reason(checks[0], one))}
    for reason in reasons.values():
        found[Issue("warning", "not-found", f"Not checked: {reason}", whole.path)] = None
    unknown -= reasons.keys()
    if unknown:
        text = f"Not checked, since no installed package defines them: {', '.join(sorted(unknown)[:20])}."
        found[Issue("information", "informational", text, whole.path)] = None
    return sorted(found, key=lambda one: _ORDER.index(one.severity))


#: Definitions that are here and cannot be used, of which it is told why.
MOST_EXPLAINED = 100
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
        if _is_left_out(check, canonical):
            return
        text = _reason(check, canonical) or f"No installed package has the profile {canonical[:300]}."
        check.tell("error" if is_asked else "warning", "not-found", text, place.path)
        return
    check.against(place, definition)
    missing = absent(check, definition, place) if with_support and place.type == definition.type else []
    if missing:
        text = f"Of what {definition.canonical} wants supported there is no {', '.join(missing[:30])}."
        check.tell("information", "informational", text, place.path)


def _reason(check: Check, canonical: str) -> str | None:
    """Tell why a definition that is here cannot be used."""
    found = check.library.reason(canonical)
    return found if found is not None or check.elsewhere is None else check.elsewhere.reason(canonical)


def _is_left_out(check: Check, canonical: str) -> bool:
    return check.elsewhere is not None and check.elsewhere.is_left_out(canonical)


def _resources(whole: Place) -> Iterator[Place]:
    """Give the resource, those that it contains, and those that a Bundle carries."""
    yield whole
    yield from _contained(whole)
    entries = whole.value.get("entry") if whole.type == "Bundle" else None
    for index, row in enumerate(entries if isinstance(entries, list) else ()):
        one = row.get("resource") if isinstance(row, dict) else None
        if isinstance(one, dict) and isinstance(one.get("resourceType"), str):
            carried = of_resource(one, around(one, whole.around.own), f"Bundle.entry[{index}].resource")
            yield carried
            yield from _contained(carried)


def _contained(place: Place) -> Iterator[Place]:
    if "contained" in place.value:
        yield from (one for one in place.children("contained") if isinstance(one.value, dict))
