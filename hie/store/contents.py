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

from hie.errors import Gone
from hie.store.models import DELETED, ERASED, resource, resource_history
from hie.store.prepared import Prepared

#: Sealed bytes of a content that is read by itself.
LARGE = 64_000
#: Bytes of the resources of one page, beyond which it ends: of one of the largest that are taken.
MOST_BYTES = 32_000_000
_NAMES = ("type", "id", "vid", "method", "updated", "data_key", "sealed")
_READ = [
    Prepared(select(*(table.c[name] for name in _NAMES)).where(
        table.c.tenant == bindparam("tenant", type_=BigInteger()), table.c.type == bindparam("type", type_=Text()),
        table.c.id == bindparam("id", type_=Text()), table.c.vid == bindparam("vid", type_=BigInteger()),
    ), _NAMES)
    for table in (resource, resource_history)
]  # fmt: skip


def small(table: FromClause) -> ColumnElement[Any]:
    """Return the column of a row's content, NULL where it is large."""
    return case((func.length(table.c.sealed) <= literal_column(str(LARGE)), table.c.sealed)).label("sealed")


def is_left_out(row: Any) -> bool:
    """Tell whether a row's content was left where it is."""
    return row.sealed is None and row.method not in (DELETED, ERASED)


def read(connection: Connection, tenant: int, of: Any) -> Any:
    """Return a row with its content, current or superseded meanwhile: of one that was found without, or of a version.

    Gone where it was erased since.
    """
    place = {"tenant": tenant, "type": of.type, "id": of.id, "vid": of.vid}
    found = (statement.first(connection, place) for statement in _READ)
    row = next((row for row in found if row is not None), None)
    if row is None or row.method == ERASED:
        raise Gone(f"Version {of.vid} of {of.type}/{of.id} was erased for good while this was read; ask again.",
                   expression=of.type)
    return row
