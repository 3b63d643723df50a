"""$diff: what changed between two versions, or differs between two resources; an operation of this server's own.

The answer is a FHIRPath Patch (https://hl7.org/fhir/R4/fhirpatch.html) that makes the first into the second.
"""

from __future__ import annotations

import re
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, NotFound
from hie.fhir import facts, json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.patching.difference import difference
from hie.registry import Operation, Parameter
from hie.store.search.reference import relative

_VERSION = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_PLACE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([1-9][0-9]{0,9}))?", re.ASCII)

Place = tuple[str, str, int | None]


def diff(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the patch from one version or resource to another."""
    include = request.parameter("includeMeta")
    if request.id is not None:
        before, after = _versions(request, ctx)
    else:
        _refuse_versions(request)
        before, after = (_read(_place(request, name, ctx), ctx) for name in ("from", "to"))
    if before["resourceType"] != after["resourceType"]:
        raise InvalidRequest(f"from is a {before['resourceType']} and to a {after['resourceType']}; only resources of "
                             "one type are compared.", expression="to")
    hidden = ("id",) if include == "true" else ("id", "meta")
    entity = request.instance if request.id is not None else None
    return FhirResponse(200, json_format.dump(difference(before, after, hidden=hidden)), entity=entity)


def _refuse_versions(request: FhirRequest) -> None:
    for name in ("fromVersion", "toVersion"):
        if request.parameter(name) is not None:
            raise InvalidRequest(f"{name} is for $diff of one resource; from and to name versions themselves, as in "
                                 "Patient/1/_history/2.", expression=name)


def _versions(request: FhirRequest, ctx: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two versions of the resource that the URL names: the last two unless they are named."""
    for name in ("from", "to"):
        if request.parameter(name) is not None:
            raise InvalidRequest(f"{name} is for $diff of the system; here fromVersion and toVersion choose.",
                                 expression=name)
    type_name, id_ = request.instance
    to = _version(request, "toVersion")
    current = ctx.store.vread(type_name, id_, to) if to is not None else ctx.store.read(type_name, id_)
    before = _version(request, "fromVersion")
    if before is None:
        before = current.vid - 1
        if before < 1:
            raise NotFound(f"{type_name}/{id_} has no version before {current.vid}.", expression="fromVersion")
    return _read((type_name, id_, before), ctx), json_format.parse(current.content or b"{}")


def _version(request: FhirRequest, name: str) -> int | None:
    text = request.parameter(name)
    if text is None:
        return None
    if _VERSION.fullmatch(text) is None:
        raise InvalidRequest(f"{name} is {text[:80]!r}; versions are the numbers 1, 2, 3 …", expression=name)
    return int(text)


def _place(request: FhirRequest, name: str, ctx: Context) -> Place:
    text = request.parameter(name)
    if text is None:
        raise InvalidRequest(f"$diff of the system needs {name}, such as Patient/1 or Patient/1/_history/2; or use "
                             "[type]/[id]/$diff.", expression=name)
    match = _PLACE.fullmatch(relative(relative(text, ctx.store.base_url), ctx.base_url))
    if match is None or match[1] not in facts.RESOURCE_TYPES:
        raise InvalidRequest(f"{name} is {text[:80]!r}; it is a resource of this server, such as Patient/1 or "
                             "Patient/1/_history/2.", expression=name)
    return match[1], match[2], int(match[3]) if match[3] else None


def _read(place: Place, ctx: Context) -> dict[str, Any]:
    type_name, id_, vid = place
    stored = ctx.store.read(type_name, id_) if vid is None else ctx.store.vread(type_name, id_, vid)
    resource: dict[str, Any] = json_format.parse(stored.content or b"{}")
    return resource


OPERATION = Operation(
    code="diff",
    levels=frozenset({"system", "instance"}),
    function=diff,
    parameters=(
        Parameter("from", "uri", documentation="Of the system: a resource or a version of one, such as "
                  "Patient/1/_history/2."),
        Parameter("to", "uri", documentation="Of the system: what it is compared with, of the same type."),
        Parameter("fromVersion", "positiveInt", documentation="Of a resource: the version that is compared; without it "
                  "the one before `toVersion`."),
        Parameter("toVersion", "positiveInt", documentation="Of a resource: the version that it is compared with; "
                  "without it the current one."),
        Parameter("includeMeta", "boolean", documentation="true: meta is compared as well."),
    ),
    returns=(Parameter("return", "Parameters", 1, documentation="A FHIRPath Patch that makes the first into the "
                       "second."),),
    documentation="What changed between two versions of a resource, or differs between two resources of one type.",
)
