"""PostgreSQL's advisory locks: transactions wait for each other over what has no row. SQLite has one writer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, text

from hie.store.prepared import driver_of
from hie.store.reference_targets import Target
from hie.store.tenants import Tenant

#: It takes numbers and, for each, whether nobody else may have it.
LOCKING = (
    "SELECT CASE WHEN alone THEN pg_advisory_xact_lock(number) ELSE pg_advisory_xact_lock_shared(number) END "
    "FROM unnest({}) AS lock (number, alone)"
)
_LOCKING = LOCKING.format("%s::bigint[], %s::boolean[]")
_LOCK_ALL = text("SELECT pg_advisory_xact_lock(h) FROM unnest(CAST(:hashes AS bigint[])) AS h")
_LOCK = text("SELECT pg_advisory_xact_lock(:hash)")


class Locks(NamedTuple):
    """Numbers of locks in the order in which all take them, and whether nobody else may have each."""

    numbers: list[int]
    alone: list[bool]


def target_locks(tenant: Tenant, targets: Iterable[Target], deleted: Iterable[Target]) -> Locks:
    """Return the locks that keep `targets` from being deleted, and others from referring to what is deleted."""
    locks = {lock_of(tenant, target): False for target in targets}
    locks |= {lock_of(tenant, target): True for target in deleted}
    return Locks([*(numbers := sorted(locks))], [locks[number] for number in numbers])


def lock_targets(connection: Connection, locks: Locks) -> None:
    """Take them until this transaction ends. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql" and locks.numbers:
        driver_of(connection).execute(_LOCKING, locks, prepare=True)


def lock(connection: Connection, tenant: Tenant, *parts: str) -> None:
    """Serialise transactions that name the same parts, for example one conditional URL."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"hash": number_of(tenant, *parts)})


def lock_numbers(connection: Connection, numbers: Iterable[int]) -> None:
    """Do that by their numbers, in the order in which all do."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_ALL, {"hashes": sorted(numbers)})


def number_of(tenant: Tenant, *parts: str) -> int:
    """Return the number of the lock of whoever names the same parts."""
    number: int = tenant.blind.hash("lock", *parts)
    return number


def lock_of(tenant: Tenant, target: Target) -> int:
    """Return the number of the lock of whoever refers to a target (shared), or deletes it."""
    return tenant.blind.hash("lock", "target", *target)


def id_locks(tenant: Tenant, places: Iterable[Target]) -> list[int]:
    """Return the numbers of the locks of whoever makes resources under ids that were not known, in their order."""
    return sorted(number_of(tenant, "id", *place) for place in places)
