"""A Provenance that comes in a header, beside what it tells of: https://hl7.org/fhir/R4/provenance.html#header"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotSupported
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.resource import parse_json
from hie.interactions.create import create
from hie.store.resources import ResourceStore

PLACE = "http.X-Provenance"
_WRITES = frozenset({"create", "update", "patch", "transaction"})


def beside(
    request: FhirRequest, ctx: Context, do: Callable[[FhirRequest, Context], FhirResponse]
) -> FhirResponse:
    """Do what a request asks, and store the Provenance of the versions that it wrote, in one transaction."""
    if request.interaction not in _WRITES:
        raise NotSupported(f"X-Provenance is for what is created, updated or patched, also in a transaction; not for "
                           f"{request.interaction}.", expression=PLACE)
    text = request.provenance or ""
    _read(text)

    def unit(store: ResourceStore) -> FhirResponse:
        inside = ctx.within(store)
        answer = do(replace(request, provenance=None), inside)
        told = list(dict.fromkeys(_written(answer, store, ctx.base_url)))
        if told:  # a conditional create that found its match has written nothing
            _store(_read(text) | {"target": [{"reference": one} for one in told]}, inside)
        return answer

    return ctx.store.transact(unit)


def _read(text: str) -> dict[str, Any]:
    """Read the header: JSON as it stands, or percent-encoded, as headers carry ASCII alone."""
    octets = unquote(text).encode() if text.lstrip()[:3].upper() == "%7B" else text.encode("latin-1", "replace")
    try:
        found = parse_json(octets)
    except FhirError as error:
        raise InvalidRequest(f"X-Provenance: {error.diagnostics}", expression=PLACE) from None
    if not isinstance(found, dict) or found.get("resourceType") != "Provenance":
        raise InvalidRequest("X-Provenance is a Provenance resource as JSON, on one line.", expression=PLACE)
    return found


def _written(answer: FhirResponse, store: ResourceStore, base_url: str) -> Iterator[str]:
    """Yield the versions that were written, as Type/id/_history/vid."""
    touched = store.touched()
    for place in [answer.location] if answer.location else _of_entries(answer, base_url):
        type_name, id_, *_ = place.split("/")
        if (type_name, id_) in touched:
            yield place


def _of_entries(answer: FhirResponse, base_url: str) -> Iterator[str]:
    for row in json_format.parse(answer.content or b"{}").get("entry", ()):
        location = row["response"].get("location")
        if location is not None:
            yield location.removeprefix(f"{base_url}/")


def _store(resource: dict[str, Any], inside: Context) -> None:
    try:
        create(FhirRequest("create", "Provenance", resource=resource, method="POST"), inside)
    except FhirError as error:
        issues = [one if one.expression else replace(one, expression=PLACE) for one in error.issues]
        raise type(error)(f"X-Provenance: {error.diagnostics}", issues=issues) from error
