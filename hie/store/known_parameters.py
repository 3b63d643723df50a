"""What other processes change for a process, looked at again every second: custom search parameters, and the schema.

States: `indexing` (written with every resource, not yet searchable), `ready`, `removing` (no longer written; taken out
of the rows that have it). hie.store.custom_parameters changes them. docs/adr/0013

A process under which a newer version has upgraded the database would index as it always did, and what it writes would
not be found by what came since: it answers no more.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Text, bindparam, column, select, table

from hie.errors import Outdated
from hie.fhir import search_parameters
from hie.fhir.custom_parameters import Definition
from hie.fhir.search_parameters import CustomParameters, SearchParameter
from hie.store.models import custom_parameter, custom_version
from hie.store.prepared import Prepared
from hie.store.schema import HEAD

if TYPE_CHECKING:
    from hie.store.tenants import Tenant

log = logging.getLogger(__name__)

INDEXING, READY, REMOVING = "indexing", "ready", "removing"
#: A process knows of a change after this time at the latest, and never commits with older knowledge.
REMEMBERED_SECONDS = 1.0
#: So often the log tells that the database was upgraded, however many requests are refused for it.
TOLD_AGAIN_SECONDS = 60.0


class KnownParameters:
    """What one process knows of a tenant's custom parameters; shared by its threads."""

    def __init__(self) -> None:
        self._version = 0
        self._known = CustomParameters()
        self._read_again_at = 0.0
        self._tell_again_at = 0.0

    def version_of(self, known: CustomParameters) -> int | None:
        """Return the number under which the database has what index rows were made with; None: not known any more."""
        version = self._version
        return version if self._known is known else None

    def fresh(self, connect: Callable[[], Connection], tenant: Tenant) -> None:
        """Let the process work with what the database has, unless that was looked at just now."""
        if search_parameters.installed() is not self._known:
            search_parameters.install(self._known)  # another store of this process had its own
        if time.monotonic() >= self._read_again_at:
            self._read(connect(), tenant)

    def is_current(self, connection: Connection, tenant: Tenant, known: CustomParameters) -> bool:
        """Tell whether the database, within the open transaction, has what index rows were made with."""
        row = _NUMBER.first(connection, {"tenant": tenant.id})
        return self.version_of(known) == (0 if row is None else row.number)

    def expire(self) -> None:
        """Look again at the next occasion: this process itself changed something."""
        self._read_again_at = 0.0

    def _read(self, connection: Connection, tenant: Tenant) -> None:
        at = time.monotonic()
        schema, number = connection.execute(_STATE, {"tenant": tenant.id}).one()
        if schema != HEAD:
            self._tell(str(schema))
            raise Outdated("The database was upgraded by another version of this server, and this process is of the "
                       "one before; nothing was done.")
        version = number or 0
        if version != self._version:
            self._known = CustomParameters.of_all(_all(connection, tenant))
            self._version = version
            search_parameters.install(self._known)
        self._read_again_at = at + REMEMBERED_SECONDS

    def _tell(self, schema: str) -> None:
        if time.monotonic() >= self._tell_again_at:
            self._tell_again_at = time.monotonic() + TOLD_AGAIN_SECONDS
            log.error("the database was upgraded by another version of this server; stop this process",
                      extra={"reason": f"schema {schema} was found, this process knows {HEAD}"})


_VERSION = select(custom_version.c.number).where(custom_version.c.tenant == bindparam("tenant"))
_NUMBER = Prepared(_VERSION, ("number",))
_SCHEMA = select(column("version_num", Text)).select_from(table("alembic_version"))
_STATE = select(_SCHEMA.scalar_subquery().label("schema"), _VERSION.scalar_subquery().label("number"))

ROWS = (
    select(custom_parameter)
    .where(custom_parameter.c.tenant == bindparam("tenant"))
    .order_by(custom_parameter.c.number)
)


def _all(connection: Connection, tenant: Tenant) -> list[SearchParameter]:
    found: list[SearchParameter] = []
    for row in connection.execute(ROWS, {"tenant": tenant.id}):
        try:
            found += definition_of(row, tenant).parameters(row.state)
        except Exception:
            # Written by another version of this server; a parameter less must not keep all else from being served.
            log.exception("a custom search parameter cannot be used", extra={"parameter": row.number})
    return found


def definition_of(row: Any, tenant: Tenant) -> Definition:
    return Definition.of_json(json.loads(tenant.open_text(row.definition)))
