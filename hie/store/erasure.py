"""Erasing superseded versions for good: https://hl7.org/fhir/R5/http.html#delete-history (D5: docs/adr/0005)

The content goes, and what it was found by; the row stays as a mark: version numbers keep their meaning, and `hie check`
still tells an erased version from a row that somebody removed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, update

from hie.store import contained, past
from hie.store.models import ERASED, resource_history
from hie.store.reindexing import found_by
from hie.store.search.index import IndexRows, moving_rows
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

    def ever_found_by(content: dict[str, Any]) -> IndexRows:
        index, moving = found_by(tenant, base_url, content), moving_rows(content, tenant.blind, base_url)
        return index if moving is None else replace(index, tokens=[*index.tokens, *moving.tokens])

    past.forget(connection, tenant, type_name, id_, vid, ever_found_by)
    contained.forget(connection, tenant.id, type_name, id_, vid)
    return int(connection.execute(statement).rowcount)
