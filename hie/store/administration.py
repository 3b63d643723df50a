"""Tenants, clients and their tokens, model activations: the tables of the administration.

A token is opaque and random; only its SHA-256 is kept, so the database gives no token away.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from hie.errors import Conflict, NotFound
from hie.store.ids import new_id
from hie.store.models import access_token, client, model, tenant
from hie.store.prepared import Prepared

TOKEN_PREFIX = "hie_"  # noqa: S105 - lets scanners for leaked secrets know our tokens
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token that exists and is neither expired nor revoked."""

    id: str
    client: str
    client_name: str
    tenant: int
    scope: str
    expires: int


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


_TOKEN = Prepared(
    select(
        access_token.c.id, access_token.c.client, client.c.name.label("client_name"), client.c.tenant,
        access_token.c.scope, access_token.c.expires,
    )
    .join(client, client.c.id == access_token.c.client)
    .where(
        access_token.c.hash == bindparam("hash"), access_token.c.revoked.is_(None), client.c.revoked.is_(None),
        access_token.c.expires > bindparam("now"),
    ),
    [one.name for one in fields(TokenRow)],
)  # fmt: skip


def find_token(connection: Connection, token: str, now: int) -> TokenRow | None:
    """Return the row of a valid token; None when it is unknown, expired or revoked."""
    row = _TOKEN.first(connection, {"hash": token_hash(token), "now": now})
    return None if row is None else TokenRow(*row)


_TOKEN_BY_ID = (
    select(
        access_token.c.id, access_token.c.client, client.c.name.label("client_name"), client.c.tenant,
        access_token.c.scope, access_token.c.expires,
    )
    .join(client, client.c.id == access_token.c.client)
    .where(access_token.c.id == bindparam("id"), access_token.c.revoked.is_(None), client.c.revoked.is_(None))
)  # fmt: skip


def find_token_by_id(connection: Connection, token_id: str) -> TokenRow | None:
    """Return the row of a token whose work goes on after it has expired; None when it, or its client, was revoked."""
    row = connection.execute(_TOKEN_BY_ID, {"id": token_id}).first()
    return None if row is None else TokenRow(*row)


def conditional_scopes(connection: Connection, tenant_id: int, now: int) -> list[str]:
    """Return the scopes of all valid tokens that have conditions."""
    statement = (
        select(access_token.c.scope).distinct().join(client, client.c.id == access_token.c.client)
        .where(client.c.tenant == tenant_id, client.c.revoked.is_(None), access_token.c.revoked.is_(None),
               access_token.c.expires > now, access_token.c.scope.contains("?"))
    )  # fmt: skip
    return [str(scope) for scope in connection.execute(statement).scalars()]


def token_scope(connection: Connection, token_id: str) -> str | None:
    """Return what a token grants or granted; None when there never was one of this id."""
    return connection.execute(select(access_token.c.scope).where(access_token.c.id == token_id)).scalar()


def add_tenant(connection: Connection, tenant_id: int, name: str, now: int) -> None:
    """Add a tenant."""
    connection.execute(insert(tenant), {"id": tenant_id, "name": name, "created": now})


def tenants(connection: Connection) -> list[tuple[int, str]]:
    """Return (number, name) of every tenant."""
    return [(row.id, row.name) for row in connection.execute(select(tenant.c.id, tenant.c.name).order_by(tenant.c.id))]


def add_client(connection: Connection, tenant_id: int, name: str, now: int) -> str:
    """Add a client and return its id; Conflict when the name is taken."""
    taken = select(client.c.id).where(client.c.tenant == tenant_id, client.c.name == name)
    if connection.execute(taken).first() is not None:
        raise Conflict(f"A client named {name!r} exists already.")
    client_id = new_id()
    connection.execute(insert(client), {"id": client_id, "tenant": tenant_id, "name": name, "created": now})
    return client_id


def client_named(connection: Connection, tenant_id: int, name: str) -> str | None:
    """Return the id of a client that is not revoked; None when there is none of this name."""
    statement = select(client.c.id).where(
        client.c.tenant == tenant_id, client.c.name == name, client.c.revoked.is_(None)
    )
    return connection.execute(statement).scalar()


