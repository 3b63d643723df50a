"""From an interaction's code to its function; HTTP requests and Bundle entries alike come through here."""

from __future__ import annotations

from collections.abc import Callable

from hie.context import Context
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions import asynchronous, provenance
from hie.interactions.batch import batch
from hie.interactions.capabilities import capabilities
from hie.interactions.create import create
from hie.interactions.definition import definition
from hie.interactions.delete import delete
from hie.interactions.delete_history import delete_history
from hie.interactions.history import history
from hie.interactions.operation import operation
from hie.interactions.patch import patch
from hie.interactions.read import read
from hie.interactions.replay import replay
from hie.interactions.search import search
from hie.interactions.transaction import transaction
from hie.interactions.update import update
from hie.interactions.vread import vread


def _bundle(request: FhirRequest, ctx: Context) -> FhirResponse:
    return (replay if request.resource.get("type") == "history" else transaction)(request, ctx)


INTERACTIONS: dict[str, Callable[[FhirRequest, Context], FhirResponse]] = {
    "async-cancel": asynchronous.cancel,
    "async-file": asynchronous.file,
    "async-status": asynchronous.status,
    "batch": batch,
    "capabilities": capabilities,
    "create": create,
    "definition": definition,
    "delete": delete,
    "delete-history": delete_history,
    "history-instance": history,
    "history-system": history,
    "history-type": history,
    "operation": operation,
    "patch": patch,
    "read": read,
    "search-system": search,
    "search-type": search,
    "transaction": _bundle,
    "update": update,
    "vread": vread,
}


def dispatch(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Do what the request asks."""
    if request.provenance is not None:
        return provenance.beside(request, ctx, INTERACTIONS[request.interaction])
    return INTERACTIONS[request.interaction](request, ctx)
