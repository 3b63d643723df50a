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
from hie.interactions import integrity
from hie.interactions.create import create
from hie.store.resources import ResourceStore

PLACE = "http.X-Provenance"
_WRITES = frozenset({"create", "update", "patch", "transaction"})


def beside(
    request: FhirRequest, ctx: Context, do: Callable[[FhirRequest, Context], FhirResponse]
) -> FhirResponse:
    """Do what a request asks, and store the Provenance of the versions that it wrote, in one transaction."""
    if request.interaction == "operation" and _hands_on(request, ctx):
        return do(request, ctx)
    if request.interaction not in _WRITES:
        raise NotSupported(f"X-Provenance is for what is created, updated or patched, also in a transaction; not for "
                           f"{request.interaction}.", expression=PLACE)
    text = request.provenance or ""
    _read(text)
    sources: dict[str, tuple[str, Any]] = {}

    def unit(store: ResourceStore) -> FhirResponse:
        inside = ctx.within(store)
        answer = do(replace(request, provenance=None), inside)
        sources.update(_sources(request, answer, ctx.base_url))
        told = list(dict.fromkeys(_written(answer, store, ctx.base_url)))
        if told:  # a conditional create that found its match has written nothing
            resource = _read(text) | {"target": [{"reference": one} for one in told]}
            sources[f"Provenance/{_store(resource, inside)}"] = (PLACE, resource)
        return answer

    with integrity.named(lambda: sources):  # references are checked when all is written
        return ctx.store.transact(unit)


def _hands_on(request: FhirRequest, ctx: Context) -> bool:
    """Tell whether an operation stores by interactions that each come by here, such as the mutations of $graphql."""
    found = ctx.registry.operation(request.operation or "", request.type)
    return found is not None and found.hands_on_provenance


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
    for place in [answer.location] if answer.location else (one for _, one in _of_entries(answer, base_url)):
        type_name, id_, *_ = place.split("/")
        if (type_name, id_) in touched:
            yield place


def _of_entries(answer: FhirResponse, base_url: str) -> Iterator[tuple[int, str]]:
    for number, row in enumerate(json_format.parse(answer.content or b"{}").get("entry", ())):
        location = row["response"].get("location")
        if location is not None:
            yield number, location.removeprefix(f"{base_url}/")


def _sources(
    request: FhirRequest, answer: FhirResponse, base_url: str
) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield Type/id of what was written, and where it stands in the request."""
    if answer.location:
        yield "", ("", None if request.interaction == "patch" else request.resource)
        return
    sent = request.resource.get("entry")
    for number, location in _of_entries(answer, base_url):
        resource = sent[number].get("resource") if isinstance(sent, list) else None
        yield location.partition("/_history/")[0], (f"Bundle.entry[{number}]", resource)


def _store(resource: dict[str, Any], inside: Context) -> str:
    """Store the Provenance, and return its id."""
    try:
        answer = create(FhirRequest("create", "Provenance", resource=resource, method="POST"), inside)
        return (answer.location or "").split("/")[1]
    except FhirError as error:
        issues = [one if one.expression else replace(one, expression=PLACE) for one in error.issues]
        raise type(error)(f"X-Provenance: {error.diagnostics}", issues=issues) from error
