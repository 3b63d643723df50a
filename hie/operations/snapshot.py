"""StructureDefinition/$snapshot: https://hl7.org/fhir/R4/structuredefinition-operation-snapshot.html"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotFound, Unprocessable
from hie.fhir import json_format, snapshots
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.snapshots import SnapshotError
from hie.operations import terminology_inputs as inputs
from hie.operations.published import Published
from hie.registry import Operation, standard_parameters, standard_returns

Json = dict[str, Any]

_TYPE = "StructureDefinition"


def snapshot(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a definition with a snapshot made of its differential; one that is installed or of R4, and a type, comes
    as it was published where it has one.
    """
    published = Published(ctx.store, ctx.profiles)
    definition = _asked(request, ctx, published)
    is_there = bool(definition.get("snapshot", {}).get("element"))
    if is_there and (definition.get("derivation") != "constraint" or _is_shared(request, published)):
        return _answer(definition, request)
    url = _url(request)
    try:
        made = snapshots.generated(definition if url is None else published.find(url) or definition, published)
    except SnapshotError as error:
        raise _explained(error, published) from None
    return _answer(made | {name: definition[name] for name in ("baseDefinition",) if name in definition}, request)


def _is_shared(request: FhirRequest, published: Published) -> bool:
    """Tell whether a definition is asked for by its URL that is not a client's."""
    url = _url(request)
    return url is not None and published.shared(url) is not None


def _url(request: FhirRequest) -> str | None:
    return request.parameter("url") if request.id is None else None


def _answer(definition: Json, request: FhirRequest) -> FhirResponse:
    entity = request.instance if request.id is not None else None
    return FhirResponse(200, json_format.dump(definition), entity=entity)


def _asked(request: FhirRequest, ctx: Context, published: Published) -> Json:
    """Return the definition of the address, beside which parameters mean nothing, or the one that a parameter gives."""
    if request.id is not None:
        return inputs.stored(request, ctx, [])
    given, url = request.argument("definition"), request.parameter("url")
    if (given is None) is (url is None):
        raise InvalidRequest("$snapshot needs one of definition and url, or the address of a definition.",
                             expression="url")
    if given is not None:
        return dict(given)
    found = published.named(str(url))
    if found is None:
        raise NotFound(f"{_TYPE} {str(url)[:200]} is not known here.{published.lacking}", expression="url")
    return found


class _NotMade(Unprocessable):
    """No snapshot can be made; the issues say why."""


def _explained(error: SnapshotError, published: Published) -> FhirError:
    """Say of a base that is installed why that does not help."""
    first, *others = error.issues
    if first.code == "not-found":
        first = replace(first, diagnostics=first.diagnostics + published.lacking)
    return _NotMade(first.diagnostics, issues=[first, *others])


OPERATION = Operation(
    code="snapshot",
    levels=frozenset({"type", "instance"}),
    types=frozenset({_TYPE}),
    function=snapshot,
    definition="http://hl7.org/fhir/OperationDefinition/StructureDefinition-snapshot",
    parameters=standard_parameters("snapshot@StructureDefinition", {
        "definition": "The definition itself, where the address names none.",
        "url": "The canonical URL of the definition, where the address names none.",
    }),
    returns=standard_returns("snapshot@StructureDefinition", {"return": "The definition with its snapshot."}),
    documentation="A profile or extension with a snapshot made of its differential and of its base. Nothing is stored.",
)
