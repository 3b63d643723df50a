"""Acting with the server's own authority: what follows from a client's request and is not the client's to grant.

A result is found again by its identifier whoever asks for it: were it written under the grant of the client that asked,
a narrow grant would not see that it is there and make another. What a client may see is decided where it reads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import Forbidden
from hie.fhir.scopes import FULL_GRANT
from hie.store.audit import AuditEntry


def as_server(ctx: Context) -> Context:
    """The same request with the server's grant; the audit record still names the client."""
    return ctx.within(replace(ctx.store, grant=FULL_GRANT))


def own_record(ctx: Context, interaction: str) -> Context:
    """A step of a job with an audit record of its own."""
    entry = AuditEntry(ctx.store.tenant, ctx.clock(), ctx.request_id, interaction, ctx.principal.client_id)
    return ctx.within(replace(ctx.store, entry=entry))


def require(ctx: Context, type_name: str, letter: str) -> None:
    """Forbidden, unless the client's own grant has this letter for this type."""
    queries = ctx.store.grant.queries(type_name, letter)
    if queries is not None and not queries:
        raise Forbidden(f"The token has no scope for this: system/{type_name}.{letter} is needed.")


def require_for(ctx: Context, letters: str, resource: dict[str, Any]) -> None:
    """Forbidden, unless the client's own grant has these letters for a resource as it will be stored."""
    for letter in letters:
        require(ctx, resource["resourceType"], letter)
        ctx.store.permit(letter, resource)
