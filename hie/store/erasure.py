"""Erasing superseded versions for good: https://hl7.org/fhir/R5/http.html#delete-history (D5: docs/adr/0005)

The content goes, and what it was found by; the row stays as a mark: version numbers keep their meaning, and `hie check`
still tells an erased version from a row that somebody removed.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, update

from hie.store import contained, past
from hie.store.models import ERASED, resource_history
from hie.store.reindexing import lasting
from hie.store.tenants import Tenant


def erase(
    connection: Connection, tenant: Tenant, base_url: str, type_name: str, id_: str, vid: int | None = None
) -> int:
    """Erase one superseded version, or all of them; return how many there were."""
    table = resource_history.c
    where = [table.tenant == tenant.id, table.type == type_name, table.id == id_, table.method != ERASED]
    if vid is not None:
        where.append(table.vid == vid)
    statement = update(resource_history).where(*where).values(sealed=None, data_key=0, method=ERASED)
    past.forget(connection, tenant, type_name, id_, vid, partial(lasting, tenant, base_url))
    contained.forget(connection, tenant.id, type_name, id_, vid)
    return int(connection.execute(statement).rowcount)
