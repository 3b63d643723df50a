"""StructureDefinition/$snapshot: https://hl7.org/fhir/R4/structuredefinition-operation-snapshot.html"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotFound, TooCostly, Unprocessable
from hie.fhir import json_format, snapshots, structures
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.snapshots import SnapshotError
from hie.fhir.terminology.terminology import split_canonical
from hie.operations import terminology_inputs as inputs
from hie.registry import Operation, standard_parameters
from hie.store.resources import ResourceStore
from hie.store.terminology import StoredTerminology

Json = dict[str, Any]

_TYPE = "StructureDefinition"
#: Definitions that one snapshot may be made of.
MOST_LOOKED_UP = 200


class Published:
    """Definitions with all that they say: those that the token may search, and those of R4."""

    def __init__(self, store: ResourceStore) -> None:
        self._stored = StoredTerminology(store)
        self._found: dict[str, Json | None] = {}

    def find(self, canonical: str) -> Json | None:
        """Return the definition with this canonical URL; None where it is not here."""
        if canonical not in self._found:
            if len(self._found) >= MOST_LOOKED_UP:
                raise TooCostly(f"The profile is made of more than {MOST_LOOKED_UP} definitions.",
                                expression="StructureDefinition.differential")
            url, version = split_canonical(canonical)
            own = structures.find(url, version)
            known = None if own is not None else self._stored.find(_TYPE, url, version)
            self._found[canonical] = own if known is None else known.resource
        return self._found[canonical]


def snapshot(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a definition with a snapshot made of its differential; one of R4, or of a type, as it was published."""
    published = Published(ctx.store)
    definition = _asked(request, ctx, published)
    is_there = bool(definition.get("snapshot", {}).get("element"))
    if is_there and (definition.get("derivation") != "constraint" or _is_of_r4(request)):
        return _answer(definition, request)
    try:
        return _answer(snapshots.generated(definition, published), request)
    except SnapshotError as error:
        raise _explained(error, definition, ctx) from None


def _is_of_r4(request: FhirRequest) -> bool:
    """Tell whether one of R4's own definitions is asked for by its URL."""
    url = request.parameter("url")
    return request.id is None and url is not None and structures.find(*split_canonical(url)) is not None


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
    found = published.find(str(url))
    if found is None:
        raise NotFound(f"{_TYPE} {str(url)[:200]} is not known here.{_installed(str(url), ctx)}", expression="url")
    return found


class _NotMade(Unprocessable):
    """No snapshot can be made; the issues say why."""


def _explained(error: SnapshotError, definition: Json, ctx: Context) -> FhirError:
    """Say of a base that is installed why that does not help."""
    first, *others = error.issues
    if first.code == "not-found":
        more = _installed(str(definition.get("baseDefinition", "")), ctx)
        first = replace(first, diagnostics=first.diagnostics + more)
    return _NotMade(first.diagnostics, issues=[first, *others])


def _installed(canonical: str, ctx: Context) -> str:
    if structures.find(split_canonical(canonical)[0]) is not None or ctx.profiles.library().find(canonical) is None:
        return ""
    return (" An installed package has it without its texts and differential, which validation does not need; store "
            "the StructureDefinition itself.")


OPERATION = Operation(
    code="snapshot",
    levels=frozenset({"type", "instance"}),
    types=frozenset({_TYPE}),
    function=snapshot,
    definition="http://hl7.org/fhir/OperationDefinition/StructureDefinition-snapshot",
    parameters=standard_parameters("snapshot@StructureDefinition"),
)
