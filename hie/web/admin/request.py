"""An administration request as a value, free of the web framework, and what its handlers answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from hie.fhir.instants import instant

if TYPE_CHECKING:
    from hie.app import Application
    from hie.security.authentication import Principal
    from hie.store.audit import AuditEntry

T = TypeVar("T")


class AdminResponse(NamedTuple):
    """Status and JSON content of an answer; `headers` beside those that every answer has."""

    status: int
    content: Any
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """Who asks for what. `path` holds the parts of the URL that the route names, `query` its known parameters.

    `url` is the path that was asked for, `started` the start of this process in microseconds since 1970.
    """

    application: Application
    principal: Principal
    entry: AuditEntry
    started: int
    url: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @property
    def tenant(self) -> int:
        return self.principal.tenant

    @property
    def connection(self) -> Connection:
        """This thread's connection for reading."""
        return self.application.store.database.connection()

    @property
    def now(self) -> int:
        return self.application.store.clock()

    def know_parameters(self) -> None:
        """Let this process know the search parameters that are defined here by now."""
        store = self.application.store
        keys = store.tenants[self.tenant]
        keys.parameters.fresh(store.database.connection, keys)

    def write(self, unit: Callable[[Connection], T], status: int = 200) -> T:
        """Run `unit` in one transaction with the audit record of this request, which answers `status`."""
        self.entry.status = status
        return self.application.store.database.write(unit, self.entry)


def moment(microseconds: int | None) -> str | None:
    """Write a moment of a table as an instant; None stays None."""
    return None if microseconds is None else instant(microseconds)
