"""FHIR operations: https://hl7.org/fhir/R4/operations.html#executing"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, MethodNotAllowed, NotFound
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.resource import type_of, validated
from hie.interactions.conditional import ANSWER_PARAMETERS
from hie.registry import Operation, Parameter

#: Input parameters of these types cannot stand in a URL.
_COMPLEX = frozenset({"Resource", "Any"})


def operation(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Find the operation, check its parameters wherever the client wrote them, and run it."""
    found = _found(request, ctx)
    if request.method in ("GET", "HEAD") and found.affects_state:
        error = MethodNotAllowed(f"${found.code} changes what is stored; send it by POST.", expression="http.method")
        error.headers["Allow"] = "POST"
        raise error
    return found.function(_with_parameters(request, found), ctx)


def _found(request: FhirRequest, ctx: Context) -> Operation:
    code = request.operation or ""
    found = ctx.registry.operation(code, request.type)
    if found is None or not found.offered(request.type, request.id is not None):
        where = "the system" if request.type is None else request.type + ("/[id]" if request.id is not None else "")
        raise NotFound(f"There is no operation ${code} on {where}; the CapabilityStatement lists what there is.",
                       expression="http.url")
    return found


def _with_parameters(request: FhirRequest, found: Operation) -> FhirRequest:
    """Return the request with its input parameters as (name, value), and a resource given as a parameter as its own."""
    known = {one.name: one for one in found.parameters}
    values = [(name, value) for name, value in request.parameters if name not in ANSWER_PARAMETERS]
    resource = request.resource
    if isinstance(resource, dict) and resource.get("resourceType") == "Parameters":
        validated(_without_subjects(resource, known), "Parameters")
        resource, more = _taken_apart(resource, known, found)
        values += more
    elif resource is not None:
        type_of(resource)
        if not any(one.type in _COMPLEX for one in found.parameters):
            raise InvalidRequest(f"${found.code} takes its input as a Parameters resource, or in the URL.",
                                 expression="resourceType")
    for name, _ in values:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise InvalidRequest(f"${found.code} has no parameter {name[:80]!r}; it has: {names}.",
                                 expression=name[:80])
    _check_cardinality(values, resource, found)
    return replace(request, parameters=tuple(values), resource=resource)


def _without_subjects(resource: dict[str, Any], known: dict[str, Parameter]) -> dict[str, Any]:
    """Return the Parameters without the resources that the operation is about: it judges them itself."""
    rows = resource.get("parameter")
    if not isinstance(rows, list):
        return resource
    kept = [row for row in rows if not (isinstance(row, dict) and _is_complex(row.get("name"), known)
                                        and set(row) == {"name", "resource"})]
    envelope = {name: value for name, value in resource.items() if name != "parameter"}
    return envelope | {"parameter": kept} if kept else envelope


def _is_complex(name: Any, known: dict[str, Parameter]) -> bool:
    return isinstance(name, str) and name in known and known[name].type in _COMPLEX


def _taken_apart(
    resource: dict[str, Any], known: dict[str, Parameter], found: Operation
) -> tuple[Any, list[tuple[str, str]]]:
    """Take a Parameters resource apart into the one resource and the simple values."""
    inner: Any = None
    values: list[tuple[str, str]] = []
    for index, row in enumerate(resource.get("parameter", [])):
        name, expression = row["name"], f"Parameters.parameter[{index}]"
        if _is_complex(name, known):
            if "resource" not in row or inner is not None:
                raise InvalidRequest(f"Parameter {name} of ${found.code} is one resource.",
                                     expression=f"{expression}.resource")
            inner = row["resource"]
        else:
            values.append((name, _simple(row, f"{expression}.value[x]")))
    return inner, values


def _simple(row: dict[str, Any], expression: str) -> str:
    value = next((value for key, value in row.items() if key.startswith("value")), None)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, dict | list):
        raise InvalidRequest(f"Parameter {row['name']} has no simple value.", expression=expression)
    return str(value)


def _check_cardinality(values: list[tuple[str, str]], resource: Any, found: Operation) -> None:
    for one in found.parameters:
        given = (resource is not None) if one.type in _COMPLEX else sum(name == one.name for name, _ in values)
        if given < one.min:
            raise InvalidRequest(f"${found.code} needs the parameter {one.name}.", expression=one.name)
        if one.max != "*" and given > int(one.max):
            raise InvalidRequest(f"${found.code} takes {one.name} once.", expression=one.name)
