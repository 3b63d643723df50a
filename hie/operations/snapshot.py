"""StructureDefinition/$snapshot: https://hl7.org/fhir/R4/structuredefinition-operation-snapshot.html"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotFound, TooCostly, Unprocessable
from hie.fhir import json_format, snapshots, structures
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.profiles.library import pinned
from hie.fhir.snapshots import SnapshotError
from hie.fhir.terminology.terminology import split_canonical
from hie.operations import terminology_inputs as inputs
from hie.registry import Operation, standard_parameters
from hie.store.packages import Profiles
from hie.store.resources import ResourceStore
from hie.store.terminology import StoredTerminology

Json = dict[str, Any]

_TYPE = "StructureDefinition"
#: Definitions that one snapshot may be made of.
MOST_LOOKED_UP = 200


class Published:
    """Definitions with all that they say: those that are installed, R4's own, and those that the token may search."""

    def __init__(self, store: ResourceStore, installed: Profiles) -> None:
        self._stored, self._installed = StoredTerminology(store), installed
        self._found: dict[str, Json | None] = {}
        self.lacking = ""
        """What is installed without what people read, by a version of the server that did not keep that."""

    def find(self, canonical: str) -> Json | None:
        """Return the definition with this canonical URL as one that others are made of; None where it is not here."""
        found, definition = self.named(canonical), self._installed.library().named(canonical)
        return found if found is None or definition is None else pinned(found, definition, self._installed.library())

    def named(self, canonical: str) -> Json | None:
        """Return the definition with this canonical URL as its author wrote it; None where it is not here."""
        if canonical not in self._found:
            if len(self._found) >= MOST_LOOKED_UP:
                raise TooCostly(f"The profile is made of more than {MOST_LOOKED_UP} definitions.",
                                expression="StructureDefinition.differential")
            own = self.shared(canonical)
            known = None if own is not None else self._stored.find(_TYPE, *split_canonical(canonical))
            self._found[canonical] = own if known is None else known.resource
        return self._found[canonical]

    def shared(self, canonical: str) -> Json | None:
        """Return a definition that is installed, or one of R4."""
        definition, own = self._installed.library().named(canonical), structures.find(*split_canonical(canonical))
        if definition is None or (own is not None and definition.version == structures.VERSION):
            return own
        found = self._installed.published(canonical)
        if found is None and own is None:
            self.lacking = (f" {definition.canonical} was installed by an earlier version of this server, which did "
                            "not keep what people read of it; install its package again.")
        return own if found is None else found


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
    parameters=standard_parameters("snapshot@StructureDefinition"),
)
