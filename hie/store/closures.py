"""Closure tables: what each client was told, so that it can be told again, or told that it holds no more.

https://hl7.org/fhir/R4/terminology-service.html#closure

A table belongs to the client that named it: no other learns of it. It is changed where it still is at the version that
was read; who reads it to change it waits for whoever does so before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select, update

from hie.errors import IntegrityFailure, TooCostly
from hie.fhir.terminology.closure import Concept, Entry
from hie.store.crypto import SealBroken, associated_data, open_, seal
from hie.store.models import closure_change, closure_table
from hie.store.resources import ResourceStore
from hie.store.tenants import Tenant

#: Tables of one client.
MOST_TABLES = 100
_TABLE, _CHANGE = closure_table.c, closure_change.c


@dataclass(frozen=True, slots=True)
class Change:
    """What one version brought."""

    version: int
    concepts: tuple[Concept, ...]
    entries: frozenset[Entry]


@dataclass(frozen=True, slots=True)
class ClosureTable:
    """A closure table as it is now."""

    number: int
    generation: int
    version: int
    changes: tuple[Change, ...]

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """Every code that was entered, in that order."""
        return tuple(concept for change in self.changes for concept in change.concepts)

    @property
    def entries(self) -> frozenset[Entry]:
        """Every entry that was told."""
        return frozenset(entry for change in self.changes for entry in change.entries)


def find(store: ResourceStore, client: str, name: str, *, to_change: bool = False) -> ClosureTable | None:
    """Return a client's table, `to_change` in the open transaction; None where it was not initialized."""
    connection = _writing(store) if to_change else store.connection()
    wanted = select(_TABLE.number, _TABLE.generation, _TABLE.version).where(*_is_named(store.keys, client, name))
    row = connection.execute(wanted.with_for_update() if to_change else wanted).first()
    if row is None:
        return None
    statement = select(_CHANGE.version, _CHANGE.sealed).where(
        _CHANGE.table == row.number, _CHANGE.generation == row.generation, _CHANGE.version <= row.version)
    changes = connection.execute(statement.order_by(_CHANGE.version)).all()
    return ClosureTable(*row, tuple(_opened(store.keys, row, one) for one in changes))


def initialize(store: ResourceStore, client: str, name: str) -> None:
    """Make a client's table, or empty it, in the open transaction."""
    connection, tenant = _writing(store), store.keys
    number = connection.execute(select(_TABLE.number).where(*_is_named(tenant, client, name))).scalar()
    if number is not None:
        raised = {"generation": _TABLE.generation + 1, "version": 0}
        connection.execute(update(closure_table).where(_TABLE.number == number).values(**raised))
        connection.execute(delete(closure_change).where(_CHANGE.table == number))
        return
    others = select(func.count()).where(_TABLE.tenant == tenant.id, _TABLE.client == client)
    if (connection.execute(others).scalar() or 0) >= MOST_TABLES:
        raise TooCostly(f"A client has at most {MOST_TABLES} closure tables; initialize one of them anew instead.",
                        expression="name")
    connection.execute(insert(closure_table), {
        "tenant": tenant.id, "client": client, "name": _hash(tenant, client, name), "generation": 1, "version": 0})


def add(store: ResourceStore, table: ClosureTable, concepts: Sequence[Concept], entries: Iterable[Entry]) -> bool:
    """Add what is new to a table, in the open transaction; False where it was changed since it was read."""
    version = table.version + 1
    content = orjson.dumps({"concepts": list(map(list, concepts)), "entries": list(map(list, sorted(entries)))})
    sealed = seal(store.keys.job_cipher, content, _place(store.keys, table.number, table.generation, version))
    connection = _writing(store)
    changed = connection.execute(update(closure_table).where(
        _TABLE.number == table.number, _TABLE.generation == table.generation, _TABLE.version == table.version,
    ).values(version=version))  # fmt: skip
    if changed.rowcount != 1:
        return False
    if concepts:
        connection.execute(insert(closure_change), {
            "table": table.number, "generation": table.generation, "version": version, "sealed": sealed})
    return True


def _writing(store: ResourceStore) -> Connection:
    if store.unit is None:
        raise RuntimeError("Writing needs a transaction: call inside ResourceStore.transact.")
    store.unit.wrote = True
    return store.unit.writing()


def _is_named(tenant: Tenant, client: str, name: str) -> tuple[Any, ...]:
    return _TABLE.tenant == tenant.id, _TABLE.client == client, _TABLE.name == _hash(tenant, client, name)


def _hash(tenant: Tenant, client: str, name: str) -> int:
    return tenant.blind.hash("closure", client, name)


def _opened(tenant: Tenant, table: Any, row: Any) -> Change:
    number, generation, version = table.number, table.generation, row.version
    try:
        sealed = bytes(row.sealed)
        found = orjson.loads(open_(tenant.job_cipher, sealed, _place(tenant, number, generation, version)))
    except SealBroken as error:
        raise IntegrityFailure("A change of a closure table does not open.") from error
    return Change(version, tuple(Concept(*one) for one in found["concepts"]),
                  frozenset(Entry(*one) for one in found["entries"]))


def _place(tenant: Tenant, number: int, generation: int, version: int) -> bytes:
    return associated_data("closure", tenant.id, number, generation, version)
