"""Make, list and revoke the bearer tokens of clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from hie.commands.failures import CommandError
from hie.fhir.scopes import parse_grant
from hie.settings import Settings
from hie.store import administration
from hie.store.audit import AuditEntry
from hie.store.search.scope_conditions import checked_grant
from hie.store.store import Store
from hie.store.tenants import DEFAULT_TENANT

MICROSECONDS_A_DAY = 86_400_000_000
LONGEST_CLIENT_NAME = 200


def create(settings: Settings, name: str, scopes: Sequence[str], days: float) -> str:
    """Make a token for the client of this name, made if there is none, and return it."""
    parse_grant(scopes)
    if not name.strip() or len(name) > LONGEST_CLIENT_NAME or not name.isprintable():
        raise CommandError(f"A client's name has 1 to {LONGEST_CLIENT_NAME} printable characters.")
    store = Store.open(settings)
    try:
        checked_grant(scopes)  # with the search parameters that are defined here, which are known by now
        return _create(store, name.strip(), " ".join(scopes), days)
    finally:
        store.close()


def _create(store: Store, name: str, scope: str, days: float) -> str:
    now = store.clock()

    def unit(connection: Connection) -> str:
        client = administration.client_named(connection, DEFAULT_TENANT, name)
        client = client or administration.add_client(connection, DEFAULT_TENANT, name, now)
        expires = now + int(days * MICROSECONDS_A_DAY)
        return administration.add_token(connection, DEFAULT_TENANT, client, scope, now, expires)[1]

    return store.database.write(unit, _entry(store, "token-create"))


def listing(settings: Settings) -> Iterator[str]:
    """Yield a line for each client, and below it one for each of its tokens."""
    store = Store.open_existing(settings)
    try:
        connection = store.database.connection()
        for client in administration.clients(connection, DEFAULT_TENANT):
            yield f"{client['name']}  (client {client['id']}){_revoked(client)}"
            for row in administration.tokens(connection, DEFAULT_TENANT, client["id"]):
                yield f"  {row['id']}  expires {_day(row['expires'])}{_revoked(row)}  {row['scope']}"
    finally:
        store.close()


def revoke(settings: Settings, token_id: str) -> None:
    """Revoke one token; NotFound when there is none."""
    store = Store.open_existing(settings)
    try:
        now = store.clock()
        store.database.write(
            lambda connection: administration.revoke_token(connection, DEFAULT_TENANT, token_id, now),
            _entry(store, "token-revoke"),
        )
    finally:
        store.close()


def _entry(store: Store, interaction: str) -> AuditEntry:
    """The audit record of what an operator does at the command line."""
    return AuditEntry(
        DEFAULT_TENANT, store.clock(), "", interaction=interaction, client="command-line", status=200
    )


def _revoked(row: dict[str, Any]) -> str:
    return "" if row["revoked"] is None else f"  revoked {_day(row['revoked'])}"


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d")
