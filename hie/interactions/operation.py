"""FHIR operations: https://hl7.org/fhir/R4/operations.html#executing"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, InvalidXml, MethodNotAllowed, NotFound, NotOffered, NotSupported
from hie.fhir import facts, modifiers, not_offered, peers
from hie.fhir.conditions import refuse_unasked_by
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.resource import type_of, validated
from hie.fhir.routes import ANSWER_PARAMETERS, parse, wrong_method
from hie.interactions.operation_values import check, plain
from hie.registry import Operation, Parameter, Registry

#: Methods for an operation that changes what is stored, and for one that does not.
_CHANGING = ("OPTIONS", "POST")
_ASKING = ("GET", "HEAD", "OPTIONS", "POST")
#: A resource of any type: the operation judges it itself.
_OPEN = frozenset({"Resource", "Any"})
_SUBJECT = re.compile(r"Parameters\.parameter\[\d+\]\.resource\b")
#: Types of input parameters that may be any data type.
_ANY_TYPE = frozenset({"Element", "Type"})


def operation(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Find the operation, check its parameters wherever the client wrote them, and run it."""
    found = offered(request, ctx.registry)
    return found.function(checked(request, found), ctx)


def checked(request: FhirRequest, found: Operation) -> FhirRequest:
    """Return the request with the parameters of the operation, from wherever the client wrote them."""
    refuse_unasked_by(f"${found.code}", found.conditions, request.conditions, only_reads=not found.affects_state)
    if found.takes_body:
        return request
    return _with_search(request) if found.takes_search else _with_parameters(request, found)


def offered(request: FhirRequest, registry: Registry) -> Operation:
    """Return the operation that is called; NotFound where there is none, MethodNotAllowed where GET cannot call it."""
    found = _found(request, registry)
    if request.method in ("GET", "HEAD") and found.affects_state:
        error = MethodNotAllowed(f"${found.code} changes what is stored; send it by POST.", expression="http.method")
        error.headers["Allow"] = ", ".join(_CHANGING)
        raise error
    return found


def changes(request: FhirRequest, registry: Registry) -> bool:
    """Tell whether an operation may change what is stored, so that a second try could do things twice."""
    found = registry.operation(request.operation or "", request.type)
    if found is None:
        return False
    return found.affects_state or found.is_done_once or (found.writes is not None and found.writes(request))


def _with_search(request: FhirRequest) -> FhirRequest:
    """Return the request with the search parameters of its URL and of a Parameters resource together."""
    resource = request.resource
    if resource is None:
        return request
    if type_of(resource) != "Parameters":
        raise InvalidRequest(f"${request.operation} takes search parameters, in the URL or in a Parameters resource.",
                             expression="resourceType")
    validated(resource, "Parameters")
    modifiers.refuse(resource)
    more = tuple((row["name"], plain(row, f"Parameters.parameter[{index}].value[x]"))
                 for index, row in enumerate(resource.get("parameter", [])))
    return replace(request, parameters=(*request.parameters, *more), resource=None)


def allowed(request: FhirRequest, registry: Registry) -> tuple[str, ...]:
    """Return the methods by which an operation may be called; NotFound where there is none of this name."""
    return _CHANGING if _found(request, registry).affects_state else _ASKING


def of_method(error: FhirError, method: str, path: str, registry: Registry) -> FhirError:
    """Return the refusal of an address, for that of an operation by what this one is, which the routes do not know."""
    if not isinstance(error, MethodNotAllowed) or "$" not in path:
        return error
    try:
        return wrong_method(method, path, allowed(parse("POST", path), registry))
    except FhirError as other:
        return other


def _found(request: FhirRequest, registry: Registry) -> Operation:
    code = request.operation or ""
    found = registry.operation(code, request.type)
    if found is None or not found.offered(request.type, request.id is not None, request.vid is not None):
        where = "the system" if request.type is None else request.type + ("/[id]" if request.id is not None else "")
        where += "/_history/[vid]" if request.vid is not None else ""
        raise _not_there(code, request.type, where, registry)
    return found


def _not_there(code: str, type_name: str | None, where: str, registry: Registry) -> NotFound:
    """Say where an operation can be called, or why it is not here; and of one that nobody has, that it is not known."""
    told = f"There is no operation ${code} on {where}"
    reason = not_offered.reason(code, type_name) if registry.operation(code, type_name) is None else None
    if reason is not None:
        return NotOffered(f"{told}: {reason}.", expression="http.url")
    if elsewhere := registry.places(code, type_name):
        return NotFound(f"{told}: it is one of {', '.join(elsewhere)}.", expression="http.url")
    here = peers.operation(code) or "the CapabilityStatement lists what there is"
    return NotFound(f"{told}; {here}.", expression="http.url")


def _with_parameters(request: FhirRequest, found: Operation) -> FhirRequest:
    """Return the request with its input parameters: plain ones as text, others as JSON, an open resource as its own."""
    known = {one.name: one for one in found.parameters}
    values = [(name, value) for name, value in request.parameters if name in known or name not in ANSWER_PARAMETERS]
    _refuse_unknown([name for name, _ in values], known, found)
    for name, _ in values:
        if (kind := _kind(known[name])) != "plain" and not known[name].is_token:
            is_one = kind == "open" or [one.type for one in found.parameters].count(known[name].type) == 1
            alone = ", or as the body itself" if kind in ("open", "resource") and is_one else ""
            raise InvalidRequest(f"{name} of ${found.code} is a {known[name].type or 'parameter with parts'}: send it "
                                 f"by POST in a Parameters resource{alone}.", expression=name)
    resource = request.resource
    arguments: list[tuple[str, Any]] = []
    if isinstance(resource, dict) and resource.get("resourceType") == "Parameters":
        _refuse_unread(request)
        validated(_without_subjects(resource, known), "Parameters")
        modifiers.refuse(resource)
        resource, more, arguments = _taken_apart(resource, known, found)
        values += more
    elif resource is not None:
        resource, arguments = _body(resource, found)
    for name in dict.fromkeys(name for name, _ in (*values, *arguments)):
        if known[name].refused is not None:
            raise NotSupported(f"{name} of ${found.code} is not taken here. {known[name].refused}", expression=name)
    for name, text in values:
        check(name, text, known[name], found)
    _check_cardinality([name for name, _ in (*values, *arguments)], resource, found)
    return replace(request, parameters=tuple(values), resource=resource, arguments=tuple(arguments))


