"""The files of bulk exports: which resources stand in each, sealed; what they say is read when a file is fetched.

So nothing of a record is kept twice: what is erased for good is in no file either, and what a token may not see any
more it is not given. docs/adr/0028-bulk-files.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.sql.elements import ColumnElement

from hie.errors import IntegrityFailure
from hie.fhir.bulk import Filed
from hie.store.crypto import SealBroken, associated_data, open_, seal
from hie.store.models import async_request, bulk_file
from hie.store.resources import ResourceStore
from hie.store.tenants import Tenant

_TABLE = bulk_file.c
_MINE = _TABLE.request == bindparam("request")
_NAMED = (_TABLE.number, _TABLE.kind, _TABLE.type, _TABLE.lines)
_LISTED = select(*_NAMED).where(_MINE).order_by(_TABLE.number)
_ONE = select(*_NAMED, _TABLE.sealed).where(_MINE, _TABLE.number == bindparam("number"))


def begin(store: ResourceStore, request: str, see: Callable[[Connection], None]) -> None:
    """Forget the files that a worker left which began the same request, if what `see` asks still holds."""

    def unit(connection: Connection) -> None:
        see(connection)
        connection.execute(delete(bulk_file).where(_TABLE.request == request))

    if store.connection().execute(_LISTED, {"request": request}).first() is not None:
        store.database.write(unit)


def add(store: ResourceStore, request: str, file: Filed, lines: bytes, see: Callable[[Connection], None]) -> None:
    """Keep a file, if what `see` asks within the same transaction still holds."""
    row = file._asdict() | {"request": request, "sealed": seal(
        store.keys.job_cipher, lines, _place(store.keys, request, file))}  # fmt: skip

    def unit(connection: Connection) -> None:
        see(connection)
        connection.execute(insert(bulk_file), row)

    store.database.write(unit)


def listed(store: ResourceStore, request: str) -> list[Filed]:
    """Return the files of a request, in the order in which they were filled."""
    return [Filed(*row) for row in store.connection().execute(_LISTED, {"request": request})]


def read(store: ResourceStore, request: str, number: int) -> tuple[Filed, bytes] | None:
    """Return a file and its lines; None where there is none of this number. IntegrityFailure."""
    row = store.connection().execute(_ONE, {"request": request, "number": number}).first()
    return None if row is None else opened(store.keys, request, row)


def opened(tenant: Tenant, request: str, row: Any) -> tuple[Filed, bytes]:
    """Open the row of a file. IntegrityFailure."""
    file = Filed(row.number, row.kind, row.type, row.lines)
    try:
        return file, open_(tenant.job_cipher, bytes(row.sealed), _place(tenant, request, file))
    except SealBroken as error:
        raise IntegrityFailure("A file of a bulk export does not open.") from error


def each(connection: Connection, tenant: Tenant) -> Iterator[Any]:
    """Yield the rows of all files of a tenant, one in memory at a time."""
    mine = select(async_request.c.id).where(async_request.c.tenant == tenant.id)
    for key in connection.execute(select(_TABLE.request, _TABLE.number).where(_TABLE.request.in_(mine))).all():
        row = connection.execute(select(bulk_file).where(_TABLE.request == key[0], _TABLE.number == key[1])).first()
        if row is not None:  # else it was removed just now
            yield row


def forget(connection: Connection, requests: ColumnElement[bool]) -> None:
    """Remove the files of the requests that a condition on async_request tells."""
    gone = select(async_request.c.id).where(requests)
    connection.execute(delete(bulk_file).where(_TABLE.request.in_(gone)))


def _place(tenant: Tenant, request: str, file: Filed) -> bytes:
    return associated_data("bulk", tenant.id, request, *file)