def clients(connection: Connection, tenant_id: int) -> list[dict[str, Any]]:
    """Return the clients of a tenant with the number of their valid tokens."""
    live = (
        select(func.count())
        .where(access_token.c.client == client.c.id, access_token.c.revoked.is_(None))
        .scalar_subquery()
    )
    statement = (
        select(client.c.id, client.c.name, client.c.created, client.c.revoked, live.label("tokens"))
        .where(client.c.tenant == tenant_id)
        .order_by(client.c.created, client.c.id)
    )
    return [row._asdict() for row in connection.execute(statement)]


def revoke_client(connection: Connection, tenant_id: int, client_id: str, now: int) -> None:
    """Revoke a client and with it every token; NotFound when there is none."""
    statement = (
        update(client).where(client.c.id == client_id, client.c.tenant == tenant_id, client.c.revoked.is_(None))
    ).values(revoked=now)
    if connection.execute(statement).rowcount == 0:
        raise NotFound(f"There is no client {client_id} that could be revoked.")


def add_token(
    connection: Connection, tenant_id: int, client_id: str, scope: str, now: int, expires: int
) -> tuple[str, str]:
    """Make a token and return (id, token): the only moment at which the token itself is known."""
    known = select(client.c.id).where(
        client.c.id == client_id, client.c.tenant == tenant_id, client.c.revoked.is_(None)
    )
    if connection.execute(known).first() is None:
        raise NotFound(f"There is no client {client_id}, or it was revoked.")
    token, token_id = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES), new_id()
    row = {
        "id": token_id, "hash": token_hash(token), "client": client_id, "scope": scope, "created": now,
        "expires": expires,
    }  # fmt: skip
    connection.execute(insert(access_token), row)
    return token_id, token


def tokens(connection: Connection, tenant_id: int, client_id: str) -> list[dict[str, Any]]:
    """Return the tokens of a client: never the token, never its hash."""
    statement = (
        select(
            access_token.c.id, access_token.c.scope, access_token.c.created, access_token.c.expires,
            access_token.c.revoked,
        )
        .join(client, client.c.id == access_token.c.client)
        .where(client.c.id == client_id, client.c.tenant == tenant_id)
        .order_by(access_token.c.created, access_token.c.id)
    )  # fmt: skip
    return [row._asdict() for row in connection.execute(statement)]


def revoke_token(connection: Connection, tenant_id: int, token_id: str, now: int) -> None:
    """Revoke one token; NotFound when there is none."""
    mine = select(client.c.id).where(client.c.tenant == tenant_id)
    statement = (
        update(access_token)
        .where(access_token.c.id == token_id, access_token.c.revoked.is_(None), access_token.c.client.in_(mine))
        .values(revoked=now)
    )
    if connection.execute(statement).rowcount == 0:
        raise NotFound(f"There is no token {token_id} that could be revoked.")


def add_model(connection: Connection, name: str, version: str, now: int) -> None:
    """Know a model version; the first version of a model is active from the start."""
    known = connection.execute(select(model.c.version).where(model.c.name == name)).scalars().all()
    if version not in known:
        first = not known
        row = {"name": name, "version": version, "active": first, "added": now, "activated": now if first else None}
        connection.execute(insert(model), row)


def models(connection: Connection) -> list[dict[str, Any]]:
    """Return every known model version."""
    rows = connection.execute(select(model).order_by(model.c.name, model.c.added, model.c.version))
    return [row._asdict() for row in rows]


def activate_model(connection: Connection, name: str, version: str, now: int) -> None:
    """Make one version of a model the one that judges; NotFound when it is not known."""
    chosen = update(model).where(model.c.name == name, model.c.version == version).values(active=True, activated=now)
    if connection.execute(chosen).rowcount == 0:
        raise NotFound(f"Model {name} has no version {version}.")
    others = update(model).where(model.c.name == name, model.c.version != version).values(active=False)
    connection.execute(others)
