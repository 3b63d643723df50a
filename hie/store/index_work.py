"""One run over the index, done to its end: what was done stays done, one that was cut off goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from hie.store import custom_parameters, index_runs

if TYPE_CHECKING:
    from hie.store.database import Database
    from hie.store.tenants import Tenant


def work(database: Database, tenant: Tenant, number: int, base_url: str, clock: Callable[[], int]) -> None:
    """Do a run, and end the states of the search parameters that it was for; nothing where it is done."""
    found = index_runs.find(database.connection(), tenant, number)
    if found is None or found.state == index_runs.DONE:
        return
    _know(database, tenant)
    index_runs.begin(database, tenant, found)

    def batch(connection: Connection) -> bool:
        _know(database, tenant)
        return index_runs.batch(connection, tenant, number, base_url)

    while database.write(batch):
        pass

    def end(connection: Connection) -> None:
        index_runs.finish(connection, tenant, number, clock())
        custom_parameters.settle(connection, tenant, number)

    database.write(end)
    tenant.parameters.expire()


def _know(database: Database, tenant: Tenant) -> None:
    """Index with what the database has now, not with what was remembered."""
    tenant.parameters.expire()
    tenant.parameters.fresh(database.connection, tenant)
