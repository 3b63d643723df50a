"""What the writers of both dialects give and take: an open transaction, and a whole one as a message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import Connection

from hie.store.audit import AuditEntry
from hie.store.models import audit

#: In the order in which a row of them is written.
AUDIT_COLUMNS = tuple(audit.c.keys())


class Message(Protocol):
    """A transaction as one text of several statements (hie.store.at_once)."""

    @property
    def statements(self) -> Mapping[str, str]:
        """What it executes: names of statements, and the texts that prepare them, once for a connection."""

    @property
    def refused(self) -> str:
        """The SQLSTATE by which PostgreSQL says that nothing was kept and all must be done in steps."""

    def text(self, record: dict[str, Any]) -> str:
        """Return the text with the row of the request's audit record."""


class WriteTransaction(ABC):
    """An open transaction; exactly one of commit and rollback ends it."""

    connection: Connection

    @abstractmethod
    def commit(self, entry: AuditEntry | None) -> None:
        """Commit what was written and the request's audit record; returns when both are durable."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo; does nothing after commit."""
