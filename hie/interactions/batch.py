"""FHIR batch interaction: https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest
from hie.fhir import bundle, bundle_links, bundle_stream, json_format, outcome
from hie.fhir.bundle import RequestEntry
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import Fragment
from hie.fhir.resource import parse
from hie.interactions import entries
from hie.interactions.judging import of_bundle
from hie.store import away
from hie.store.audit import AuditEntry

log = logging.getLogger("hie.interactions")
_STORING = frozenset({"create", "update"})
#: The fullUrls that stand for resources to be stored (urn:uuid:…), and which entry each is.
Named = Mapping[str | None, int]


def batch(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Do what each entry asks, each in a transaction and with an audit record of its own; answer in their order."""
    ctx = replace(ctx, room=entries.room(ctx), judging=of_bundle())
    large = request.resource.get("entry")
    rows: list[Any]
    if isinstance(large, bundle_stream.Entries):  # its answers are kept as the bytes that will be sent
        checked = _checked(large, request, ctx)
        rows = [Fragment(json_format.dump(_answered(entry, request, large.named, ctx))) for entry in checked]
    else:
        small = list(entries.read(request, ctx))
        named = {entry.full_url: entry.index for entry in small if bundle.is_placeholder(entry.full_url)}
        rows = [_answered(entry, request, named, ctx) for entry in small]
    return FhirResponse(200, bundle.listing("batch-response", ctx.new_id(), ctx.clock(), (), rows))


def _checked(large: bundle_stream.Entries, request: FhirRequest, ctx: Context) -> Iterable[RequestEntry]:
    """Return the entries of a large Bundle that is sound around their resources, one at a time."""
    try:
        return large.checked(ctx.settings.max_bundle_entries)
    except bundle_stream.NotStreamed:
        return entries.read(replace(request, resource=parse(large.body)), ctx)


def _answered(entry: RequestEntry, outer: FhirRequest, named: Named, ctx: Context) -> dict[str, Any]:
    audited = replace(ctx.store.entry, at=ctx.clock(), interaction="batch", touched=(), recorded=False)
    request = None
    try:
        request = entries.as_request(entry, outer, ctx)
        if named and request.interaction in _STORING:
            _refuse_links(entry.resource, named)
        row = _dispatched(entry, request, audited, ctx)
    except FhirError as refused:
        audited.status = refused.status
        row = entries.refusal(refused.status, outcome.of_error(entries.refused(refused, entry, request)))
    except Exception as error:
        # Its neighbours have nothing to do with it, and some of them are already stored.
        log.exception("an entry of a batch failed", extra={"request_id": ctx.request_id})
        failed = away.refusal(error) or FhirError(
            f"Unexpected failure; the log has it under request id {ctx.request_id}."
        )
        audited.status = failed.status
        row = entries.refusal(failed.status, outcome.of_error(failed.within(entry.expression)))
    if not audited.recorded:
        ctx.store.database.record(audited)
    return row


def _refuse_links(resource: Any, named: Named) -> None:
    """Refuse what refers to another entry of the batch: it would be stored as it is, and lead nowhere."""
    for link in bundle_links.find(resource):
        if link.kind == "reference" and link.text in named:
            raise InvalidRequest(
                f"{link.text} is Bundle.entry[{named[link.text]}], and the entries of a batch do not depend on one "
                "another; send them as a transaction.", expression=bundle_links.path_of(link, resource))


def _dispatched(entry: RequestEntry, request: FhirRequest, audited: AuditEntry, ctx: Context) -> dict[str, Any]:
    audited.interaction, audited.type, audited.id = request.interaction, request.type, request.id
    audited.query = str(entry.request["url"]).partition("?")[2]
    answer = entries.dispatched(request, ctx.within(replace(ctx.store, entry=audited)))
    audited.status = answer.status
    return entries.response(answer, ctx, request)
