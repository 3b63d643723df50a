"""Judge a resource by the definitions of R4: https://hl7.org/fhir/R4/validation.html"""

from __future__ import annotations

from typing import Any

from hie.fhir.primitives import json_kind
from hie.fhir.validation.issue import Issue, Problem, issues
from hie.fhir.validation.scope import Scope
from hie.fhir.validation.structure import object_check, type_problem


def validate(
    resource: Any, type_name: str | None = None, *, invariants: bool = True, is_whole: bool = True
) -> list[Issue]:
    """Give everything wrong with a resource; it may be stored where no issue is fatal or an error.

    `type_name` is the type it has to be of; `invariants=False` leaves out rules that go beyond the structure,
    `is_whole=False` that what is referred to by `#id` is here too.
    Nothing is changed and nothing is raised, whatever JSON is given.
    """
    if not isinstance(resource, dict):
        text = f"A resource is a JSON object; found {json_kind(resource)}."
        return [Issue("fatal", "structure", text, type_name or "")]
    found = type_problem(resource)
    if found:
        return issues(type_name or "", _fatal(found))
    name: str = resource["resourceType"]
    if type_name is not None and name != type_name:
        return [Issue("fatal", "structure", f"The resourceType is {name}; {type_name} is expected.", name)]
    try:
        found = object_check(name)(resource, None, Scope(resource, resource, invariants, is_whole=is_whole))
    except RecursionError:
        return [Issue("fatal", "structure", "The resource is nested too deeply.", name)]
    return issues(name, found) if found else []


def _fatal(problems: list[Problem]) -> list[Problem]:
    return [(path, "fatal", code, text) for path, _, code, text in problems]
