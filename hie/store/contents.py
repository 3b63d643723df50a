"""Large contents stay where they are while many rows are found: a page of 1,000 images would be gigabytes at once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Text,
    bindparam,
    case,
    func,
    literal_column,
    select,
)

from hie.store.models import DELETED, ERASED, resource, resource_history
from hie.store.prepared import Prepared

#: Sealed bytes of a content that is read by itself.
LARGE = 64_000
_READ = [
    Prepared(select(table.c.sealed).where(
        table.c.tenant == bindparam("tenant", type_=BigInteger()), table.c.type == bindparam("type", type_=Text()),
        table.c.id == bindparam("id", type_=Text()), table.c.vid == bindparam("vid", type_=BigInteger()),
    ), ["sealed"])
    for table in (resource, resource_history)
]  # fmt: skip


def small(table: FromClause) -> ColumnElement[Any]:
    """Return the column of a row's content, NULL where it is large."""
    return case((func.length(table.c.sealed) <= literal_column(str(LARGE)), table.c.sealed)).label("sealed")


def is_left_out(row: Any) -> bool:
    """Tell whether a row's content was left where it is."""
    return row.sealed is None and row.method not in (DELETED, ERASED)


def read(connection: Connection, tenant: int, row: Any) -> bytes | None:
    """Return the content of a row that was found without; None where there is none any more."""
    place = {"tenant": tenant, "type": row.type, "id": row.id, "vid": row.vid}
    found = (statement.first(connection, place) for statement in _READ)
    return next((one.sealed for one in found if one is not None), None)