def _refuse_unknown(names: list[str], known: dict[str, Parameter], found: Operation, hint: str = "") -> None:
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise InvalidRequest(f"${found.code} has no parameter {name[:80]!r}; it has: {there}.{hint}",
                                 expression=name[:80])


def takes_form(found: Operation) -> bool:
    """Tell whether a form may say all that an operation needs: no parameter that it must have is more than a text."""
    return all(_kind(one) == "plain" for one in found.parameters if one.min > 0)


def _kind(parameter: Parameter) -> str:
    """Say how the parameter is written: plain text, open (any resource), resource, parts, or as a data type."""
    name = parameter.type
    if name in _OPEN:
        return "open"
    if name in facts.RESOURCE_TYPES:
        return "resource"
    if not name:
        return "parts"
    return "data" if name in facts.DATA_TYPES or name in _ANY_TYPE else "plain"


def _body(resource: Any, found: Operation) -> tuple[Any, list[tuple[str, Any]]]:
    """Read a body that is the one resource the operation takes: https://hl7.org/fhir/R4/operations.html#request"""
    type_name = type_of(resource)
    takers = [one for one in found.parameters if one.type == type_name]
    if any(_kind(one) == "open" for one in found.parameters):
        return resource, []
    if len(takers) != 1:
        raise InvalidRequest(f"${found.code} takes its input as a Parameters resource, or in the URL.",
                             expression="resourceType")
    validated(resource, type_name)
    return None, [(takers[0].name, resource)]


def _without_subjects(resource: dict[str, Any], known: dict[str, Parameter]) -> dict[str, Any]:
    """Return the Parameters without the resources that the operation is about: it judges them itself."""
    rows = resource.get("parameter")
    if not isinstance(rows, list):
        return resource
    kept = [row for row in rows if not (isinstance(row, dict) and _is_open(row.get("name"), known)
                                        and set(row) == {"name", "resource"})]
    envelope = {name: value for name, value in resource.items() if name != "parameter"}
    return envelope | {"parameter": kept} if kept else envelope


def _refuse_unread(request: FhirRequest) -> None:
    """Refuse what is no FHIR in the Parameters themselves, beside the resources that the operation is about."""
    around = [one for one in request.unread if _SUBJECT.match(one.expression or "") is None]
    if around:
        raise InvalidXml(around[0].diagnostics, issues=around)


def _is_open(name: Any, known: dict[str, Parameter]) -> bool:
    return isinstance(name, str) and name in known and known[name].type in _OPEN


def _taken_apart(
    resource: dict[str, Any], known: dict[str, Parameter], found: Operation
) -> tuple[Any, list[tuple[str, str]], list[tuple[str, Any]]]:
    """Take a Parameters resource apart into the one open resource, the plain values and the others."""
    rows = resource.get("parameter", [])
    taker = next((name for name, one in known.items() if one.type in _OPEN), None)
    hint = "" if taker is None else f" A Parameters that is itself meant goes, as a resource, into {taker}."
    _refuse_unknown([row.get("name", "") for row in rows], known, found, hint)
    inner: Any = None
    values: list[tuple[str, str]] = []
    arguments: list[tuple[str, Any]] = []
    for index, row in enumerate(rows):
        name, expression = row["name"], f"Parameters.parameter[{index}]"
        match _kind(known[name]):
            case "open":
                if "resource" not in row or inner is not None:
                    raise InvalidRequest(f"Parameter {name} of ${found.code} is one resource.",
                                         expression=f"{expression}.resource")
                inner = row["resource"]
            case "plain":
                values.append((name, plain(row, f"{expression}.value[x]", known[name])))
            case kind:
                arguments.append((name, _argument(row, known[name], kind, expression)))
    return inner, values, arguments


def _argument(row: dict[str, Any], parameter: Parameter, kind: str, expression: str) -> Any:
    """Return the JSON of a parameter that is no plain text."""
    wanted = parameter.type
    match kind:
        case "parts":
            if "part" in row:
                return row["part"]
            raise InvalidRequest(f"Parameter {parameter.name} is written as parts.", expression=f"{expression}.part")
        case "resource":
            resource = row.get("resource")
            if isinstance(resource, dict) and resource.get("resourceType") == wanted:
                return resource
            raise InvalidRequest(f"Parameter {parameter.name} is a {wanted} resource.",
                                 expression=f"{expression}.resource")
    for key, value in row.items():
        if key == f"value{wanted}" or (wanted in _ANY_TYPE and key.startswith("value")):
            return value
    raise InvalidRequest(f"Parameter {parameter.name} is written as value{wanted}.",
                         expression=f"{expression}.value{wanted}")


def _check_cardinality(names: list[str], resource: Any, found: Operation) -> None:
    for one in found.parameters:
        given = (resource is not None) if one.type in _OPEN else names.count(one.name)
        if given < one.min:
            raise InvalidRequest(f"${found.code} needs the parameter {one.name}.", expression=one.name)
        if one.max != "*" and given > int(one.max):
            raise InvalidRequest(f"${found.code} takes {one.name} once.", expression=one.name)
