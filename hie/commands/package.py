"""Install, list and remove packages of profiles; judge writes by the profiles they declare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from hie.commands.failures import CommandError
from hie.fhir.profiles import PackageError, read
from hie.fhir.profiles.package import MAX_ARCHIVE
from hie.settings import Settings
from hie.store import packages
from hie.store.audit import AuditEntry
from hie.store.store import Store
from hie.store.tenants import DEFAULT_TENANT


def install(settings: Settings, files: Sequence[Path]) -> Iterator[str]:
    """Read each file, and install them all; a line tells what one holds, further ones what of it cannot be used."""
    found = []
    for file in files:
        if file.stat().st_size > MAX_ARCHIVE:
            raise CommandError(f"{file} is larger than the {MAX_ARCHIVE} bytes that a package has at most.")
        try:
            found.append(read(file.read_bytes()))
        except PackageError as error:
            raise CommandError(f"{file}: {error}") from error
    store = Store.open(settings)
    try:
        now = store.clock()

        def unit(connection: Connection) -> None:
            for one in found:
                packages.add(connection, one, now)

        store.database.write(unit, _entry(store, "package-install"))
        unusable = [packages.unusable(store.database.connection(), one) for one in found]
    finally:
        store.close()
    for one, reasons in zip(found, unusable, strict=True):
        kinds = [row["resourceType"] for row in one.resources]
        yield (f"{one.key}: {kinds.count('StructureDefinition')} profiles and extensions, "
               f"{kinds.count('ValueSet')} value sets, {kinds.count('CodeSystem')} code systems")
        yield from (f"  {reason}" for reason in reasons)


def listing(settings: Settings) -> Iterator[str]:
    """Yield a line for each package, and one for the treatment of declared profiles."""
    store = Store.open_existing(settings)
    try:
        connection = store.database.connection()
        rows: list[dict[str, Any]] = packages.packages(connection)
        mode = packages.mode_of(connection, DEFAULT_TENANT)
    finally:
        store.close()
    for row in rows:
        number = sum(map(len, row["profiles"].values()))
        told = f"{row['name']}#{row['version']}  {number} profiles on {len(row['profiles'])} types  {row['title']}"
        yield told.rstrip()
    yield f"{len(rows)} packages; declared profiles on write: {mode}"


def remove(settings: Settings, name: str, version: str | None) -> Iterator[str]:
    """Remove a package; NotFound when it is not installed."""
    store = Store.open_existing(settings)
    try:
        removed = store.database.write(
            lambda connection: packages.remove(connection, name, version), _entry(store, "package-remove")
        )
    finally:
        store.close()
    yield from (f"removed {one}" for one in removed)


def validation(settings: Settings, mode: str) -> Iterator[str]:
    """Judge writes by the profiles they declare, from now on."""
    store = Store.open(settings)
    try:
        store.database.write(
            lambda connection: packages.set_mode(connection, DEFAULT_TENANT, mode),
            _entry(store, "package-validation"),
        )
    finally:
        store.close()
    yield f"declared profiles on write: {mode}"


def _entry(store: Store, interaction: str) -> AuditEntry:
    """The audit record of what an operator does at the command line."""
    return AuditEntry(DEFAULT_TENANT, store.clock(), "", interaction=interaction, client="command-line", status=200)
