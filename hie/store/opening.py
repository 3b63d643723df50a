"""Open stored rows: decrypt, and fail closed with an alarm when a row is not what was written at its place."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from hie.errors import IntegrityFailure
from hie.fhir import json_format
from hie.store.crypto import SealBroken, open_, place_of_version
from hie.store.keys import KeyProblem, MetKeys
from hie.store.tenants import Tenant
from hie.store.versions import StoredVersion

alarm = logging.getLogger("hie.alarm")


def open_versions(
    connection: Connection, tenant: Tenant, rows: Iterable[Any], met: MetKeys | None = None
) -> list[StoredVersion]:
    """Open rows of `resource` or `resource_history`; IntegrityFailure and an alarm when one does not open.

    `met`: of the transaction that is open on the connection, if one is that writes.
    """
    found = list(rows)
    try:
        ciphers = tenant.data_keys.of_ids(connection, {row.data_key for row in found if row.sealed is not None}, met)
    except KeyProblem as error:
        alarm.critical("a data key does not open", extra={"tenant": tenant.id})
        raise IntegrityFailure("A data key does not open; the operator has been alarmed.") from error
    return [_open(tenant, row, ciphers) for row in found]


def _open(tenant: Tenant, row: Any, ciphers: dict[int, AESGCM]) -> StoredVersion:
    content = None
    if row.sealed is not None:
        place = place_of_version(tenant.id, row.type, row.id, row.vid, row.data_key)
        cipher = ciphers.get(row.data_key)
        try:
            if cipher is None:
                raise SealBroken("Its data key is missing.")
            content = open_(cipher, bytes(row.sealed), place)
        except SealBroken as error:
            alarm.critical(
                "a stored version does not open", extra={"type": row.type, "resource_id": row.id, "vid": row.vid}
            )
            raise IntegrityFailure(
                f"{row.type}/{row.id} version {row.vid} does not open under its own key and place: it was damaged or "
                "tampered with. Nothing of it is shown; the operator has been alarmed."
            ) from error
    return StoredVersion(row.type, row.id, row.vid, row.method, row.updated, content)


def parsed(version: StoredVersion) -> dict[str, Any]:
    """Return the resource of a version that has content."""
    resource: dict[str, Any] = json_format.parse(version.content or b"{}")
    return resource
