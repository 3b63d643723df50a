"""Clients and their tokens. A token is shown once, in the answer that made it, and never again."""

from __future__ import annotations

from typing import Any

from hie.errors import InvalidRequest, NotFound
from hie.fhir.scopes import ScopeError
from hie.store import administration
from hie.store.search.scope_conditions import checked_grant
from hie.web.admin import inputs
from hie.web.admin.request import AdminRequest, AdminResponse, moment

LONGEST_NAME, LONGEST_SCOPE = 200, 4_000
DEFAULT_DAYS, MOST_DAYS = 90.0, 3_650.0
MICROSECONDS_A_DAY = 86_400_000_000


def list_clients(request: AdminRequest) -> AdminResponse:
    """Every client, revoked ones too."""
    rows = administration.clients(request.connection, request.tenant)
    return AdminResponse(200, {"clients": [_client(row) for row in rows]})


def create_client(request: AdminRequest) -> AdminResponse:
    """Make a client; it can do nothing before it has a token."""
    body = inputs.body_object(request.body, frozenset({"name"}), frozenset({"name"}))
    name, now = inputs.text(body, "name", LONGEST_NAME), request.now
    client_id = request.write(lambda c: administration.add_client(c, request.tenant, name, now), 201)
    return AdminResponse(201, _find(request, client_id), {"Location": f"{request.url}/{client_id}"})


def read_client(request: AdminRequest) -> AdminResponse:
    """One client."""
    return AdminResponse(200, _find(request, request.path["client"]))


def revoke_client(request: AdminRequest) -> AdminResponse:
    """Revoke a client and with it every token it has."""
    client_id, now = request.path["client"], request.now
    request.write(lambda c: administration.revoke_client(c, request.tenant, client_id, now))
    return AdminResponse(200, _find(request, client_id))


def list_tokens(request: AdminRequest) -> AdminResponse:
    """The tokens of a client: scope and life, never the token."""
    _find(request, request.path["client"])
    rows = administration.tokens(request.connection, request.tenant, request.path["client"])
    return AdminResponse(200, {"tokens": [_token(row) for row in rows]})


def create_token(request: AdminRequest) -> AdminResponse:
    """Make a token and show it this once."""
    body = inputs.body_object(request.body, frozenset({"scope", "expiresInDays"}), frozenset({"scope"}))
    scope = inputs.text(body, "scope", LONGEST_SCOPE)
    request.know_parameters()
    try:
        checked_grant([scope])
    except ScopeError as error:
        raise InvalidRequest(str(error), expression="scope") from error
    days = inputs.number(body, "expiresInDays", 0, MOST_DAYS) if "expiresInDays" in body else DEFAULT_DAYS
    client_id, now = request.path["client"], request.now
    expires = now + int(days * MICROSECONDS_A_DAY)
    token_id, token = request.write(
        lambda c: administration.add_token(c, request.tenant, client_id, scope, now, expires), 201
    )
    content = {**_find_token(request, client_id, token_id), "token": token}
    return AdminResponse(201, content, {"Location": f"{request.url}/{token_id}"})


def revoke_token(request: AdminRequest) -> AdminResponse:
    """Revoke one token; it may still be answered from memory for HIE_TOKEN_CACHE_SECONDS."""
    client_id, token_id, now = request.path["client"], request.path["token"], request.now
    _find_token(request, client_id, token_id)
    request.write(lambda c: administration.revoke_token(c, request.tenant, token_id, now))
    return AdminResponse(200, _find_token(request, client_id, token_id))


def _find(request: AdminRequest, client_id: str) -> dict[str, Any]:
    for row in administration.clients(request.connection, request.tenant):
        if row["id"] == client_id:
            return _client(row)
    raise NotFound("There is no client of this id.")


def _find_token(request: AdminRequest, client_id: str, token_id: str) -> dict[str, Any]:
    for row in administration.tokens(request.connection, request.tenant, client_id):
        if row["id"] == token_id:
            return _token(row)
    raise NotFound("This client has no token of this id.")


def _client(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "created": moment(row["created"]), "revoked": moment(row["revoked"]),
        "tokens": row["tokens"],
    }  # fmt: skip


def _token(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "scope": row["scope"], "created": moment(row["created"]), "expires": moment(row["expires"]),
        "revoked": moment(row["revoked"]),
    }  # fmt: skip
