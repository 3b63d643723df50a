"""Open stored rows: decrypt, and fail closed with an alarm when a row is not what was written at its place.

A page may be of a thousand resources, and each of many megabytes: large contents are read one by one as their rows are
opened (hie.store.contents), and a page ends where its resources are too many bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from hie.errors import IntegrityFailure
from hie.fhir import json_format
from hie.store import contents
from hie.store.crypto import SealBroken, open_, place_of_version
from hie.store.keys import KeyProblem, MetKeys
from hie.store.tenants import Tenant
from hie.store.versions import StoredVersion

alarm = logging.getLogger("hie.alarm")


def size_of(versions: Iterable[StoredVersion]) -> int:
    """Return the bytes of what versions contain."""
    return sum(len(version.content or b"") for version in versions)


def up_to(versions: Iterable[StoredVersion], most: int) -> tuple[list[StoredVersion], bool]:
    """Return versions in their order until they are too many bytes together, one at least; and whether any is left."""
    found: list[StoredVersion] = []
    for version in versions:
        most -= len(version.content or b"")
        if most < 0 and found:
            return found, True
        found.append(version)
    return found, False


def open_versions(
    connection: Connection, tenant: Tenant, rows: Iterable[Any], met: MetKeys | None = None
) -> list[StoredVersion]:
    """Open rows of `resource` or `resource_history`; IntegrityFailure and an alarm when one does not open.

    `met`: of the transaction that is open on the connection, if one is that writes.
    """
    return [*each_opened(connection, tenant, rows, met)]


def each_opened(
    connection: Connection, tenant: Tenant, rows: Iterable[Any], met: MetKeys | None = None
) -> Iterator[StoredVersion]:
    """Yield the same, each opened as it is asked for."""
    found = list(rows)
    of_content = {row.data_key for row in found if row.sealed is not None or contents.is_left_out(row)}
    try:
        ciphers = tenant.data_keys.of_ids(connection, of_content, met)
    except KeyProblem as error:
        alarm.critical("a data key does not open", extra={"tenant": tenant.id})
        raise IntegrityFailure("A data key does not open; the operator has been alarmed.") from error
    for row in found:
        yield _open(tenant, row, _sealed(connection, tenant, row), ciphers)


def _sealed(connection: Connection, tenant: Tenant, row: Any) -> bytes | None:
    """Return the content of a row, None of a deletion; Gone where it was erased since the row was found."""
    if not contents.is_left_out(row):
        sealed: bytes | None = row.sealed
        return sealed
    found = contents.read(connection, tenant.id, row)
    if found.sealed is None:
        raise _broken(row)
    return bytes(found.sealed)


def _broken(row: Any) -> IntegrityFailure:
    alarm.critical("a stored version does not open", extra={"type": row.type, "resource_id": row.id, "vid": row.vid})
    return IntegrityFailure(
        f"{row.type}/{row.id} version {row.vid} does not open under its own key and place: it was damaged or "
        "tampered with. Nothing of it is shown; the operator has been alarmed.")


def _open(tenant: Tenant, row: Any, sealed: bytes | None, ciphers: dict[int, AESGCM]) -> StoredVersion:
    content = None
    if sealed is not None:
        place = place_of_version(tenant.id, row.type, row.id, row.vid, row.data_key)
        cipher = ciphers.get(row.data_key)
        try:
            if cipher is None:
                raise SealBroken("Its data key is missing.")
            content = open_(cipher, bytes(sealed), place)
        except SealBroken as error:
            raise _broken(row) from error
    return StoredVersion(row.type, row.id, row.vid, row.method, row.updated, content)


def parsed(version: StoredVersion) -> dict[str, Any]:
    """Return the resource of a version that has content."""
    resource: dict[str, Any] = json_format.reread(version.content or b"{}")
    return resource
